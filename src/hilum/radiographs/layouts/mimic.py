"""MIMIC-CXR-JPG: labels by study, and what each image is, in tables that may be packed (.csv.gz).

Source: Johnson et al. 2019, doi:10.48550/arXiv.1901.07042.
"""

from pathlib import Path

from hilum.errors import DataError, Problems, plural
from hilum.radiographs.layouts.chexpert import BESIDE
from hilum.radiographs.layouts.findings import Marked, marks_in
from hilum.radiographs.layouts.listing import (
    COLUMNS,
    Found,
    Layout,
    LeftOut,
    Listing,
    attributes_of,
    split_of,
)
from hilum.radiographs.layouts.named import NamedImages
from hilum.radiographs.layouts.tables import Names, column_names, read_table
from hilum.radiographs.layouts.views import Views
from hilum.records import MISSING

_LABELS = "mimic-cxr-2.0.0-chexpert.csv"
_IMAGES = "mimic-cxr-2.0.0-metadata.csv"
_SPLITS = "mimic-cxr-2.0.0-split.csv"
_STUDY = {"patient": Names(("subject_id",)), "study": Names(("study_id",))}
_IMAGE = Names(("dicom_id",))


def _table(root: Path, name: str) -> Path | None:
    """A table as it is, or packed."""
    return next((p for p in (root / name, root / f"{name}.gz") if p.is_file()), None)


def _matches(root: Path) -> bool:
    return _table(root, _LABELS) is not None


def _read(root: Path) -> Listing:
    labels, metadata = _table(root, _LABELS), _table(root, _IMAGES)
    if labels is None or metadata is None:
        missing = _IMAGES if labels else _LABELS
        raise DataError(f"{root}: {missing} is missing, packed or not; add it.")
    findings = [n for n in map(str.strip, column_names(labels)) if n not in _ids()]
    studies, lines = _by_study(labels, findings)
    splits = _split_by_image(root)
    problems = Problems(metadata)
    roles = {"image": _IMAGE, **_STUDY, "view": Names(COLUMNS["view"])}
    read = read_table(metadata, roles, (*roles,)[:3], problems)
    images = NamedImages(root, problems, bare=True)
    marked, views = Marked(problems, MISSING, BESIDE), Views(untold=False)
    unlabelled: list[str] = []
    for line, row in read.rows:
        study = row["patient"], row["study"]
        if not views.takes(row["view"], row["image"]):
            continue
        if study not in studies:
            unlabelled.append(row["image"])
            continue
        split = splits.get(row["image"]) if splits else "train"
        if split is None:
            problems.add(
                f"whose image is not in {_SPLITS}", "add it", f"line {line}: {row['image']}"
            )
        elif path := images.path(row["image"], line):
            images.add(path, line, ())
            image = Found(path, split, (), row["patient"], None, attributes_of(row))
            marked.add(image, studies[study], lines[study])
    problems.check()
    found, names = marked.finish(findings)
    notes = [read.note]
    if not splits:
        notes.append(f"There is no {_SPLITS}, so every image is read as train.")
    note = f"{plural(len(unlabelled), 'image')} of studies without labels left out."
    left_out = [LeftOut(note, tuple(unlabelled))] if unlabelled else []
    left_out = [*read.left_out, *views.left_out(), *left_out, *marked.left_out]
    return Listing(root, LAYOUT.name, found, tuple(notes), tuple(left_out), findings=names)


def _ids() -> set[str]:
    return {name for names in _STUDY.values() for name in names.sure}


def _by_study(
    table: Path, findings: list[str]
) -> tuple[dict[tuple[str, str], dict[str, int]], dict[tuple[str, str], int]]:
    """What is said of each study's findings, and in which line."""
    problems = Problems(table)
    said, lines = {}, {}
    for line, row in read_table(table, _STUDY, (*_STUDY,), problems, findings=findings).rows:
        study = row["patient"], row["study"]
        said[study], lines[study] = marks_in(row, findings, line, problems), line
    problems.check()
    return said, lines


def _split_by_image(root: Path) -> dict[str, str | None]:
    """The split of each image; empty where the set comes without its table."""
    table = _table(root, _SPLITS)
    if table is None:
        return {}
    problems = Problems(table)
    roles = {"image": _IMAGE, "split": Names(("split",))}
    rows = read_table(table, roles, (*roles,), problems).rows
    problems.check()
    return {row["image"]: split_of(row["split"]) for _, row in rows}


LAYOUT = Layout(
    name="mimic-cxr-jpg",
    looks=f"{_LABELS}, {_IMAGES} and {_SPLITS}, each packed (.gz) or not, and images in any folder",
    names=("mimic-cxr-2.0.0-*.csv*", "files"),
    matches=_matches,
    read=_read,
)
