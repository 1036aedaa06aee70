"""What the readers of layouts share: what they give, and how folders of images are walked."""

import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hilum.errors import DataError, in_lines
from hilum.radiographs.dicom import START, is_dicom
from hilum.radiographs.image import IMAGE_SUFFIXES
from hilum.records import NO_ATTRIBUTES, Attributes

_IGNORED_FOLDERS = frozenset({"__macosx", "masks"})
#: The table of contents of a DICOM medium, which is DICOM itself (PS3.10, 8.6).
_DICOM_CONTENTS = "dicomdir"
#: The names of attributes, and what their columns may be called (as tables.Roles).
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "view": ("view", "view position", "projection"),
    "age": ("age", "patient age"),
    "sex": ("sex", "gender", "patient sex", "patient gender"),
    "site": ("site", "hospital", "institution"),
    "manufacturer": ("manufacturer",),
}


def attributes_of(row: Mapping[str, str]) -> Attributes:
    """The attributes that a row of a table gives; an empty cell gives none."""
    cells = {name: row[name] for name in COLUMNS if row.get(name)}
    return Attributes(cells) if cells else NO_ATTRIBUTES


SPLITS = ("train", "val", "test")
_SPLIT_NAMES = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """A labelled image.

    path: the file; of an image inside an NPZ file ``FILE.npz/ARRAY/INDEX``. split: 'train', 'val'
    or 'test'. labels: on the way to the class, outermost first. group: the patient, where the
    data say so. source: the collection it comes from, where the data say so. attributes: what
    else they say, under the names of COLUMNS.
    """

    path: Path
    split: str
    labels: tuple[str, ...]
    group: str | None = None
    source: str | None = None
    attributes: Attributes = NO_ATTRIBUTES


@dataclass(frozen=True, slots=True)
class Listing:
    """The labelled images of a data set.

    root: the folder below which all of them lie. layout: the name of the layout. found: in the
    order of the layout. notes: what the reader left out or decided, in sentences for people.
    """

    root: Path
    layout: str
    found: tuple[Found, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """One way that public or home-made data lie on a disk.

    name: what it is called on the command line and in messages. looks: how it must look, in one
    line. names: shell patterns of what lies at its top, to say what other data come near.
    matches: whether a folder or file is of this layout, from names and first lines only; where two
    layouts match, nothing is read. read: the images; raises DataError where something is wrong.
    by_table: a user's table divides the images, which then must keep patients together.
    patient_ids: the PatientID of its DICOM files is a patient's, not one for each image.
    """

    name: str
    looks: str
    names: tuple[str, ...]
    matches: Callable[[Path], bool]
    read: Callable[[Path], Listing]
    by_table: bool = False
    patient_ids: bool = True


def split_of(name: str) -> str | None:
    """The split that a folder name or a cell means ('valid' means 'val'), or None."""
    return _SPLIT_NAMES.get(name.strip().casefold())


def refuse_divided_patients(source: Path, places: Mapping[str, Mapping[str, str]]) -> None:
    """Raises DataError where a table puts a patient into several splits.

    source: the table, or the folder that it divides. places: for each patient, where in each split
    an image of theirs stands.
    """
    divided = [
        f"{patient}: " + ", ".join(f"{split} ({place})" for split, place in where.items())
        for patient, where in places.items() if len(where) > 1
    ]  # fmt: skip
    if divided:
        raise DataError(
            f"{source}: images of one patient are put into several splits, so that a classifier "
            "would be tested on patients it was trained on; move each patient into one split:"
            f"{in_lines(divided)}"
        )


# ---- walking through folders ------------------------------------------------------------------


def list_images(folder: Path) -> list[Path]:
    """Every image file below a folder, in natural order, whatever its label."""
    return [Path(directory) / name for directory, names in walk(folder) for name in names]


def natural_key(text: str) -> tuple[tuple[int, str], ...]:
    """Sort key by which 2.jpg comes before 10.jpg; no two texts share a key."""
    parts = re.split(r"(\d+)", text.casefold())
    # The text itself tells apart 1.jpg and 01.jpg, whose order the file system must not decide.
    return (*((int(p), "") if p.isdecimal() else (-1, p) for p in parts), (-2, text))


def walk(
    folder: Path, suffixes: frozenset[str] = IMAGE_SUFFIXES
) -> Iterator[tuple[str, list[str]]]:
    """Folders that hold images, with the images' names; ignored folders are not entered.

    Images are the files with one of the suffixes, and of the others those that begin as DICOM.
    Linked folders are entered, except one that leads back to a folder on the way to it.
    """
    for directory, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(
            (f for f in folders if not is_ignored(f) and not _is_loop(folder, directory, f)),
            key=natural_key,
        )
        names = [
            f for f in files
            if not f.startswith(".")
            and (os.path.splitext(f)[1].casefold() in suffixes or is_dicom_file(directory, f))  # noqa: PTH122 - a Path per file is slow for 100,000 files
        ]  # fmt: skip
        if names:
            yield directory, sorted(names, key=natural_key)


def is_dicom_file(folder: str, name: str) -> bool:
    """Whether a file holds DICOM, by its first bytes; a medium's table of contents does not count.

    Of what cannot be opened it is not known, and it is no image.
    """
    if name.casefold() == _DICOM_CONTENTS:
        return False
    path = Path(folder, name)
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
            return False
        with path.open("rb") as file:
            return is_dicom(file.read(START))
    except OSError:
        return False


def subfolders(root: Path) -> list[Path]:
    """The folders at the top of a folder that are not ignored, sorted by name."""
    return [p for p in sorted(root.iterdir()) if p.is_dir() and not is_ignored(p.name)]


def is_ignored(folder: str) -> bool:
    """Whether a folder of this name is passed over: hidden, ``__MACOSX`` or ``masks``."""
    return folder.startswith(".") or folder.casefold() in _IGNORED_FOLDERS


def seen(root: Path) -> str:
    """The first names at the top of a folder, for a message."""
    names = sorted(p.name for p in root.iterdir())
    return (", ".join(names[:6]) + (", …" if len(names) > 6 else "")) if names else "nothing"


def _is_loop(top: Path, directory: str, folder: str) -> bool:
    link = Path(directory, folder)
    if not link.is_symlink():
        return False
    inside = Path(directory).relative_to(top)
    return any(link.samefile(top / step) for step in (inside, *inside.parents))
