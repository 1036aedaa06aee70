"""MedMNIST: one NPZ file with the arrays ``{train,val,test}_{images,labels}``.

Source: Yang et al. 2023, doi:10.1038/s41597-022-01721-8.
"""

import zipfile
from pathlib import Path

from hilum.errors import DataError
from hilum.radiographs.layouts.listing import SPLITS, Found, Layout, Listing
from hilum.radiographs.npz import array_header, array_names, read_labels

#: What the numbers mean, from the data set's own description; other sets keep their numbers.
_LABELS = {"pneumoniamnist": ("normal", "pneumonia")}

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
    found = [image for split in splits for image in _images(file, split)]
    return Listing(file.parent, LAYOUT.name, tuple(found))


def _images(file: Path, split: str) -> list[Found]:
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
    labels = read_labels(file, f"{split}_labels", header.shape[0])
    names = _LABELS.get(file.stem.split("_")[0], ())
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
