"""How sure a number is: Wilson intervals for proportions, bootstrap intervals for the rest.

Both take the images as independent. Where a data set holds several images of one patient, the
intervals come out too narrow.
"""

import math
from collections.abc import Callable, Iterator
from statistics import NormalDist

import numpy as np

from hilum.errors import EvaluationError
from hilum.records import Estimate, FloatArray, IntArray

CONFIDENCE = 0.95
RESAMPLES = 1000

#: Draws held at a time while resampling; bounds memory whatever the number of images.
_BLOCK_DRAWS = 2_000_000


def wilson(successes: int, n: int, confidence: float = CONFIDENCE) -> Estimate:
    """A proportion with its Wilson score interval, without continuity correction.

    successes: how many of the n images have the property. confidence: in (0, 1).
    Returns an estimate in [0, 1]; undefined where n is 0. The interval always holds the value and
    has a width above 0, also at 0 of n and n of n. For example 19 of 24 is 0.79 (0.60 to 0.91).
    Raises EvaluationError unless 0 <= successes <= n.
    Source: Wilson 1927, doi:10.1080/01621459.1927.10502953
    """
    _check_confidence(confidence)
    if not 0 <= successes <= n:
        raise EvaluationError(f"A proportion of {successes} in {n} is impossible.")
    if n == 0:
        return Estimate.undefined("no images")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # The bounds at the ends are 0 and 1 exactly; rounding would put them a hair beside.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return Estimate(share, low, high, n, "wilson")


def bootstrap(
    measure: Callable[[IntArray], FloatArray],
    n: int,
    *,
    strata: IntArray | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Any measure with its percentile bootstrap interval, by resampling images with replacement.

    measure: takes (R, n) counts, how often each image is drawn in each of R resamples, and
    returns the (R,) values of the measure, NaN where it is undefined. So R resamples cost one
    vectorised call; the value itself is the measure where every image counts once.
    n: number of images. strata: (n,) integers, as a rule the true classes; images are then drawn
    within each stratum, so that none vanishes and the class sizes stay as they are.
    seed: the interval is a pure function of the data and this number.

    The interval has no bounds, and the estimate a reason, where resampling can say nothing: every
    resample gives the same value (a perfect AUROC, say; 1 to 1 would claim a certainty that is
    not there), or some resample leaves the measure undefined (to drop it would flatter).
    With few images in a class the percentile interval is known to be too narrow.
    Raises EvaluationError for fewer than 2 resamples or strata of another length.
    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13,
    doi:10.1201/9780429246593
    """
    _check_confidence(confidence)
    if n == 0:
        return Estimate.undefined("no images")
    if resamples < 2:
        raise EvaluationError(f"A bootstrap interval needs at least 2 resamples, not {resamples}.")
    value = float(measure(np.ones((1, n), dtype=np.int64))[0])
    if math.isnan(value):
        return Estimate.undefined("undefined on these images", n)
    blocks = resample(n, strata, seed, resamples)
    replicates = np.concatenate([measure(counts) for counts in blocks])
    return percentile_interval(value, replicates, n, confidence)


def percentile_interval(
    value: float, replicates: FloatArray, n: int, confidence: float = CONFIDENCE
) -> Estimate:
    """The percentile bootstrap interval of a value, from its (R,) values in R resamples.

    For measures that share their resamples; see bootstrap, also for where there is no interval.
    """
    if np.isnan(replicates).any():
        reason = "no interval: some resamples leave the measure undefined"
        return Estimate(value, n=n, method="bootstrap", reason=reason)
    if np.ptp(replicates) < 1e-12:
        reason = "no interval: every resample gives the same value"
        return Estimate(value, n=n, method="bootstrap", reason=reason)
    tail = (1 - confidence) / 2
    low, high = np.quantile(replicates, [tail, 1 - tail])
    return Estimate(value, float(low), float(high), n, "bootstrap")


def resample(n: int, strata: IntArray | None, seed: int, resamples: int) -> Iterator[IntArray]:
    """Blocks of (R, n) counts, how often each image is drawn, that add up to `resamples` rows.

    strata, seed: as for bootstrap. Raises EvaluationError for strata of another length.
    """
    strata = np.zeros(n, dtype=np.int64) if strata is None else np.asarray(strata)
    if strata.shape != (n,):
        raise EvaluationError(f"Expected {n} strata, one per image; found shape {strata.shape}.")
    groups = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    generator = np.random.default_rng(seed)
    block = max(1, _BLOCK_DRAWS // n)
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        counts = np.empty((rows, n), dtype=np.int64)
        for group in groups:
            size = len(group)
            draws = generator.integers(0, size, size=(rows, size))
            draws += np.arange(rows)[:, None] * size  # a separate range of bins for each row
            counts[:, group] = np.bincount(draws.ravel(), minlength=rows * size).reshape(rows, size)
        yield counts


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise EvaluationError(
            f"A confidence lies between 0 and 1, for example 0.95; got {confidence}."
        )
