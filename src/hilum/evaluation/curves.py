"""Curves with their bands: ROC and precision-recall of every class, and net benefit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from hilum.errors import EvaluationError
from hilum.evaluation.measures import Sample, samples_of
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.records import BoolArray, Estimate, FloatArray, IntArray
from hilum.statistics import curves as lines
from hilum.statistics.checks import check_predictions
from hilum.statistics.intervals import (
    CONFIDENCE,
    RESAMPLES,
    bootstrap,
    mover_difference,
    resample,
    wilson,
)
from hilum.statistics.metrics import aurocs
from hilum.statistics.targets import Target, positive_labels
from hilum.statistics.two_by_two import check_prevalence

#: Where bands are given: 1 - specificity for ROC, recall for precision-recall, which has no
#: precision at recall 0.
_ROC_GRID = np.linspace(0, 1, 51)
_PR_GRID = np.linspace(0.02, 1, 50)

#: Decimals of the points of curves: finer than any screen, and files stay small.
_DECIMALS = 4

Points = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Band:
    """Pointwise 95 % bounds: at each x of a grid, apart from the others, from low to high."""

    x: Points
    low: Points
    high: Points


@dataclass(frozen=True, slots=True)
class Curve:
    """A line of at most 100 points, to be joined by straight lines, and its band if it has one.

    reason: why there is no band.
    """

    x: Points
    y: Points
    band: Band | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class OptionCurves:
    """One class or option against the rest.

    n, positives: how many images, and how many of them are truly of it. roc: x is
    1 - specificity, y sensitivity. pr: x is recall, y precision, at the share of positives of
    these images. Both are None where one side has no image; the estimates then say so.
    """

    n: int
    positives: int
    auroc: Estimate
    average_precision: Estimate
    roc: Curve | None
    pr: Curve | None


@dataclass(frozen=True, slots=True)
class Curves:
    """The curves of each class, and of each decision's options on the images below it."""

    classes: dict[str, OptionCurves]
    decisions: dict[str, dict[str, OptionCurves]]


def measure_curves(tree: LabelTree, truth: IntArray, predictions: Predictions) -> Curves:
    """ROC and precision-recall curves with 95 % bands. A pure function.

    The bootstrap is stratified by true class as that of evaluate_predictions is; so the AUROC is
    the same.
    """
    of_classes, alone = samples_of(tree, truth, predictions)
    return Curves(_measure(of_classes), {name: _measure(choice) for name, choice in alone.items()})


def _measure(choice: Sample) -> dict[str, OptionCurves]:
    truth, probs = choice.truth, choice.probs
    return {o: _measure_option(o, truth, k, probs[:, k]) for k, o in enumerate(choice.options)}


def _measure_option(option: str, truth: IntArray, k: int, scores: FloatArray) -> OptionCurves:
    positive, n = truth == k, len(truth)
    positives = int(positive.sum())
    if positives in (0, n):
        reason = f"no image other than {option}" if positives else f"no image of {option}"
        undefined = Estimate.undefined(reason, n)
        return OptionCurves(n, positives, undefined, undefined, None, None)

    def interval(measure: Callable[[IntArray], FloatArray]) -> Estimate:
        return bootstrap(measure, n, strata=truth)

    sensitivities, precisions = [], []
    for counts in resample(n, truth, 0, RESAMPLES):
        tp, fp = lines.cumulative_counts(positive, scores, counts)
        sensitivities.append(lines.sensitivities_at(_ROC_GRID, tp, fp))
        precisions.append(lines.precisions_at(_PR_GRID, tp, fp))
    return OptionCurves(
        n=n,
        positives=positives,
        auroc=interval(lambda counts: aurocs(positive, scores, counts)),
        average_precision=interval(lambda c: lines.average_precisions(positive, scores, c)),
        roc=_curve(lines.roc_curve(positive, scores), _ROC_GRID, np.concatenate(sensitivities)),
        pr=_curve(
            lines.precision_recall_curve(positive, scores), _PR_GRID, np.concatenate(precisions)
        ),
    )


def _curve(points: FloatArray, grid: FloatArray, resampled: FloatArray) -> Curve:
    """points: (P, 2) of the data. resampled: (R, G), the curve of each resample on the grid."""
    x, y = lines.thin(points).T
    # A band of no width would claim a certainty that is not there, as in bootstrap.
    if np.ptp(resampled, axis=0).max() < 1e-12:
        return Curve(_round(x), _round(y), None, "no band: every resample gives the same curve")
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail], axis=0)
    return Curve(_round(x), _round(y), Band(_round(grid), _round(low), _round(high)))


def _round(values: FloatArray) -> Points:
    return tuple(round(float(value), _DECIMALS) for value in values)


#: Threshold probabilities 0.01, 0.02, …, 0.99.
THRESHOLDS = tuple(k / 100 for k in range(1, 100))


