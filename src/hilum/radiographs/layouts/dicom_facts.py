"""What DICOM files say of their patients and views, for whichever layout lists them."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from hilum.errors import DataError, Problems, plural
from hilum.radiographs.cache import salt_of
from hilum.radiographs.dicom.reading import StudyFacts, patient_key, read_study
from hilum.radiographs.image import IMAGE_SUFFIXES, begins_as_dicom
from hilum.radiographs.layouts.listing import (
    FROM_DICOM,
    Found,
    Layout,
    LeftOut,
    Listing,
    note_divided_patients,
)
from hilum.radiographs.pixels import in_parallel
from hilum.records import Attributes, Progress


def add_dicom_facts(
    listing: Listing,
    layout: Layout,
    *,
    keep_identifiers: bool = False,
    progress: Progress | None = None,
) -> Listing:
    """A listing with what its DICOM files say of themselves; as it is where it has none.

    Lateral views are left out. Images get their patient as group, where the layout gives none to
    any image, or such a name for the patient of a table by UIDs; attributes that the layout does
    not give are view, age and sex. Notes count what to beware of.
    keep_identifiers: groups are PatientIDs as they stand in the files, not salted hashes.

    A file that cannot be read stays as it is, to be refused where pixels are wanted. Raises
    DataError where a table divides a patient between splits.
    """
    others = [f.path for f in listing.found if f.path.suffix.casefold() not in IMAGE_SUFFIXES]
    told = in_parallel(study_facts, others, "Reading headers", progress)
    facts = {path: said for path, said in zip(others, told, strict=True) if said}
    if not facts:
        return listing
    by_patient = layout.patient_ids and not any(f.group for f in listing.found)
    hidden = (by_patient or layout.by_uid) and not keep_identifiers
    salt = salt_of(listing.root) if hidden else b""
    found: list[Found] = []
    lateral: list[str] = []
    counts: Counter[str] = Counter()
    for image in listing.found:
        said = facts.get(image.path)
        if said is None:
            found.append(image)
            continue
        if said.is_lateral:
            lateral.append(image.path.relative_to(listing.root).as_posix())
            continue
        counts["burned in"] += said.burned_in
        counts["no modality"] += not said.modality
        counts["no patient"] += not said.patient_id
        group = image.group
        if by_patient and said.patient_id:
            group = said.patient_id if keep_identifiers else patient_key(
                said.patient_id, salt, said.issuer
            )  # fmt: skip
        elif group and layout.by_uid and not keep_identifiers:
            group = patient_key(group, salt)
        attributes = Attributes({**said.attributes, **image.attributes})
        found.append(replace(image, group=group, attributes=attributes))
    if layout.by_table and (by_patient or layout.by_uid):
        problems = Problems(listing.root)
        note_divided_patients(problems, _places(listing.root, found))
        problems.check()
    note = (
        f"{plural(len(lateral), 'lateral view')} left out (View Position): frontal ones are read."
    )
    by_file = by_patient and any(image.group for image in found)
    return replace(
        listing,
        found=tuple(found),
        patients_from=FROM_DICOM if by_file else listing.patients_from,
        notes=(*listing.notes, *_notes(counts, by_patient=by_patient)),
        left_out=(*listing.left_out, *([LeftOut(note, tuple(lateral))] if lateral else [])),
    )


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
    said = {
        "burned in": "with text burned into the pixels (Burned In Annotation), which may be a "
        "name, and which a classifier may learn from: look at them.",
        "no modality": "without a modality, read as radiographs: check that they are.",
        "no patient": "without a Patient ID: which of these are of one patient is not known.",
    }
    return [
        f"{plural(counts[kind], 'DICOM file')} {words}"
        for kind, words in said.items()
        if counts[kind] and (by_patient or kind != "no patient")
    ]


def _places(root: Path, found: list[Found]) -> dict[str, dict[str, str]]:
    """For each patient, one of their files in each split."""
    places: dict[str, dict[str, str]] = {}
    for image in found:
        if image.group:
            name = image.path.relative_to(root).as_posix()
            places.setdefault(image.group, {}).setdefault(image.split, f"{name}, …")
    return places
