"""A manifest: any folder of images, with a table that says what each of them shows."""

from collections.abc import Mapping
from pathlib import Path

from hilum.errors import DataError, nearest
from hilum.radiographs.layouts.attributes import COLUMNS, attributes_of
from hilum.radiographs.layouts.listed import ListedImages
from hilum.radiographs.layouts.listing import (
    SPLITS,
    Found,
    Layout,
    Listing,
    refuse_all,
    split_of,
)
from hilum.radiographs.layouts.tables import TABLE_SUFFIXES, read_table

_NAMES = ("manifest.csv", "labels.csv", "manifest.parquet", "labels.parquet")
_ROLES = {
    "image": ["path", "filename", "image"],
    "label": ["label", "class"],
    "split": ["split"],
    "patient": ["patient_id"],
    "source": ["source"],
    **COLUMNS,
}


def _tables(data: Path) -> list[Path]:
    if data.is_file():
        return [data] if data.suffix.casefold() in TABLE_SUFFIXES else []
    return [data / name for name in _NAMES if (data / name).is_file()]


def _read(data: Path) -> Listing:
    tables = _tables(data)
    if len(tables) != 1:
        there = " and ".join(t.name for t in tables) or "none"
        raise DataError(f"{data}: expected one of {', '.join(_NAMES)}; found {there}.")
    (table,) = tables
    root = table.parent
    listed = ListedImages(root, table)
    found: list[Found] = []
    splits: dict[str, dict[str, int]] = {}
    for line, row in read_table(table, _ROLES, ("image", "label")):
        path = listed.path(row["image"], line)
        labels = tuple(part.strip() for part in row["label"].split("/"))
        if not all(labels):
            raise DataError(
                f"{table}, line {line}: the label '{row['label']}' has an empty part; expected a "
                "label such as covid, or nested labels such as infected/covid."
            )
        listed.add(path, line, labels)
        split, patient = _split(table, line, row), row["patient"] or None
        if patient:
            splits.setdefault(patient, {}).setdefault(split, line)
        source, attributes = row["source"] or None, attributes_of(row)
        found.append(Found(path, split, labels, patient, source, attributes))
    if not found:
        raise DataError(f"{table}: lists no image.")
    listed.check()
    _refuse_divided_patients(table, splits)
    found.sort(key=lambda f: SPLITS.index(f.split))
    return Listing(root, LAYOUT.name, tuple(found))


def _split(table: Path, line: int, row: Mapping[str, str]) -> str:
    """The split of a row; train where the table has no such column or the cell is empty."""
    split = split_of(row["split"] or "train")
    if split is None:
        raise DataError(
            f"{table}, line {line}: there is no split '{row['split']}'."
            + nearest(row["split"], SPLITS)
        )
    return split


def _refuse_divided_patients(table: Path, splits: Mapping[str, Mapping[str, int]]) -> None:
    divided = [
        f"{patient}: " + ", ".join(f"{split} (line {line})" for split, line in where.items())
        for patient, where in splits.items() if len(where) > 1
    ]  # fmt: skip
    if divided:
        raise refuse_all(
            f"{table}: puts images of one patient into several splits, so that a classifier would "
            "be tested on patients it was trained on; move each patient into one split:",
            divided,
        )


LAYOUT = Layout(
    name="manifest",
    looks="manifest.csv or labels.csv (or .parquet) with the columns path and label",
    names=("*.csv", "*.parquet"),
    fits=lambda data: bool(_tables(data)),
    read=_read,
)
