"""Two classifiers, or two hospitals: whether proportions differ, and whether it may be chance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from hilum.errors import EvaluationError
from hilum.records import BoolArray, Estimate, FloatArray
from hilum.statistics.intervals import CONFIDENCE


@dataclass(frozen=True, slots=True)
class McNemar:
    """McNemar's exact test on n images that a and b both classified.

    only_a, only_b: how many images only a, or only b, got right. p: two-sided, in (0, 1].
    """

    only_a: int
    only_b: int
    n: int
    p: float


def mcnemar_exact(correct_a: BoolArray, correct_b: BoolArray) -> McNemar:
    """Whether two classifiers are right equally often, from the images on which they differ.

    correct_a, correct_b: (N,) whether each got the image right; the same images in one order.
    If both are equally good, only_a is binomial with p = 1/2 among the only_a + only_b images;
    where there is none, p is 1. Takes the images as independent: with several images of a
    patient, or one image counted in several runs, p comes out too small.
    Raises EvaluationError for unequal lengths or no image.
    Source: McNemar 1947, doi:10.1007/BF02295996
    """
    right_a, right_b = np.asarray(correct_a, dtype=bool), np.asarray(correct_b, dtype=bool)
    if right_a.shape != right_b.shape or right_a.ndim != 1 or not right_a.size:
        raise EvaluationError(
            "McNemar's test needs two lists of one length, with one entry per image; "
            f"found shapes {right_a.shape} and {right_b.shape}."
        )
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    tail = float(scipy.stats.binom.cdf(min(only_a, only_b), only_a + only_b, 0.5))
    return McNemar(only_a, only_b, len(right_a), min(1.0, 2 * tail))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjust p values for how many there are: Holm's step-down method.

    p_values: of one family of tests; None where a test was not possible, which counts for
    nothing and stays None. Rejecting where the adjusted value is below 0.05 keeps the chance of
    even one false claim in the family below 0.05, however the tests depend on each other.
    Returns one value in [0, 1] or None for each. Raises EvaluationError for a p outside [0, 1].
    Source: Holm 1979, Scandinavian Journal of Statistics 6(2), https://www.jstor.org/stable/4615733
    """
    given = [(p, i) for i, p in enumerate(p_values) if p is not None]
    wrong = [p for p, _ in given if not 0 <= p <= 1]
    if wrong:
        raise EvaluationError(f"A p value lies in [0, 1]; found {wrong[0]}.")
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, i) in enumerate(sorted(given)):
        largest = max(largest, min(1.0, p * (len(given) - rank)))
        adjusted[i] = largest
    return adjusted


DELONG = "delong"

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


def delong(positive: BoolArray, scores_a: FloatArray, scores_b: FloatArray) -> DeLong:
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
    if not positive.any() or positive.all():
        kind = "negative" if positive.any() else "positive"
        undefined = Estimate.undefined(f"no {kind} image", len(positive))
        return DeLong(undefined, undefined, undefined, None)
    above, below = components(positive, scores)
    auc_a, auc_b = (_mean(above[i], below[i], (0, 1)) for i in (0, 1))
    # Taking the difference of each component first makes the variance exactly 0 where both scores
    # order all pairs alike, and not a rounding error.
    difference = _mean(above[0] - above[1], below[0] - below[1], (-1, 1))
    p = None
    if difference.value is not None and difference.low is not None:
        variance = _variance(above[0] - above[1], below[0] - below[1])
        p = float(2 * scipy.stats.norm.sf(abs(difference.value) / np.sqrt(variance)))
    return DeLong(auc_a, auc_b, difference, p)


