"""Direct standardisation: a mean over strata, weighed as in another population."""

import math
from collections.abc import Sequence

from hilum.errors import EvaluationError
from hilum.records import Estimate


def standardise(estimates: Sequence[Estimate], weights: Sequence[float]) -> Estimate:
    """The weighted mean of estimates of independent strata, with its interval.

    estimates: one per stratum, such as the recall of each class. weights: the strata's sizes in
    the population that is compared with, 0 or more, at least one of them above 0; a stratum of
    weight 0 does not count. With the recalls of classes it is the accuracy that a set with those
    class sizes would have.
    The interval is made of the distances of the estimates' own bounds, squared and added (MOVER).
    Undefined where a stratum that counts is, with its reason; without bounds where one has none.
    Raises EvaluationError for unequal numbers or other weights.
    Source: Zou and Donner 2008, doi:10.1002/sim.3095
    """
    total = sum(weights)
    if len(estimates) != len(weights) or min(weights, default=-1.0) < 0 or total <= 0:
        raise EvaluationError(
            f"Expected a weight of 0 or more for each of {len(estimates)} strata, and one above "
            f"0; found {list(weights)}."
        )
    terms = [(e, w / total) for e, w in zip(estimates, weights, strict=True) if w]
    n = sum(e.n for e, _ in terms)
    value = below = above = 0.0
    reason = ""
    for estimate, weight in terms:
        if estimate.value is None:
            return Estimate.undefined(estimate.reason, n)
        value += weight * estimate.value
        if estimate.low is None or estimate.high is None:
            reason = estimate.reason or "no interval: a stratum has none"
            continue
        below += (weight * (estimate.value - estimate.low)) ** 2
        above += (weight * (estimate.high - estimate.value)) ** 2
    if reason:
        return Estimate(value, n=n, method="mover", reason=reason)
    return Estimate(value, value - math.sqrt(below), value + math.sqrt(above), n, "mover")
