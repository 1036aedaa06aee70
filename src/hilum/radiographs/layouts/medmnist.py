"""MedMNIST: one NPZ file with the arrays ``{train,val,test}_{images,labels}``.

Source: Yang et al. 2023, doi:10.1038/s41597-022-01721-8.
"""

import zipfile
from pathlib import Path

from hilum.errors import DataError, Problems
from hilum.radiographs.layouts.findings import Marked
from hilum.radiographs.layouts.listing import SPLITS, Found, Layout, Listing
from hilum.radiographs.npz import ArrayHeader, array_header, array_names, read_labels
from hilum.records import ABSENT, PRESENT

#: What the numbers mean, from the data set's own description; other sets keep their numbers.
_LABELS = {"pneumoniamnist": ("normal", "pneumonia")}
#: What may be present in an image, in the order of the columns: 'pleural' is pleural thickening.
_FINDINGS = {
    "chestmnist": (
        "atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule", "pneumonia",
        "pneumothorax", "consolidation", "edema", "emphysema", "fibrosis", "pleural", "hernia",
    )
}  # fmt: skip
_NOTHING = "normal"

_SMALLEST = 16


def _files(data: Path) -> list[Path]:
    files = [data] if data.is_file() else sorted(data.glob("*.npz"))
    return [f for f in files if f.suffix.casefold() == ".npz" and zipfile.is_zipfile(f)]


def _matches(data: Path) -> bool:
    if data.is_file():
        return data.suffix.casefold() == ".npz"
    wanted = {"train_images", "train_labels"}
    return any(wanted <= array_names(file) for file in _files(data))


def _read(data: Path) -> Listing:
    files = [data] if data.is_file() else _files(data)
    if len(files) != 1:
        there = " and ".join(f.name for f in files) or "none"
        raise DataError(f"{data}: expected one NPZ file, found {there}; name the one to read.")
    (file,) = files
    arrays = array_names(file)
    splits = [s for s in SPLITS if {f"{s}_images", f"{s}_labels"} & arrays]
    if "train" not in splits:
        raise DataError(
            f"{file}: expected the arrays train_images and train_labels, and val and test "
            f"likewise; found {', '.join(sorted(arrays)[:8]) or 'none'}."
        )
    if findings := _FINDINGS.get(_name(file)):
        marked = Marked(Problems(file), ABSENT)
        for split in splits:
            _mark(file, split, findings, marked)
        images, names = marked.finish(findings)
        return Listing(file.parent, LAYOUT.name, images, findings=names)
    found = [image for split in splits for image in _images(file, split)]
    return Listing(file.parent, LAYOUT.name, tuple(found))


def _name(file: Path) -> str:
    """Which set it is: pneumoniamnist_224.npz is pneumoniamnist."""
    return file.stem.split("_")[0].casefold()


def _header(file: Path, split: str) -> ArrayHeader:
    header = array_header(file, f"{split}_images")
    if len(header.shape) != 3 or header.dtype != "uint8":
        raise DataError(
            f"{file}: '{split}_images' has the shape {header.shape} and the type {header.dtype}; "
            "expected grey images, (N, height, width) uint8."
        )
    if min(header.shape[1:]) < _SMALLEST:
        raise DataError(
            f"{file}: the images of '{split}_images' are {header.shape[1]} x {header.shape[2]} "
            f"pixels; expected at least {_SMALLEST} x {_SMALLEST}."
        )
    return header


def _mark(file: Path, split: str, findings: tuple[str, ...], marked: Marked) -> None:
    """Put what is said of each image's findings where it is collected."""
    n = _header(file, split).shape[0]
    rows = read_labels(file, f"{split}_labels", n, len(findings))
    if rows.size and rows.max() > 1:
        raise DataError(
            f"{file}: '{split}_labels' holds {rows.max()}; expected 1 where a finding is present "
            "and 0 where it is absent."
        )
    for i, row in enumerate(rows.tolist()):
        present = [name for name, there in zip(findings, row, strict=True) if there]
        path = file / f"{split}_images" / str(i)
        image = Found(path, split, () if present else (_NOTHING,))
        marked.add(image, dict.fromkeys(present, PRESENT), i)


def _images(file: Path, split: str) -> list[Found]:
    header = _header(file, split)
    labels = read_labels(file, f"{split}_labels", header.shape[0])
    names = _LABELS.get(_name(file), ())
    unknown = sorted({int(n) for n in labels} - set(range(len(names)))) if names else []
    if unknown:
        raise DataError(
            f"{file}: '{split}_labels' holds {unknown[0]}; expected 0 to {len(names) - 1} "
            f"({', '.join(names)})."
        )
    array = file / f"{split}_images"
    return [
        Found(array / str(i), split, (names[n] if names else str(n),))
        for i, n in enumerate(labels.tolist())
    ]


LAYOUT = Layout(
    name="medmnist",
    looks="one NPZ file with train_images and train_labels, and val and test likewise",
    names=("*.npz",),
    matches=_matches,
    read=_read,
)
