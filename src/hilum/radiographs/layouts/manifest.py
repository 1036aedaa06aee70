"""A manifest: any folder of images, with a table that says what each of them shows."""

from pathlib import Path

from hilum.errors import DataError
from hilum.radiographs.layouts.dicom_tree import labels_by_uid
from hilum.radiographs.layouts.listed import ListedImages
from hilum.radiographs.layouts.listing import (
    COLUMNS,
    SPLITS,
    Found,
    Layout,
    Listing,
    attributes_of,
    refuse_divided_patients,
)
from hilum.radiographs.layouts.tables import (
    LABEL_TABLES,
    label_tables,
    labels_in,
    read_table,
    split_in,
)

_ROLES = {
    "image": ["path", "filename", "image"],
    "label": ["label", "class"],
    "split": ["split"],
    "patient": ["patient_id"],
    "source": ["source"],
    **COLUMNS,
}


def _matches(data: Path) -> bool:
    tables = label_tables(data)
    return bool(tables) and not any(labels_by_uid(table) for table in tables)


def _read(data: Path) -> Listing:
    tables = label_tables(data)
    if len(tables) != 1:
        there = " and ".join(t.name for t in tables) or "none"
        raise DataError(f"{data}: expected one of {', '.join(LABEL_TABLES)}; found {there}.")
    (table,) = tables
    root = table.parent
    listed = ListedImages(root, table)
    found: list[Found] = []
    splits: dict[str, dict[str, str]] = {}
    for line, row in read_table(table, _ROLES, ("image", "label")):
        path = listed.path(row["image"], line)
        labels = labels_in(table, line, row)
        listed.add(path, line, labels)
        split, patient = split_in(table, line, row), row["patient"] or None
        if patient:
            splits.setdefault(patient, {}).setdefault(split, f"line {line}")
        source, attributes = row["source"] or None, attributes_of(row)
        found.append(Found(path, split, labels, patient, source, attributes))
    if not found:
        raise DataError(f"{table}: lists no image.")
    listed.check()
    refuse_divided_patients(table, splits)
    found.sort(key=lambda f: SPLITS.index(f.split))
    return Listing(root, LAYOUT.name, tuple(found))


LAYOUT = Layout(
    name="manifest",
    looks="manifest.csv or labels.csv (or .parquet) with the columns path and label",
    names=("*.csv", "*.parquet"),
    matches=_matches,
    read=_read,
)
