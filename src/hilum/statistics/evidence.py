"""Whether figures show that a measure lies above a bound, or below it: one-sided tests.

A claim is shown where the opposite would rarely give such figures. Shares are tested exactly (by
the binomial distribution, with Korn and Graubard's effective number of images where patients have
several), paired shares by Tango's score test, everything else by its influence values.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy

from hilum.records import BoolArray, FloatArray, IntArray
from hilum.statistics.influence import Influence, spread_of
from hilum.statistics.intervals import CONFIDENCE, RESAMPLES, mover_difference, resample, wilson

#: One-sided: the share of false claims that a test lets pass, the same as of a 95 % interval's end.
ALPHA = (1 - CONFIDENCE) / 2
#: The chance with which a claim that is true should be shown, for the number of images needed.
POWER = 0.8

ONE_PATIENT = "all are of one patient, who tells nothing of others"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What figures say of a measure and a bound.

    value: measured; of a comparison the difference. low, high: the 95 % interval that goes with
    the test; None where it has none. above, below: p of the one-sided tests that the measure is
    not above, and not below, the bound; None where it cannot be tested. test: its name. n: what
    it counts: images, or patients. needed: how many images would show it with a chance of 80 %
    if the measure is truly what was measured; None where it would then be false, or not known.
    reason: why it cannot be tested.
    """

    value: float | None
    low: float | None
    high: float | None
    above: float | None
    below: float | None
    test: str
    n: int
    needed: int | None = None
    reason: str = ""

    @classmethod
    def none(cls, reason: str, value: float | None = None, n: int = 0) -> "Evidence":
        """No test, for a reason."""
        return cls(value, None, None, None, None, "", n, reason=reason)


class _Share(NamedTuple):
    """A share of effective counts. n: of images; clusters: whether patients were counted."""

    value: float
    size: float
    n: int
    clustered: bool

    @property
    def hits(self) -> float:
        return self.value * self.size

    @property
    def test(self) -> str:
        return "exact binomial, effective size" if self.clustered else "exact binomial"


def _share_of(hits: BoolArray, groups: IntArray | None) -> _Share:
    """The share of images that hit, and of how many independent ones it is worth.

    Source: Korn and Graubard 1998, Survey Methodology 24(2), 193 to 201
    """
    n, value = len(hits), float(hits.mean())
    if groups is None:
        return _Share(value, float(n), n, False)
    _, own = np.unique(groups, return_inverse=True)
    patients = int(own.max()) + 1
    if patients == n:
        return _Share(value, float(n), n, False)
    spread = spread_of(hits.astype(np.float64) - value, own)
    plain = value * (1 - value) / n
    size = float(patients)
    if plain > 0 and spread.error > 0:
        size = min(float(n), plain * n / spread.error**2)
        # few patients tell little of how much they vary
        t = scipy.stats.t.ppf(1 - ALPHA, max(1.0, spread.freedom))
        size *= float((scipy.stats.norm.ppf(1 - ALPHA) / t) ** 2)
    return _Share(value, size, n, True)


def weigh_share(hits: BoolArray, bound: float, groups: IntArray | None = None) -> Evidence:
    """Whether the share of images that hit lies above a bound, or below.

    hits: (N,) bool. groups: (N,) the patient of each. bound: in [0, 1].
    Source: Clopper and Pearson 1934, doi:10.1093/biomet/26.4.404
    """
    if not len(hits):
        return Evidence.none("no such image")
    share = _share_of(np.asarray(hits, dtype=bool), groups)
    if share.clustered and len(np.unique(groups)) == 1:  # type: ignore[arg-type]
        return Evidence.none(ONE_PATIENT, share.value, share.n)
    x, n = share.hits, share.size
    beta = scipy.stats.beta
    # P(X >= x | bound) and P(X <= x | bound), which also holds for sizes that are no whole numbers
    above = float(beta.cdf(bound, x, n - x + 1)) if x > 0 else 1.0
    below = float(beta.sf(bound, x + 1, n - x)) if x < n else 1.0
    low = float(beta.ppf(ALPHA, x, n - x + 1)) if x > 0 else 0.0
    high = float(beta.ppf(1 - ALPHA, x + 1, n - x)) if x < n else 1.0
    error = math.sqrt(max(share.value * (1 - share.value), 1 / (4 * n)) / n)
    needed = _needed(share.n, share.value - bound, error)
    if x >= n and 0 < bound < 1:  # so many that all hit with a chance of 2.5 % at the bound
        needed = math.ceil(math.log(ALPHA) / math.log(bound) * share.n / n)
    return Evidence(share.value, low, high, above, below, share.test, share.n, needed)


