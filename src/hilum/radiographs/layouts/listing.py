"""What the readers of layouts share: what they give, and how folders of images are walked."""

import io
import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from hilum.errors import Problems, examples, plural
from hilum.radiographs.dicom import START
from hilum.radiographs.image import IMAGE_SUFFIXES, begins_as_image
from hilum.records import NO_ATTRIBUTES, Attributes
from hilum.stores import StorePath, beginning, walk_store

#: What operating systems, file servers and archives leave among images, and outlines.
_IGNORED_FOLDERS = frozenset(
    {"masks", "__macosx", "$recycle.bin", "recycler", "recycled", "#recycle", "@recycle",
     "system volume information", "lost+found", "@eadir", "@tmp", "@__thumb", "#snapshot",
     "~snapshot", "network trash folder", "temporary items", "thevolumesettingsfolder",
     "__pycache__"}
)  # fmt: skip
_IGNORED_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"})
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


#: What names patients, in words.
FROM_LIST, FROM_DICOM = "the data set's own list", "the Patient ID of DICOM files"

SPLITS = ("train", "val", "test")
_SPLIT_NAMES = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validate": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """A labelled image.

    path: the file; of an image inside an NPZ file ``FILE.npz/ARRAY/INDEX``. split: 'train', 'val'
    or 'test'. labels: on the way to the class, outermost first. group: the patient, where the
    data say so. source: the collection it comes from, where the data say so. attributes: what
    else they say, under the names of COLUMNS. marks: of each of the listing's findings PRESENT,
    ABSENT, UNCERTAIN or MISSING (records); labels are then () where several are present.
    """

    path: Path
    split: str
    labels: tuple[str, ...]
    group: str | None = None
    source: str | None = None
    attributes: Attributes = NO_ATTRIBUTES
    marks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What is not read, for one reason.

    note: a sentence that counts it and names nothing, because it travels with classifiers.
    names: each file, or line of a table.
    """

    note: str
    names: tuple[str, ...]

    def in_words(self) -> str:
        """The note with the first names."""
        return f"{self.note.removesuffix('.')}: {examples(self.names)}."


