"""How folders are read: splits, labels, what is ignored, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import hilum
from hilum.errors import DataError
from hilum.radiographs.image import read_radiograph
from hilum.radiographs.layouts import LAYOUTS, list_images, natural_key, read_layout

# Layouts look at names only, so these images are empty files.


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def seen(root: Path) -> list[tuple[str, str, str]]:
    return [(f.split, "/".join(f.labels), f.path.name) for f in read_layout(root).found]


def test_splits_and_nested_labels(tmp_path: Path) -> None:
    touch(tmp_path, "train/normal/1.png", "train/infected/covid/2.jpg", "test/normal/3.bmp")
    assert seen(tmp_path) == [
        ("train", "infected/covid", "2.jpg"),
        ("train", "normal", "1.png"),
        ("test", "normal", "3.bmp"),
    ]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"), ("training", "train"), ("Train", "train"), ("TRAINING", "train"),
        ("val", "val"), ("valid", "val"), ("validation", "val"), ("VAL", "val"),
        ("test", "test"), ("Testing", "test"),
    ],
)  # fmt: skip
def test_names_of_splits(tmp_path: Path, name: str, split: str) -> None:
    assert seen(touch(tmp_path, f"{name}/normal/1.png")) == [(split, "normal", "1.png")]


def test_flat_labels_are_all_train(tmp_path: Path) -> None:
    touch(tmp_path, "normal/1.png", "infected/covid/1.png", "infected/non-covid/deeper/1.png")
    assert seen(tmp_path) == [
        ("train", "infected/covid", "1.png"),
        ("train", "infected/non-covid/deeper", "1.png"),
        ("train", "normal", "1.png"),
    ]


def test_what_is_ignored(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "train/normal/1.png", "train/normal/Thumbs.db", "train/normal/.DS_Store",
        "train/normal/._1.png", "train/normal/.2.png", "train/normal/notes.txt",
        "train/normal/3.dcm", "train/normal/png", "train/.hidden/1.png",
        "train/__MACOSX/normal/1.png", "train/normal/masks/1.png", "train/normal/Masks/1.png",
        "masks/normal/1.png", "__MACOSX/train/normal/._1.png", ".git/1.png", "README.md",
    )  # fmt: skip
    (tmp_path / "train" / "normal" / "2.png").mkdir()  # a folder named like an image
    assert seen(tmp_path) == [("train", "normal", "1.png")]


def test_every_suffix_in_any_case(tmp_path: Path) -> None:
    names = ["a.BMP", "b.jpeg", "c.JPG", "d.Png", "e.tif", "f.TIFF", "g.JFIF", "h.gif", "i.WebP"]
    touch(tmp_path, *(f"normal/{name}" for name in names))
    assert [name for _, _, name in seen(tmp_path)] == names


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "GIF", "PNG", "TIFF", "BMP"])
@pytest.mark.parametrize("ending", [".jfif", ".jpe", ".dat", ""])
def test_images_are_known_by_what_they_hold(tmp_path: Path, form: str, ending: str) -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    (tmp_path / "normal").mkdir()
    Image.fromarray(grey).save(tmp_path / "normal" / f"a{ending}", format=form)
    ((_, _, name),) = seen(tmp_path)
    assert name == f"a{ending}"
    close = np.abs(read_radiograph(tmp_path / "normal" / name).astype(int) - grey) < 8
    assert close.all()


def test_what_is_no_image_is_listed(tmp_path: Path) -> None:
    touch(tmp_path, "normal/1.png", "normal/a.txt", "covid/1.png", "covid/b.txt", "README")
    (tmp_path / "covid" / "BMI.csv").write_text("BMI,age\n" + "20,3\n" * 20)
    listing = read_layout(tmp_path)
    note = "4 files that cannot be read as an image left out (2 .txt, 1 no ending, 1 .csv)."
    assert listing.sentences == (note,)
    assert set(listing.left_out[0].names) == {
        "README", "normal/a.txt", "covid/b.txt", "covid/BMI.csv",
    }  # fmt: skip


@pytest.mark.parametrize(
    "folder",
    ["$RECYCLE.BIN", "System Volume Information", "@eaDir", ".AppleDouble", "lost+found",
     "#recycle", "__MACOSX"],
)  # fmt: skip
def test_folders_of_systems_are_no_labels(tmp_path: Path, folder: str) -> None:
    touch(tmp_path, "normal/1.png", "covid/1.png", f"{folder}/1.png", f"covid/{folder}/2.png")
    assert [label for _, label, _ in seen(tmp_path)] == ["covid", "normal"]
    assert not read_layout(tmp_path).left_out


def test_natural_order(tmp_path: Path) -> None:
    touch(tmp_path, *(f"normal/{n}" for n in ("10.jpg", "2.jpg", "1.jpg", "a10.jpg", "a9.jpg")))
    expected = ["1.jpg", "2.jpg", "10.jpg", "a9.jpg", "a10.jpg"]
    assert [name for _, _, name in seen(tmp_path)] == expected
    assert [path.name for path in list_images(tmp_path)] == expected


@given(st.lists(st.text("019aAé²٣.-/", max_size=8), unique=True, max_size=8), st.randoms())
def test_natural_order_does_not_depend_on_the_file_system(names: list[str], random) -> None:
    shuffled = random.sample(names, len(names))
    assert sorted(shuffled, key=natural_key) == sorted(names, key=natural_key)


def test_names_in_other_scripts(tmp_path: Path) -> None:
    touch(tmp_path, "train/normal/m²1.png", "train/infección/胸部 1.png", "train/Œdème/1²2.png")
    assert {label for _, label, _ in seen(tmp_path)} == {"normal", "infección", "Œdème"}


# ---- links -----------------------------------------------------------------------------------


def test_linked_label_folders_are_read(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere", "1.png")
    root = touch(tmp_path / "data", "train/covid/1.png")
    (root / "train" / "normal").symlink_to(tmp_path / "elsewhere")
    assert seen(root) == [("train", "covid", "1.png"), ("train", "normal", "1.png")]


def test_loops_of_links_end(tmp_path: Path) -> None:
    touch(tmp_path, "train/normal/1.png", "train/covid/1.png")
    (tmp_path / "train" / "normal" / "up").symlink_to(tmp_path / "train")
    (tmp_path / "train" / "covid" / "self").symlink_to(tmp_path / "train" / "covid")
    assert ("train", "normal", "1.png") in seen(tmp_path)
    assert ("train", "covid", "1.png") in seen(tmp_path)
    assert all("self" not in label for _, label, _ in seen(tmp_path))


def test_two_folders_that_lead_to_each_other_end(tmp_path: Path) -> None:
    touch(tmp_path, "train/a/1.png", "train/b/1.png")
    (tmp_path / "train" / "a" / "to-b").symlink_to(tmp_path / "train" / "b")
    (tmp_path / "train" / "b" / "to-a").symlink_to(tmp_path / "train" / "a")
    assert [label for _, label, _ in seen(tmp_path)] == ["a", "a/to-b", "b", "b/to-a"]


def test_a_broken_link_to_a_folder_is_no_folder(tmp_path: Path) -> None:
    touch(tmp_path, "train/normal/1.png")
    (tmp_path / "train" / "covid").symlink_to(tmp_path / "gone")
    assert seen(tmp_path) == [("train", "normal", "1.png")]


# ---- refusals --------------------------------------------------------------------------------


def test_a_missing_folder_and_a_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such folder"):
        read_layout(tmp_path / "gone")
    with pytest.raises(DataError, match="expected a folder of radiographs, found a file"):
        read_layout(touch(tmp_path, "a.zip") / "a.zip")


def test_a_folder_without_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no labelled images found .saw nothing.. Expected"):
        read_layout(tmp_path)
    touch(tmp_path, "train/normal/a.txt", "val/normal/.hidden.png", "b.csv")
    with pytest.raises(DataError, match="saw b.csv, train, val"):
        read_layout(tmp_path)
    touch(tmp_path, *(f"{i}.txt" for i in range(9)))
    with pytest.raises(DataError, match="saw 0.txt, 1.txt, 2.txt, 3.txt, 4.txt, 5.txt, …"):
        read_layout(tmp_path)


@pytest.mark.parametrize("stray", ["1.png", "train/1.png"])
def test_images_without_a_label(tmp_path: Path, stray: str) -> None:
    folder = "train" if stray.startswith("train") else ""
    touch(tmp_path, f"{folder}/normal/1.png", f"{folder}/covid/1.png", stray)
    with pytest.raises(DataError, match=r"holds images without a label .1\.png, ….: move each"):
        read_layout(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.csv", "path;label\n1.png;x\n", "found path;label.*Divide its cells by commas"),
        ("a.csv", "path,label\n1.png,\xfc\n", "not UTF-8 text; save it as CSV in UTF-8"),
        ("a.csv", "picture,truth\n1.png,x\n", "no column for the image and the label"),
        ("a.xlsx", "PK", "save it as CSV in UTF-8, with commas"),
        ("a.tsv", "path\tlabel\n", "save it as CSV in UTF-8, with commas"),
    ],
)
def test_a_table_that_could_not_label_images_is_told(
    tmp_path: Path, name: str, content: str, why: str
) -> None:
    touch(tmp_path, "images/1.png")
    (tmp_path / name).write_text(content, encoding="latin-1")
    with pytest.raises(DataError, match=rf"'images' is no label.* {name} is not read: .*{why}"):
        read_layout(tmp_path)


def test_two_folders_for_one_split(tmp_path: Path) -> None:
    touch(tmp_path, "train/normal/1.png", "valid/normal/1.png", "val/normal/1.png")
    with pytest.raises(DataError, match="two folders mean the same split"):
        read_layout(tmp_path)


def test_a_strange_folder_beside_the_splits(tmp_path: Path) -> None:
    touch(tmp_path, "train/normal/1.png", "val/normal/1.png", "tset/normal/1.png")
    with pytest.raises(DataError, match=r"folder.s. tset stand beside the splits train, val"):
        read_layout(tmp_path)


@pytest.mark.parametrize("split", ["train/", ""])
def test_a_label_folder_without_an_image_is_refused(tmp_path: Path, split: str) -> None:
    for label in ("normal", "pneumonia"):
        touch(tmp_path, f"{split}{label}/1.png")
    (tmp_path / f"{split}tuberculosis").mkdir()
    with pytest.raises(DataError, match=r"tuberculosis: no image of this label \(it is empty"):
        read_layout(tmp_path)
    (tmp_path / f"{split}tuberculosis/1.dcm").write_text("x")
    with pytest.raises(DataError, match=r"it holds \.dcm files"):
        read_layout(tmp_path)


def test_a_layout_is_known_in_its_own_module_only() -> None:
    sources = {p: p.read_text(encoding="utf-8") for p in Path(hilum.__path__[0]).rglob("*.py")}

    for name in LAYOUTS:
        assert [p.parent.name for p, text in sources.items() if f'"{name}"' in text] == ["layouts"]