def weigh_measure(
    found: Influence,
    bound: float,
    groups: IntArray | None = None,
    *,
    least: float = 0.0,
    perfect: Callable[[float], float] | None = None,
    error_at: Callable[[float], float] | None = None,
) -> Evidence:
    """Whether a measure in [least, 1] lies above a bound, or below, by its influence values.

    Tested on the logit scale, on which its distribution is nearly normal. perfect: of a measure of
    1, whose influence values are all 0, the chance of it where the measure is truly the bound.
    error_at: its standard error if it were some value; a near-perfect figure of few images tells
    too little of its own, so that what claims less of both counts.
    """
    n, value = len(found.each), found.value
    if np.isnan(value):
        return Evidence.none("undefined on these images", n=n)
    if np.isnan(found.each).any():
        return Evidence.none("undefined once a single image is left out", value, n)
    spread = spread_of(found.each, groups)
    test = "logit t" if groups is None else "logit t over patients"
    if value >= 1 and perfect is not None:
        above = perfect(bound)
        low = _root(lambda b: perfect(b) - ALPHA, least, 1.0)
        return Evidence(value, low, 1.0, above, 1.0, "of a perfect figure", n)
    if not spread.error > 0 or spread.freedom < 1 or not least < value < 1:
        reason = (
            ONE_PATIENT if spread.n == 1 else "no image stands out, so that its spread is not known"
        )
        return Evidence.none(reason, value, n)
    if not least < bound < 1:
        return Evidence.none(f"a bound of {bound:g} is the end of its range", value, n)

    def logit(x: float) -> float:
        return math.log((x - least) / (1 - x))

    error = spread.error * (1 - least) / ((value - least) * (1 - value))
    t = scipy.stats.t(spread.freedom)

    def p(side: int, bound: float) -> float:
        own = float(t.sf(side * (logit(value) - logit(bound)) / error))
        if error_at is None:
            return own
        return max(own, float(scipy.stats.norm.sf(side * (value - bound) / error_at(bound))))

    inside = (least + 1e-6, 1 - 1e-6)
    low = _root(lambda b: p(1, b) - ALPHA, inside[0], value)
    high = _root(lambda b: p(-1, b) - ALPHA, value, inside[1])
    needed = _needed(n, logit(value) - logit(bound), error)
    return Evidence(value, low, high, p(1, bound), p(-1, bound), test, spread.n, needed)


def weigh_difference(
    first: Influence, second: Influence, bound: float, groups: IntArray | None = None
) -> Evidence:
    """Whether the first less the second, of the same images, lies above a bound, or below."""
    each, value = first.each - second.each, first.value - second.value
    if np.isnan(value) or np.isnan(each).any():
        return Evidence.none("undefined on these images", n=len(each))
    return _by_t(value, each, bound, groups, "paired t of influence values")


def _by_t(
    value: float, each: FloatArray, bound: float, groups: IntArray | None, test: str
) -> Evidence:
    spread = spread_of(each, groups)
    if not spread.error > 0 or spread.freedom < 1:
        reason = ONE_PATIENT if spread.n == 1 else "both say the same of every image"
        return Evidence.none(reason, value, len(each))
    t = scipy.stats.t(spread.freedom)
    statistic, half = (value - bound) / spread.error, float(t.ppf(1 - ALPHA)) * spread.error
    needed = _needed(len(each), value - bound, spread.error)
    above, below = float(t.sf(statistic)), float(t.cdf(statistic))
    return Evidence(value, value - half, value + half, above, below, test, spread.n, needed)


