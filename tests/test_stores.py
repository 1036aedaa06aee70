"""Data in a store, by a URL: what a folder gives, to the bit, and what is refused."""

import importlib
import os
import pickle
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

import hilum
from hilum.errors import DataError
from hilum.phantoms.phantom import write_phantoms
from hilum.prediction.sources import check_sources, list_sources
from hilum.radiographs.dataset import Dataset, open_dataset
from hilum.radiographs.decoding import read_guarded
from hilum.radiographs.image import read_radiograph
from hilum.radiographs.pixels import Thumbnail
from hilum.stores import StorePath, as_place, on_disk

URL = "memory://bucket/films"


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    write_phantoms(folder, counts={"train": 8, "val": 4}, size=48)
    return folder


@pytest.fixture
def store(films: Path, cache: Path) -> Iterator[MemoryFileSystem]:
    """The films in a store, below URL."""
    store = fsspec.filesystem("memory")
    store.put(f"{films}/", "/bucket/films/", recursive=True)
    yield store
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


def table(films: Path, cell: str) -> str:
    rows = [
        f"{cell.format(path.relative_to(films).as_posix())},"
        f"{path.parent.relative_to(films / path.relative_to(films).parts[0]).as_posix()},"
        f"{path.relative_to(films).parts[0]}"
        for path in sorted(films.rglob("*.png"))
        if "masks" not in path.parts
    ]
    return "\n".join(["path,label,split", *rows])


# ---- the same data ---------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["folder", "without a slash", "table there", "table here"])
def test_a_store_gives_what_a_folder_gives(
    way: str, films: Path, store: MemoryFileSystem, tmp_path: Path
) -> None:
    data: Path | str = Path(URL) if way == "without a slash" else URL
    if way == "table there":
        data = f"{URL}/labels.csv"
        store.pipe("/bucket/films/labels.csv", table(films, "{}").encode())
    elif way == "table here":
        data = tmp_path / "films.csv"
        data.write_text(table(films, URL + "/{}"), encoding="utf-8")
    said: list[tuple[str, int, int]] = []

    here = open_dataset(films)
    there = open_dataset(data, progress=lambda *words: said.append(words))

    def facts(found: Dataset) -> dict[str, tuple[str, int]]:
        rows = zip(found.records, found.digests, strict=True)
        return {digest: (record.split, record.label) for record, digest in rows}

    assert facts(there) == facts(here)
    assert there.tree == here.tree
    if way != "table here":
        assert there.name == ("labels.csv" if way == "table there" else "films")
    assert {r.name for r in there.records} == {r.name for r in here.records}
    rows = [there.digests.index(digest) for digest in here.digests]
    thumbnails = Thumbnail(16)
    assert np.array_equal(there.pixels(thumbnails)[rows], here.pixels(thumbnails))
    assert ("Reading", len(rows), len(rows)) in said
    if way == "folder":
        assert there.fingerprint == here.fingerprint
        assert max(done for what, done, _ in said if what == "Listing folders") > 4


