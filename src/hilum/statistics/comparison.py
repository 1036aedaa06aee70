"""Two classifiers, or two hospitals: whether proportions differ, and whether it may be chance."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from hilum.errors import EvaluationError
from hilum.records import Estimate
from hilum.statistics.intervals import CONFIDENCE, wilson
from hilum.statistics.metrics import BoolArray
from hilum.statistics.mover import mover_difference


@dataclass(frozen=True, slots=True)
class McNemar:
    """McNemar's exact test on n images that a and b both classified.

    only_a, only_b: how many images only a, or only b, got right. p: two-sided, in (0, 1].
    """

    only_a: int
    only_b: int
    n: int
    p: float

    def to_json(self) -> dict[str, Any]:
        """{"only_a": 9, "only_b": 2, "n": 24, "p": 0.065}."""
        return {"only_a": self.only_a, "only_b": self.only_b, "n": self.n, "p": self.p}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "McNemar":
        """The inverse of to_json."""
        return cls(**data)


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
    tail = float(stats.binom.cdf(min(only_a, only_b), only_a + only_b, 0.5))
    return McNemar(only_a, only_b, len(right_a), min(1.0, 2 * tail))


def difference_of_proportions(
    successes_a: int, n_a: int, successes_b: int, n_b: int, confidence: float = CONFIDENCE
) -> Estimate:
    """The difference of two proportions of independent images, a - b, with its interval.

    successes: how many of the n images have the property; the two sets share no image (for the
    same images under two classifiers see cluster_bootstrap). confidence: in (0, 1).
    Returns an estimate in [-1, 1] with n = n_a + n_b; undefined where a set is empty.
    The interval joins the two Wilson intervals. Raises EvaluationError for impossible counts.
    Source: Newcombe 1998, method 10,
    doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I
    """
    a, b = wilson(successes_a, n_a, confidence), wilson(successes_b, n_b, confidence)
    difference = mover_difference(a, b)
    return difference if difference.value is None else replace(difference, method="newcombe")


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
