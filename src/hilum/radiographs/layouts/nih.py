"""NIH ChestX-ray14: a CSV of findings, lists of the official split, and images in any folder.

Source: Wang et al. 2017, doi:10.1109/CVPR.2017.369.
"""

from pathlib import Path

from hilum.errors import DataError, in_lines, plural
from hilum.radiographs.image import IMAGE_SUFFIXES
from hilum.radiographs.layouts.listing import (
    COLUMNS,
    Found,
    Layout,
    Listing,
    attributes_of,
)
from hilum.radiographs.layouts.tables import ListedImages, index_by_name, read_lines, read_table

_TABLE = "Data_Entry_2017*.csv"
_LISTS = {"train_val_list.txt": "train", "test_list.txt": "test"}
_ROLES = {"image": ["Image Index"], "label": ["Finding Labels"], "patient": ["Patient ID"],
          **COLUMNS}  # fmt: skip


def _matches(root: Path) -> bool:
    return root.is_dir() and any(root.glob(_TABLE))


def _read(root: Path) -> Listing:
    tables = sorted(root.glob(_TABLE))
    if not tables:
        raise DataError(f"{root}: there is no {_TABLE}.")
    if len(tables) > 1:
        raise DataError(
            f"{root}: {' and '.join(t.name for t in tables)} both list the images; keep one."
        )
    (table,) = tables
    splits = _official_split(root)
    files = index_by_name(root, IMAGE_SUFFIXES)
    listed = ListedImages(root, table)
    found: list[Found] = []
    without_split: list[str] = []
    rows = several = 0
    for line, row in read_table(table, _ROLES, ("image", "label", "patient")):
        rows += 1
        name, labels, patient = row["image"], row["label"], row["patient"]
        if "|" in labels:
            several += 1
            continue
        path = files.get(name)
        if path is None:
            listed.absent(name, line)
            continue
        listed.add(path, line, (labels,))
        split = splits.get(name) if splits else "train"
        if split is None:
            without_split.append(f"line {line}: {name}")
        else:
            found.append(Found(path, split, (labels,), patient, None, attributes_of(row)))
    listed.check()
    if without_split:
        raise DataError(
            f"{table}: these images are neither in {' nor in '.join(_LISTS)}:"
            f"{in_lines(without_split)}"
        )
    notes = []
    if several:
        notes.append(
            f"{plural(several, 'image')} of {rows:,} with more than one finding are left out: one "
            "class is learned for each image."
        )
    if not splits:
        notes.append(
            f"There is neither {' nor '.join(_LISTS)}, so every image is read as train; the "
            "published test set is not kept apart."
        )
    return Listing(root, LAYOUT.name, tuple(found), tuple(notes))


def _official_split(root: Path) -> dict[str, str]:
    """The split of each file name; empty where the set comes without its lists."""
    there = {name: split for name, split in _LISTS.items() if (root / name).is_file()}
    if there and len(there) < len(_LISTS):
        (missing,) = set(_LISTS) - set(there)
        raise DataError(f"{root}: {missing} is missing beside {next(iter(there))}; add it.")
    splits: dict[str, str] = {}
    both: list[str] = []
    for file, split in there.items():
        for name in read_lines(root / file):
            if name and splits.setdefault(name, split) != split:
                both.append(name)
    if both:
        raise DataError(f"{root}: these images are in {' and in '.join(_LISTS)}:{in_lines(both)}")
    return splits


LAYOUT = Layout(
    name="nih-chestxray14",
    looks="Data_Entry_2017.csv, train_val_list.txt, test_list.txt, images in any folder",
    names=("Data_Entry*.csv", "train_val_list.txt", "test_list.txt", "images_0*"),
    matches=_matches,
    read=_read,
)
