"""VinDr-CXR: what each of several readers found in an image.

Source: Nguyen et al. 2022, doi:10.1038/s41597-022-01498-w.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from hilum.errors import Problems, plural
from hilum.labels import says_nothing_found
from hilum.radiographs.layouts.findings import Marked, marks_in
from hilum.radiographs.layouts.listing import Found, Layout, LeftOut, Listing
from hilum.radiographs.layouts.named import NamedImages
from hilum.radiographs.layouts.tables import Names, column_names, has_columns, read_table
from hilum.records import ABSENT, PRESENT, UNCERTAIN

#: The set's own tables, a column for each finding; and that of its Kaggle challenge, a row for
#: each box that a reader drew.
_TABLES = {"image_labels_train.csv": "train", "image_labels_test.csv": "test", "train.csv": "train"}
_IMAGE, _READER, _CLASS = Names(("image_id",)), Names(("rad_id",)), Names(("class_name",))
_OTHERS = {"image_id", "rad_id"}
#: The test table writes this one otherwise than the training table.
_RENAMED = {"Other disease": "Other diseases"}


def _tables(root: Path) -> dict[Path, str]:
    places = ((root / folder / name, split) for name, split in _TABLES.items()
              for folder in (".", "annotations"))  # fmt: skip
    return {
        table: split for table, split in places
        if has_columns(table, "image_id", "No finding")
        or has_columns(table, "image_id", "rad_id", "class_name")
    }  # fmt: skip


def _matches(root: Path) -> bool:
    return root.is_dir() and bool(_tables(root))


#: Of each image the line that names it first, and the findings of each of its readers.
_Read = dict[str, tuple[int, dict[str, set[str]]]]


def _read(root: Path) -> Listing:
    found: list[Found] = []
    left_out: list[LeftOut] = []
    readings = [
        (table, split, *_readers(table, has_columns(table, "class_name")))
        for table, split in _tables(root).items()
    ]
    names = sorted({name for *_, findings in readings for name in findings})
    findings: tuple[str, ...] = ()
    several = agreed = 0
    for table, split, read, _ in readings:
        problems = Problems(table)
        images = NamedImages(root, problems, bare=True)
        marked = Marked(problems, ABSENT)
        for image, (line, readers) in read.items():
            if path := images.path(image, line):
                votes = list(readers.values())
                marked.add(Found(path, split, ()), _vote(votes), line)
                several += len(votes) > 1
                agreed += len(votes) > 1 and all(vote == votes[0] for vote in votes)
        problems.check()
        of_table, findings = marked.finish(names)
        found += of_table
        left_out += marked.left_out
    notes = []
    if several:
        notes.append(
            f"{plural(several, 'image')} read by several people, who agree on all findings of "
            f"{agreed:,} ({100 * agreed / several:.0f} %). What most of them see is present; what "
            "some see, and not most, is uncertain."
        )
    return Listing(
        root, LAYOUT.name, tuple(found), tuple(notes), tuple(left_out), findings=findings
    )


def _vote(votes: Sequence[set[str]]) -> dict[str, int]:
    """Present is what more than half of the readers see; what fewer see is uncertain."""
    seen = Counter(name for vote in votes for name in vote)
    said = {name: PRESENT if 2 * n > len(votes) else UNCERTAIN for name, n in seen.items()}
    return {n: m for n, m in said.items() if m == PRESENT or not says_nothing_found(n)}


def _readers(table: Path, by_box: bool) -> tuple[_Read, set[str]]:
    """What each reader of each image found, and the names of all findings."""
    problems = Problems(table)
    columns = [] if by_box else [n for n in map(str.strip, column_names(table)) if n not in _OTHERS]
    roles = {"image": _IMAGE, "reader": _READER, **({"finding": _CLASS} if by_box else {})}
    needed = ("image", "finding") if by_box else ("image",)
    read: _Read = {}
    names = set(map(_plain, columns))
    for line, row in read_table(table, roles, needed, problems, findings=columns).rows:
        seen = read.setdefault(row["image"], (line, {}))[1].setdefault(row["reader"], set())
        seen |= _seen(row, columns, line, problems)
        names |= seen
    problems.check()
    return read, names


def _seen(
    row: Mapping[str, str], columns: Sequence[str], line: int, problems: Problems
) -> set[str]:
    if not columns:
        return {_plain(row["finding"])}
    marks = marks_in(row, columns, line, problems)
    return {_plain(name) for name, mark in marks.items() if mark == PRESENT}


def _plain(name: str) -> str:
    """A name that a label tree may hold: 'Nodule/Mass' is 'Nodule or Mass'."""
    return _RENAMED.get(name, name).replace("/", " or ")


LAYOUT = Layout(
    name="vindr-cxr",
    looks="image_labels_train.csv or image_labels_test.csv, there or in annotations, or Kaggle's "
    "train.csv with image_id, rad_id and class_name; images named after image_id",
    names=("image_labels_*.csv", "annotations"),
    matches=_matches,
    read=_read,
    patient_ids=False,
)
