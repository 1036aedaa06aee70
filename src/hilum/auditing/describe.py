"""What is there: counts, ratios, files, brightness and contrast, and the extremes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hilum.auditing.findings import Finding
from hilum.labels import LabelTree
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.image import Header, read_header, read_radiograph
from hilum.radiographs.pixels import in_parallel
from hilum.records import (
    PRESENT,
    BoolArray,
    FloatArray,
    IntArray,
    PixelArray,
    Pixels,
    Progress,
    Record,
)

#: A row or column belongs to a dark margin if 95 % of its pixels are at most this dark, of 255:
#: room for the noise of a JPEG and for a marker's edge, far below the darkest skin line.
DARK = 12
_SHARE = 0.95

#: How many of the darkest, the brightest and the widest margins are shown.
EXTREMES = 6

#: From this ratio between the largest and the smallest class on, a note says what it does.
_IMBALANCED = 3.0
#: A split whose smallest class has fewer images than this cannot tell good from fair.
_SMALL = 30

#: A radiograph has more grey levels than this, unless they were lost or badly stretched.
LEVELS = 32
#: How many radiographs are decoded once more to count them (small copies have other levels), and
#: which share of them is worth a word.
_COUNTED, _COUNTED_SHARE = 64, 0.05
#: An image is nearly black or white if 90 % of its pixels are this near to either end.
_NEAR, _NEAR_SHARE = 16, 0.9

_BLOCK = 512


@dataclass(frozen=True)
class Looks:
    """How each image looks. All arrays are (N,).

    brightness, contrast: mean and standard deviation of the pixels, in [0, 255]. margin: the
    share of the image's area that lies in dark margins, in [0, 1]; 1 if all of it is dark.
    at_ends: the share of the pixels that are nearly black or nearly white.
    """

    brightness: FloatArray
    contrast: FloatArray
    margin: FloatArray
    at_ends: FloatArray


@dataclass(frozen=True)
class Description:
    """What a data set holds.

    counts: images by split and class. headers: of every record's file. looks: of every record.
    levels: how many different greys some of the records hold, by index.
    """

    tree: LabelTree
    records: tuple[Record, ...]
    counts: dict[str, dict[str, int]]
    headers: tuple[Header, ...]
    looks: Looks
    levels: dict[int, int]

    @property
    def totals(self) -> dict[str, int]:
        """Images by class, over all splits."""
        return {c: sum(k[c] for k in self.counts.values()) for c in self.tree.classes}

    def present(self, split: str) -> dict[str, int]:
        """Images of a split that have each finding."""
        own = [r.marks for r in self.records if r.split == split]
        return {f.name: sum(m[f.index] == PRESENT for m in own) for f in self.tree.findings}

    @property
    def labels(self) -> IntArray:
        """(N,) class index of every record."""
        return np.array([r.label for r in self.records], dtype=np.int64)

    def ratio(self) -> str:
        """The classes' sizes in words: 'normal : covid : non-covid ≈ 1 : 1 : 2'."""
        return f"{' : '.join(self.totals)} ≈ {ratio(list(self.totals.values()))}"

    def balance(self) -> dict[str, str]:
        """For each decision its options' sizes: {'root': 'normal : infected ≈ 1 : 2.9'}."""
        sizes = decision_counts(self.tree, self.totals)
        return {
            name: f"{' : '.join(options)} ≈ {ratio(list(options.values()), whole=False)}"
            for name, options in sizes.items()
        }

    def per_class(self) -> dict[str, dict[str, float]]:
        """Median brightness, contrast and dark margin of each class."""
        found = {}
        for i, name in enumerate(self.tree.classes):
            rows = self.labels == i
            found[name] = {
                key: float(np.median(getattr(self.looks, key)[rows]))
                for key in ("brightness", "contrast", "margin")
            }
        return found

    def extremes(self) -> dict[str, tuple[int, ...]]:
        """Record indices of the darkest, the brightest and those with the widest dark margins.

        At most EXTREMES of each; images without a margin are none of the widest.
        """
        order = np.argsort(self.looks.brightness, kind="stable")
        margins = np.argsort(-self.looks.margin, kind="stable")[:EXTREMES]
        return {
            "darkest": tuple(int(i) for i in order[:EXTREMES]),
            "brightest": tuple(int(i) for i in order[::-1][:EXTREMES]),
            "widest dark margin": tuple(int(i) for i in margins if self.looks.margin[i] > 0),
        }

    def files(self) -> dict[str, dict[str, int]]:
        """How many files have each format, mode, bit depth and size, the most frequent first."""
        columns = {
            "format": [h.format for h in self.headers],
            "mode": [h.mode for h in self.headers],
            "bits per sample": [str(h.bits) for h in self.headers],
            "width x height": [f"{h.width} x {h.height}" for h in self.headers],
        }
        return {name: dict(Counter(values).most_common()) for name, values in columns.items()}

    def to_plain(self) -> dict[str, Any]:
        """For the codec. Of sizes the twenty most frequent, and the range."""
        files: dict[str, Any] = dict(self.files())
        sizes = files.pop("width x height")
        widths, heights = ([getattr(h, k) for h in self.headers] for k in ("width", "height"))
        files["sizes"] = {
            "different": len(sizes),
            "most_frequent": dict(list(sizes.items())[:20]),
            "width": [min(widths), float(np.median(widths)), max(widths)],
            "height": [min(heights), float(np.median(heights)), max(heights)],
        }
        return {
            "images": len(self.records),
            "counts": self.counts,
            "ratio": self.ratio(),
            "balance": self.balance(),
            "files": files,
            "looks": self.per_class(),
            "extremes": {
                kind: [self.records[i].name for i in rows] for kind, rows in self.extremes().items()
            },
        }


