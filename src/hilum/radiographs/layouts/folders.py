"""Folder trees: the nesting of the folders is the nesting of the labels."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePath

from hilum.errors import DataError
from hilum.radiographs.image import KINDS
from hilum.radiographs.layouts.listing import (
    SPLITS,
    Found,
    Layout,
    Listing,
    nfc,
    no_images,
    split_of,
    subfolders,
    walk,
)

#: Folders of these names hold the images of a set that keeps its labels elsewhere.
_NOT_A_LABEL = re.compile(r"(images|imgs|stage_\d_(train|test)_images)([_-]?\d+)?", re.IGNORECASE)


class UnlabelledError(DataError):
    """Images whose labels no folder gives."""


def _has_splits(root: Path) -> bool:
    return root.is_dir() and any(split_of(p.name) for p in subfolders(root))


def _has_labels(root: Path) -> bool:
    return root.is_dir() and not _has_splits(root)


def _read_splits(root: Path) -> Listing:
    """``SPLIT/label…/image`` with train, val (or valid, validation) and test."""
    folders = {p: split_of(p.name) for p in subfolders(root)}
    splits = [s for s in folders.values() if s]
    strange = [p.name for p, split in folders.items() if split is None]
    if strange:
        raise DataError(
            f"{root}: the folder(s) {', '.join(sorted(strange))} stand beside the splits "
            f"{', '.join(sorted(splits))}; expected splits only, or labels only."
        )
    if len(set(splits)) < len(splits):
        raise DataError(f"{root}: two folders mean the same split ({', '.join(sorted(splits))}).")
    found: list[Found] = []
    others: list[PurePath] = []
    for folder, split in sorted(folders.items(), key=lambda item: SPLITS.index(item[1] or "")):
        if split:
            found += _images(folder, split, others)
    _refuse_empty([folder for folder, split in folders.items() if split], found)
    return Listing(root, SPLIT_FOLDERS.name, tuple(found), (), no_images(others, root))


def _read_labels(root: Path) -> Listing:
    """``label…/image`` without splits: everything is ``train``."""
    others: list[PurePath] = []
    found = _images(root, "train", others)
    _refuse_empty([root], found)
    return Listing(root, LABEL_FOLDERS.name, tuple(found), (), no_images(others, root))


def _images(folder: Path, split: str, others: list[PurePath]) -> list[Found]:
    found: list[Found] = []
    for directory, names in walk(folder, others):
        labels = tuple(map(nfc, directory.relative_to(folder).parts))
        if not labels:
            raise UnlabelledError(
                f"{folder}: holds images without a label ({names[0]}, …): move each into a "
                "folder named after its label, or give the table (CSV) that lists them with their "
                "labels, from a folder above them."
            )
        if _NOT_A_LABEL.fullmatch(labels[-1]):
            raise UnlabelledError(
                f"{directory}: '{labels[-1]}' is no label, so the labels of these images stand "
                "elsewhere; add a table (CSV) with the columns path and label, or move each "
                "image into a folder named after its label."
            )
        found += [Found(directory / name, split, labels) for name in names]
    return found


def _refuse_empty(folders: Sequence[Path], found: Sequence[Found]) -> None:
    """A label that has no image in any of the folders would be lost without a word."""
    used = {f.labels[:depth] for f in found for depth in range(1, len(f.labels) + 1)}
    holding = {f.labels for f in found}  # what lies within these is no label of its own
    for folder in folders:
        for top in subfolders(folder):
            for path in (top, *subfolders(top)):
                labels = tuple(map(nfc, path.relative_to(folder).parts))
                if found and labels not in used and labels[:1] not in holding:
                    kinds = sorted({p.suffix or p.name for p in path.rglob("*") if p.is_file()})
                    held = f"it holds {', '.join(kinds[:4])} files" if kinds else "it is empty"
                    raise DataError(
                        f"{path}: no image of this label ({held}; read are {KINDS} and DICOM). "
                        "Fill the folder or remove it."
                    )


SPLIT_FOLDERS = Layout(
    name="split-folders",
    looks="train/LABEL/…, and val and test likewise",
    names=("train", "val", "test"),
    matches=_has_splits,
    read=_read_splits,
)
LABEL_FOLDERS = Layout(
    name="label-folders",
    looks="a folder for each label, such as normal and pneumonia",
    names=("normal", "pneumonia", "covid", "infected"),
    matches=_has_labels,
    read=_read_labels,
)
