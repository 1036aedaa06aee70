"""CheXpert: train.csv and valid.csv with a column for each of 14 observations.

Source: Irvin et al. 2019, doi:10.1609/aaai.v33i01.3301590.
"""

import re
from pathlib import Path

from hilum.errors import Problems
from hilum.radiographs.layouts.findings import Marked, marks_in
from hilum.radiographs.layouts.listing import (
    COLUMNS,
    Found,
    Layout,
    LeftOut,
    Listing,
    attributes_of,
)
from hilum.radiographs.layouts.named import NamedImages
from hilum.radiographs.layouts.tables import Names, column_names, has_columns, read_table
from hilum.radiographs.layouts.views import Views
from hilum.records import MISSING

_TABLES = {"train.csv": "train", "valid.csv": "val", "test.csv": "test"}
_SIDE, _BEAM = "Frontal/Lateral", "AP/PA"
_OTHERS = {"Path", "Sex", "Age", _SIDE, _BEAM}
_ROLES = {
    "image": Names(("Path",)),
    "side": Names((_SIDE,)),
    "beam": Names((_BEAM,)),
    **{name: Names(COLUMNS[name]) for name in ("sex", "age")},
}
#: What the labels beside 'No Finding' may nevertheless be: a tube in a chest without a finding.
BESIDE = ("Support Devices",)
#: Paths begin with the name of the archive, whatever the folder is called that it lies in.
_PATH = re.compile(r"(?:train|valid|test)/(patient\d+)/.+")


def _tables(root: Path) -> dict[Path, str]:
    return {
        root / name: split for name, split in _TABLES.items()
        if has_columns(root / name, "Path", _SIDE, "No Finding")
    }  # fmt: skip


def _matches(root: Path) -> bool:
    return root.is_dir() and bool(_tables(root))


def _read(root: Path) -> Listing:
    found: list[Found] = []
    notes: list[str] = []
    left_out: list[LeftOut] = []
    tables = _tables(root)
    findings = [n.strip() for n in column_names(next(iter(tables))) if n.strip() not in _OTHERS]
    views = Views()
    names: tuple[str, ...] = ()
    for table, split in tables.items():
        problems = Problems(table)
        read = read_table(table, _ROLES, ("image", "side"), problems, findings=findings)
        images = NamedImages(root, problems)
        marked = Marked(problems, MISSING, BESIDE)
        for line, row in read.rows:
            inside = _PATH.search(row["image"])
            if inside is None:
                problems.add(
                    "whose path names no patient",
                    "write it as the set does, such as train/patient00001/study1/view1_frontal.jpg",
                    f"line {line}: {row['image']}",
                )
                continue
            view = row["beam"] if row["side"].casefold() == "frontal" else row["side"]
            if views.takes(view, inside[0]) and (path := images.path(inside[0], line)):
                images.add(path, line, ())
                attributes = attributes_of({**row, "view": view})
                image = Found(path, split, (), inside[1], None, attributes)
                marked.add(image, marks_in(row, findings, line, problems), line)
        problems.check()
        of_split, names = marked.finish(findings)
        found += of_split
        notes = [read.note]
        left_out += [*read.left_out, *marked.left_out]
    left_out += views.left_out()
    return Listing(root, LAYOUT.name, tuple(found), tuple(notes), tuple(left_out), findings=names)


LAYOUT = Layout(
    name="chexpert",
    looks="train.csv or valid.csv with the columns Path, Frontal/Lateral and one for each finding, "
    "and the folders train and valid",
    names=("train.csv", "valid.csv", "train", "valid"),
    matches=_matches,
    read=_read,
)
