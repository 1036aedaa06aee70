"""The RSNA pneumonia detection challenge: CSV files by patientId, and images named after it.

Several rows of one image (a row for each box around an opacity) are one image. ``patientId``
is one for each image, so it does not tell which images are of one patient.

Source: Shih et al. 2019, doi:10.1148/ryai.2019180041.
"""

from pathlib import Path

from hilum.errors import DataError, in_lines
from hilum.radiographs.image import IMAGE_SUFFIXES
from hilum.radiographs.layouts.listing import Found, Layout, Listing
from hilum.radiographs.layouts.tables import ListedImages, index_by_name, read_table

_CLASSES = "stage_2_detailed_class_info.csv"
_TARGETS = "stage_2_train_labels.csv"

#: 'No Lung Opacity / Not Normal' divides the abnormal, which the nesting says without a slash.
_LABELS = {
    "Normal": ("Normal",),
    "Lung Opacity": ("Not Normal", "Lung Opacity"),
    "No Lung Opacity / Not Normal": ("Not Normal", "No Lung Opacity"),
}
_TARGET_LABELS = {"0": ("No Lung Opacity",), "1": ("Lung Opacity",)}

_NOTE = (
    "RSNA gives each image a patientId of its own and took the images from NIH ChestX-ray14, where "
    "many patients have several: which images are of one patient is not known."
)


def _matches(root: Path) -> bool:
    return any((root / name).is_file() for name in (_CLASSES, _TARGETS))


def _read(root: Path) -> Listing:
    detailed = (root / _CLASSES).is_file()
    table = root / (_CLASSES if detailed else _TARGETS)
    column, meaning = ("class", _LABELS) if detailed else ("Target", _TARGET_LABELS)
    labels: dict[str, tuple[int, tuple[str, ...]]] = {}
    conflicts: list[str] = []
    roles = {"image": ["patientId"], "label": [column]}
    for line, row in read_table(table, roles, ("image", "label")):
        label = meaning.get(row["label"])
        if label is None:
            raise DataError(
                f"{table}, line {line}: the {column} '{row['label']}' is none of "
                f"{', '.join(meaning)}."
            )
        first, before = labels.setdefault(row["image"], (line, label))
        if before != label:
            conflicts.append(
                f"lines {first} and {line}: {row['image']}, as {before[-1]} and as {label[-1]}"
            )
    if conflicts:
        raise DataError(f"{table}: one image, two labels:{in_lines(conflicts)}")
    files = index_by_name(root, IMAGE_SUFFIXES, stem=True)
    listed = ListedImages(root, table)
    found: list[Found] = []
    for name, (line, label) in labels.items():
        if path := files.get(name):
            found.append(Found(path, "train", label))
        else:
            listed.absent(name, line)
    listed.check()
    return Listing(root, LAYOUT.name, tuple(found), (_NOTE,))


LAYOUT = Layout(
    name="rsna-pneumonia",
    looks=f"{_CLASSES} or {_TARGETS}, and images named after the patientId: DICOM, PNG or JPEG",
    names=(_CLASSES, _TARGETS, "stage_2_*_images"),
    matches=_matches,
    read=_read,
    patient_ids=False,
)
