"""Walk through folders of images: what is ignored, which links are followed, in which order."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from hilum.radiographs.dicom import START, is_dicom
from hilum.radiographs.image import IMAGE_SUFFIXES

_IGNORED_FOLDERS = frozenset({"__macosx", "masks"})
#: The table of contents of a DICOM medium, which is DICOM itself (PS3.10, 8.6).
_DICOM_CONTENTS = "dicomdir"


def list_images(folder: Path) -> list[Path]:
    """Every image file below a folder, in natural order, whatever its label."""
    return [
        Path(directory) / name for directory, names in walk(folder) for name in names
    ]  # fmt: skip


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
    way = [top, *(top / part for part in _prefixes(Path(directory).relative_to(top)))]
    return any(link.samefile(step) for step in way)


def _prefixes(path: Path) -> list[Path]:
    return [path, *path.parents]
