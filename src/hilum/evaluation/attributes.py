"""What images can be grouped by to see where a classifier fails."""

from collections import Counter

import numpy as np

from hilum.audit.describe import measure_looks
from hilum.audit.shortcuts import SIDE
from hilum.audit.thumbnail import Thumbnail
from hilum.evaluation.bands import Bands, cut_cells, cut_tertiles
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.header import read_header
from hilum.radiographs.pixels import Progress, in_parallel
from hilum.records import IntArray


def collect_attributes(
    dataset: Dataset, rows: IntArray, progress: Progress | None = None
) -> dict[str, Bands]:
    """The subgroups of some of a data set's images, by attribute.

    rows: (N,) positions of records. Always there are the image size (its shorter side in pixels,
    as stored), brightness and contrast (mean and standard deviation of the pixels before any
    preprocessing, in [0, 255]), each cut into thirds of these N images, and copies (whether the
    same file is in the data again). Source and the records' attributes come where one of the
    images has them; ages in bands of years, see bands.cut_cells.
    Raises DataError listing every file that cannot be read.
    """
    records = [dataset.records[row] for row in rows]
    headers = in_parallel(read_header, [r.path for r in records], "Reading headers", progress)
    sides = np.array([min(h.width, h.height) for h in headers], dtype=np.float64)
    looks = measure_looks(dataset.pixels(Thumbnail(SIDE), progress)[rows])
    found = {
        "image size": cut_tertiles(sides, ("small", "medium", "large"), " px"),
        "brightness": cut_tertiles(looks.brightness, ("dark", "medium", "bright")),
        "contrast": cut_tertiles(looks.contrast, ("low", "medium", "high")),
        "copies": _copies(dataset, rows),
    }
    if any(r.source for r in records):
        found["source"] = cut_cells("source", [r.source for r in records])
    for name in sorted({name for r in records for name in r.attributes}):
        found[name] = cut_cells(name, [r.attributes.get(name) for r in records])
    return found


def _copies(dataset: Dataset, rows: IntArray) -> Bands:
    """Whether each image's file stands in the data again, and where."""
    anywhere = Counter(dataset.digests)
    splits = [r.split for r in dataset.records]
    within = Counter(zip(dataset.digests, splits, strict=True))
    names = ("no copy", "copy in this split", "copy in another split")
    values = [
        names[0] if anywhere[digest] == 1
        else names[2] if anywhere[digest] > within[digest, splits[row]]
        else names[1]
        for row in rows
        for digest in [dataset.digests[row]]
    ]  # fmt: skip
    return Bands.of(values, names)
