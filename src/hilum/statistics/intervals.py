"""How sure a number is: Wilson intervals for proportions, bootstrap intervals for the rest.

All but cluster_bootstrap take the images as independent. Where a data set holds several images of
one patient, the intervals come out too narrow. MOVER makes intervals of differences and ratios.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from hilum.errors import EvaluationError
from hilum.records import Estimate, FloatArray, IntArray

CONFIDENCE = 0.95
RESAMPLES = 1000

#: How an interval of cluster_bootstrap was made, as an estimate says it.
CLUSTER_BOOTSTRAP = "cluster bootstrap"

#: Draws held at a time while resampling; bounds memory whatever the number of images.
_BLOCK_DRAWS = 2_000_000


def wilson(successes: float, n: int, confidence: float = CONFIDENCE) -> Estimate:
    """A proportion with its Wilson score interval, without continuity correction.

    successes: how many of the n images have the property; a fraction where each has a share of
    it, since shares differ less than whole ones. confidence: in (0, 1). Returns an estimate in
    [0, 1]; undefined where n is 0. The interval always holds the value and has a width above 0,
    also at 0 of n and n of n. For example 19 of 24 is 0.79 (0.60 to 0.91).
    Raises EvaluationError unless 0 <= successes <= n.
    Source: Wilson 1927, doi:10.1080/01621459.1927.10502953
    """
    if not 0 < confidence < 1:
        raise EvaluationError(
            f"A confidence lies between 0 and 1, for example 0.95; got {confidence}."
        )
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
) -> Estimate:
    """Any measure with its percentile bootstrap interval, by resampling images with replacement.

    measure: takes (R, n) counts, how often each image is drawn in each of R resamples, and returns
    the (R,) values of the measure, NaN where undefined; the value itself is that of all counts 1.
    strata: (n,) integers, as a rule the true classes, whose sizes then stay as they are. seed: the
    interval is a pure function of the data and this number.

    There are no bounds, but a reason, where resampling can say nothing: every resample gives the
    same value (a perfect AUROC, say), or some resample leaves the measure undefined (to drop it
    would flatter). With few images in a class the percentile interval is known to be too narrow.
    Raises EvaluationError for fewer than 2 resamples or strata of another length. Source: Efron and
    Tibshirani 1993, An Introduction to the Bootstrap, chapter 13, doi:10.1201/9780429246593
    """
    if n == 0:
        return Estimate.undefined("no images")
    if resamples < 2:
        raise EvaluationError(f"A bootstrap interval needs at least 2 resamples, not {resamples}.")
    return _estimate(_values(measure, n, strata, seed, resamples), n)


def bootstrap_change(
    before: Callable[[IntArray], FloatArray], after: Callable[[IntArray], FloatArray], n: int
) -> tuple[Estimate, Estimate, Estimate]:
    """Two measures of the same images and the second minus the first, each as bootstrap gives it.

    before, after, n: as for bootstrap; both are computed once for each resample.
    """
    if n == 0:
        return (nothing := Estimate.undefined("no images")), nothing, nothing
    old, new = (_values(measure, n, None, 0, RESAMPLES) for measure in (before, after))
    return _estimate(old, n), _estimate(new, n), _estimate(new - old, n)


def _values(
    measure: Callable[[IntArray], FloatArray],
    n: int,
    strata: IntArray | None,
    seed: int,
    resamples: int,
) -> FloatArray:
    """(1 + R,) a measure of the images, and of each resample; where it is undefined, it alone."""
    values = [measure(np.ones((1, n), dtype=np.int64))]
    if not np.isnan(values[0][0]):
        values += [measure(counts) for counts in resample(n, strata, seed, resamples)]
    return np.concatenate(values)


def _estimate(values: FloatArray, n: int) -> Estimate:
    value = float(values[0])
    if math.isnan(value):
        return Estimate.undefined("undefined on these images", n)
    return percentile_interval(value, values[1:], n)


def percentile_interval(value: float, replicates: FloatArray, n: int) -> Estimate:
    """The percentile bootstrap interval of a value, from its (R,) values in R resamples.

    For measures that share their resamples; see bootstrap, also for where there is no interval.
    """
    reason = ""
    if np.isnan(replicates).any():
        reason = "no interval: some resamples leave the measure undefined"
    elif np.ptp(replicates) < 1e-12:
        reason = "no interval: every resample gives the same value"
    if reason:
        return Estimate(value, n=n, method="bootstrap", reason=reason)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(replicates, [tail, 1 - tail])
    return Estimate(value, float(low), float(high), n, "bootstrap")


def resample(n: int, strata: IntArray | None, seed: int, resamples: int) -> Iterator[IntArray]:
    """Blocks of (R, n) counts, how often each image is drawn, that add up to `resamples` rows.

    strata, seed: as for bootstrap. The blocks may only be read: the measures of an evaluation share
    them where there is one. Raises EvaluationError for strata of another length.
    """
    strata = np.zeros(n, dtype=np.int64) if strata is None else np.asarray(strata, dtype=np.int64)
    if strata.shape != (n,):
        raise EvaluationError(f"Expected {n} strata, one per image; found shape {strata.shape}.")
    if n * resamples > _BLOCK_DRAWS:
        yield from _draw(n, strata, seed, resamples)
    else:
        yield _drawn_once(n, strata.tobytes(), seed, resamples)


@lru_cache(maxsize=8)  # of at most 16 MB each
def _drawn_once(n: int, strata: bytes, seed: int, resamples: int) -> IntArray:
    """The only block of few images."""
    (counts,) = _draw(n, np.frombuffer(strata, dtype=np.int64), seed, resamples)
    counts.setflags(write=False)
    return counts


def _draw(n: int, strata: IntArray, seed: int, resamples: int) -> Iterator[IntArray]:
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


def mover_difference(first: Estimate, second: Estimate) -> Estimate:
    """The first minus the second, of independent images; with Wilson intervals it is Newcombe's.

    Undefined where one of them is; without bounds, and with a reason, where one has none.
    Source: Newcombe 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I;
    Zou and Donner 2008, doi:10.1002/sim.3095
    """
    n = first.n + second.n
    if first.value is None or second.value is None:
        return Estimate.undefined(first.reason or second.reason, n)
    value = first.value - second.value
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return Estimate(value, n=n, method="mover", reason=first.reason or second.reason)
    below = math.hypot(first.value - first.low, second.high - second.value)
    above = math.hypot(first.high - first.value, second.value - second.low)
    return Estimate(value, value - below, value + above, n, "mover")


def mover_ratio(
    top: tuple[float, float, float], bottom: tuple[float, float, float]
) -> tuple[float, float, float]:
    """The ratio of two independent quantities that are not negative.

    top, bottom: each (value, low, high); their values are not both 0. Returns (value, low, high);
    high, or all three, are infinite where bottom may be 0.
    Source: Newcombe 2016, doi:10.1177/0962280213502144 (equations of Donner and Zou 2012)
    """
    a, a_low, a_high = top
    b, b_low, b_high = bottom
    if b == 0:
        return math.inf, math.inf, math.inf
    # The usual form of the lower bound divides by b_high (2 b - b_high), which may be 0; this one
    # is equal to it and does not. On paper no root is of a negative number; rounding is cut off.
    root = math.sqrt(max(0.0, (a * b) ** 2 - a_low * b_high * (2 * a - a_low) * (2 * b - b_high)))
    low = a_low * (2 * a - a_low) / (a * b + root) if a_low > 0 else 0.0
    if b_low <= 0:
        return a / b, low, math.inf
    root = math.sqrt(max(0.0, (a * b) ** 2 - a_high * b_low * (2 * a - a_high) * (2 * b - b_low)))
    return a / b, low, (a * b + root) / (b_low * (2 * b - b_low))


def cluster_bootstrap(
    measure: Callable[[IntArray], FloatArray],
    groups: Sequence[str] | Sequence[int] | IntArray,
    *,
    strata: IntArray | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Any measure with a percentile bootstrap interval that draws whole groups of images.

    measure: as of bootstrap. For a paired difference, the measure of a less that of b on the same
    counts: what both find hard cancels. groups: (N,) the patient or block of each image. strata:
    (N,) integers, as a rule the true classes; a group belongs to the stratum that most of its
    images have, and groups are drawn within it.

    Without interval, with a reason, as of bootstrap, and where a stratum consists of one group: how
    much its images vary between patients cannot be seen. With fewer than about ten groups a stratum
    the interval is too narrow. Estimate.n counts images. Source: Field and Welsh 2007,
    doi:10.1111/j.1467-9868.2007.00593.x
    """
    names, group_of = np.unique(np.asarray(groups), return_inverse=True)
    n, n_groups = len(group_of), len(names)
    strata = np.zeros(n, dtype=np.int64) if strata is None else np.asarray(strata)
    if strata.shape != (n,):
        raise EvaluationError(f"Expected {n} strata, one per image; found shape {strata.shape}.")
    if n == 0:
        return Estimate.undefined("no images")
    sizes = np.bincount(group_of)
    kinds, stratum_of = np.unique(strata, return_inverse=True)
    table = np.zeros((n_groups, len(kinds)), dtype=np.int64)
    np.add.at(table, (group_of, stratum_of), 1)
    group_strata = table.argmax(axis=1).astype(np.int64)

    def of_groups(counts: IntArray) -> FloatArray:
        rows = max(1, _BLOCK_DRAWS // n)
        blocks = [counts[start : start + rows] for start in range(0, len(counts), rows)]
        return np.concatenate([measure(block[:, group_of]) for block in blocks])

    found = bootstrap(of_groups, n_groups, strata=group_strata, seed=seed, resamples=resamples)
    alone = np.bincount(group_strata) == 1
    if found.value is not None and found.low is not None and alone.any():
        size = int(sizes[group_strata == int(np.argmax(alone))][0])
        reason = f"no interval: all images of a class belong to one group of {size}"
        return Estimate(found.value, n=n, method=CLUSTER_BOOTSTRAP, reason=reason)
    return replace(found, n=n, method=CLUSTER_BOOTSTRAP if found.value is not None else "")
