"""Intervals of a difference and of a ratio from the intervals of two independent estimates.

MOVER, the method of variance estimates recovery, takes from each interval how far the estimate
may be off on the side that matters. So it keeps what those intervals know: that a proportion of
8 in 8 is uncertain on one side only, or that a threshold was chosen on the same images.
"""

import math

from hilum.records import Estimate

_METHOD = "mover"


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
        return Estimate(value, n=n, method=_METHOD, reason=first.reason or second.reason)
    below = math.hypot(first.value - first.low, second.high - second.value)
    above = math.hypot(first.high - first.value, second.value - second.low)
    return Estimate(value, value - below, value + above, n, _METHOD)


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
    # The lower bound is written without the usual denominator, b_high (2 b - b_high), which may
    # be 0. The square roots are of squares of which no more than themselves is taken away.
    root = math.sqrt(max(0.0, (a * b) ** 2 - a_low * b_high * (2 * a - a_low) * (2 * b - b_high)))
    low = a_low * (2 * a - a_low) / (a * b + root) if a_low > 0 else 0.0
    if b_low <= 0:
        return a / b, low, math.inf
    root = math.sqrt(max(0.0, (a * b) ** 2 - a_high * b_low * (2 * a - a_high) * (2 * b - b_low)))
    return a / b, low, (a * b + root) / (b_low * (2 * b - b_low))
