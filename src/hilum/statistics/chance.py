"""Could it be chance? What published figures alone say of which of two models is better.

From two accuracies and the number of cases, without the cases. How often both were right on the
same case is not known then; what can be said is a range over all that it may have been.
Source: the question is that of Christodoulou et al. 2025, arXiv:2505.04720.
"""

from dataclasses import dataclass

import numpy as np
import scipy

from hilum.errors import EvaluationError
from hilum.records import Estimate
from hilum.statistics.intervals import wilson

#: Jeffreys' prior of a share: it counts as half a case of each kind.
_PRIOR = 0.5
_GRID = 4001


@dataclass(frozen=True, slots=True)
class Chance:
    """How likely the model with the higher figure is not the better one.

    first, second: the two shares with Wilson intervals; first is the higher. paired: whether both
    are of the same cases. least, most: over all ways in which their errors may fall together; of
    unlike cases both are the same. independent: where they err independently of each other.
    needed: cases (paired: in all; else of each) that would show the difference with a chance of
    80 % at 5 %, two-sided, where they err independently; None where there is no difference.
    """

    first: Estimate
    second: Estimate
    paired: bool
    least: float
    independent: float
    most: float
    needed: int | None

    @property
    def sentence(self) -> str:
        """What it means, in words."""
        better, worse = self.first.in_words(2), self.second.in_words(2)
        of = f"{self.first.n:,} cases" if self.paired else (
            f"{self.first.n:,} and {self.second.n:,} cases"
        )  # fmt: skip
        if self.first.value == self.second.value:
            return f"{better} and {worse} on {of}: neither is the better."
        chance = _percent(self.independent)
        if self.paired:
            chance += (
                f" where they err independently of each other ({_percent(self.least)} to "
                f"{_percent(self.most)}, by how much their errors fall on the same cases)"
            )
        needed = f" It takes about {self.needed:,} cases" if self.needed else ""
        needed += (" of each" * (not self.paired) + " to show a difference of this size.") * bool(
            needed
        )
        return (
            f"{better} against {worse} on {of}: that the model with the higher figure is not the "
            f"better one has a probability of {chance}.{needed}"
        )


def _percent(share: float) -> str:
    return "less than 1%" if share < 0.01 else f"{share:.0%}"


def share_of(share: float, n: int) -> Estimate:
    """A published share of n cases with its Wilson interval. Raises EvaluationError."""
    return wilson(_count(share, n), n)


def chance_of_order(first: float, n: int, second: float, other_n: int | None = None) -> Chance:
    """The probability that the better of two published shares is not the better model.

    first, second: accuracies (or sensitivities, of the positive cases alone) as published, in
    [0, 1], rounded or not. n: the cases; other_n: of the second, where they are others. Jeffreys'
    prior. Raises EvaluationError where no count of n gives such a share.
    """
    a, b = _count(first, n), _count(second, other_n or n)
    if b / (other_n or n) > a / n:
        first, second, a, b = second, first, b, a
        n, other_n = (other_n, n) if other_n else (n, None)
    shares = wilson(a, n), wilson(b, other_n or n)
    p, q = a / n, b / (other_n or n)
    reach = float(scipy.stats.norm.ppf(0.975) + scipy.stats.norm.ppf(0.8))
    needed = None
    if p > q:
        needed = int(np.ceil(reach**2 * (p * (1 - p) + q * (1 - q)) / (p - q) ** 2))
    if other_n is not None:
        alone = _unpaired(a, n, b, other_n)
        return Chance(*shares, False, alone, alone, alone, needed)
    extra = a - b
    most = min(b, n - a)

    def worse(only_b: float) -> float:
        """That the share of cases that only the second gets right is the larger one."""
        only_a = only_b + extra
        return float(scipy.stats.beta.cdf(0.5, only_a + _PRIOR, only_b + _PRIOR))

    found = [worse(k) for k in range(most + 1)]
    return Chance(*shares, True, min(found), worse(b * (n - a) / n), max(found), needed)


def _unpaired(a: int, n: int, b: int, m: int) -> float:
    grid = (np.arange(_GRID) + 0.5) / _GRID
    one = scipy.stats.beta(a + _PRIOR, n - a + _PRIOR)
    two = scipy.stats.beta(b + _PRIOR, m - b + _PRIOR)
    weights = np.diff(two.cdf(np.linspace(0, 1, _GRID + 1)))
    return float((weights * one.cdf(grid)).sum())


def _count(share: float, n: int) -> int:
    """How many of n cases a published share is; its last digit may be rounded."""
    if n < 1 or not 0 <= share <= 1:
        raise EvaluationError(f"A share lies in [0, 1], of at least one case; got {share} of {n}.")
    digits = len(f"{share:.10f}".rstrip("0").partition(".")[2])
    count = round(share * n)
    if abs(count / n - share) > 0.5000001 * 10 ** -max(digits, 1):
        near = sorted({max(count - 1, 0), count, min(count + 1, n)})
        raise EvaluationError(
            f"No count of {n} cases is a share of {share:g}; near it are "
            + ", ".join(f"{k} ({k / n:.3f})" for k in near)
            + "."
        )
    return count
