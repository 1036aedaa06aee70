"""How radiographs lie in folders: one reader per layout, the same findings out.

A layout is recognised by the names at the top of the data folder. To add one, write a function
``(root) -> list[Found] | None`` that answers None where the folder is not of its kind, and put
it into LAYOUTS, the more specific first.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hilum.errors import DataError
from hilum.radiographs.image import IMAGE_SUFFIXES

SPLITS = ("train", "val", "test")
_SPLIT_NAMES = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
_IGNORED_FOLDERS = frozenset({"__macosx", "masks"})


@dataclass(frozen=True, slots=True)
class Found:
    """An image file, the split it belongs to, and the labels on the way to it, outermost first."""

    path: Path
    split: str
    labels: tuple[str, ...]


def read_layout(root: Path) -> list[Found]:
    """List the labelled images below a folder, in natural order of their names.

    Hidden files, ``__MACOSX``, ``masks`` and files that are not images are ignored.
    Raises DataError where the folder does not exist or no layout fits.
    """
    if not root.exists():
        raise DataError(f"{root}: there is no such folder.")
    if not root.is_dir():
        raise DataError(f"{root}: expected a folder of radiographs, found a file.")
    for layout in LAYOUTS:
        found = layout(root)
        if found is not None:
            return found
    raise DataError(
        f"{root}: no labelled images found (saw {_seen(root)}). Expected folders by label, "
        "such as train/normal and val/normal, or normal and pneumonia, holding PNG, JPEG, "
        "TIFF or BMP files."
    )


def split_folders(root: Path) -> list[Found] | None:
    """``SPLIT/label…/image`` with train, val (or valid, validation) and test."""
    folders = {p: _SPLIT_NAMES.get(p.name.casefold()) for p in _folders(root)}
    splits = [s for s in folders.values() if s]
    if not splits:
        return None
    others = [p.name for p, split in folders.items() if split is None]
    if others:
        raise DataError(
            f"{root}: the folder(s) {', '.join(sorted(others))} stand beside the splits "
            f"{', '.join(sorted(splits))}; expected splits only, or labels only."
        )
    if len(set(splits)) < len(splits):
        raise DataError(f"{root}: two folders mean the same split ({', '.join(sorted(splits))}).")
    found: list[Found] = []
    for folder, split in sorted(folders.items(), key=lambda item: SPLITS.index(item[1] or "")):
        if split:
            found += _images(folder, split)
    return found or None


def label_folders(root: Path) -> list[Found] | None:
    """``label…/image`` without splits: everything is ``train``."""
    return _images(root, "train") or None


LAYOUTS: tuple[Callable[[Path], list[Found] | None], ...] = (split_folders, label_folders)


def list_images(folder: Path) -> list[Path]:
    """Every image file below a folder, in natural order, whatever its label."""
    return [
        Path(directory) / name for directory, names in _walk(folder) for name in names
    ]  # fmt: skip


def natural_key(text: str) -> tuple[tuple[int, str], ...]:
    """Sort key by which 2.jpg comes before 10.jpg; no two texts share a key."""
    parts = re.split(r"(\d+)", text.casefold())
    # The text itself tells apart 1.jpg and 01.jpg, whose order the file system must not decide.
    return (*((int(p), "") if p.isdecimal() else (-1, p) for p in parts), (-2, text))


def _images(folder: Path, split: str) -> list[Found]:
    found: list[Found] = []
    for directory, names in _walk(folder):
        labels = Path(directory).relative_to(folder).parts
        if not labels:
            raise DataError(
                f"{folder}: holds images without a label ({names[0]}, …): move each into a "
                "folder named after its label."
            )
        found += [Found(Path(directory) / name, split, labels) for name in names]
    return found


def _walk(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Folders that hold images, with the images' names; ignored folders are not entered.

    Linked folders are entered, except one that leads back to a folder on the way to it.
    """
    for directory, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(
            (f for f in folders if not _is_ignored(f) and not _is_loop(folder, directory, f)),
            key=natural_key,
        )
        names = [
            f for f in files
            if not f.startswith(".") and os.path.splitext(f)[1].casefold() in IMAGE_SUFFIXES  # noqa: PTH122 - a Path per file is slow for 100,000 files
        ]  # fmt: skip
        if names:
            yield directory, sorted(names, key=natural_key)


def _is_loop(top: Path, directory: str, folder: str) -> bool:
    link = Path(directory, folder)
    if not link.is_symlink():
        return False
    way = [top, *(top / part for part in _prefixes(Path(directory).relative_to(top)))]
    return any(link.samefile(step) for step in way)


def _prefixes(path: Path) -> list[Path]:
    return [path, *path.parents]


def _is_ignored(folder: str) -> bool:
    return folder.startswith(".") or folder.casefold() in _IGNORED_FOLDERS


def _folders(root: Path) -> list[Path]:
    return [p for p in sorted(root.iterdir()) if p.is_dir() and not _is_ignored(p.name)]


def _seen(root: Path) -> str:
    names = sorted(p.name for p in root.iterdir())
    return (", ".join(names[:6]) + (", …" if len(names) > 6 else "")) if names else "nothing"
