"""Decision curves: is it better to act on the classifier than on everyone, or on no one?

Someone who would act on a probability of 10 % holds one missed case to be as bad as nine needless
actions. The net benefit counts both in that currency.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.errors import EvaluationError
from hilum.labels import LabelTree
from hilum.records import Estimate, FloatArray, IntArray, Predictions
from hilum.statistics.checks import check_predictions
from hilum.statistics.intervals import wilson
from hilum.statistics.mover import mover_difference
from hilum.statistics.prevalence import check_prevalence
from hilum.statistics.targets import Target, findings

BoolArray = npt.NDArray[np.bool_]

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

    def to_json(self) -> dict[str, Any]:
        """Plain values, in the order of the fields, and 'standardised' and 'useful' beside them."""
        return {
            "target": self.target,
            "n": self.n,
            "positives": self.positives,
            "prevalence": self.prevalence,
            "prevalence_given": self.prevalence_given,
            "thresholds": list(self.thresholds),
            "net_benefit": list(self.net_benefit),
            "low": list(self.low),
            "high": list(self.high),
            "treat_all": list(self.treat_all),
            "reason": self.reason,
            "standardised": list(self.standardised),
            "useful": [list(pair) for pair in self.useful()],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "DecisionCurve":
        """The inverse of to_json. Raises EvaluationError for another form."""
        try:
            return cls(
                **{key: data[key] for key in ("target", "n", "positives", "prevalence")},
                prevalence_given=data["prevalence_given"],
                thresholds=tuple(data["thresholds"]),
                net_benefit=tuple(data["net_benefit"]),
                low=tuple(data["low"]),
                high=tuple(data["high"]),
                treat_all=tuple(data["treat_all"]),
                reason=data["reason"],
            )
        except (KeyError, TypeError) as error:
            raise EvaluationError(f"Not a decision curve: {error!r}.") from None


def net_benefit(
    sensitivity: Estimate, false_positive_rate: Estimate, threshold: float, prevalence: float
) -> Estimate:
    """True positives per image, less false positives at the threshold's exchange rate.

    sensitivity, false_positive_rate: with intervals, of different images (the positive and the
    negative ones), so independent. threshold, prevalence: above 0 and below 1.
    Returns sensitivity x prevalence - false_positive_rate x (1 - prevalence) x odds(threshold),
    at most the prevalence, with its MOVER interval. That is taken rather than a bootstrap, because
    no resample of data without a false positive holds one, and near a threshold of 1, where a
    single one undoes a hundred true positives, its band would show a benefit that is not there.
    Source: Vickers and Elkin 2006, doi:10.1177/0272989X06295361; for the interval of a sum of
    independent estimates Zou and Donner 2008, doi:10.1002/sim.3095
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

    truth: (N,) class indices. predictions: of the same images; their probabilities are taken at
    their word, so calibration matters. targets: labels or DECISION/OPTION; None takes every label
    that is not a name for "nothing found". prevalence: by target, in place of the images' own.
    The prevalence is taken as known in the bands, also where it is the images' own.
    Raises EvaluationError for a threshold or prevalence out of range, or as check_predictions
    does; LabelError for a target that the tree lacks.
    """
    check_predictions(tree, truth, predictions)
    grid = np.asarray(thresholds, dtype=np.float64)
    if grid.ndim != 1 or not grid.size or not ((grid > 0) & (grid < 1)).all():
        raise EvaluationError("The thresholds of a decision curve lie above 0 and below 1.")
    curves = []
    for name in findings(tree) if targets is None else targets:
        target = Target.parse(name, tree)
        judged = target.judged(truth)
        given = (prevalence or {}).get(target.name)
        if given is not None:
            check_prevalence(given, target.name)
        positive = target.positive(truth)[judged]
        scores = target.scores(predictions)[judged]
        curves.append(_curve(target.name, positive, scores, grid, given))
    return tuple(curves)


def _curve(
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
