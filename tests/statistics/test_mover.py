import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep

from hilum.records import Estimate
from hilum.statistics.intervals import mover_difference, mover_ratio, wilson

counts = st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@settings(max_examples=40)
@given(counts, counts)
def test_a_difference_of_proportions_is_newcombes(first, second):
    found = mover_difference(wilson(*first), wilson(*second))
    low, high = confint_proportions_2indep(*first, *second, method="newcomb", compare="diff")
    assert found.value == pytest.approx(first[0] / first[1] - second[0] / second[1])
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.n == first[1] + second[1]
    assert found.low <= found.value <= found.high


def test_a_difference_gives_the_published_example():
    # Newcombe 1998, table II, example (a), method 10.
    found = mover_difference(wilson(56, 70), wilson(48, 80))
    assert found.value == pytest.approx(0.2)
    assert (f"{found.low:.4f}", f"{found.high:.4f}") == ("0.0524", "0.3339")
    assert (found.n, found.method) == (150, "mover")


def test_a_difference_from_no_images():
    found = mover_difference(wilson(3, 4), wilson(0, 0))
    assert (found.value, found.n) == (None, 4)
    assert found.reason == "no images"


def test_a_difference_that_is_unknown_says_why():
    undefined = Estimate.undefined("no positive image", 5)
    assert mover_difference(undefined, wilson(1, 2)).to_plain() == {
        "value": None, "reason": "no positive image", "n": 7
    }  # fmt: skip
    unsure = Estimate(0.5, n=4, reason="no interval: why")
    found = mover_difference(wilson(4, 4), unsure)
    assert (found.value, found.low, found.high, found.reason) == (0.5, None, None, unsure.reason)


@settings(max_examples=40)
@given(counts, counts.filter(lambda c: c[0] > 0))
def test_the_bounds_of_a_ratio_are_where_the_difference_is_just_possible(first, second):
    # By definition: r is a bound where a bound of top - r x bottom is 0.
    top: Any = wilson(*first)
    bottom: Any = wilson(*second)
    value, low, high = mover_ratio((top.value, top.low, top.high),
                                   (bottom.value, bottom.low, bottom.high))  # fmt: skip
    assert 0 <= low <= value + 1e-12
    assert value <= high + 1e-12

    def bounds(r):
        scaled = Estimate(r * bottom.value, r * bottom.low, r * bottom.high)
        return mover_difference(top, scaled)

    assert bounds(low).low == pytest.approx(0, abs=1e-9)
    assert bounds(high).high == pytest.approx(0, abs=1e-9 * max(1, high))


def test_a_ratio_to_what_may_be_nothing_has_no_upper_bound():
    assert mover_ratio((0.5, 0.4, 0.6), (0.1, 0.0, 0.3))[2] == math.inf
    assert mover_ratio((0.5, 0.4, 0.6), (0.0, 0.0, 0.3)) == (math.inf, math.inf, math.inf)
