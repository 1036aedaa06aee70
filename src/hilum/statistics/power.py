"""How much data a comparison would need: the honest end of "the data cannot tell".

Two things make a difference between trained networks uncertain, and more images mend only the
first: that other images might have been tested (``images_needed``, ``images_needed_for``), and
that the same training with another seed gives another network (``runs_needed``). All take the
observed difference as if it were the true one. They say what it would take to show a difference
of this size, not that it is there; from a small difference they are as uncertain as it is.
"""

import math
from collections.abc import Sequence

import numpy as np
import scipy

from hilum.errors import EvaluationError
from hilum.records import Estimate
from hilum.statistics.intervals import CONFIDENCE

POWER = 0.8  # the chance to show a difference that is there
ALPHA = 0.05  # two-sided
MOST_RUNS = 2**20


def images_needed(only_a: int, only_b: int, n: int) -> int | None:
    """How many images McNemar's test would need to show a difference as large as this one.

    only_a, only_b: of n independent images, those that only a or only b got right. Returns the
    number of images in all; None where only_a equals only_b, since then there is no difference to
    show. Speaks of these two trained classifiers, not of the recipes that they come from.
    Raises EvaluationError for impossible counts.
    Source: Connor 1987, doi:10.2307/2531967
    """
    if only_a < 0 or only_b < 0 or only_a + only_b > n or n < 1:
        raise EvaluationError(
            f"Of {n} images, {only_a} that only a and {only_b} that only b got right is impossible."
        )
    if only_a == only_b:
        return None
    differing, difference = (only_a + only_b) / n, (only_a - only_b) / n
    reach: float = scipy.stats.norm.ppf(1 - ALPHA / 2) * math.sqrt(differing)
    reach += scipy.stats.norm.ppf(POWER) * math.sqrt(differing - difference**2)
    return math.ceil((reach / difference) ** 2)


def images_needed_for(difference: Estimate) -> int | None:
    """The same for any measure, from the interval of its difference on difference.n images.

    difference: with its 95 % interval over images, as of cluster_bootstrap; images that belong
    together then count as what they are worth, and the answer is in images in groups as large as
    these. The width of an interval falls with the square root of the number of images.
    Returns None where the difference is 0 or has no interval.
    """
    if not difference.value or difference.low is None or difference.high is None:
        return None
    error = (difference.high - difference.low) / (2 * scipy.stats.norm.ppf(0.5 + CONFIDENCE / 2))
    reach = (scipy.stats.norm.ppf(1 - ALPHA / 2) + scipy.stats.norm.ppf(POWER)) * error
    return math.ceil(difference.n * float(reach / difference.value) ** 2)


def runs_needed(differences: Sequence[float], test_train_ratio: float) -> int | None:
    """How many runs corrected_resampled_t would need to show a mean difference as large as this.

    differences, test_train_ratio: as there. Returns the number of runs in all, at least 2.
    None where the mean or the spread is 0, with fewer than two runs, and where no number of runs
    up to about a million is enough: runs on the same images repeat each other, so that the
    variance of their mean never falls below s² n_test/n_train, and only more images help.
    """
    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 2 or np.ptp(values) < 1e-12 or abs(values.mean()) < 1e-12:
        return None
    effect = abs(float(values.mean())) / float(values.std(ddof=1))

    def enough(runs: int) -> bool:
        # The t statistic of a true difference has a noncentral t distribution.
        bound = scipy.stats.t.ppf(1 - ALPHA / 2, runs - 1)
        reached = scipy.stats.nct.sf(
            bound, runs - 1, effect / math.sqrt(1 / runs + test_train_ratio)
        )
        return bool(reached >= POWER)

    reach: float = scipy.stats.norm.ppf(1 - ALPHA / 2) + scipy.stats.norm.ppf(POWER)
    if reach * math.sqrt(test_train_ratio) >= effect:
        return None
    high = 2
    while not enough(high):
        high *= 2
        if high > MOST_RUNS:
            return None
    low = high // 2  # not enough, unless high is 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
