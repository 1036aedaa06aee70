"""Two variants of a study against each other: every test, and what it rests on.

The runs decide. A difference counts as *shown* only where the corrected-t interval of the paired
differences over runs leaves 0 out, and its p value stays below 0.05 after Holm's correction for
all comparisons of the study. Where runs held out the same images again, that interval knows the
spread of seeds better than that of images; then the cluster bootstrap's interval must leave 0 out
as well. The other tests stand beside it, for readers who know them; they speak of these trained
networks only, and McNemar's and DeLong's take the images as independent.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from hilum.display import Displayed
from hilum.errors import EvaluationError
from hilum.labels import LabelTree
from hilum.records import Estimate, FloatArray, IntArray
from hilum.statistics.comparison import (
    DeLong,
    McNemar,
    corrected_resampled_t,
    delong,
    holm,
    mcnemar_exact,
    mean_over_runs,
)
from hilum.statistics.intervals import cluster_bootstrap
from hilum.statistics.power import ALPHA, images_needed, images_needed_for, runs_needed
from hilum.studies.folds import HeldOut, Pooled, pool
from hilum.studies.measures import Measure
from hilum.table import Row, Table


@dataclass(frozen=True, slots=True, repr=False)
class Comparison(Displayed):
    """How variant a differs from variant b by one measure; every difference is a - b.

    measure: its name; label: the same for people. runs_a, runs_b: the measure of each run, None
    where it is undefined. mean_a, mean_b: over runs (n counts runs), with corrected intervals.
    difference: mean of the paired differences over runs (n counts runs); p: of no difference;
    p_adjusted: after Holm's correction for all comparisons of the study.
    pooled_difference: of the measure on all predictions together, with its cluster-bootstrap
    interval over groups of images (n counts different images). Pooling takes the scores of
    different networks as comparable, which for an AUROC the means over runs do not.
    n_groups: patients or blocks. repeated: whether an image was held out by more than one run.
    mcnemar: of being right, each image once, by the first run that held it out; where the measure
    is over findings, in every finding that is known of it.
    delong: by label, of the same predictions, where the measure is an AUROC.
    images_needed: for a paired test with power 0.8 to show a difference as large as the pooled
    one, were these networks tested on more images in groups like these; of accuracy on independent
    images, McNemar's. runs_needed: of this size, for the difference over runs. None where no number
    can be given.
    """

    DERIVED: ClassVar = ("n_images", "shown", "better")

    measure: str
    label: str
    a: str
    b: str
    runs_a: tuple[float | None, ...]
    runs_b: tuple[float | None, ...]
    mean_a: Estimate
    mean_b: Estimate
    difference: Estimate
    p: float | None
    p_adjusted: float | None
    pooled_difference: Estimate
    n_groups: int
    repeated: bool
    mcnemar: McNemar
    mcnemar_p_adjusted: float | None
    delong: dict[str, DeLong] = field(default_factory=dict)
    delong_p_adjusted: dict[str, float | None] = field(default_factory=dict)
    images_needed: int | None = None
    runs_needed: int | None = None

    @property
    def n_images(self) -> int:
        """How many different images were held out."""
        return self.mcnemar.n

    @property
    def shown(self) -> bool:
        """Whether the data show that a and b differ; see the head of this file."""
        enough = self.difference.excludes_zero
        enough = enough and self.p_adjusted is not None and self.p_adjusted < ALPHA
        return enough and (not self.repeated or self.pooled_difference.excludes_zero)

    @property
    def better(self) -> str | None:
        """The name of the better variant; None unless the data show one."""
        if not self.shown or self.difference.value is None:
            return None
        return self.a if self.difference.value > 0 else self.b

    def _in_one_line(self) -> str:
        verdict = f"{self.better} is better" if self.better else "no difference is shown"
        return (
            f"Comparison of '{self.a}' less '{self.b}' by {self.label}: "
            f"{self.difference.in_words()}; {verdict}"
        )

    def _in_full(self) -> Iterator[str | Table]:
        rows: list[Row] = [
            [self.a, self.mean_a],
            [self.b, self.mean_b],
            ["difference, over runs", self.difference],
            ["difference, all images together", self.pooled_difference],
            ["p, adjusted", self.p_adjusted],
        ]
        yield Table("With 95 % intervals", ["", self.label], rows)


def compare_variants(
    tree: LabelTree,
    measure: Measure,
    a: tuple[str, Sequence[HeldOut]],
    b: tuple[str, Sequence[HeldOut]],
    *,
    groups: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Comparison:
    """Compare two variants by their runs.

    a, b: name and runs, at least one; run i of both was trained on the same images with the same
    seed, and held out the same images in the same order. groups: of each image, by name, the
    patient or block that it belongs to; None takes every image as independent. seed: of the
    bootstrap. The adjusted p values are those of one comparison alone: see adjust.
    Raises EvaluationError where the runs are not paired, or as pool does.
    """
    (name_a, runs_a), (name_b, runs_b) = a, b
    _check_paired(name_a, runs_a, name_b, runs_b)
    pooled_a, pooled_b = pool(tree, runs_a, groups), pool(tree, runs_b, groups)
    values_a, values_b = (
        tuple(measure.of(tree, run.truth, run.predictions, run.marks) for run in runs)
        for runs in (runs_a, runs_b)
    )
    ratio = float(np.mean([run.test_train_ratio for run in runs_a]))
    difference, p, more_runs = _over_runs(measure, (name_a, values_a), (name_b, values_b), ratio)
    pooled_difference = _pooled_difference(tree, measure, pooled_a, pooled_b, seed)
    once_a, once_b = pooled_a.once, pooled_b.once
    right_a, right_b = (
        measure.right(tree, truth, said, marks) for truth, said, marks in (once_a, once_b)
    )
    mcnemar = mcnemar_exact(right_a, right_b)
    images = images_needed_for(pooled_difference)
    if measure.kind == "accuracy" and pooled_a.n_groups == pooled_a.n_images == len(pooled_a.truth):
        images = images_needed(mcnemar.only_a, mcnemar.only_b, mcnemar.n)
    areas: dict[str, DeLong] = {}
    if measure.is_auroc:
        sides_b = measure.sides(tree, *once_b)
        for label, side in measure.sides(tree, *once_a).items():
            areas[label] = delong(side.positive, side.scores, sides_b[label].scores)
    return Comparison(
        measure=measure.name,
        label=measure.label,
        a=name_a,
        b=name_b,
        runs_a=values_a,
        runs_b=values_b,
        mean_a=mean_of_runs(measure, values_a, ratio),
        mean_b=mean_of_runs(measure, values_b, ratio),
        difference=difference,
        p=p,
        p_adjusted=p,
        pooled_difference=pooled_difference,
        n_groups=pooled_a.n_groups,
        repeated=pooled_a.n_images < len(pooled_a.truth),
        mcnemar=mcnemar,
        mcnemar_p_adjusted=mcnemar.p,
        delong=areas,
        delong_p_adjusted=dict(zip(areas, holm([test.p for test in areas.values()]), strict=True)),
        images_needed=images,
        runs_needed=more_runs,
    )


def adjust(comparisons: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """The same comparisons, their p values adjusted for how many there are.

    comparisons: all of one study. Each kind of test is a family of its own; DeLong's counts every
    label of every comparison.
    """
    ps = holm([c.p for c in comparisons])
    mcnemar = holm([c.mcnemar.p for c in comparisons])
    tests = [
        (i, label, test.p) for i, c in enumerate(comparisons) for label, test in c.delong.items()
    ]
    areas: list[dict[str, float | None]] = [{} for _ in comparisons]
    for (i, label, _), p in zip(tests, holm([p for _, _, p in tests]), strict=True):
        areas[i][label] = p
    return tuple(
        replace(c, p_adjusted=ps[i], mcnemar_p_adjusted=mcnemar[i], delong_p_adjusted=areas[i])
        for i, c in enumerate(comparisons)
    )


def mean_of_runs(
    measure: Measure, values: Sequence[float | None], test_train_ratio: float
) -> Estimate:
    """A measure's mean over runs, with its corrected interval.

    values: (R,) of each run; where one is None, so is the mean: to leave it out would flatter.
    """
    reason = _undefined(measure.label, values)
    if reason:
        return Estimate.undefined(reason, len(values))
    known = [v for v in values if v is not None]
    return mean_over_runs(known, test_train_ratio, least=measure.least)


def _over_runs(
    measure: Measure,
    a: tuple[str, Sequence[float | None]],
    b: tuple[str, Sequence[float | None]],
    ratio: float,
) -> tuple[Estimate, float | None, int | None]:
    """The paired difference over runs, its p value, and how many runs it would take."""
    for name, values in (a, b):
        reason = _undefined(f"{measure.label} of `{name}`", values)
        if reason:
            return Estimate.undefined(reason, len(values)), None, None
    pairs = zip(a[1], b[1], strict=True)
    differences = [x - y for x, y in pairs if x is not None and y is not None]
    found = corrected_resampled_t(differences, ratio)
    estimate = found.estimate
    if estimate.low is not None and estimate.high is not None:  # no difference is beyond this
        most = 1 - measure.least
        estimate = replace(estimate, low=max(-most, estimate.low), high=min(most, estimate.high))
    return estimate, found.p, runs_needed(differences, ratio)


def _pooled_difference(
    tree: LabelTree, measure: Measure, a: Pooled, b: Pooled, seed: int
) -> Estimate:
    def difference(counts: IntArray) -> FloatArray:
        of_a = measure.replicates(tree, a.truth, a.predictions, counts, a.marks)
        return of_a - measure.replicates(tree, b.truth, b.predictions, counts, b.marks)

    found = cluster_bootstrap(difference, a.groups, strata=a.truth, seed=seed)
    return replace(found, n=a.n_images)


def _undefined(what: str, values: Sequence[float | None]) -> str:
    missing = [str(i) for i, value in enumerate(values, start=1) if value is None]
    return f"{what} is undefined in run {', '.join(missing)}" if missing else ""


def _check_paired(
    name_a: str, runs_a: Sequence[HeldOut], name_b: str, runs_b: Sequence[HeldOut]
) -> None:
    what = f"'{name_a}' and '{name_b}' are not paired"
    if len(runs_a) != len(runs_b):
        raise EvaluationError(
            f"{what}: they have {len(runs_a)} and {len(runs_b)} runs; compare the same ones."
        )
    for number, (a, b) in enumerate(zip(runs_a, runs_b, strict=True), start=1):
        same = np.array_equal(a.truth, b.truth) and np.array_equal(a.marks, b.marks)
        if not same or a.predictions.names != b.predictions.names:
            raise EvaluationError(
                f"{what}: run {number} of each held out other images, or in another order."
            )
        if a.n_train != b.n_train:
            raise EvaluationError(
                f"{what}: run {number} was trained on {a.n_train} and {b.n_train} images."
            )
