"""Counts that may leave a hospital: of a few images only a range, and none that gives them away.

A count from 1 to 9 is not told; what is told is the range that it lies in. It must not follow from
what stands beside it either: so of a line whose sum is known a second count becomes a range, wide
enough that all of 1 to 9 remain possible, or the whole line does. Tables that count the same
images in several ways (by class, by subgroup, by bin) share the number of all that are right, so
they are looked at together: one that would narrow a range of another is made coarser, or left out.

Everything else that is made of counts (shares, intervals) is computed from these ranges, never from
the counts, so it cannot say more than they do.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hilum.errors import EvaluationError
from hilum.records import Estimate
from hilum.statistics.intervals import wilson

#: Counts below this, and above 0, are not told.
SMALL = 10

#: A class or subgroup of fewer images is not told of: in it no split into right and wrong could
#: hide a count below SMALL.
LEAST = 2 * SMALL

#: So many values at least remain possible for a count that is a range, whatever else is known.
POSSIBLE = 5


@dataclass(frozen=True, slots=True)
class Count:
    """A count as it is told: it lies from low to high, both included.

    Raises EvaluationError for a range that holds no count.
    """

    low: int
    high: int

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high:
            raise EvaluationError(f"no count lies from {self.low} to {self.high}")

    @classmethod
    def of(cls, n: int) -> "Count":
        """A count that is told as it is."""
        return cls(n, n)

    @property
    def exact(self) -> bool:
        """Whether it is told as it is."""
        return self.low == self.high

    @property
    def middle(self) -> float:
        """What is reckoned with."""
        return (self.low + self.high) / 2

    def rest(self, n: int) -> "Count":
        """Of n images those that it does not count."""
        return Count(n - self.high, n - self.low)

    def __str__(self) -> str:
        return f"{self.low:,}" if self.exact else f"{self.low:,}–{self.high:,}"


def total(counts: Sequence[Count]) -> Count:
    """The sum of counts, as far as it is told."""
    return Count(sum(c.low for c in counts), sum(c.high for c in counts))


def share(part: Count, rest: Count) -> Estimate:
    """A share with its Wilson interval, taken over all that the counts may be.

    part, rest: the images that have it, and those that have not. Undefined without images.
    """
    n = part.middle + rest.middle
    if n == 0:
        return Estimate.undefined("no images")
    low = wilson(part.low, part.low + rest.high).low if part.low + rest.high else 0.0
    high = wilson(part.high, part.high + rest.low).high if part.high + rest.low else 1.0
    return Estimate(part.middle / n, low, high, round(n), "wilson")


def split_in_two(part: int, n: int) -> Count:
    """How many of n images have something, where n is known.

    It is told where neither they nor the others are few. Of fewer than LEAST images nothing but n
    is told then; of more it is told which of the two are few.
    """
    other = n - part
    if not (0 < part < SMALL or 0 < other < SMALL):
        return Count.of(part)
    if n < LEAST:
        return Count(1, n - 1)
    few = Count(1, SMALL - 1)
    return few if part < SMALL else few.rest(n)


def split_line(cells: Sequence[int]) -> tuple[Count, ...]:
    """The counts of a line whose sum is known.

    Beside counts below SMALL the largest one is a range, if that leaves all of 1 to 9 possible for
    each of them, and it surely the largest; else nothing is told but the sum.
    """
    few = [0 < n < SMALL for n in cells]
    if not any(few):
        return tuple(Count.of(n) for n in cells)
    largest = max(range(len(cells)), key=lambda k: cells[k])
    hidden = [f or k == largest for k, f in enumerate(few)]
    known = [n for n, h in zip(cells, hidden, strict=True) if not h]
    left, count = sum(cells) - sum(known), sum(few)
    if few[largest] or left - count * (SMALL - 1) < max(SMALL, *(n + 1 for n in known), 0):
        return tuple(Count(0, sum(cells)) for _ in cells)
    return tuple(
        Count(1, SMALL - 1) if f
        else Count(left - count * (SMALL - 1), left - count) if k == largest
        else Count.of(n)
        for k, (n, f) in enumerate(zip(cells, few, strict=True))
    )  # fmt: skip


def _coarse(part: int, n: int) -> Count:
    """As split_in_two, with the smaller of the two parts told by tens."""
    less = min(part, n - part)
    tens = Count(less // SMALL * SMALL, less // SMALL * SMALL + SMALL - 1)
    return tens if part == less else tens.rest(n)


@dataclass(frozen=True, slots=True)
class Row:
    """Of n images, which is known, how many have something."""

    part: int
    n: int


class Shared:
    """Tables that divide the same images in several ways, and of each row count the same thing.

    Its first table is told as split_in_two tells each row of it, and the sum of its parts no
    better. It should be the one that matters most.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self.first = tuple(split_in_two(row.part, row.n) for row in rows)
        self._tables = [self.first]

    def add(self, rows: Sequence[Row], rest: Row | None = None) -> tuple[Count, ...] | None:
        """How the parts of a further table are told; None where it would give away too much.

        rest: the images that are in none of its rows, of which nothing is told but their number.
        """
        beyond = (Count(0, rest.n),) if rest and rest.n else ()
        for tell in (split_in_two, _coarse):
            told = tuple(tell(row.part, row.n) for row in rows)
            tables = [*self._tables, told + beyond]
            if all(room >= POSSIBLE for room in possible_values(tables)):
                self._tables = tables
                return told
        return None


def possible_values(tables: Sequence[Sequence[Count]]) -> list[int]:
    """Of each count that is a range, how many values it may have, given all tables.

    tables: each adds up to the same sum, which is known no better than they tell. The ranges of
    rows are independent but for that, so this is exact.
    """
    sums = [total(counts) for counts in tables]
    low, high = max(s.low for s in sums), min(s.high for s in sums)
    found = []
    for counts, whole in zip(tables, sums, strict=True):
        for count in counts:
            if not count.exact:
                least = max(count.low, low - (whole.high - count.high))
                most = min(count.high, high - (whole.low - count.low))
                found.append(most - least + 1)
    return found