def weigh_paired_shares(
    first: BoolArray, second: BoolArray, bound: float = 0.0, groups: IntArray | None = None
) -> Evidence:
    """Whether the first is right on a larger share of the same images than the second, by a margin.

    first, second: (N,) bool. bound: the margin in (-1, 1). Without patients and margin McNemar's
    exact test; with a margin Tango's score test; with patients by the differences of each.
    Source: Tango 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<891::AID-SIM780>3.0.CO;2-B
    """
    one, two = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    n = len(one)
    if not n:
        return Evidence.none("no such image")
    value = float(one.mean() - two.mean())
    b, c = int((one & ~two).sum()), int((two & ~one).sum())
    if groups is not None:
        each = one.astype(float) - two.astype(float)
        found = _by_t(value, each - value, bound, groups, "paired t over patients")
        if found.reason or bound or b + c == 0:
            return found
        # of few patients who differ the t test alone would claim too soon
        sums = np.bincount(groups, weights=each)
        up, down = int((sums > 0).sum()), int((sums < 0).sum())
        above, below = _sign_test(up, down)
        return Evidence(
            value, found.low, found.high, max(found.above or 0.0, above),
            max(found.below or 0.0, below), "paired t and sign test over patients", found.n,
            found.needed,
        )  # fmt: skip
    low, high = (_tango_bound(b, c, n, sign) for sign in (-1, 1))
    error = math.sqrt(max((b + c) / n - value**2, 1 / (2 * n)) / n)
    needed = _needed(n, value - bound, error)
    if not bound:
        above, below = _sign_test(b, c)
        return Evidence(value, low, high, above, below, "McNemar, exact", n, needed)
    statistic = _tango(b, c, n, bound)
    above, below = float(scipy.stats.norm.sf(statistic)), float(scipy.stats.norm.cdf(statistic))
    return Evidence(value, low, high, above, below, "Tango's score test", n, needed)


def _sign_test(up: int, down: int) -> tuple[float, float]:
    both = up + down
    above = float(scipy.stats.binom.sf(up - 1, both, 0.5))
    below = float(scipy.stats.binom.cdf(up, both, 0.5))
    return above, below


def _tango(b: int, c: int, n: int, bound: float) -> float:
    """The score statistic of a paired difference; positive where it lies above the bound."""
    linear = -b - c + (2 * n - b + c) * bound
    constant = -c * bound * (1 - bound)
    share = (math.sqrt(max(linear**2 - 8 * n * constant, 0.0)) - linear) / (4 * n)
    variance = n * (2 * share + bound * (1 - bound))
    distance = b - c - n * bound
    if variance <= 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / math.sqrt(variance)


def _tango_bound(b: int, c: int, n: int, sign: int) -> float:
    value, z = (b - c) / n, float(scipy.stats.norm.ppf(1 - ALPHA))
    end = float(sign)
    return _root(lambda d: _tango(b, c, n, d) + sign * z, *sorted((value, end * (1 - 1e-9))))


def weigh_alike(
    hits: BoolArray, second: BoolArray, margin: float, groups: IntArray | None = None
) -> Evidence:
    """Whether a share differs between two kinds of image by less than a margin, either way.

    hits: (N,) bool. second: (N,) which images are of the second kind. above: p that they differ by
    the margin or more; below: p that they differ by less. Newcombe's interval, inverted (two
    one-sided tests, Schuirmann 1987, doi:10.1007/BF01068419).
    """
    parts = [np.asarray(second, dtype=bool) == kind for kind in (False, True)]
    if not all(part.any() for part in parts):
        return Evidence.none("images of one kind only")
    shares = [_share_of(hits[p], None if groups is None else groups[p]) for p in parts]
    value = shares[0].value - shares[1].value

    def ends(alpha: float) -> tuple[float, float]:
        one, two = (wilson(s.hits, s.size, 1 - 2 * alpha) for s in shares)  # type: ignore[arg-type]
        found = mover_difference(one, two)
        return found.low or 0.0, found.high or 0.0

    def p(reaches: Callable[[float, float], bool]) -> float:
        """The least level at which an interval lies so."""
        lowest, highest = 1e-9, 0.4999
        if not reaches(*ends(highest)):
            return 1.0
        for _ in range(40):
            middle = math.sqrt(lowest * highest)
            lowest, highest = (lowest, middle) if reaches(*ends(middle)) else (middle, highest)
        return highest

    low, high = ends(ALPHA)
    above = p(lambda low, high: -margin < low and high < margin)
    below = p(lambda low, high: low > margin or high < -margin)
    test = "Newcombe's interval, two one-sided tests"
    error = (high - low) / (2 * float(scipy.stats.norm.ppf(1 - ALPHA)))
    needed = _needed(len(hits), margin - abs(value), error)
    return Evidence(value, low, high, above, below, test, len(hits), needed)


