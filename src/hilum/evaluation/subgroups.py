"""Failure by subgroup: does a classifier fail more on some kinds of image than on others?

A subgroup may do worse only because it holds more of a class that is hard. So every comparison is
made given the true class: what is tested is whether being right depends on the subgroup among
images of one class; beside a subgroup's accuracy stands what its mix of classes alone would give,
and the accuracy that it would have with the class sizes of all images (direct standardisation).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hilum.auditing.describe import measure_looks
from hilum.auditing.shortcuts import SIDE
from hilum.errors import EvaluationError
from hilum.evaluation.bands import Bands, cut_cells, cut_tertiles
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.image import read_header
from hilum.radiographs.pixels import Progress, Thumbnail, in_parallel
from hilum.records import BoolArray, Estimate, FloatArray, IntArray, LazyPixels
from hilum.statistics.checks import check_predictions
from hilum.statistics.comparison import holm
from hilum.statistics.intervals import wilson
from hilum.statistics.two_by_two import standardise


def collect_attributes(
    dataset: Dataset, rows: IntArray, progress: Progress | None = None
) -> dict[str, Bands]:
    """The subgroups of some of a data set's images, by attribute.

    rows: (N,) positions of records. Always there are image size (its shorter side as stored),
    brightness and contrast (mean and standard deviation of the pixels before any preprocessing),
    each cut into thirds of these N images, and copies (whether the same file is in the data again).
    Source and the records' attributes come where one of the images has them, as bands.cut_cells
    cuts them. Raises DataError listing every file that cannot be read.
    """
    records = [dataset.records[row] for row in rows]
    headers = in_parallel(read_header, [r.path for r in records], "Reading headers", progress)
    sides = np.array([min(h.width, h.height) for h in headers], dtype=np.float64)
    looks = measure_looks(LazyPixels.of_rows(dataset.pixels(Thumbnail(SIDE), progress), rows))
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


#: Draws of the permutation test; no p below 1 / (DRAWS + 1) can come out.
DRAWS = 9999
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Subgroup:
    """The images with one value of an attribute.

    n: how many. accuracy: with a Wilson interval. expected: the accuracy that its mix of classes
    alone would give, if each class were recognised as well as among all images with a known
    value. standardised: the accuracy that it would have with the class sizes of those images;
    undefined where it lacks a class. recalls: by class, undefined where it has no image of it.
    """

    name: str
    n: int
    accuracy: Estimate
    expected: float
    standardised: Estimate
    recalls: dict[str, Estimate]


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute and its subgroups.

    subgroups: in order. unknown: how many images lack a value; they are in no subgroup.
    p: of the permutation test of being right and subgroup, given the true class; None, with a
    reason, where nothing can be tested. adjusted_p: after Holm, over all attributes tested.
    worst: the subgroup that falls shortest of its expected accuracy, in its standard errors.
    rest: the accuracy of all other images with a known value. sentence: the finding, in words.
    """

    name: str
    subgroups: tuple[Subgroup, ...]
    unknown: int
    p: float | None
    adjusted_p: float | None
    reason: str
    worst: str | None
    rest: Estimate
    sentence: str

    @property
    def differs(self) -> bool:
        """Whether the data show that some of the subgroups do worse than others."""
        return self.adjusted_p is not None and self.adjusted_p < ALPHA


@dataclass(frozen=True, slots=True)
class Subgroups:
    """Every attribute that was looked at, of n images."""

    n: int
    attributes: tuple[Attribute, ...]


def measure_subgroups(
    tree: LabelTree,
    truth: IntArray,
    predictions: Predictions,
    attributes: Mapping[str, Bands],
) -> Subgroups:
    """How often a classifier is right in each subgroup, and whether chance explains the rest.

    attributes: by name the subgroups of the N images (collect_attributes makes them).

    The test shuffles the subgroups among images of one true class, DRAWS times; its statistic is
    the sum over the subgroups of (right - expected)² / variance. So it needs no large numbers. It
    takes the images as independent: where a patient has several, p comes out too small. Raises
    EvaluationError also for an attribute of another length.
    """
    truth = np.asarray(truth)
    check_predictions(tree, truth, predictions)
    right = predictions.predicted == truth
    found: list[Attribute] = []
    for name, bands in attributes.items():
        if len(bands.index) != len(truth):
            raise EvaluationError(
                f"The attribute '{name}' has {len(bands.index)} values for {len(truth)} images: "
                "give one for each, None where it is unknown."
            )
        found.append(_measure(name, bands, truth, right, tree.classes))
    adjusted = holm([attribute.p for attribute in found])
    tested = sum(p is not None for p in adjusted)
    attributes_found = (
        replace(attribute, adjusted_p=p) for attribute, p in zip(found, adjusted, strict=True)
    )
    return Subgroups(
        len(truth), tuple(replace(a, sentence=_say(a, tested)) for a in attributes_found)
    )


