"""NIH ChestX-ray14: a CSV of findings, lists of the official split, and images in any folder.

Source: Wang et al. 2017, doi:10.1109/CVPR.2017.369.
"""

from pathlib import Path

from hilum.errors import DataError, Problems
from hilum.radiographs.layouts.findings import Marked
from hilum.radiographs.layouts.listing import (
    COLUMNS,
    Found,
    Layout,
    Listing,
    attributes_of,
)
from hilum.radiographs.layouts.named import NamedImages
from hilum.radiographs.layouts.tables import Names, findings_in, read_lines, read_table
from hilum.records import ABSENT, PRESENT

_TABLE = "Data_Entry_2017*.csv"
_LISTS = {"train_val_list.txt": "train", "test_list.txt": "test"}
_ROLES = {
    "image": Names(("Image Index",)),
    "label": Names(("Finding Labels",)),
    "patient": Names(("Patient ID",)),
    **{name: Names(spellings) for name, spellings in COLUMNS.items()},
}


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
    problems = Problems(table)
    read = read_table(table, _ROLES, ("image", "label", "patient"), problems, several=True)
    images = NamedImages(root, problems, bare=True)
    marked = Marked(problems, ABSENT)
    for line, row in read.rows:
        name, findings = row["image"], findings_in(row)
        path = images.path(name, line)
        if path is None:
            continue
        images.add(path, line, findings)
        split = splits.get(name) if splits else "train"
        if split is None:
            problems.add(
                f"whose image is neither in {' nor in '.join(_LISTS)}",
                "add it to one of them or remove the row",
                f"line {line}: {name}",
            )
        else:
            image = Found(path, split, (), row["patient"], None, attributes_of(row))
            marked.add(image, dict.fromkeys(findings, PRESENT), line)
    found, names = marked.finish()
    problems.check()
    notes = [read.note]
    if not splits:
        notes.append(
            f"There is neither {' nor '.join(_LISTS)}, so every image is read as train; the "
            "published test set is not kept apart."
        )
    return Listing(root, LAYOUT.name, found, tuple(notes), read.left_out, findings=names)


def _official_split(root: Path) -> dict[str, str]:
    """The split of each file name; empty where the set comes without its lists."""
    there = {name: split for name, split in _LISTS.items() if (root / name).is_file()}
    if there and len(there) < len(_LISTS):
        (missing,) = set(_LISTS) - set(there)
        raise DataError(f"{root}: {missing} is missing beside {next(iter(there))}; add it.")
    splits: dict[str, str] = {}
    problems = Problems(root)
    for file, split in there.items():
        for name in read_lines(root / file):
            if name and splits.setdefault(name, split) != split:
                problems.add(
                    f"in {' and in '.join(_LISTS)}", "keep it in one of them", name, noun="image"
                )
    problems.check()
    return splits


LAYOUT = Layout(
    name="nih-chestxray14",
    looks="Data_Entry_2017.csv, train_val_list.txt, test_list.txt, images in any folder",
    names=("Data_Entry*.csv", "train_val_list.txt", "test_list.txt", "images_0*"),
    matches=_matches,
    read=_read,
)