def weigh_resampled(
    measure: Callable[[IntArray], FloatArray],
    n: int,
    bound: float,
    groups: IntArray | None = None,
    seed: int = 0,
) -> Evidence:
    """Whether any measure lies above a bound, or below, by resampling images or patients.

    measure: takes (R, N) counts and returns (R,) values. Of the percentile and the basic interval
    the one that claims less counts, for a measure that resampling moves to one side.
    Source: Davison and Hinkley 1997, Bootstrap Methods and their Application, chapter 5
    """
    value = float(measure(np.ones((1, n), dtype=np.int64))[0])
    if np.isnan(value):
        return Evidence.none("undefined on these images", n=n)
    units = n if groups is None else int(groups.max()) + 1
    found = [
        measure(counts if groups is None else counts[:, groups])
        for counts in resample(units, None, seed, RESAMPLES)
    ]
    drawn = np.concatenate(found)
    if units == 1:
        return Evidence.none(ONE_PATIENT, value, n)
    if np.isnan(drawn).any() or np.ptp(drawn) < 1e-12:
        return Evidence.none("resampling leaves it undefined, or as it is", value, n)

    def p(beyond: BoolArray) -> float:
        return (int(beyond.sum()) + 1) / (len(drawn) + 1)

    basic = 2 * value - drawn
    above = max(p(drawn <= bound), p(basic <= bound))
    below = max(p(drawn >= bound), p(basic >= bound))
    low, high = np.quantile(drawn, [ALPHA, 1 - ALPHA])
    needed = _needed(n, value - bound, float(drawn.std()))
    return Evidence(value, float(low), float(high), above, below, "bootstrap", units, needed)


def perfect_area(positives: int, negatives: int) -> Callable[[float], float]:
    """The chance of a perfect area where it is truly a bound, at most.

    Pairs of a positive and a negative image that share none are independent, and each is in the
    right order with the area's own probability.
    """
    pairs = min(positives, negatives)
    return lambda bound: float(np.clip(bound, 0, 1)) ** pairs


def area_error(positives: int, negatives: int) -> Callable[[float], float]:
    """The standard error of an area if it were some value, after Hanley and McNeil.

    Their formula and the one with positives and negatives exchanged, in the mean.
    Source: Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747
    """

    def error(area: float) -> float:
        one, two = area / (2 - area) - area**2, 2 * area**2 / (1 + area) - area**2
        others = (positives + negatives - 2) * (one + two) / 2
        return math.sqrt((area * (1 - area) + others) / (positives * negatives))

    return error


def perfect_mean(sizes: Sequence[int]) -> Callable[[float], float]:
    """The chance that all images of all classes are right where the mean of recalls is a bound.

    At most, by the inequality of means: it is the bound to the power of classes x least size.
    """
    power = len(sizes) * min(sizes)
    return lambda bound: float(np.clip(bound, 0, 1)) ** power


def _needed(n: int, distance: float, error: float) -> int | None:
    """How many images would show it, were the distance from the bound truly this."""
    if distance <= 0 or not math.isfinite(error) or error <= 0:
        return None
    reach = scipy.stats.norm.ppf(1 - ALPHA) + scipy.stats.norm.ppf(POWER)
    return max(2, math.ceil(n * (float(reach) * error / distance) ** 2))


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a monotone function crosses 0; the nearer end where it does not."""
    at_low, at_high = function(low), function(high)
    if at_low == 0 or at_high == 0 or (at_low > 0) == (at_high > 0):
        return low if abs(at_low) <= abs(at_high) else high
    return float(scipy.optimize.brentq(function, low, high, xtol=1e-10))