def components(positive: BoolArray, scores: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The structural components of scores (K, N): (K, positives) and (K, negatives).

    positive: (N,) bool, with at least one of each kind.

    That of a positive is the share of negatives that it outscores, that of a negative the share of
    positives that outscore it, a tie counting half: an image's rank among all, less its rank among
    its own kind, counts the other kind below it. The mean of either is the AUROC.
    """
    positives, negatives = scores[:, positive], scores[:, ~positive]
    m, n = positives.shape[1], negatives.shape[1]
    ranks = scipy.stats.rankdata(scores, axis=1)
    above = (ranks[:, positive] - scipy.stats.rankdata(positives, axis=1)) / n
    below = 1 - (ranks[:, ~positive] - scipy.stats.rankdata(negatives, axis=1)) / m
    return above, below


def _mean(above: FloatArray, below: FloatArray, bounds: tuple[float, float]) -> Estimate:
    """The mean of structural components, of one score or of a difference, with its interval."""
    value, n = float(above.mean()), len(above) + len(below)
    reason, variance = "", 0.0
    if len(above) < 2 or len(below) < 2:
        reason = "no interval: it takes at least two positive and two negative images"
    elif (variance := _variance(above, below)) < _NOTHING:
        reason = "no interval: no image stands out (a perfect AUROC, or two identical orders)"
    if reason:
        return Estimate(value, n=n, method=DELONG, reason=reason)
    half = float(scipy.stats.norm.ppf(0.5 + CONFIDENCE / 2) * np.sqrt(variance))
    low, high = max(bounds[0], value - half), min(bounds[1], value + half)
    return Estimate(value, low, high, n, DELONG)


def _variance(above: FloatArray, below: FloatArray) -> float:
    return float(above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below))


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


CORRECTED_T = "corrected resampled t"


@dataclass(frozen=True, slots=True)
class RunsDifference:
    """The mean difference over runs, and the two-sided p of no difference (None without interval).

    estimate.n counts runs, not images.
    """

    estimate: Estimate
    p: float | None


def corrected_resampled_t(differences: Sequence[float], test_train_ratio: float) -> RunsDifference:
    """The mean of paired differences over runs, with its corrected interval and p value.

    differences: (R,), in each run variant a less variant b, with the same seed, training and test
    images. test_train_ratio: number of test images over number of training images of a run, as
    0.25 with five folds.
    The estimate has no interval, but a reason, with fewer than two runs and where all differences
    are equal; it is undefined without runs.
    Raises EvaluationError for values or a ratio that are not finite, or a ratio below 0.
    Source: Nadeau and Bengio 2003, doi:10.1023/A:1024068626366
    """
    values = np.asarray(differences, dtype=np.float64)
    runs = len(values)
    if not np.isfinite(values).all():
        raise EvaluationError(
            "A mean over runs needs a finite number for every run: leaving out a run in which "
            "the measure is undefined would flatter."
        )
    if not 0 <= test_train_ratio < np.inf:
        raise EvaluationError(
            "The ratio of test to training images is a finite number of at least 0; "
            f"got {test_train_ratio}."
        )
    if not runs:
        return RunsDifference(Estimate.undefined("no runs"), None)
    value, reason = float(values.mean()), ""
    if runs < 2:
        reason = "no interval: it takes at least 2 runs, and there is 1"
    elif np.ptp(values) < 1e-12:
        reason = "no interval: every run gives the same value"
    if reason:
        return RunsDifference(Estimate(value, n=runs, method=CORRECTED_T, reason=reason), None)
    error = float(values.std(ddof=1)) * np.sqrt(1 / runs + test_train_ratio)
    half = float(scipy.stats.t.ppf(0.5 + CONFIDENCE / 2, runs - 1) * error)
    p = float(2 * scipy.stats.t.sf(abs(value) / error, runs - 1))
    return RunsDifference(Estimate(value, value - half, value + half, runs, CORRECTED_T), p)


def mean_over_runs(
    values: Sequence[float], test_train_ratio: float, *, least: float = 0.0
) -> Estimate:
    """The mean of a measure over runs, with the same corrected interval, cut at its range.

    values: (R,) in [least, 1]. The rest as in corrected_resampled_t. Overlapping intervals of two
    variants do not say that they are alike: their runs are paired, so look at the differences.
    """
    outside = [value for value in values if not least <= value <= 1]
    if outside:
        raise EvaluationError(f"A measure lies in [{least:g}, 1]; found {outside[0]}.")
    found = corrected_resampled_t(values, test_train_ratio).estimate
    if found.low is None or found.high is None:
        return found
    return Estimate(found.value, max(least, found.low), min(1.0, found.high), found.n, found.method)
