"""Decoded pixels at rest: decoded once, never stale, never half written."""

import json
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.errors import DataError
from hilum.radiographs import pixels as pixels_module
from hilum.radiographs.cache import cache_folder
from hilum.radiographs.image import read_radiograph
from hilum.radiographs.pixels import DamagedFilesError, content_digests, in_parallel, open_pixels
from hilum.records import PixelArray
from hilum.transforms.preprocess import Preprocessing

SMALL = Preprocessing(image_size=(16, 24))


def make(root: Path, n: int = 5) -> list[Path]:
    """n noisy radiographs of different sizes."""
    root.mkdir(parents=True, exist_ok=True)
    paths = []
    for i in range(n):
        noise = np.random.default_rng(i).integers(0, 256, (30 + i, 40), dtype=np.uint8)
        paths.append(root / f"{i}.png")
        Image.fromarray(noise).save(paths[-1])
    return paths


def open_all(root: Path, paths: Sequence[Path], transform: Preprocessing = SMALL) -> PixelArray:
    return open_pixels(paths, content_digests(root, paths, None), transform)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were decoded, in order."""
    calls: list[Path] = []

    def counting(path: Path | str) -> PixelArray:
        calls.append(Path(path))
        return read_radiograph(path)

    monkeypatch.setattr(pixels_module, "read_radiograph", counting)
    return calls


# ---- decoded once ----------------------------------------------------------------------------


def test_the_array_holds_what_reading_and_resizing_give(tmp_path: Path, cache: Path) -> None:
    paths = make(tmp_path / "data")
    array = open_all(tmp_path, paths)
    assert array.shape == (5, 16, 24)
    assert array.dtype == np.uint8
    assert isinstance(array, np.memmap)
    assert not array.flags.writeable
    for row, path in zip(array, paths, strict=True):
        assert np.array_equal(row, SMALL.to_pixels(read_radiograph(path)))


def test_a_second_start_reads_no_file(
    tmp_path: Path, cache: Path, settled: None, decoded: list[Path], hashed: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    paths = make(tmp_path / "data")
    first = open_all(tmp_path, paths)
    assert sorted(decoded) == paths
    assert hashed == paths
    opened: list[Path] = []
    original = Path.open

    def recording(self: Path, *args: object, **options: object) -> object:
        opened.append(self)
        return original(self, *args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", recording)
    assert np.array_equal(open_all(tmp_path, paths), first)
    assert len(decoded) == len(hashed) == 5
    assert not set(opened) & set(paths)


def test_only_what_changed_is_hashed_again(
    tmp_path: Path, cache: Path, settled: None, hashed: list[Path]
) -> None:
    paths = make(tmp_path / "data")
    content_digests(tmp_path, paths, None)
    os.utime(paths[2], ns=(1, 1))
    before = hashed.copy()
    content_digests(tmp_path, paths, None)
    assert hashed == [*before, paths[2]]


def test_what_was_just_written_is_hashed_again(
    tmp_path: Path, cache: Path, hashed: list[Path]
) -> None:
    """A second change within a tick of the clock would not show in the marks."""
    paths = make(tmp_path / "data")
    assert content_digests(tmp_path, paths, None) == content_digests(tmp_path, paths, None)
    assert hashed == paths * 2


@pytest.mark.parametrize("way", ["in place", "another file"])
def test_changed_content_of_the_same_size_and_time_gives_another_array(
    tmp_path: Path, cache: Path, way: str
) -> None:
    """As an archive leaves it that is unpacked with constant times over an old folder."""
    paths = [tmp_path / "0.bmp", tmp_path / "1.bmp"]
    for value, path in enumerate(paths):
        Image.new("L", (24, 16), value).save(path)
        os.utime(path, ns=(10**18, 10**18))
    assert open_all(tmp_path, paths)[:, 0, 0].tolist() == [0, 1]
    before = paths[1].stat()
    if way == "another file":
        paths[1].unlink()
    Image.new("L", (24, 16), 99).save(paths[1])
    os.utime(paths[1], ns=(10**18, 10**18))
    after = paths[1].stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert open_all(tmp_path, paths)[:, 0, 0].tolist() == [0, 99]


def test_size_order_and_membership_give_other_arrays(
    tmp_path: Path, cache: Path, decoded: list[Path]
) -> None:
    paths = make(tmp_path / "data")
    whole = open_all(tmp_path, paths)
    assert open_all(tmp_path, paths, Preprocessing(image_size=(24, 16))).shape == (5, 24, 16)
    assert np.array_equal(open_all(tmp_path, paths[::-1]), whole[::-1])
    assert np.array_equal(open_all(tmp_path, paths[1:]), whole[1:])
    assert len(list((cache / "pixels").iterdir())) == 4


def test_copies_of_the_same_files_share_one_array(
    tmp_path: Path, cache: Path, decoded: list[Path]
) -> None:
    open_all(tmp_path, make(tmp_path / "data"))
    open_all(tmp_path / "copy", make(tmp_path / "copy"))
    assert len(decoded) == 5


def test_digests_are_sha256(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"abc")  # the standard's own example, FIPS 180-4
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert content_digests(tmp_path, [path], None) == [expected]


def test_progress_is_told(tmp_path: Path, cache: Path) -> None:
    told: list[tuple[str, int, int]] = []
    paths = make(tmp_path / "data", 40)
    digests = content_digests(tmp_path, paths, lambda *step: told.append(step))
    open_pixels(paths, digests, SMALL, lambda *step: told.append(step))
    assert told == [
        ("Reading", 32, 40), ("Reading", 40, 40), ("Decoding", 32, 40), ("Decoding", 40, 40),
    ]  # fmt: skip


# ---- the cache folder ------------------------------------------------------------------------


def test_hilum_cache_is_honoured(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_all(tmp_path, make(tmp_path / "data"))
    assert {p.name for p in cache.iterdir()} == {"index", "pixels"}
    monkeypatch.delenv("HILUM_CACHE")
    assert cache_folder().name == "hilum"
    assert cache not in cache_folder().parents


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"%s": 5}',
        b'{"%s": [1]}',
        b'{"%s": [1, 2, 3, 4, 5, 6]}',
        b'{"%s": [1, 2, 3, 4, "5", "6"]}',
    ],
)
def test_a_damaged_index_is_made_anew(tmp_path: Path, cache: Path, content: bytes) -> None:
    paths = make(tmp_path / "data")
    digests = content_digests(tmp_path, paths, None)
    (index,) = (cache / "index").iterdir()
    index.write_bytes(content.replace(b"%s", str(paths[0]).encode()))
    assert content_digests(tmp_path, paths, None) == digests
    assert set(json.loads(index.read_bytes())) == {str(p) for p in paths}


def test_an_index_with_an_entry_cut_short_is_not_believed(tmp_path: Path, cache: Path) -> None:
    paths = make(tmp_path / "data", 2)
    digests = content_digests(tmp_path, paths, None)
    (index,) = (cache / "index").iterdir()
    entries = json.loads(index.read_bytes())
    entries[str(paths[0])].pop()
    index.write_text(json.dumps(entries))
    assert content_digests(tmp_path, paths, None) == digests


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[:500],
    "emptied": lambda data: b"",
    "lengthened": lambda data: data + b"\0",
    "inverted": lambda data: bytes(255 - byte for byte in data),
    "one bit of its pixels": lambda data: data[:300] + bytes([data[300] ^ 1]) + data[301:],
    "one bit of its header": lambda data: data[:30] + bytes([data[30] ^ 1]) + data[31:],
    "one bit of a checksum": lambda data: data[:-21] + bytes([data[-21] ^ 1]) + data[-20:],
}


@pytest.mark.parametrize("damage", [*DAMAGES, "foreign"])
def test_a_damaged_array_is_made_anew_with_a_word(
    tmp_path: Path, cache: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    paths = make(tmp_path / "data")
    good = np.array(open_all(tmp_path, paths))
    (file,) = (cache / "pixels").iterdir()
    if damage == "foreign":
        np.save(file, np.zeros((5, 16, 23)))
    else:
        file.write_bytes(DAMAGES[damage](file.read_bytes()))
    assert np.array_equal(open_all(tmp_path, paths), good)
    assert np.array_equal(open_all(tmp_path, paths), good)
    assert [record.getMessage() for record in caplog.records] == [
        f"{file}: the cached file is damaged (its checksums do not match); made anew."
    ]


@pytest.mark.parametrize("taken", ["", "index", "pixels"])
def test_a_cache_that_cannot_be_written_is_refused(tmp_path: Path, cache: Path, taken: str) -> None:
    paths = make(tmp_path / "data")
    (cache / taken).parent.mkdir(parents=True, exist_ok=True)
    (cache / taken).write_text("a file where a folder should be")
    with pytest.raises(DataError, match="cannot keep the decoded pixels there .*HILUM_CACHE"):
        open_all(tmp_path, paths)


def test_a_full_disk_is_refused_and_leaves_nothing(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    paths = make(tmp_path / "data")
    digests = content_digests(tmp_path, paths, None)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"No space left on device.*Free some space"):
        open_pixels(paths, digests, SMALL)
    assert list((cache / "pixels").iterdir()) == []


# ---- failures --------------------------------------------------------------------------------


def test_every_damaged_file_is_named_in_one_error(tmp_path: Path, cache: Path) -> None:
    paths = make(tmp_path / "data", 30)
    for path in paths[:25]:
        path.write_text("not an image")
    with pytest.raises(DamagedFilesError) as error:
        open_all(tmp_path, paths)
    assert str(error.value).startswith("25 files cannot be used; repair or remove them")
    assert all(str(path) in str(error.value) for path in paths[:5])
    assert set(error.value.failures) == set(range(25))
    assert list((cache / "pixels").iterdir()) == []


def test_missing_and_damaged_files_are_named_together(tmp_path: Path, cache: Path) -> None:
    paths = make(tmp_path / "data", 4)
    paths[0].write_bytes(paths[0].read_bytes()[:200])
    paths[1].unlink()
    paths[1].symlink_to(tmp_path / "gone.png")
    paths[2].unlink()
    os.mkfifo(paths[2])  # which would block whoever opens it
    with pytest.raises(DataError, match="3 files cannot be used") as error:
        content_digests(tmp_path, paths, None)
    assert all(path.name in str(error.value) for path in paths[:3])


def test_a_repaired_file_is_read(tmp_path: Path, cache: Path) -> None:
    paths = make(tmp_path / "data", 3)
    good = paths[1].read_bytes()
    paths[1].write_bytes(good[:100])
    with pytest.raises(DataError, match=r"1 file cannot be used.*\n.*1\.png"):
        open_all(tmp_path, paths)
    paths[1].write_bytes(good)
    assert open_all(tmp_path, paths).shape == (3, 16, 24)


def test_an_interruption_leaves_no_partial_file(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(path: Path) -> PixelArray:
        raise KeyboardInterrupt

    paths = make(tmp_path / "data")
    digests = content_digests(tmp_path, paths, None)
    with monkeypatch.context() as patch:
        patch.setattr(pixels_module, "read_radiograph", interrupted)
        with pytest.raises(KeyboardInterrupt):
            open_pixels(paths, digests, SMALL)
    assert list((cache / "pixels").iterdir()) == []
    assert open_pixels(paths, digests, SMALL).shape == (5, 16, 24)


def test_in_parallel_keeps_the_order() -> None:
    assert in_parallel(lambda x: x * x, range(100), "", None) == [x * x for x in range(100)]


def test_in_parallel_asks_for_items_only_some_ahead_of_those_that_are_done() -> None:
    """One future for every item would take more memory than all else that is known of it."""
    done: list[int] = []
    ahead: list[int] = []

    class Items(Sequence[int]):
        def __len__(self) -> int:
            return 5000

        def __getitem__(self, i: int) -> int:  # type: ignore[override]
            if i >= 5000:
                raise IndexError
            ahead.append(i - len(done))
            return i

    in_parallel(done.append, Items(), "", None)

    assert sorted(done) == list(range(5000))
    assert max(ahead) <= pixels_module._AHEAD * (os.cpu_count() or 1)


def test_in_parallel_counts_failures_and_lists_five() -> None:
    def fail(i: int) -> None:
        raise DataError(f"file {i} is bad")

    with pytest.raises(DataError, match="1,002 files") as error:
        in_parallel(fail, range(1002), "", None)
    lines = str(error.value).splitlines()
    assert lines[1].strip() == "file 0 is bad"
    assert lines[-1].strip() == "… and 997 more"
    assert len(lines) == 7


# ---- at once ---------------------------------------------------------------------------------


def test_threads_that_build_the_same_array_at_once_all_get_it(tmp_path: Path, cache: Path) -> None:
    paths = make(tmp_path / "data", 20)
    digests = content_digests(tmp_path, paths, None)
    with ThreadPoolExecutor(4) as pool:
        arrays = list(pool.map(lambda _: np.array(open_pixels(paths, digests, SMALL)), range(8)))
    expected = np.stack([SMALL.to_pixels(read_radiograph(path)) for path in paths])
    assert all(np.array_equal(array, expected) for array in arrays)
    assert len(list((cache / "pixels").iterdir())) == 1


def _open_elsewhere(root: Path, paths: list[Path]) -> int:
    return int(open_all(root, paths).astype(np.int64).sum())


def test_processes_that_build_the_same_array_at_once_all_get_it(
    tmp_path: Path, cache: Path, warm_workers: None
) -> None:
    paths = make(tmp_path / "data", 20)
    expected = sum(int(SMALL.to_pixels(read_radiograph(p)).astype(int).sum()) for p in paths)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        sums = pool.starmap(_open_elsewhere, [(tmp_path, paths)] * 2)
        pool.close()
        pool.join()
    assert sums == [expected] * 2
    assert len(list((cache / "pixels").iterdir())) == 1
