"""A tree of DICOM files in any folders, with a table that labels images or studies by their UID."""

from pathlib import Path

from hilum.errors import DataError
from hilum.radiographs.layouts.attributes import COLUMNS, attributes_of
from hilum.radiographs.layouts.dicom_facts import study_facts
from hilum.radiographs.layouts.listed import ListedImages
from hilum.radiographs.layouts.listing import SPLITS, Found, Layout, Listing, plural
from hilum.radiographs.layouts.tables import (
    column_names,
    find_columns,
    label_tables,
    labels_in,
    read_table,
    split_in,
)
from hilum.radiographs.layouts.walk import walk

#: What names an image in a table, the more precise first.
_UIDS = {"image": ["SOPInstanceUID"], "study": ["StudyInstanceUID"]}
_PATHS = {"path": ["path", "filename", "image"]}
_ROLES = {**_UIDS, "label": ["label", "class"], "split": ["split"], **COLUMNS}


def labels_by_uid(table: Path) -> bool:
    """Whether a table names images by a UID of DICOM, and by no path."""
    try:
        columns = find_columns(table, column_names(table), {**_UIDS, **_PATHS}, ())
    except DataError:
        return False  # the manifest says what is wrong with it
    return columns["path"] is None and (columns["image"], columns["study"]) != (None, None)


def _fits(data: Path) -> bool:
    return any(labels_by_uid(table) for table in label_tables(data))


def _read(data: Path) -> Listing:
    tables = label_tables(data)
    if len(tables) != 1:
        raise DataError(
            f"{data}: expected one table; found {' and '.join(t.name for t in tables)}."
        )
    (table,) = tables
    root = table.parent
    precise = find_columns(table, column_names(table), _UIDS, ())["image"] is not None
    role = "image" if precise else "study"
    files = _files_by_uid(root, precise)
    listed = ListedImages(root, table)
    found: list[Found] = []
    for line, row in read_table(table, _ROLES, (role, "label")):
        paths = files.get(row[role], [])
        if not paths:  # the UID itself is not repeated: it leads to a patient
            listed.absent(f"no DICOM file has this {_UIDS[role][0]}", line)
        labels, split = labels_in(table, line, row), split_in(table, line, row)
        for path in paths:
            listed.add(path, line, labels)
            found.append(Found(path, split, labels, attributes=attributes_of(row)))
    listed.check()
    if not found:
        raise DataError(f"{table}: lists no image.")
    found.sort(key=lambda f: SPLITS.index(f.split))
    unlisted = sum(map(len, files.values())) - len(found)
    note = f"{plural(unlisted, 'DICOM file')} that {table.name} does not list left out."
    return Listing(root, LAYOUT.name, tuple(found), (note,) if unlisted else ())


def _files_by_uid(root: Path, precise: bool) -> dict[str, list[Path]]:
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


LAYOUT = Layout(
    name="dicom-tree",
    looks="labels.csv with the columns SOPInstanceUID or StudyInstanceUID, and label; DICOM files "
    "in any folders",
    names=("labels.csv", "*.dcm"),
    fits=_fits,
    read=_read,
)
