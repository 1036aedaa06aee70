"""MedMNIST and the arrays inside NPZ files: what is read, and that hostile files cost nothing."""

import io
import os
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from hilum.errors import DataError
from hilum.labels import LabelTree
from hilum.radiographs import npz
from hilum.radiographs.dataset import open_dataset
from hilum.radiographs.image import image_source, read_radiograph
from hilum.radiographs.layouts import read_layout
from hilum.transforms.preprocess import Preprocessing


def images(n: int, seed: int = 0, size: int = 28) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (n, size, size), dtype=np.uint8)


def arrays(**changed: Any) -> dict[str, Any]:
    """Three training and two test images; keywords replace or, as None, remove an array."""
    given: dict[str, Any] = {
        "train_images": images(4), "train_labels": np.array([[1], [0], [1], [0]]),
        "test_images": images(2, 1), "test_labels": np.array([[0], [1]], dtype=np.uint8),
    } | changed  # fmt: skip
    return {k: v for k, v in given.items() if v is not None}


def save(folder: Path, name: str = "pneumoniamnist.npz", **changed: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / name, **arrays(**changed))
    return folder / name


def npy(header: str, content: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text + content


def archive(file: Path, **members: bytes) -> Path:
    """An NPZ file of sound arrays, of which members are replaced by given bytes."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as out:
        for name, array in arrays().items():
            buffer = io.BytesIO()
            np.save(buffer, array)
            out.writestr(f"{name}.npy", members.get(name, buffer.getvalue()))
    return file


# ---- what is read ------------------------------------------------------------------------------


@pytest.mark.parametrize("whole_folder", [True, False])
def test_pneumoniamnist(tmp_path: Path, whole_folder: bool) -> None:
    file = save(tmp_path / "data")
    listing = read_layout(file.parent if whole_folder else file)
    assert listing.layout == "medmnist"
    assert listing.root == file.parent
    assert [(f.path.relative_to(file).as_posix(), f.split, *f.labels) for f in listing.found] == [
        ("train_images/0", "train", "pneumonia"), ("train_images/1", "train", "normal"),
        ("train_images/2", "train", "pneumonia"), ("train_images/3", "train", "normal"),
        ("test_images/0", "test", "normal"), ("test_images/1", "test", "pneumonia"),
    ]  # fmt: skip


def test_other_sets_keep_their_numbers(tmp_path: Path) -> None:
    listing = read_layout(save(tmp_path, "other_64.npz", train_images=images(4, size=64)))
    assert {f.labels for f in listing.found} == {("0",), ("1",)}


def test_a_data_set_of_an_npz_file(tmp_path: Path, cache: Path) -> None:
    file = save(tmp_path, "pneumoniamnist_28.npz")
    opened = open_dataset(file)
    assert opened.name == "pneumoniamnist_28.npz"
    assert opened.tree == LabelTree.from_text("normal, pneumonia")
    assert opened.counts() == {"train": {"normal": 2, "pneumonia": 2},
                               "test": {"normal": 1, "pneumonia": 1}}  # fmt: skip
    given = arrays()
    # sorted by split and label, as any data set
    expected = [*given["train_images"][[1, 3, 0, 2]], *given["test_images"]]
    pixels = opened.pixels(Preprocessing(image_size=(28, 28)))
    np.testing.assert_array_equal(pixels, expected)
    pictures = image_source(opened.root)([r.name for r in opened.records])
    np.testing.assert_array_equal(pictures, expected)
    assert opened.records[0].name == "pneumoniamnist_28.npz/train_images/1"
    assert len(set(opened.digests)) == 6


def test_a_changed_file_gives_other_pixels(tmp_path: Path, cache: Path) -> None:
    file = save(tmp_path)
    os.utime(file, ns=(10**18, 10**18))
    first = open_dataset(file)
    assert open_dataset(file).fingerprint == first.fingerprint
    save(tmp_path, train_images=images(4, seed=9))
    os.utime(file, ns=(10**18, 10**18))  # of the same size, too
    second = open_dataset(file)
    assert second.fingerprint != first.fingerprint
    np.testing.assert_array_equal(read_radiograph(file / "train_images" / "1"), images(4, 9)[1])


def test_pixels_are_a_copy_that_may_be_written(tmp_path: Path, cache: Path) -> None:
    path = save(tmp_path) / "train_images" / "0"
    read_radiograph(path)[:] = 0
    assert read_radiograph(path).any()


# ---- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"train_labels": None}, "no array 'train_labels'; found test_images"),
        ({"train_labels": np.array([["a"]] * 4, dtype=object)},
         "'train_labels' holds Python objects, which could run any code"),
        ({"train_images": np.array([None] * 4)}, "'train_images' holds Python objects"),
        ({"train_images": images(4).astype(np.float32)}, "type float32; expected grey images"),
        ({"train_images": np.zeros((4, 28, 28, 3), np.uint8)}, r"shape \(4, 28, 28, 3\) and"),
        ({"train_images": images(4, size=8)}, "are 8 x 8 pixels; expected at least 16 x 16"),
        ({"train_labels": np.zeros((4, 14), np.uint8)}, r"shape \(4, 14\) .* number for each of t"),
        ({"train_labels": np.zeros((3, 1), np.uint8)}, r"shape \(3, 1\) .* the 4 images"),
        ({"train_labels": np.zeros((4, 1))}, "type float64; expected one whole number"),
        ({"train_labels": np.array([0, 1, 2, 0])}, "holds 2; expected 0 to 1 .normal, pneumonia"),
        ({"train_labels": np.array([0, 1, -1, 0])}, "holds -1; expected 0 or more"),
        ({"train_images": None, "train_labels": None}, "expected the arrays train_images and"),
        ({"train_images": np.asfortranarray(images(4))}, "is in Fortran order"),
    ],
)  # fmt: skip
def test_other_arrays_are_refused(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    file = save(tmp_path, **changed)
    with pytest.raises(DataError, match=rf"pneumoniamnist\.npz: .*{message}"):
        read_layout(file)


SHAPE = "{'descr': '|u1', 'fortran_order': False, 'shape': (%s), }"


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (npy(SHAPE % "999999999, 28, 28"), "announces the shape .999999999, 28, 28., 783,999,"),
        (npy(SHAPE % "-4, -28, 28", bytes(4 * 28 * 28)), "announces the shape .-4, -28, 28.\\."),
        (npy(SHAPE % f"{10**400}, 28, 28"), "no sound NPY header|announces the shape"),
        (npy(SHAPE % "4, 28, 28", bytes(28)), "3,136 bytes, but holds 28; the file is damaged"),
        (npy("{'descr': '|O', 'fortran_order': False, 'shape': (4,), }", b"cos"), "Python objects"),
        (npy("__import__('os').getcwd()"), "no sound NPY header"),
        (npy(SHAPE % "4, 28, 28", version=b"\x02\x00"), "not in version 1.0 of the NPY format"),
        (b"", "no sound NPY header"),
        (b"\x93NUMPY\x01\x00\xff\xff", "no sound NPY header"),
    ],
)
def test_hostile_headers(tmp_path: Path, member: bytes, message: str) -> None:
    file = archive(tmp_path / "x.npz", train_images=member)
    with pytest.raises(DataError, match=rf"x\.npz: .*({message})"):
        read_layout(file)


def test_a_bomb_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    n = 400_000  # of 28 x 28: 300 MB of zeros from 0.3 MB
    file = tmp_path / "bomb.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as out:
        with out.open("train_images.npy", "w") as member:
            member.write(npy(SHAPE % f"{n}, 28, 28"))
            for _ in range(n // 4000):
                member.write(bytes(4000 * 28 * 28))
        with out.open("train_labels.npy", "w") as member:
            member.write(npy(SHAPE % f"{n}, 1", bytes(n)))
    assert file.stat().st_size < 1_000_000
    tracemalloc.start()
    try:
        with pytest.raises(
            DataError, match="would unpack to 313,600,000 bytes from .*; no radiogr"
        ):
            read_layout(file)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_damaged_array_is_named_once(tmp_path: Path, cache: Path) -> None:
    file = save(tmp_path, train_images=images(4, size=224))
    data = bytearray(file.read_bytes())
    at = data.index(b"train_images.npy") + 100_000  # far behind the array's header
    data[at : at + 100] = bytes(100)
    file.write_bytes(data)
    with pytest.raises(DataError, match="^1 file cannot be used") as error:
        open_dataset(file)
    assert "cannot be read as an NPZ file" in str(error.value)
    assert len(str(error.value).splitlines()) == 2
    # of the damaged array nothing stays behind; the sound one is kept
    (kept,) = (cache / "arrays").iterdir()
    assert np.load(kept).shape == (2, 28, 28)


def test_files_that_are_no_npz(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(DataError, match="a.npz: cannot be read as an NPZ file"):
        read_layout(tmp_path / "a.npz")
    with pytest.raises(DataError, match=r"no labelled images found \(saw a\.npz\).*medmnist"):
        read_layout(tmp_path)


@pytest.mark.parametrize("place", [12, 16])  # of the directory's size and offset
def test_a_directory_that_lies_elsewhere(tmp_path: Path, place: int) -> None:
    file = save(tmp_path)
    data = bytearray(file.read_bytes())
    at = data.rindex(b"PK\x05\x06") + place
    data[at : at + 4] = b"\xff\xff\xff\x7f"
    file.write_bytes(data)
    with pytest.raises(DataError, match="cannot be read as an NPZ file"):
        read_layout(file)


def test_two_npz_files(tmp_path: Path) -> None:
    save(tmp_path, "a.npz")
    save(tmp_path, "b.npz")
    with pytest.raises(DataError, match="found a.npz and b.npz; name the one to read"):
        read_layout(tmp_path)


def test_items(tmp_path: Path, cache: Path) -> None:
    file = save(tmp_path)
    assert npz.item_of(file / "train_images" / "3") == (file, "train_images", 3)
    assert npz.file_of(file / "train_images" / "3") == file
    assert npz.item_of(tmp_path / "a" / "3") is None
    assert npz.item_of(tmp_path / "gone.npz" / "train_images" / "3") is None
    with pytest.raises(DataError, match="'train_images' has no image 4; it holds 4"):
        read_radiograph(file / "train_images" / "4")
    with pytest.raises(DataError, match="no array 'val_images'"):
        read_radiograph(file / "val_images" / "0")
    with pytest.raises(DataError, match="'train_labels' has the shape"):
        read_radiograph(file / "train_labels" / "0")