@dataclass(frozen=True, slots=True)
class Listing:
    """The labelled images of a data set.

    root: the folder below which all of them lie. layout: the name of the layout. found: in the
    order of the layout. notes: what the reader decided, in sentences for people. left_out: what it
    left out, by reason. patients_from: what gave the groups of those that have one. findings: the
    names of what may be present in an image, any number of them; () where labels exclude each
    other.
    """

    root: Path
    layout: str
    found: tuple[Found, ...]
    notes: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    patients_from: str = FROM_LIST
    findings: tuple[str, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """The notes, and what was left out."""
        return (*self.notes, *(left.note for left in self.left_out))


@dataclass(frozen=True, slots=True)
class Layout:
    """One way that public or home-made data lie on a disk.

    name: what it is called on the command line and in messages. looks: how it must look, in one
    line. names: shell patterns of what lies at its top, to say what other data come near.
    matches: whether a folder or file is of this layout, from names and first lines only; where two
    layouts match, nothing is read. read: the images; raises DataError where something is wrong.
    by_table: a user's table divides the images, which then must keep patients together.
    patient_ids: the PatientID of its DICOM files is a patient's, not one for each image.
    by_uid: its table names DICOM files by their UIDs, so that its patients are PatientIDs, too.
    """

    name: str
    looks: str
    names: tuple[str, ...]
    matches: Callable[[Path], bool]
    read: Callable[[Path], Listing]
    by_table: bool = False
    patient_ids: bool = True
    by_uid: bool = False


def split_of(name: str) -> str | None:
    """The split that a folder name or a cell means ('valid' means 'val'), or None."""
    return _SPLIT_NAMES.get(name.strip().casefold())


def nfc(text: str) -> str:
    """A text in composed form: an accent that is a character of its own joins its letter."""
    return unicodedata.normalize("NFC", text)


def note_divided_patients(problems: Problems, places: Mapping[str, Mapping[str, str]]) -> None:
    """Note the patients that a table puts into several splits.

    places: for each patient, where in each split an image of theirs stands.
    """
    for patient, where in places.items():
        if len(where) > 1:
            problems.add(
                "with images in several splits",
                "a classifier would be tested on patients it was trained on, so move each into "
                "one split",
                f"{patient}: " + ", ".join(f"{split} ({at})" for split, at in where.items()),
                noun="patient",
            )


# ---- walking through folders ------------------------------------------------------------------


def list_images(folder: Path) -> list[Path]:
    """Every image file below a folder, in natural order, whatever its label."""
    return [directory / name for directory, names in walk(folder) for name in names]


def natural_key(text: str) -> tuple[tuple[int, str], ...]:
    """Sort key by which 2.jpg comes before 10.jpg; no two texts share a key."""
    parts = re.split(r"(\d+)", text.casefold())
    # The text itself tells apart 1.jpg and 01.jpg, whose order the file system must not decide.
    # A table may name numbers of more digits than int() takes.
    return (*((int(p[:4000]), "") if p.isdecimal() else (-1, p) for p in parts), (-2, text))


def walk(folder: Path, others: list[PurePath] | None = None) -> Iterator[tuple[Path, list[str]]]:
    """Folders that hold images, with the images' names; ignored folders are not entered.

    Images are the files with one of IMAGE_SUFFIXES, and of the others those that begin as one. What
    is none, and not ignored, is added to others.
    Linked folders are entered, except one that leads back to a folder on the way to it.
    """
    walked = walk_store(folder) if isinstance(folder, StorePath) else _walk_disk(folder)
    for directory, folders, files in walked:
        folders[:] = sorted(
            (f for f in folders if not is_ignored(f) and not _is_loop(folder, directory, f)),
            key=natural_key,
        )
        names = []
        for name in sorted(files, key=natural_key):
            if name.startswith(".") or name.casefold() in _IGNORED_FILES:
                continue
            ending = os.path.splitext(name)[1].casefold()  # noqa: PTH122 - a Path per file is slow for 100,000 files
            if ending in IMAGE_SUFFIXES or _is_image(directory, name):
                names.append(name)
            elif others is not None:
                others.append(directory / name)
        if names:
            yield directory, names


def _walk_disk(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    for directory, folders, files in os.walk(folder, followlinks=True):
        yield Path(directory), folders, files


def no_images(others: Sequence[PurePath], root: Path | None = None) -> tuple[LeftOut, ...]:
    """What walk found beside images, as left out, by its names below root, if there is one."""
    if not others:
        return ()
    kinds = Counter(p.suffix.casefold() or "no ending" for p in others)
    shown = ", ".join(f"{n:,} {kind}" for kind, n in kinds.most_common())
    note = f"{plural(len(others), 'file')} that cannot be read as an image left out ({shown})."
    names = (p.relative_to(root) if root else p for p in others)
    return (LeftOut(note, tuple(name.as_posix() for name in names)),)


def _is_image(folder: Path, name: str) -> bool:
    """Whether a file is an image, by its first bytes; a DICOM medium's contents are none.

    Of what cannot be opened it is not known, and it is no image.
    """
    if name.casefold() == _DICOM_CONTENTS:
        return False
    path = folder / name
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
            return False
        return begins_as_image(io.BytesIO(beginning(path, START)))
    except OSError:
        return False


def subfolders(root: Path) -> list[Path]:
    """The folders at the top of a folder that are not ignored, sorted by name."""
    return [p for p in sorted(root.iterdir()) if p.is_dir() and not is_ignored(p.name)]


def is_ignored(folder: str) -> bool:
    """Whether a folder of this name is passed over: hidden, a system's own, or ``masks``."""
    return folder.startswith(".") or folder.casefold() in _IGNORED_FOLDERS


def seen(root: Path) -> str:
    """The first names at the top of a folder, for a message."""
    names = sorted(p.name for p in root.iterdir())
    return (", ".join(names[:6]) + (", …" if len(names) > 6 else "")) if names else "nothing"


def _is_loop(top: Path, directory: Path, folder: str) -> bool:
    link = directory / folder
    if not link.is_symlink():
        return False
    inside = directory.relative_to(top)
    return any(link.samefile(top / step) for step in (inside, *inside.parents))
