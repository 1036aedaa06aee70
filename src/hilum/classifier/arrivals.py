"""What arrives as a set: whether pictures are, together, unlike those that trained a classifier.

The gate judges pictures one by one. Of a hundred from another hospital it may flag thirty, and
seventy get an answer that is worth no more. Two tests look at them together, by nothing but their
gate p-values, which on pictures like those of training are uniform:

- more are flagged than the gate's level allows;
- they are odder as a whole, though few are odd enough to be flagged: the sum of p-values is the
  rank-sum (Mann-Whitney) statistic between them and the training images.

The training images that p-values were counted among are a sample, too, and the fewer they are, the
further the gate's level may be from the rate that it truly flags. Both tests allow for this: their
chance is that of how n pictures and M training images, all alike, would mix in order of oddness.
For many training images the first is the binomial test. Fisher's combination of p-values and the
one-sided Kolmogorov-Smirnov test take the p-values as independent, which they are not: they share
the training images.

A small excess that very many pictures make certain is not worth a warning. So the lower 95 % bound
also has to be above twice: above twice the level, and above 2/3, where a picture is the odder one
twice as often as a training image. Of held-out blocks of one collection of 5,216 radiographs
(divided in five ways, also class by class), 0 to 2.6 % were flagged, and pictures were the odder
one in 45 to 60 %.

A set of which nothing is said has not been shown to be alike. What changes all pictures by less
than they differ among themselves (slightly brighter ones, say) is not seen here, and pictures of
one patient, which count as independent, make the tests too sure.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import erfc, lgamma

import numpy as np

from hilum.classifier.gate import Gate
from hilum.errors import ClassifierError
from hilum.records import Estimate, FloatArray, IntArray
from hilum.statistics.intervals import wilson
from hilum.wording import PERCENT

#: Of fewer pictures nothing is said.
FEWEST = 10

#: The chance that anything is said of pictures like those of training; each test has half of it.
SIGNIFICANCE = 0.001

#: How many times what is expected the lower bound has to exceed.
_TIMES = 2


@dataclass(frozen=True, slots=True)
class Tally:
    """What is needed of the gate p-values of n pictures; of two lists it can be added.

    flagged: how many are at most the gate's level. p_sum: the sum of all, in (0, n].
    """

    n: int = 0
    flagged: int = 0
    p_sum: float = 0.0

    @classmethod
    def of(cls, p_values: Iterable[float], gate: Gate) -> "Tally":
        """Of p-values that this gate gave."""
        found = np.fromiter(p_values, dtype=np.float64)
        return cls(len(found), int((found <= gate.false_alarms).sum()), float(found.sum()))

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.n + other.n, self.flagged + other.flagged, self.p_sum + other.p_sum)

    @property
    def share(self) -> Estimate:
        """The share that is flagged, with its Wilson interval; undefined of no picture."""
        return wilson(self.flagged, self.n)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What the gate says of n pictures together.

    flagged: how many of them it flags; share: the same with its interval; expected: the share of
    pictures like those of training. p_value: the chance that of such pictures as many are flagged.
    odder: the share of all pairs of one of them and one training image in which it is the odder
    one, 0.5 of pictures like those; odder_p_value: the chance of as large a share. warning: a
    sentence; '' where there is none to say, which is no proof that they are alike.
    """

    n: int
    flagged: int
    share: Estimate
    expected: float
    p_value: float
    odder: Estimate
    odder_p_value: float
    warning: str