def test_a_second_start_fetches_what_has_changed_and_nothing_else(
    store: MemoryFileSystem, settled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_dataset(URL)
    changed = first.records[3].path
    store.pipe(str(changed).removeprefix("memory:/"), first.records[4].path.read_bytes())
    fetched: list[Path] = []
    original = StorePath.read_bytes

    def counting(path: StorePath) -> bytes:
        fetched.append(path)
        return original(path)

    monkeypatch.setattr(StorePath, "read_bytes", counting)

    again = open_dataset(URL)

    assert [path for path in fetched if path.suffix == ".png"] == [changed]
    assert again.digests[3] == first.digests[4]


def test_what_is_predicted_on_is_found_by_its_url(films: Path, store: MemoryFileSystem) -> None:
    found = list(list_sources([f"{URL}/val"]))
    assert [str(path) for path in found] == [
        f"{URL}/{path.relative_to(films).as_posix()}" for path in list_sources([str(films / "val")])
    ]
    assert np.array_equal(read_guarded(found[0]).pixels, read_radiograph(str(found[0])))
    with pytest.raises(DataError, match="there is no such file"):
        read_guarded(as_place(f"{URL}/none.png"))
    store.mkdir("/bucket/empty")
    with pytest.raises(DataError, match="no images found"):
        check_sources(["memory://bucket/empty"])


def test_what_is_unusual_is_decoded_by_a_process_of_its_own(
    store: MemoryFileSystem, tmp_path: Path
) -> None:
    """That process has another memory, and no store in it: it is sent the content."""
    Image.new("L", (2000, 2000)).save(tmp_path / "blank.png")
    store.put(str(tmp_path / "blank.png"), "/bucket/blank.png")
    assert read_guarded(as_place("memory://bucket/blank.png")).pixels.shape == (2000, 2000)


# ---- paths -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("memory://b/films", "memory://b/films"),
        (Path("memory://b/films/"), "memory://b/films"),
        ("memory:///b/films", "memory://b/films"),
        ("simplecache::memory://b/films", "simplecache::memory://b/films"),
        ("file:///b/films", "/b/films"),
        ("b/films", "b/films"),
        ("MEMORY://b/films", "memory://b/films"),
        ("c:/b/films", "c:/b/films"),
    ],
)
def test_a_url_is_a_path_that_keeps_its_slashes(given: str | Path, text: str) -> None:
    place = as_place(given)
    assert str(place) == text
    assert isinstance(place, StorePath) == ("memory" in text)
    assert on_disk(Path.cwd()) == Path.cwd()
    if isinstance(place, StorePath):
        with pytest.raises(DataError, match="only data may lie in a store"):
            on_disk(given)
    image = place / "train" / "1.png"
    assert str(image) == f"{text}/train/1.png"
    assert (image.name, image.suffix, str(image.parent)) == ("1.png", ".png", f"{text}/train")
    assert image.relative_to(place).as_posix() == "train/1.png"
    sent = pickle.loads(pickle.dumps(image))
    assert (type(sent), sent, hash(sent), str(sent)) == (
        type(image),
        image,
        hash(image),
        str(image),
    )


def test_a_folder_of_such_a_name_is_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkdir("memory:")  # noqa: PTH102
    assert not isinstance(as_place("memory:/"), StorePath)
    with pytest.raises(DataError, match="names no bucket"):  # of a URL, whatever lies here
        as_place("memory:///.")


@pytest.mark.parametrize("call", ["train", "audit", "split"])
def test_nothing_is_written_to_a_store(call: str, tmp_path: Path) -> None:
    """Nor into a folder that is called like one."""
    with pytest.raises(DataError, match=r"memory://b/out: only data .* this machine"):
        getattr(hilum, call)(tmp_path, out="memory://b/out")
    assert not Path("memory:").exists()


# ---- what is refused -------------------------------------------------------------------------


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for url, said in {
        "xyz://bucket/films": "fsspec knows no store called 'xyz'",
        "zip://films::s3://bucket/x.zip": "inside of a file in a store is not read",
    }.items():
        with pytest.raises(DataError, match=said):
            open_dataset(url)
    with monkeypatch.context() as windows:
        windows.setattr(os, "name", "nt")
        with pytest.raises(DataError, match="on Windows"):
            as_place(URL)

    def missing(kind: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "get_filesystem_class", missing)
    with pytest.raises(DataError, match=r"s3:// needs a package .*\(Install s3fs to access S3\)"):
        open_dataset("s3://bucket/films")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(DataError, match=r"pip install 'hilum\[remote\]'"):
        open_dataset("s3://bucket/films")


def test_objects_that_are_missing_or_torn_are_named(
    films: Path, store: MemoryFileSystem, tmp_path: Path
) -> None:
    rows = table(films, URL + "/{}").splitlines()
    gone, torn = (row.partition(",")[0] for row in (rows[1], rows[2]))
    inside = torn.removeprefix("memory:/")
    store.pipe(inside, store.cat(inside)[:200])
    file = tmp_path / "films.csv"
    file.write_text("\n".join(rows), encoding="utf-8")
    with pytest.raises(DataError, match=rf"1 file cannot be used(?s:.*){torn}"):
        open_dataset(file).pixels(Thumbnail(16))
    store.rm(gone.removeprefix("memory:/"))
    with pytest.raises(DataError, match=rf"{gone}: cannot be read \(there is no such object\)"):
        open_dataset(file)
    assert len(open_dataset(file, skip_damaged=True, every_class=False).damaged) == 2
    with pytest.raises(DataError, match="there is no such folder"):
        open_dataset("memory://bucket/none")