@dataclass(frozen=True, slots=True)
class DecisionCurve:
    """The net benefit of acting on one label or option, at T threshold probabilities.

    target: a label, or DECISION/OPTION. n, positives: how many images, and how many are truly of
    it. prevalence: the share that net benefit is computed for; prevalence_given: whether it was
    given, or is that of the images. thresholds: (T,) in (0, 1). net_benefit: (T,), in true
    positives per image; low, high: (T,) bounds of its 95 % interval, point by point. treat_all:
    (T,) the net benefit of acting on every image; of acting on none it is 0. reason: why the
    curve is empty, where it is.
    """

    target: str
    n: int
    positives: int
    prevalence: float | None
    prevalence_given: bool
    thresholds: tuple[float, ...]
    net_benefit: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    treat_all: tuple[float, ...] = ()
    reason: str = ""

    DERIVED: ClassVar[tuple[str, ...]] = ("standardised", "useful")

    @property
    def standardised(self) -> tuple[float, ...]:
        """Net benefit as a share of the largest possible, which is the prevalence: at most 1.

        Source: Kerr et al. 2016, doi:10.1200/JCO.2015.65.5654
        """
        return tuple(b / self.prevalence for b in self.net_benefit) if self.prevalence else ()

    def useful(self, *, surely: bool = False) -> tuple[tuple[float, float], ...]:
        """Ranges of threshold probabilities where the classifier beats both simple policies.

        surely: only where the lower bound does. Returns (first, last) pairs, in order.
        """
        values = self.low if surely else self.net_benefit
        better = [
            value > max(everyone, 0.0)
            for value, everyone in zip(values, self.treat_all, strict=True)
        ]
        ranges: list[tuple[float, float]] = []
        for k, is_better in enumerate(better):
            if is_better and k and better[k - 1]:
                ranges[-1] = (ranges[-1][0], self.thresholds[k])
            elif is_better:
                ranges.append((self.thresholds[k], self.thresholds[k]))
        return tuple(ranges)


def net_benefit(
    sensitivity: Estimate, false_positive_rate: Estimate, threshold: float, prevalence: float
) -> Estimate:
    """True positives per image, less false positives at the threshold's exchange rate.

    sensitivity, false_positive_rate: of the positive and the negative images, so independent.
    threshold, prevalence: above 0 and below 1. Returns sensitivity x prevalence -
    false_positive_rate x (1 - prevalence) x odds(threshold), with its MOVER interval: no resample
    of data without a false positive holds one, and near a threshold of 1 the band of a bootstrap
    would show a benefit that is not there. Source: Vickers and Elkin 2006,
    doi:10.1177/0272989X06295361; for the interval Zou and Donner 2008, doi:10.1002/sim.3095
    """
    price = (1 - prevalence) * threshold / (1 - threshold)
    return mover_difference(_times(sensitivity, prevalence), _times(false_positive_rate, price))


def measure_decision_curves(
    tree: LabelTree,
    truth: IntArray,
    predictions: Predictions,
    *,
    targets: Sequence[str] | None = None,
    prevalence: Mapping[str, float] | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
) -> tuple[DecisionCurve, ...]:
    """A decision curve for each label or option.

    predictions: their probabilities are taken at their word, so calibration matters. targets:
    labels or DECISION/OPTION; None takes every label that is not a name for "nothing found".
    prevalence: by target, in place of the images' own; it is taken as known in the bands, also
    where it is theirs. Raises EvaluationError for a threshold or prevalence out of range,
    LabelError for a target that the tree lacks.
    """
    check_predictions(tree, truth, predictions)
    grid = np.asarray(thresholds, dtype=np.float64)
    if grid.ndim != 1 or not grid.size or not ((grid > 0) & (grid < 1)).all():
        raise EvaluationError("The thresholds of a decision curve lie above 0 and below 1.")
    curves = []
    for name in positive_labels(tree) if targets is None else targets:
        target = Target.parse(name, tree)
        judged = target.judged(truth)
        given = (prevalence or {}).get(target.name)
        if given is not None:
            check_prevalence(given, target.name)
        positive = target.positive(truth)[judged]
        scores = target.scores(predictions)[judged]
        curves.append(_decision_curve(target.name, positive, scores, grid, given))
    return tuple(curves)


def _decision_curve(
    name: str, positive: BoolArray, scores: FloatArray, grid: FloatArray, given: float | None
) -> DecisionCurve:
    n, positives = len(positive), int(positive.sum())
    share = given if given is not None else (positives / n if n else None)
    facts = (name, n, positives, share, given is not None, tuple(grid.tolist()))
    if share is None or positives in (0, n):
        kind = "other than " if positives else "of "
        return DecisionCurve(*facts, reason=f"no image {kind}{name}")

    benefits = []
    for threshold in grid.tolist():
        called = scores >= threshold
        sensitivity = wilson(int((called & positive).sum()), positives)
        false_positive_rate = wilson(int((called & ~positive).sum()), n - positives)
        benefits.append(net_benefit(sensitivity, false_positive_rate, threshold, share))
    everyone = share - (1 - share) * grid / (1 - grid)
    return DecisionCurve(
        *facts,
        net_benefit=tuple(b.value for b in benefits if b.value is not None),
        low=tuple(b.low for b in benefits if b.low is not None),
        high=tuple(b.high for b in benefits if b.high is not None),
        treat_all=tuple(everyone.tolist()),
    )


def _times(estimate: Estimate, factor: float) -> Estimate:
    value, low, high = (
        None if x is None else x * factor for x in (estimate.value, estimate.low, estimate.high)
    )
    return replace(estimate, value=value, low=low, high=high)
