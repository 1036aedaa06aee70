"""The RSNA pneumonia detection challenge: CSV files by patientId, and images named after it.

Several rows of one image (a row for each box around an opacity) are one image. ``patientId``
is one for each image, so it does not tell which images are of one patient.

Source: Shih et al. 2019, doi:10.1148/ryai.2019180041.
"""

from pathlib import Path

from hilum.errors import Problems
from hilum.radiographs.layouts.listing import Found, Layout, Listing
from hilum.radiographs.layouts.named import NamedImages
from hilum.radiographs.layouts.tables import Names, read_table

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
    roles = {"image": Names(("patientId",)), "label": Names((column,))}
    problems = Problems(table)
    read = read_table(table, roles, ("image", "label"), problems)
    for line, row in read.rows:
        label = meaning.get(row["label"])
        if label is None:
            problems.add(
                f"whose {column} is none of {', '.join(meaning)}",
                "write one of these",
                f"line {line}: '{row['label']}'",
            )
            continue
        first, before = labels.setdefault(row["image"], (line, label))
        if before != label:
            problems.add(
                "with another label than an earlier one of the image",
                "keep one of them",
                f"lines {first} and {line}: {row['image']}, as {before[-1]} and as {label[-1]}",
            )
    images = NamedImages(root, problems, bare=True)
    found = [
        Found(path, "train", label)
        for name, (line, label) in labels.items()
        if (path := images.path(name, line))
    ]
    problems.check()
    return Listing(root, LAYOUT.name, tuple(found), (read.note, _NOTE), read.left_out)


LAYOUT = Layout(
    name="rsna-pneumonia",
    looks=f"{_CLASSES} or {_TARGETS}, and images named after the patientId: DICOM, PNG or JPEG",
    names=(_CLASSES, _TARGETS, "stage_2_*_images"),
    matches=_matches,
    read=_read,
    patient_ids=False,
)
