"""Fetching a public data set: download, unpack, look whether it is what was meant, put in place."""

import contextlib
import importlib
import json
import os
import shutil
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock

from hilum import __version__
from hilum.auditing.provenance import match_sources
from hilum.errors import DataError
from hilum.fetching.catalogue import (
    DataSet,
    KaggleHandle,
    MendeleyArchive,
    PublishedFile,
)
from hilum.fetching.download import Access, download, fetch_json
from hilum.fetching.git import fetch_branch
from hilum.fetching.unpack import copy_tree, unpack
from hilum.files import locked, put_in_place, sha256, write_atomically
from hilum.radiographs.layouts import read_layout
from hilum.records import Progress

ACCESS = Access()

#: Left in the folder, so that it can be known later what it is and whom to cite.
NOTE = "hilum-get.json"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where data came from, and what tells that they are whole.

    address: what was fetched. sha256: of the file; None where there was no single one. commit: of
    git. checked: against what it was checked, in one sentence.
    """

    address: str
    sha256: str | None
    commit: str | None
    checked: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """A data set that was fetched.

    folder: where it lies. images: how many, by split and class. notes: of the layout's reader,
    and whether the counts are known.
    """

    name: str
    folder: Path
    origin: Origin
    images: dict[str, dict[str, int]]
    notes: tuple[str, ...]

    def to_plain(self) -> dict[str, Any]:
        """For the codec: one object with the origin in it."""
        return {
            "name": self.name,
            "folder": str(self.folder),
            **asdict(self.origin),
            "images": self.images,
            "notes": self.notes,
        }


def get_data(
    data_set: DataSet,
    out: Path,
    *,
    size: int | None = None,
    access: Access | None = None,
    progress: Progress | None = None,
) -> Fetched:
    """Fetch a public data set into a new folder, in a layout that open_dataset reads.

    out: the folder, which must not exist or be empty. It appears when everything has arrived, was
    checked and is read. Until then all lies in a hidden folder beside it, where a later call goes
    on with a broken download. size: of the images in pixels, where there is a choice.

    Raises DataError where out is in use, and wherever something is not as it should be.
    """
    data_set.check_size(size)
    check_target(out)
    work = out.parent / f".{out.name}.hilum-get"
    try:
        work.mkdir(parents=True, exist_ok=True)
        with locked(work / ".lock", timeout=0):
            try:
                task = _Task(data_set, size, work, access or ACCESS, progress)
                fetched = _fetch_into(task, out)
            finally:
                if {p.name for p in work.iterdir()} <= {".lock"}:
                    shutil.rmtree(work, ignore_errors=True)  # nothing to go on with is left
    except filelock.Timeout:
        raise DataError(f"{out}: another process is fetching it; wait for it to end.") from None
    except OSError as error:
        raise DataError(
            f"{error.filename or out}: cannot be written ({error.strerror or error})."
        ) from None
    return fetched


def check_target(out: Path) -> None:
    """Raise DataError where a folder to fetch into is in use already."""
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise DataError(f"{out}: exists already; remove it, or name another folder with --out.")


@dataclass(frozen=True, slots=True)
class _Task:
    """A data set to fetch, with images of a size, by way of a folder to work in."""

    data_set: DataSet
    size: int | None
    work: Path
    access: Access
    progress: Progress | None

    @property
    def ready(self) -> Path:
        """What becomes the data folder."""
        return self.work / "unpacked"

    def download(self, url: str, name: str, max_bytes: int, expected: dict[str, str]) -> str:
        """Download a file into the folder to work in; its SHA-256."""
        return download(
            url,
            self.work / name,
            max_bytes=max_bytes,
            expected=expected,
            access=self.access,
            progress=self.progress,
        )

    def unpack(self, archive: Path) -> None:
        try:
            unpack(archive, self.ready, progress=self.progress)
        except DataError:
            archive.unlink()  # it would be refused again
            shutil.rmtree(self.ready, ignore_errors=True)
            raise

    def empty(self) -> None:
        """Remove what was downloaded; the lock is still held."""
        for left in self.work.iterdir():
            if left.is_file() and left.name != ".lock":
                left.unlink()


def _fetch_into(task: _Task, out: Path) -> Fetched:
    check_target(out)
    shutil.rmtree(task.ready, ignore_errors=True)
    origin = _fetch(task)
    images, notes = _inspect(task)
    _write_note(task.data_set, origin, task.ready)
    if out.exists():
        out.rmdir()
    put_in_place(task.ready, out)
    task.empty()
    return Fetched(task.data_set.name, out, origin, images, notes)


def _fetch(task: _Task) -> Origin:
    data_set = task.data_set
    if data_set.file:
        return _get_file(data_set.choose(task.size), task)
    if data_set.mendeley:
        return _get_archive(data_set.mendeley, task)
    if data_set.git:
        archive, commit = fetch_branch(data_set.git, task.work, task.access, task.progress)
        task.unpack(archive)
        address = f"{data_set.git.url}#{data_set.git.branch}"
        return Origin(address, None, commit, "git checked it against the commit's hash.")
    assert data_set.kaggle
    _copy_from_kaggle(data_set.kaggle, data_set.page, task.ready)
    return Origin(data_set.page, None, None, "Not checked here: kagglehub downloaded it.")


def _get_file(place: PublishedFile, task: _Task) -> Origin:
    digest = task.download(place.url, place.name, place.max_bytes, {"md5": place.md5})
    task.ready.mkdir()
    (task.work / place.name).rename(task.ready / place.name)
    return Origin(
        place.url, digest, None, "Its MD5 is the one that the publisher gives; no SHA-256 is given."
    )


def _get_archive(place: MendeleyArchive, task: _Task) -> Origin:
    url, expected = _find_on_mendeley(place, task.access)
    digest = task.download(url, place.file, place.max_bytes, {"sha256": expected})
    task.unpack(task.work / place.file)
    return Origin(
        url,
        digest,
        None,
        "Its SHA-256 is the one that the host states today; it was not known beforehand.",
    )


def _find_on_mendeley(place: MendeleyArchive, access: Access) -> tuple[str, str]:
    """Ask Mendeley Data for the address and the SHA-256 of a file: (address, SHA-256).

    Raises DataError where it cannot be asked, or the file is not in that version.
    """
    url = f"{place.api}/datasets/{place.dataset}/files?folder_id=root&version={place.version}"
    answer = fetch_json(url, access)
    try:
        files = {f["filename"]: f["content_details"] for f in answer}
        details = files.get(place.file)
        if details is not None:
            return str(details["download_url"]), str(details["sha256_hash"]).lower()
    except (TypeError, KeyError, AttributeError):
        raise DataError(
            f"{url}: does not answer with a list of files any more; download {place.file} by hand."
        ) from None
    raise DataError(
        f"{url}: does not list {place.file}; it lists {', '.join(sorted(files)) or 'nothing'}."
    )


def _copy_from_kaggle(place: KaggleHandle, page: str, into: Path) -> None:
    """Have kagglehub download a data set into its own cache, and copy it.

    Raises DataError where kagglehub is not installed or fails.
    """
    try:
        kagglehub = importlib.import_module("kagglehub")
    except ImportError:
        raise DataError(
            f"{place.handle}: comes from Kaggle, through kagglehub, which is not installed: pip "
            f"install kagglehub. Or download it at {page} and unpack it: it is read as it is."
        ) from None
    try:
        # It reports on standard output, which belongs to results.
        with contextlib.redirect_stdout(sys.stderr):
            folder = Path(kagglehub.dataset_download(place.handle))
    except Exception as error:  # kagglehub raises of many kinds, and its own bases changed
        why = " ".join(str(error).split())[:300] or type(error).__name__
        raise DataError(f"{place.handle}: kagglehub could not download it ({why}).") from None
    if not copy_tree(folder, into):
        raise DataError(f"{folder}: kagglehub downloaded no files; remove the folder, try again.")


def _inspect(task: _Task) -> tuple[dict[str, dict[str, int]], tuple[str, ...]]:
    """Read the names of what arrived: images by split and class, and notes.

    Raises DataError where it has not the layout that it should have, or a known file differs.
    """
    data_set, ready = task.data_set, task.ready
    source = data_set.source
    try:
        listing = read_layout(ready, data_set.layout)
        for name, digest in source.files.items():
            file = ready / name
            found = sha256(file.read_bytes()) if file.is_file() else "nothing"
            if found != digest:
                raise DataError(f"{name}: expected the SHA-256 {digest}, found {found}.")
    except DataError as error:
        shutil.rmtree(ready)
        task.empty()
        raise DataError(
            f"{data_set.name}: what {data_set.page} gives today is not the data set that Hilum "
            f"knows, and nothing of it was kept. {str(error).replace(f'{ready}{os.sep}', '')}"
        ) from None
    counts: dict[str, Counter[str]] = {}
    for found_image in listing.found:
        counts.setdefault(found_image.split, Counter())[found_image.labels[-1]] += 1
    images = {split: dict(c) for split, c in counts.items()}
    matches = match_sources(images, layout=listing.layout, digests=source.files.values())
    if any(m.source.name == source.name and m.confidence != "possible" for m in matches):
        return images, listing.sentences
    note = (
        "Its counts are not those of a version that Hilum knows: read its page before you rely on "
        "what is said of its labels."
    )
    return images, (*listing.sentences, note)


def _write_note(data_set: DataSet, origin: Origin, folder: Path) -> None:
    source = data_set.source
    note = {
        "name": data_set.name,
        "title": source.title,
        "source": source.source,
        "licence": source.licence,
        "meaning": source.meaning,
        "page": data_set.page,
        **asdict(origin),
        "fetched": datetime.now(UTC).isoformat(timespec="seconds"),
        "hilum": __version__,
    }
    text = json.dumps(note, indent=2, ensure_ascii=False) + "\n"
    write_atomically(folder / NOTE, text.encode())
