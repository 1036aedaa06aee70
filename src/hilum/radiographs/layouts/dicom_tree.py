"""A tree of DICOM files in any folders, with a table that labels images or studies by their UID."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from hilum.errors import DataError
from hilum.radiographs.cache import salt_of
from hilum.radiographs.dicom.reading import StudyFacts, patient_key, read_study
from hilum.radiographs.image import IMAGE_SUFFIXES, begins_as_dicom
from hilum.radiographs.layouts.listed import ListedImages
from hilum.radiographs.layouts.listing import (
    COLUMNS,
    SPLITS,
    Found,
    Layout,
    Listing,
    attributes_of,
    plural,
    refuse_divided_patients,
)
from hilum.radiographs.layouts.tables import (
    column_names,
    find_columns,
    label_tables,
    labels_in,
    read_table,
    split_in,
)
from hilum.radiographs.layouts.walk import walk
from hilum.records import Attributes

#: Layouts that divide images by a table, which then must keep patients together.
_BY_TABLE = frozenset({"manifest", "dicom-tree"})
#: Here each image has a PatientID of its own, which tells nothing.
_WITHOUT_PATIENTS = frozenset({"rsna-pneumonia"})


def add_dicom_facts(listing: Listing, *, keep_identifiers: bool = False) -> Listing:
    """A listing with what its DICOM files say of themselves; as it is where it has none.

    Lateral views are left out. Images get their patient as group, where the layout gives none to
    any image; attributes that the layout does not give are view, age and
    sex. Notes count what was left out and what to beware of. keep_identifiers: groups are
    PatientIDs as they stand in the files, not salted hashes.

    A file that cannot be read stays as it is, to be refused where pixels are wanted. Raises
    DataError where a table divides a patient between splits.
    """
    facts = {f.path: said for f in listing.found if (said := study_facts(f.path))}
    if not facts:
        return listing
    by_patient = listing.layout not in _WITHOUT_PATIENTS and not any(f.group for f in listing.found)
    salt = salt_of(listing.root) if by_patient and not keep_identifiers else b""
    found: list[Found] = []
    counts: Counter[str] = Counter()
    for image in listing.found:
        said = facts.get(image.path)
        if said is None:
            found.append(image)
            continue
        if said.is_lateral:
            counts["lateral"] += 1
            continue
        counts["burned in"] += said.burned_in
        counts["no modality"] += not said.modality
        counts["no patient"] += not said.patient_id
        group = image.group
        if by_patient and said.patient_id:
            group = said.patient_id if keep_identifiers else patient_key(
                said.patient_id, salt, said.issuer
            )  # fmt: skip
        attributes = Attributes({**said.attributes, **image.attributes})
        found.append(replace(image, group=group, attributes=attributes))
    if listing.layout in _BY_TABLE and by_patient:
        refuse_divided_patients(listing.root, _places(listing.root, found))
    notes = _notes(counts, by_patient=by_patient)
    return replace(listing, found=tuple(found), notes=(*listing.notes, *notes))


def study_facts(path: Path) -> StudyFacts | None:
    """What a DICOM file says; None of another file, and of one that cannot be read."""
    if path.suffix.casefold() in IMAGE_SUFFIXES:
        return None
    try:
        with path.open("rb") as file:
            return read_study(file, path) if begins_as_dicom(file) else None
    except (DataError, OSError):
        return None


def _notes(counts: Counter[str], *, by_patient: bool) -> list[str]:
    notes = []
    if n := counts["lateral"]:
        notes.append(
            f"{plural(n, 'lateral view')} left out (View Position): frontal ones are read."
        )
    if n := counts["burned in"]:
        notes.append(
            f"{plural(n, 'DICOM file')} with text burned into the pixels (Burned In Annotation), "
            "which may be a name, and which a classifier may learn from: look at them."
        )
    if n := counts["no modality"]:
        notes.append(
            f"{plural(n, 'DICOM file')} without a modality, read as radiographs: check that they "
            "are."
        )
    if (n := counts["no patient"]) and by_patient:
        notes.append(
            f"{plural(n, 'DICOM file')} without a Patient ID: which of these are of one patient is "
            "not known."
        )
    return notes


def _places(root: Path, found: list[Found]) -> dict[str, dict[str, str]]:
    """For each patient, one of their files in each split."""
    places: dict[str, dict[str, str]] = {}
    for image in found:
        if image.group:
            name = image.path.relative_to(root).as_posix()
            places.setdefault(image.group, {}).setdefault(image.split, f"{name}, …")
    return places


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


def _matches(data: Path) -> bool:
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
    matches=_matches,
    read=_read,
)