def judge_arrivals(
    gate: Gate | None, found: Tally | Iterable[float] | None, *, of: str = ""
) -> Arrivals | None:
    """Judge pictures together, by the gate that gave them their p-values.

    found: these p-values, or their tally; None only without a gate. of: what they are pictures of,
    for the sentence; '' calls them "these pictures". Returns None without a gate, and for fewer
    than FEWEST pictures. Raises ClassifierError for an impossible tally.
    """
    if gate is None or found is None:
        return None
    tally = found if isinstance(found, Tally) else Tally.of(found, gate)
    if tally.n < FEWEST:
        return None
    n, m, flagged = tally.n, len(gate.scores), tally.flagged
    mean, least = tally.p_sum / n, 1 / (m + 1)
    if not (0 <= flagged <= n and least - 1e-9 <= mean <= 1 + 1e-9):
        raise ClassifierError(
            f"Of {n} pictures, {flagged} that are flagged and a mean p-value of {mean:g} are "
            f"impossible: this gate's p-values lie between {least:.2g} and 1."
        )
    allowed = int(gate.false_alarms * (m + 1) + 1e-9)  # flagged is whoever is among so many
    p_value = _chance_of_flags(flagged, n, allowed, m)
    odder = _odder(tally, m)
    spread = np.sqrt((n + m + 1) / (12 * n * m))
    odder_p_value = 0.5 * erfc((_value(odder) - 0.5 - 0.5 / (n * m)) / (spread * np.sqrt(2)))
    warning = ""
    pictures = f"the {n:,} pictures of {of}" if of else f"these {n:,} pictures"
    if _speaks(tally.share, p_value, _TIMES * gate.false_alarms):
        warning = (
            f"{PERCENT.number(flagged / n)} of {pictures} are unlike the radiographs that trained "
            f"this classifier ({100 * gate.false_alarms:g}\N{NARROW NO-BREAK SPACE}% expected): "
            "its answers on them are not to be relied on."
        )
    elif _speaks(odder, odder_p_value, _TIMES / (_TIMES + 1)):
        warning = (
            f"{pictures[0].upper()}{pictures[1:]} are as a whole odder than the radiographs that "
            f"trained this classifier: odder than one of those in {PERCENT.number(_value(odder))} "
            f"of all pairs (50\N{NARROW NO-BREAK SPACE}% expected). What was measured of it "
            "elsewhere need not hold for them."
        )
    return Arrivals(
        n, flagged, tally.share, gate.false_alarms, p_value, odder, odder_p_value, warning
    )


def material_chances(arrivals: Arrivals) -> dict[str, tuple[float, float, bool]]:
    """Both tests, for whoever asks more questions at once and at another level.

    Returns, by 'flagged' and 'odder', the chance, the share, and whether its lower bound is above
    twice what is expected, without which nothing is said.
    """
    both = {
        "flagged": (arrivals.p_value, arrivals.share, _TIMES * arrivals.expected),
        "odder": (arrivals.odder_p_value, arrivals.odder, _TIMES / (_TIMES + 1)),
    }
    return {
        name: (p, _value(share), share.low is not None and share.low > least)
        for name, (p, share, least) in both.items()
    }


def _value(estimate: Estimate) -> float:
    assert estimate.value is not None, "there are pictures"
    return estimate.value


def _speaks(found: Estimate, p_value: float, least: float) -> bool:
    return p_value <= SIGNIFICANCE / 2 and found.low is not None and found.low > least


def _chance_of_flags(flagged: int, n: int, allowed: int, m: int) -> float:
    """The chance that so many or more of n pictures are flagged, were all exchangeable.

    A picture is flagged where fewer than `allowed` of the m training images are as odd. So many
    are flagged where they are among the flagged + allowed - 1 oddest of all n + m: a
    hypergeometric tail (or beta-binomial, which it equals), and the test is exact.
    Source: Marques 2023, arXiv:2303.02770
    """
    if not flagged:
        return 1.0
    oddest = flagged + allowed - 1
    k = np.arange(flagged, min(oddest, n) + 1, dtype=np.int64)
    logs = _log_choose(n, k) + _log_choose(m, oddest - k) - _log_choose(n + m, oddest)
    return min(1.0, float(np.exp(logs).sum()))


def _log_choose(n: int, k: IntArray | int) -> FloatArray:
    def log_factorial(counts: IntArray | int) -> FloatArray:
        return np.array([lgamma(count + 1) for count in np.atleast_1d(counts)])

    return log_factorial(n) - log_factorial(k) - log_factorial(n - k)


def _odder(tally: Tally, m: int) -> Estimate:
    """The share of pairs, n x m, in which the picture is odder than the training image.

    It is a mean over ways to make min(n, m) pairs without using an image twice, so its variance is
    at most that of a proportion of as many, whose Wilson interval it gets. Source: Hoeffding
    1963, section 5, doi:10.1080/01621459.1963.10500830
    """
    share = (m + 1) * (1 - tally.p_sum / tally.n) / m
    pairs = min(tally.n, m)
    return replace(wilson(min(1.0, max(0.0, share)) * pairs, pairs), n=tally.n)
