"""DeLong's test: whether two AUROCs on the same images differ, and how sure one AUROC is."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from hilum.errors import EvaluationError
from hilum.records import Estimate, FloatArray
from hilum.statistics.intervals import CONFIDENCE
from hilum.statistics.metrics import BoolArray

METHOD = "delong"

#: Below this a variance is rounding: one tie among 10¹⁰ pairs still makes a variance of 10⁻²¹.
_NOTHING = 1e-24


@dataclass(frozen=True, slots=True)
class DeLong:
    """Two AUROCs on the same images.

    auc_a, auc_b: in [0, 1]. difference: a - b. p: two-sided, of no difference; None where the
    difference is undefined or has no interval, whose reason it shares.
    """

    auc_a: Estimate
    auc_b: Estimate
    difference: Estimate
    p: float | None

    def to_json(self) -> dict[str, Any]:
        """{"auc_a": {…}, "auc_b": {…}, "difference": {…}, "p": 0.03}."""
        return {
            "auc_a": self.auc_a.to_json(),
            "auc_b": self.auc_b.to_json(),
            "difference": self.difference.to_json(),
            "p": self.p,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "DeLong":
        """The inverse of to_json."""
        estimates = {k: Estimate.from_json(data[k]) for k in ("auc_a", "auc_b", "difference")}
        return cls(**estimates, p=data["p"])


def delong(
    positive: BoolArray,
    scores_a: FloatArray,
    scores_b: FloatArray,
    confidence: float = CONFIDENCE,
) -> DeLong:
    """Compare the AUROCs of two scores of the same images.

    positive: (N,) bool. scores_a, scores_b: (N,), higher means more likely positive.
    Takes the images as independent. Undefined without positives or without negatives; values
    without interval and p where there is one positive or one negative only, or where the
    estimated variance is 0 (both scores order all pairs alike, or both AUROCs are perfect).
    Takes O(N log N). Raises EvaluationError for unequal lengths or scores that are not finite.
    Source: DeLong et al. 1988, doi:10.2307/2531595; computed by midranks as in Sun and Xu 2014,
    doi:10.1109/LSP.2014.2337313
    """
    positive = np.asarray(positive, dtype=bool)
    scores = _scores(positive, scores_a, scores_b)
    undefined = _undefined(positive)
    if undefined is not None:
        return DeLong(undefined, undefined, undefined, None)
    above, below = _components(positive, scores)
    auc_a, auc_b = (_mean(above[i], below[i], (0, 1), confidence) for i in (0, 1))
    # Taking the difference of each component first makes the variance exactly 0 where both scores
    # order all pairs alike, and not a rounding error.
    difference = _mean(above[0] - above[1], below[0] - below[1], (-1, 1), confidence)
    p = None
    if difference.value is not None and difference.low is not None:
        variance = _variance(above[0] - above[1], below[0] - below[1])
        p = float(2 * stats.norm.sf(abs(difference.value) / np.sqrt(variance)))
    return DeLong(auc_a, auc_b, difference, p)


def delong_interval(
    positive: BoolArray, scores: FloatArray, confidence: float = CONFIDENCE
) -> Estimate:
    """An AUROC with DeLong's interval, cut at 0 and 1.

    positive: (N,) bool. scores: (N,). Undefined, or without interval, as in delong.
    """
    positive = np.asarray(positive, dtype=bool)
    rows = _scores(positive, scores)
    undefined = _undefined(positive)
    if undefined is not None:
        return undefined
    above, below = _components(positive, rows)
    return _mean(above[0], below[0], (0, 1), confidence)


def _components(positive: BoolArray, scores: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The structural components of scores (K, N): (K, positives) and (K, negatives).

    That of a positive is the share of negatives that it outscores, that of a negative the share of
    positives that outscore it, a tie counting half: an image's rank among all, less its rank among
    its own kind, counts the other kind below it. The mean of either is the AUROC.
    """
    positives, negatives = scores[:, positive], scores[:, ~positive]
    m, n = positives.shape[1], negatives.shape[1]
    ranks = stats.rankdata(scores, axis=1)
    above = (ranks[:, positive] - stats.rankdata(positives, axis=1)) / n
    below = 1 - (ranks[:, ~positive] - stats.rankdata(negatives, axis=1)) / m
    return above, below


def _mean(
    above: FloatArray, below: FloatArray, bounds: tuple[float, float], confidence: float
) -> Estimate:
    """The mean of structural components, of one score or of a difference, with its interval."""
    value, n = float(above.mean()), len(above) + len(below)
    if len(above) < 2 or len(below) < 2:
        reason = "no interval: it takes at least two positive and two negative images"
        return Estimate(value, n=n, method=METHOD, reason=reason)
    variance = _variance(above, below)
    if variance < _NOTHING:
        reason = "no interval: no image stands out (a perfect AUROC, or two identical orders)"
        return Estimate(value, n=n, method=METHOD, reason=reason)
    half = float(stats.norm.ppf(0.5 + confidence / 2) * np.sqrt(variance))
    low, high = max(bounds[0], value - half), min(bounds[1], value + half)
    return Estimate(value, low, high, n, METHOD)


def _variance(above: FloatArray, below: FloatArray) -> float:
    return float(above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below))


def _undefined(positive: BoolArray) -> Estimate | None:
    if not positive.any():
        return Estimate.undefined("no positive image", len(positive))
    if positive.all():
        return Estimate.undefined("no negative image", len(positive))
    return None


def _scores(positive: BoolArray, *scores: FloatArray) -> FloatArray:
    rows = [np.asarray(row, dtype=np.float64) for row in scores]
    for row in rows:
        if row.shape != positive.shape or positive.ndim != 1:
            raise EvaluationError(
                f"An AUROC needs one score per image; found {row.shape} scores for "
                f"{positive.shape} images."
            )
        if not np.isfinite(row).all():
            raise EvaluationError(
                "An AUROC needs finite scores; found NaN or infinity: leave such images out of "
                "both scores, and say so."
            )
    return np.stack(rows)