def _measure(
    name: str, bands: Bands, truth: IntArray, right: BoolArray, classes: tuple[str, ...]
) -> Attribute:
    names = bands.names
    rows = np.flatnonzero(bands.index >= 0)
    unknown = len(truth) - len(rows)
    group = bands.index[rows]
    sizes = _table(group, truth[rows], len(names), len(classes))
    hits = _table(group[right[rows]], truth[rows][right[rows]], len(names), len(classes))
    totals, correct = sizes.sum(axis=0), hits.sum(axis=0)
    shares = np.divide(correct, totals, out=np.zeros(len(classes)), where=totals > 0)
    subgroups = tuple(
        Subgroup(
            name=names[g],
            n=int(sizes[g].sum()),
            accuracy=wilson(int(hits[g].sum()), int(sizes[g].sum())),
            expected=float(sizes[g] @ shares / sizes[g].sum()),
            standardised=standardise(_recalls(hits[g], sizes[g], classes), totals.tolist()),
            recalls=dict(zip(classes, _recalls(hits[g], sizes[g], classes), strict=True)),
        )
        for g in range(len(names))
    )
    undefined = Estimate.undefined("fewer than two subgroups")
    reason = _untestable(names, totals, correct, sizes)
    if reason:
        return Attribute(name, subgroups, unknown, None, None, reason, None, undefined, "")
    scores, p = _permute(sizes, hits)
    worst = int(scores.argmin())
    others = np.delete(np.arange(len(names)), worst)
    rest = wilson(int(hits[others].sum()), int(sizes[others].sum()))
    return Attribute(name, subgroups, unknown, p, None, "", names[worst], rest, "")


def _table(group: IntArray, truth: IntArray, groups: int, classes: int) -> IntArray:
    """How many images each subgroup has of each class: (G, C)."""
    cells = np.bincount(group * classes + truth, minlength=groups * classes)
    return cells.reshape(groups, classes).astype(np.int64)


def _recalls(hits: IntArray, sizes: IntArray, classes: tuple[str, ...]) -> list[Estimate]:
    return [
        wilson(int(h), int(n)) if n else Estimate.undefined(f"no image of {name} in the subgroup")
        for h, n, name in zip(hits, sizes, classes, strict=True)
    ]


def _untestable(names: Sequence[str], totals: IntArray, correct: IntArray, sizes: IntArray) -> str:
    if not names:
        return "no image has a value"
    if len(names) == 1:
        return f"every image is of '{names[0]}'"
    if (correct == totals).all():
        return "every image is classified correctly"
    if (correct == 0).all():
        return "no image is classified correctly"
    if not (_variances(sizes, correct, totals) > 0).any():
        return "no class with both right and wrong images stands in two subgroups"
    return ""


def _variances(sizes: IntArray, correct: IntArray, totals: IntArray) -> FloatArray:
    """(G,) variance of the number right in each subgroup under shuffling: hypergeometric."""
    n = np.maximum(totals, 2)
    share = correct / np.maximum(totals, 1)
    per_class = sizes * share * (1 - share) * (totals - sizes) / (n - 1)
    return np.asarray(per_class.sum(axis=1), dtype=np.float64)


def _permute(sizes: IntArray, hits: IntArray) -> tuple[FloatArray, float]:
    """Each subgroup's deviation in standard errors (G,), and the p of all together.

    Shuffling subgroups within a class makes the numbers right multivariate hypergeometric, so
    they are drawn as such. Source of the p: Phipson and Smyth 2010, doi:10.2202/1544-6115.1585
    """
    totals, correct = sizes.sum(axis=0), hits.sum(axis=0)
    expected = sizes @ (correct / np.maximum(totals, 1))
    variances = _variances(sizes, correct, totals)
    scale = np.where(variances > 0, variances, np.inf)  # such a subgroup cannot deviate
    generator = np.random.default_rng(0)
    drawn = np.zeros((DRAWS, len(sizes)), dtype=np.int64)
    for k in range(sizes.shape[1]):
        drawn += generator.multivariate_hypergeometric(
            sizes[:, k], int(correct[k]), size=DRAWS, method="marginals"
        )
    observed = float(((hits.sum(axis=1) - expected) ** 2 / scale).sum())
    shuffled = ((drawn - expected) ** 2 / scale).sum(axis=1)
    # Equal tables differ by rounding; they count as at least as extreme.
    p = (1 + int((shuffled >= observed - 1e-9).sum())) / (DRAWS + 1)
    return np.asarray((hits.sum(axis=1) - expected) / np.sqrt(scale), dtype=np.float64), p


def _say(attribute: Attribute, tested: int) -> str:
    if attribute.p is None or attribute.adjusted_p is None:
        return f"{attribute.name}: not compared ({attribute.reason})."
    among = f", adjusted for {tested} comparisons" if tested > 1 else ""
    p = f"p {_p(attribute.adjusted_p)}{among}"
    if not attribute.differs:
        return f"{attribute.name}: no difference that these data show ({p})."
    worst = next(s for s in attribute.subgroups if s.name == attribute.worst)
    return (
        f"{attribute.name}: worse for {worst.name}: accuracy {worst.accuracy.in_words(2)} in "
        f"{worst.n} images, where their mix of classes alone would give {worst.expected:.2f}, "
        f"against {attribute.rest.in_words(2)} in the {attribute.rest.n} others; {p}."
    )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"
