"""ROC and precision-recall curves with bands, of every class and every option of a decision."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hilum.labels import LabelTree
from hilum.records import Estimate, FloatArray, IntArray, Predictions
from hilum.statistics import curves as lines
from hilum.statistics.checks import check_predictions
from hilum.statistics.intervals import CONFIDENCE, RESAMPLES, bootstrap, resample
from hilum.statistics.metrics import aurocs

__all__ = ["Band", "Curve", "Curves", "OptionCurves", "measure_curves"]

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

    def to_json(self) -> dict[str, Any]:
        """{"x": […], "low": […], "high": […]}."""
        return {name: list(getattr(self, name)) for name in self.__slots__}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Band":
        """The inverse of to_json."""
        return cls(**{name: tuple(values) for name, values in data.items()})


@dataclass(frozen=True, slots=True)
class Curve:
    """A line of at most 100 points, to be joined by straight lines, and its band if it has one.

    reason: why there is no band.
    """

    x: Points
    y: Points
    band: Band | None
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """{"x": […], "y": […], "band": {…} or null, "reason": ""}."""
        band = self.band.to_json() if self.band else None
        return {"x": list(self.x), "y": list(self.y), "band": band, "reason": self.reason}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Curve":
        """The inverse of to_json."""
        band = Band.from_json(data["band"]) if data["band"] else None
        return cls(tuple(data["x"]), tuple(data["y"]), band, data["reason"])


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

    def to_json(self) -> dict[str, Any]:
        """Plain values, in the order of the fields."""
        return {
            "n": self.n,
            "positives": self.positives,
            "auroc": self.auroc.to_json(),
            "average_precision": self.average_precision.to_json(),
            "roc": self.roc.to_json() if self.roc else None,
            "pr": self.pr.to_json() if self.pr else None,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "OptionCurves":
        """The inverse of to_json."""
        return cls(
            n=data["n"],
            positives=data["positives"],
            auroc=Estimate.from_json(data["auroc"]),
            average_precision=Estimate.from_json(data["average_precision"]),
            roc=Curve.from_json(data["roc"]) if data["roc"] else None,
            pr=Curve.from_json(data["pr"]) if data["pr"] else None,
        )


@dataclass(frozen=True, slots=True)
class Curves:
    """The curves of each class, and of each decision's options on the images below it."""

    classes: dict[str, OptionCurves]
    decisions: dict[str, dict[str, OptionCurves]]

    def to_json(self) -> dict[str, Any]:
        """{"classes": {"normal": {…}, …}, "decisions": {"root": {"normal": {…}, …}, …}}."""
        return {
            "classes": {name: curves.to_json() for name, curves in self.classes.items()},
            "decisions": {
                decision: {name: curves.to_json() for name, curves in options.items()}
                for decision, options in self.decisions.items()
            },
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Curves":
        """The inverse of to_json."""

        def read(options: dict[str, Any]) -> dict[str, OptionCurves]:
            return {name: OptionCurves.from_json(curves) for name, curves in options.items()}

        decisions = {name: read(options) for name, options in data["decisions"].items()}
        return cls(read(data["classes"]), decisions)


def measure_curves(
    tree: LabelTree, truth: IntArray, predictions: Predictions, seed: int = 0
) -> Curves:
    """ROC and precision-recall curves with 95 % bands. A pure function.

    truth: (N,) class indices of the tree. predictions: of the same N images. seed: of the
    bootstrap, stratified by true class as that of evaluate_predictions is; the AUROC is the same.
    A decision's options are measured on the images whose true class lies below it.
    Raises EvaluationError as check_predictions does.
    """
    truth = np.asarray(truth)
    check_predictions(tree, truth, predictions)
    decisions = {}
    for decision in tree.decisions:
        targets = decision.targets(truth)
        below = targets >= 0
        probs = predictions.decision_probs[decision.name][below]
        decisions[decision.name] = _measure(decision.options, targets[below], probs, seed)
    return Curves(_measure(tree.classes, truth, predictions.probs, seed), decisions)


def _measure(
    options: tuple[str, ...], truth: IntArray, probs: FloatArray, seed: int
) -> dict[str, OptionCurves]:
    return {
        option: _measure_option(option, truth, k, probs[:, k], seed)
        for k, option in enumerate(options)
    }


def _measure_option(
    option: str, truth: IntArray, k: int, scores: FloatArray, seed: int
) -> OptionCurves:
    positive, n = truth == k, len(truth)
    positives = int(positive.sum())
    if positives in (0, n):
        reason = f"no image other than {option}" if positives else f"no image of {option}"
        undefined = Estimate.undefined(reason, n)
        return OptionCurves(n, positives, undefined, undefined, None, None)

    def interval(measure: Callable[[IntArray], FloatArray]) -> Estimate:
        return bootstrap(measure, n, strata=truth, seed=seed)

    sensitivities, precisions = [], []
    for counts in resample(n, truth, seed, RESAMPLES):
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
