"""Repeated runs (seed × fold) of one training: the mean of a measure over them, and how sure it is.

The runs of a study share most of their training images, so that their results are more alike than
independent runs would be, and the ordinary t interval is far too narrow. Nadeau and Bengio widen
it: the variance of the mean is s² (1/R + n_test/n_train) rather than s²/R, with R - 1 degrees of
freedom. It stays an approximation: no unbiased estimate of this variance exists.

What varies between runs is what the interval speaks of. Where every run holds out other images,
that is the seed and the images. Where all runs are tested on the same images, it is the seed
alone, and the interval says nothing about other images: ``clusters.cluster_bootstrap`` does.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from hilum.errors import EvaluationError
from hilum.records import Estimate
from hilum.statistics.intervals import CONFIDENCE

METHOD = "corrected resampled t"


@dataclass(frozen=True, slots=True)
class RunsDifference:
    """The mean difference over runs, and the two-sided p of no difference (None without interval).

    estimate.n counts runs, not images.
    """

    estimate: Estimate
    p: float | None


def corrected_resampled_t(
    differences: Sequence[float], test_train_ratio: float, confidence: float = CONFIDENCE
) -> RunsDifference:
    """The mean of paired differences over runs, with its corrected interval and p value.

    differences: (R,), in each run variant a less variant b, with the same seed, training and test
    images. test_train_ratio: number of test images over number of training images of a run, as
    0.25 with five folds. confidence: in (0, 1).
    The estimate has no interval, but a reason, with fewer than two runs and where all differences
    are equal; it is undefined without runs.
    Raises EvaluationError for values or a ratio that are not finite, or a ratio below 0.
    Source: Nadeau and Bengio 2003, doi:10.1023/A:1024068626366
    """
    _check(differences, test_train_ratio, confidence)
    values = np.asarray(differences, dtype=np.float64)
    runs = len(values)
    if not runs:
        return RunsDifference(Estimate.undefined("no runs"), None)
    value = float(values.mean())
    if runs < 2:
        reason = "no interval: it takes at least 2 runs, and there is 1"
        return RunsDifference(Estimate(value, n=runs, method=METHOD, reason=reason), None)
    if np.ptp(values) < 1e-12:
        reason = "no interval: every run gives the same value"
        return RunsDifference(Estimate(value, n=runs, method=METHOD, reason=reason), None)
    error = float(values.std(ddof=1)) * np.sqrt(1 / runs + test_train_ratio)
    half = float(stats.t.ppf(0.5 + confidence / 2, runs - 1) * error)
    p = float(2 * stats.t.sf(abs(value) / error, runs - 1))
    return RunsDifference(Estimate(value, value - half, value + half, runs, METHOD), p)


def mean_over_runs(
    values: Sequence[float], test_train_ratio: float, confidence: float = CONFIDENCE
) -> Estimate:
    """The mean of a measure over runs, with the same corrected interval, cut at 0 and 1.

    values: (R,) in [0, 1]. The rest as in corrected_resampled_t. Overlapping intervals of two
    variants do not say that they are alike: their runs are paired, so look at the differences.
    """
    outside = [value for value in values if not 0 <= value <= 1]
    if outside:
        raise EvaluationError(f"A measure lies in [0, 1]; found {outside[0]}.")
    found = corrected_resampled_t(values, test_train_ratio, confidence).estimate
    if found.low is None or found.high is None:
        return found
    return Estimate(found.value, max(0.0, found.low), min(1.0, found.high), found.n, found.method)


def _check(values: Sequence[float], test_train_ratio: float, confidence: float) -> None:
    if not np.isfinite(np.asarray(values, dtype=np.float64)).all():
        raise EvaluationError(
            "A mean over runs needs a finite number for every run: leaving out a run in which "
            "the measure is undefined would flatter."
        )
    if not 0 <= test_train_ratio < np.inf:
        raise EvaluationError(
            "The ratio of test to training images is a finite number of at least 0; "
            f"got {test_train_ratio}."
        )
    if not 0 < confidence < 1:
        raise EvaluationError(
            f"A confidence lies between 0 and 1, for example 0.95; got {confidence}."
        )