def describe(dataset: Dataset, pixels: PixelArray, progress: Progress | None = None) -> Description:
    """Describe a data set.

    pixels: (N, H, W) uint8 of its records, at any size: small ones give brightness, contrast
    and margins well enough. Raises DataError listing every file whose header cannot be read.
    """
    paths = [r.path for r in dataset.records]
    headers = in_parallel(read_header, paths, "Reading headers", progress)
    looked_at = range(0, len(paths), 1 + len(paths) // _COUNTED)
    levels = in_parallel(_levels, [paths[i] for i in looked_at], "Counting greys", progress)
    return Description(
        dataset.tree,
        dataset.records,
        dataset.counts(),
        tuple(headers),
        measure_looks(pixels),
        dict(zip(looked_at, levels, strict=True)),
    )


def _levels(path: Path) -> int:
    return int(np.count_nonzero(np.bincount(read_radiograph(path).ravel(), minlength=256)))


def measure_looks(pixels: Pixels) -> Looks:
    """Brightness, contrast and dark margins of images, in bounded memory.

    pixels: (N, H, W) uint8.
    """
    blocks = [_looks(pixels[i : i + _BLOCK]) for i in range(0, len(pixels), _BLOCK)]
    return Looks(*(np.concatenate(column) for column in zip(*blocks, strict=True)))


def _looks(pixels: PixelArray) -> tuple[FloatArray, ...]:
    values = pixels.astype(np.float64)
    dark = pixels <= DARK
    height = _spanned(dark.mean(axis=2) < _SHARE)
    width = _spanned(dark.mean(axis=1) < _SHARE)
    at_ends = ((pixels <= _NEAR) | (pixels >= 255 - _NEAR)).mean(axis=(1, 2))
    return values.mean(axis=(1, 2)), values.std(axis=(1, 2)), 1 - height * width, at_ends


def _spanned(bright: BoolArray) -> FloatArray:
    """(N, L) lines that are bright to the (N,) share of L from the first to the last of them."""
    length = bright.shape[1]
    first, last = bright.argmax(axis=1), length - 1 - bright[:, ::-1].argmax(axis=1)
    span: FloatArray = np.where(bright.any(axis=1), (last - first + 1) / length, 0.0)
    return span


def decision_counts(tree: LabelTree, totals: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Images of each option of each decision, from images of each class."""
    return {
        d.name: {
            option: sum(totals[tree.classes[i]] for i in members)
            for option, members in zip(d.options, d.members, strict=True)
        }
        for d in tree.decisions
    }


def ratio(sizes: Sequence[int], *, whole: bool = True) -> str:
    """Sizes relative to the smallest: '1 : 1 : 2'.

    whole: whole numbers where all are within a tenth of one; otherwise with one decimal.
    An empty class makes a ratio meaningless: then the sizes themselves are given.
    """
    least = min(sizes)
    if least == 0:
        return " : ".join(map(str, sizes))
    parts = [size / least for size in sizes]
    if whole and all(abs(part - round(part)) <= 0.1 * part for part in parts):
        return " : ".join(f"{round(part):,}" for part in parts)
    return " : ".join(f"{part:,.1f}".removesuffix(".0") for part in parts)


def description_findings(description: Description) -> list[Finding]:
    """What the counts and files mean for training and evaluation."""
    found = []
    for split, classes in description.counts.items():
        total = sum(classes.values())
        sizes = {**(classes if description.tree.decisions else {}), **description.present(split)}
        name, least = min(
            ((name, n) for name, n in sizes.items() if n),
            key=lambda item: item[1],
            default=("", total),
        )
        if split != "train" and least < _SMALL:
            found.append(
                Finding(
                    "warning",
                    "small-split",
                    f"The split '{split}' holds {total} images, {least} of them of '{name}'",
                    f"One image more or less right moves its accuracy by {100 / total:.1f} "
                    f"percentage points, and the recall of '{name}' by {100 / least:.1f}: it can "
                    "neither choose between two good classifiers nor say how good one is.",
                    f"Make a larger '{split}' with hilum split, or read its figures with their "
                    "intervals only.",
                )
            )
    sizes = description.totals
    if max(sizes.values()) >= _IMBALANCED * min(sizes.values()):
        found.append(
            Finding(
                "note",
                "imbalance",
                f"The classes differ in size: {description.ratio()}",
                "Accuracy then rewards the largest class, and a network learns it best.",
                "Report balanced accuracy or AUROC, and consider class weights.",
            )
        )
    return found + _source_findings(description) + _grey_findings(description)


def _grey_findings(description: Description) -> list[Finding]:
    """Whether the greys are those of radiographs: nobody sees it when a file was read wrongly."""
    records, levels = description.records, description.levels
    few = [i for i, n in levels.items() if n < LEVELS]
    ends = np.flatnonzero(description.looks.at_ends >= _NEAR_SHARE)
    found = []
    for code, rows, title in (
        (
            "few-greys",
            few if len(few) >= _COUNTED_SHARE * len(levels) else [],
            f"{len(few)} of {len(levels)} radiographs that were counted have fewer than {LEVELS} "
            "grey levels",
        ),
        (
            "black-or-white",
            ends if 2 * len(ends) > len(records) else [],
            f"{len(ends):,} of {len(records):,} radiographs are nearly black or white",
        ),
    ):
        if len(rows):
            found.append(
                Finding(
                    "warning",
                    code,
                    title,
                    "Their greys were lost before they came here, or they are spread over a range "
                    "that the files do not use: a network sees next to nothing, and learns what "
                    "else tells the classes apart.",
                    "Look at some of them in a viewer. If they are better there, export them anew, "
                    "with their window or as 8 bit; docs/data.md says how greys are read.",
                    tuple(records[i].name for i in rows[:EXTREMES]),
                )
            )
    return found


def _source_findings(description: Description) -> list[Finding]:
    """Whether where an image comes from tells its class, if the layout says where from."""
    pairs = Counter((r.source, r.label) for r in description.records if r.source is not None)
    sources = sorted({source for source, _ in pairs if source})
    total = sum(pairs.values())
    if len(sources) < 2:
        return []
    classes = range(len(description.tree.classes))
    known = sum(max(pairs[s, c] for c in classes) for s in sources) / total
    guess = max(sum(pairs[s, c] for s in sources) for c in classes) / total
    if known - guess < 0.5 * (1 - guess):
        return []
    lines = [
        f"{s}: " + ", ".join(
            f"{description.tree.classes[c]} {pairs[s, c]:,}" for c in classes if pairs[s, c]
        )
        for s in sources
    ]  # fmt: skip
    return [
        Finding(
            "critical",
            "source-confounded",
            f"The source alone tells the class of {100 * known:.0f} % of the images",
            f"The most frequent class makes up {100 * guess:.0f} %, so most of the rest can be "
            "known from where an image comes from, without looking at a lung.",
            "Keep the sources that hold every class, or test on one that was not trained on.",
            tuple(lines),
        )
    ]
