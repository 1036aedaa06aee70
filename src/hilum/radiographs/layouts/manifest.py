"""A table that says what images show: by their paths, or by their UIDs in a tree of DICOM files."""

from collections.abc import Mapping
from pathlib import Path

from hilum.errors import DataError, plural
from hilum.radiographs.layouts.dicom_facts import study_facts
from hilum.radiographs.layouts.listing import (
    COLUMNS,
    SPLITS,
    Found,
    Layout,
    Listing,
    attributes_of,
    refuse_divided_patients,
    walk,
)
from hilum.radiographs.layouts.tables import (
    LABEL_TABLES,
    ListedImages,
    Roles,
    column_names,
    find_columns,
    label_tables,
    labels_in,
    read_table,
    split_in,
)

_SAID: Roles = {"label": ["label", "class"], "split": ["split"], **COLUMNS}
_PATHS: Roles = {"image": ["path", "filename", "image"]}
_BY_PATH: Roles = {**_PATHS, **_SAID, "patient": ["patient_id"], "source": ["source"]}
#: What names a DICOM image in a table, the more precise first.
_UIDS: Roles = {"image": ["SOPInstanceUID"], "study": ["StudyInstanceUID"]}


def _has_uids_only(table: Path) -> bool:
    """Whether a table names images by a UID of DICOM, and by no path."""
    try:
        columns = find_columns(table, column_names(table), {**_UIDS, "path": _PATHS["image"]}, ())
    except DataError:
        return False  # reading it as a manifest says what is wrong with it
    return columns["path"] is None and (columns["image"], columns["study"]) != (None, None)


def _matches_manifest(data: Path) -> bool:
    return bool(label_tables(data)) and not _matches_dicom_tree(data)


def _matches_dicom_tree(data: Path) -> bool:
    return any(_has_uids_only(table) for table in label_tables(data))


def _only_table(data: Path) -> Path:
    tables = label_tables(data)
    if len(tables) != 1:
        there = " and ".join(t.name for t in tables) or "none"
        raise DataError(f"{data}: expected one of {', '.join(LABEL_TABLES)}; found {there}.")
    return tables[0]


def _in_order(table: Path, found: list[Found]) -> tuple[Found, ...]:
    if not found:
        raise DataError(f"{table}: lists no image.")
    return tuple(sorted(found, key=lambda f: SPLITS.index(f.split)))


def _read_manifest(data: Path) -> Listing:
    table = _only_table(data)
    listed = ListedImages(table.parent, table)
    found: list[Found] = []
    splits: dict[str, dict[str, str]] = {}
    for line, row in read_table(table, _BY_PATH, ("image", "label")):
        path = listed.path(row["image"], line)
        labels = labels_in(table, line, row)
        listed.add(path, line, labels)
        split, patient = split_in(table, line, row), row["patient"] or None
        if patient:
            splits.setdefault(patient, {}).setdefault(split, f"line {line}")
        source, attributes = row["source"] or None, attributes_of(row)
        found.append(Found(path, split, labels, patient, source, attributes))
    ordered = _in_order(table, found)
    listed.check()
    refuse_divided_patients(table, splits)
    return Listing(table.parent, MANIFEST.name, ordered)


def _read_dicom_tree(data: Path) -> Listing:
    table = _only_table(data)
    root = table.parent
    precise = find_columns(table, column_names(table), _UIDS, ())["image"] is not None
    role = "image" if precise else "study"
    files = _files_by_uid(root, precise)
    listed = ListedImages(root, table)
    found: list[Found] = []
    for line, row in read_table(table, {**_UIDS, **_SAID}, (role, "label")):
        paths = files.get(row[role], [])
        if not paths:  # the UID itself is not repeated: it leads to a patient
            listed.absent(f"no DICOM file has this {_UIDS[role][0]}", line)
        labels, split = labels_in(table, line, row), split_in(table, line, row)
        for path in paths:
            listed.add(path, line, labels)
            found.append(Found(path, split, labels, attributes=attributes_of(row)))
    listed.check()
    unlisted = sum(map(len, files.values())) - len(found)
    note = f"{plural(unlisted, 'DICOM file')} that {table.name} does not list left out."
    return Listing(root, DICOM_TREE.name, _in_order(table, found), (note,) if unlisted else ())


def _files_by_uid(root: Path, precise: bool) -> Mapping[str, list[Path]]:
    """The DICOM files below a folder by the UID of their image (precise), or of their study.

    Raises DataError where two files are one image.
    """
    files: dict[str, list[Path]] = {}
    images: dict[str, Path] = {}
    for directory, names in walk(root, frozenset()):
        for path in (Path(directory) / name for name in names):
            facts = study_facts(path)
            if facts is None:
                continue
            first = images.setdefault(facts.sop_instance, path)
            if first != path and facts.sop_instance:
                raise DataError(
                    f"{root}: {first.relative_to(root)} and {path.relative_to(root)} are one image "
                    "(they have one SOP Instance UID); remove one of them."
                )
            uid = facts.sop_instance if precise else facts.study_instance
            files.setdefault(uid, []).append(path)
    return files


MANIFEST = Layout(
    name="manifest",
    looks="manifest.csv or labels.csv (or .parquet) with the columns path and label",
    names=("*.csv", "*.parquet"),
    matches=_matches_manifest,
    read=_read_manifest,
    by_table=True,
)
DICOM_TREE = Layout(
    name="dicom-tree",
    looks="labels.csv with the columns SOPInstanceUID or StudyInstanceUID, and label; DICOM files "
    "in any folders",
    names=("labels.csv", "*.dcm"),
    matches=_matches_dicom_tree,
    read=_read_dicom_tree,
    by_table=True,
)