class NoCredentialsError(Exception):
    """As botocore's, which is no OSError."""


def unreachable() -> FileNotFoundError:
    """What fsspec makes of a web server that is not there."""
    error = FileNotFoundError("http://nowhere/films")
    error.__cause__ = ConnectionRefusedError("Cannot connect to host")
    return error


@pytest.mark.parametrize("asked", ["info", "ls", "cat_file"])
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NoCredentialsError("Unable to locate"), "NoCredentialsError: Unable to locate"),
        (PermissionError("Access Denied"), "access is refused: PermissionError: Access Denied"),
        (unreachable(), "ConnectionRefusedError: Cannot connect to host"),
    ],
    ids=lambda given: type(given).__name__,
)
def test_a_store_that_does_not_answer_is_told_once(
    asked: str, error: Exception, said: str, store: MemoryFileSystem,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(MemoryFileSystem, asked, refuse)
    with pytest.raises(DataError, match=said) as refused:
        open_dataset(URL)
    assert URL in str(refused.value)


def test_a_store_that_dies_is_not_asked_for_each_object_of_a_table(
    films: Path, store: MemoryFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "films.csv").write_text(table(films, URL + "/{}"), encoding="utf-8")
    asked: list[str] = []

    def dead(self: MemoryFileSystem, path: str, **_: object) -> None:
        asked.append(path)
        raise TimeoutError("no answer in 60 seconds")

    monkeypatch.setattr(MemoryFileSystem, "info", dead)
    with pytest.raises(DataError, match="no answer in 60 seconds"):
        open_dataset(tmp_path / "films.csv")
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("asked", "answers"), [("cat_file", 3), ("ls", 2)], ids=["objects", "folders"]
)
@pytest.mark.parametrize("error", [TimeoutError, FileNotFoundError])
def test_a_store_that_dies_half_way(
    asked: str, answers: int, error: type[OSError], store: MemoryFileSystem,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """What is only not answered is not left out as damaged; what is gone meanwhile is."""
    original, times = getattr(MemoryFileSystem, asked), iter(range(answers))

    def dying(self: MemoryFileSystem, *given: object, **options: object) -> object:
        if next(times, None) is None:
            raise error("no answer")
        return original(self, *given, **options)

    monkeypatch.setattr(MemoryFileSystem, asked, dying)
    with pytest.raises(DataError, match="every image is damaged|cannot be read") as refused:
        open_dataset(URL, skip_damaged=True, every_class=False)
    if asked == "ls":
        with pytest.raises(DataError, match="cannot be read"):
            list(list_sources([URL]))
    assert ("every image" in str(refused.value)) == (
        error is FileNotFoundError and asked == "cat_file"
    )


@pytest.mark.parametrize(
    ("cells", "refusal"),
    [
        ((f"{URL}/1.png", "2.png"), "no folder in common"),
        (("memory://one/1.png", "memory://two/2.png"), "no folder in common"),
        (("file:///etc/hostname", "file:///etc/hosts"), "not below|leaves the data folder"),
        (("zip://x::/etc/hosts", "git:///etc/hosts"), "not below|leaves the data folder"),
    ],
)
def test_cells_that_lead_elsewhere_are_refused(
    cells: tuple[str, str], refusal: str, tmp_path: Path, films: Path
) -> None:
    shutil.copy(next(films.rglob("*.png")), tmp_path / "2.png")
    (tmp_path / "labels.csv").write_text(f"path,label\n{cells[0]},a\n{cells[1]},b\n")
    with pytest.raises(DataError, match=refusal):
        open_dataset(tmp_path)


def test_stores_are_only_read() -> None:
    with pytest.raises(OSError, match="only read"):
        as_place(f"{URL}/new.csv").open("w")


def test_a_version_that_the_store_does_not_tell_is_not_relied_upon(
    store: MemoryFileSystem, settled: None, hashed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.import_module("hilum.stores"), "_TIMES", ())
    first = open_dataset(URL)
    hashed.clear()
    open_dataset(URL)
    assert len(hashed) == len(first.records)
