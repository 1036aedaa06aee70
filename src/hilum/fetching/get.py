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
from typing import TYPE_CHECKING, Any

import filelock

from hilum import __version__
from hilum.audit.provenance import match_sources
from hilum.errors import DataError
from hilum.fetching.catalogue import (
    DataSet,
    GitBranch,
    KaggleHandle,
    MendeleyArchive,
    PublishedFile,
)
from hilum.fetching.download import Access, download, fetch_json
from hilum.fetching.git import fetch_branch
from hilum.fetching.unpack import copy_tree, unpack
from hilum.files import sha256, write_atomically
from hilum.radiographs.layouts import read_layout


def find_on_mendeley(place: MendeleyArchive, access: Access) -> tuple[str, str]:
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


def copy_from_kaggle(place: KaggleHandle, page: str, into: Path) -> None:
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


if TYPE_CHECKING:
    from hilum.radiographs.pixels import Progress

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
    progress: "Progress | None" = None,
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
        with filelock.FileLock(work / ".lock", timeout=0):
            try:
                fetched = _fetch_into(data_set, out, size, work, access or ACCESS, progress)
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


def _fetch_into(
    data_set: DataSet,
    out: Path,
    size: int | None,
    work: Path,
    access: Access,
    progress: "Progress | None",
) -> Fetched:
    check_target(out)
    ready = work / "unpacked"
    shutil.rmtree(ready, ignore_errors=True)
    origin = _fetch(data_set, size, work, ready, access, progress)
    images, notes = _inspect(data_set, ready, work)
    _write_note(data_set, origin, ready)
    if out.exists():
        out.rmdir()
    ready.rename(out)
    _empty(work)
    return Fetched(data_set.name, out, origin, images, notes)


def _empty(work: Path) -> None:
    """Remove what was downloaded; the lock is still held."""
    for left in work.iterdir():
        if left.is_file() and left.name != ".lock":
            left.unlink()


def _fetch(
    data_set: DataSet,
    size: int | None,
    work: Path,
    ready: Path,
    access: Access,
    progress: "Progress | None",
) -> Origin:
    if data_set.file:
        return _get_file(data_set.choose(size), work, ready, access, progress)
    if data_set.mendeley:
        return _get_archive(data_set.mendeley, work, ready, access, progress)
    if data_set.git:
        return _get_branch(data_set.git, work, ready, access, progress)
    assert data_set.kaggle
    copy_from_kaggle(data_set.kaggle, data_set.page, ready)
    return Origin(data_set.page, None, None, "Not checked here: kagglehub downloaded it.")


def _get_file(
    place: PublishedFile, work: Path, ready: Path, access: Access, progress: "Progress | None"
) -> Origin:
    file = work / place.name
    sums = {"md5": place.md5}
    digest = download(
        place.url,
        file,
        max_bytes=place.max_bytes,
        expected=sums,
        access=access,
        progress=progress,
    )
    ready.mkdir()
    file.rename(ready / place.name)
    return Origin(
        place.url, digest, None, "Its MD5 is the one that the publisher gives; no SHA-256 is given."
    )


def _get_archive(
    place: MendeleyArchive, work: Path, ready: Path, access: Access, progress: "Progress | None"
) -> Origin:
    url, expected = find_on_mendeley(place, access)
    archive = work / place.file
    digest = download(
        url,
        archive,
        max_bytes=place.max_bytes,
        expected={"sha256": expected},
        access=access,
        progress=progress,
    )
    _unpack(archive, ready, progress)
    return Origin(
        url,
        digest,
        None,
        "Its SHA-256 is the one that the host states today; it was not known beforehand.",
    )


def _get_branch(
    place: GitBranch, work: Path, ready: Path, access: Access, progress: "Progress | None"
) -> Origin:
    archive, commit = fetch_branch(place, work, access, progress)
    _unpack(archive, ready, progress)
    return Origin(
        f"{place.url}#{place.branch}", None, commit, "git checked it against the commit's hash."
    )


def _unpack(archive: Path, ready: Path, progress: "Progress | None") -> None:
    try:
        unpack(archive, ready, progress=progress)
    except DataError:
        archive.unlink()  # it would be refused again
        shutil.rmtree(ready, ignore_errors=True)
        raise


def _inspect(
    data_set: DataSet, ready: Path, work: Path
) -> tuple[dict[str, dict[str, int]], tuple[str, ...]]:
    """Read the names of what arrived: images by split and class, and notes.

    Raises DataError where it has not the layout that it should have, or a known file differs.
    """
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
        _empty(work)
        raise DataError(
            f"{data_set.name}: what {data_set.page} gives today is not the data set that Hilum "
            f"knows, and nothing of it was kept. {str(error).replace(f'{ready}{os.sep}', '')}"
        ) from None
    counts: dict[str, Counter[str]] = {}
    for found_image in listing.found:
        counts.setdefault(found_image.split, Counter())[found_image.labels[-1]] += 1
    images = {split: dict(c) for split, c in counts.items()}
    matches = match_sources(images, layout=listing.layout, digests=source.files.values())
    known = any(m.source.name == source.name and m.confidence != "possible" for m in matches)
    notes = listing.notes
    if not known:
        notes += (
            "Its counts are not those of a version that Hilum knows: read its page before you "
            "rely on what is said of its labels.",
        )
    return images, notes


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
