"""Where findings lie, in data sets that say so: boxes drawn by people."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from hilum.errors import Problems
from hilum.radiographs.layouts.tables import csv_rows


class Box(NamedTuple):
    """A box in pixels of the image as it was published.

    left, top: its corner that is nearest to the image's first pixel. width, height: above 0. image:
    the width and height of the image as published, where all of the set have the same.
    """

    left: float
    top: float
    width: float
    height: float
    image: tuple[int, int] | None = None


#: Of each image, by its file's name without ending, the boxes of each finding.
Boxes = dict[str, dict[str, list[Box]]]


class _Columns(NamedTuple):
    """Which columns of a table hold what; the last two of a box are its other corner or its size.

    finding: a column, or what all boxes of the table are of. size: of all images as published.
    """

    image: str
    finding: str
    box: tuple[str, str, str, str]
    corners: bool = False
    same: str = ""
    size: tuple[int, int] | None = None


#: NIH's header names the four as one column, Bbox [x,y,w,h], whose commas divide it.
_NIH = _Columns("Image Index", "Finding Label", ("Bbox [x", "y", "w", "h]"), size=(1024, 1024))
_RSNA = _Columns(
    "patientId", "", ("x", "y", "width", "height"), same="Lung Opacity", size=(1024, 1024)
)
_CORNERS = ("x_min", "y_min", "x_max", "y_max")
_VINDR = _Columns("image_id", "class_name", _CORNERS, corners=True)
_TABLES: Mapping[str, _Columns] = {
    "BBox_List_2017.csv": _NIH,
    "stage_2_train_labels.csv": _RSNA,
    "annotations/annotations_train.csv": _VINDR,
    "annotations/annotations_test.csv": _VINDR,
    "train.csv": _VINDR,
}
#: What NIH's list calls otherwise than its labels do.
_RENAMED = {"Infiltrate": "Infiltration"}


def read_boxes(root: Path) -> Boxes:
    """The boxes that a data set gives: NIH's list, those of the RSNA challenge, and VinDr-CXR's.

    root: the data folder; {} where it has no such table. Findings are called as its layout calls
    them. Raises DataError where a table cannot be read, or a box is none.
    """
    boxes: Boxes = {}
    for name, columns in _TABLES.items():
        if (root / name).is_file():
            _read(root / name, columns, boxes)
    return boxes


def _read(table: Path, columns: _Columns, boxes: Boxes) -> None:
    problems = Problems(table)
    rows = csv_rows(table)
    header = [name.strip() for name in next(rows, (1, []))[1]]
    wanted = (columns.image, *columns.box, *([columns.finding] if columns.finding else []))
    if not set(wanted) <= set(header):
        return  # another table of this name
    image_at, *box_at = (header.index(name) for name in (columns.image, *columns.box))
    for line, row in rows:
        cells = [row[i].strip() if i < len(row) else "" for i in box_at]
        if not any(cells):
            continue  # an image without a finding
        box = _box(cells, columns)
        if box is None:
            problems.add(
                "whose box has no place or size", "correct it", f"line {line}: {', '.join(cells)}"
            )
            continue
        finding = row[header.index(columns.finding)].strip() if columns.finding else columns.same
        finding = _RENAMED.get(finding, finding).replace("/", " or ")
        image = Path(row[image_at].strip()).stem
        boxes.setdefault(image, {}).setdefault(finding, []).append(box)
    problems.check()


def _box(cells: list[str], columns: _Columns) -> Box | None:
    try:
        left, top, width, height = map(float, cells)
    except ValueError:
        return None
    if columns.corners:
        width, height = width - left, height - top
    sound = all(map(math.isfinite, (left, top))) and 0 < width < math.inf and 0 < height < math.inf
    return Box(left, top, width, height, columns.size) if sound else None
