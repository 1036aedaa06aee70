"""Directly standardised means: by hand."""

import math

import pytest

from hilum.errors import EvaluationError
from hilum.records import Estimate
from hilum.statistics.intervals import wilson
from hilum.statistics.two_by_two import standardise


def test_by_hand_with_uneven_bounds():
    one = Estimate(0.5, 0.2, 0.6, 10, "wilson")  # 0.3 below, 0.1 above
    two = Estimate(0.9, 0.7, 1.0, 20, "wilson")  # 0.2 below, 0.1 above
    found = standardise([one, two], [30, 10])
    assert found.value == pytest.approx(0.75 * 0.5 + 0.25 * 0.9)
    assert found.low == pytest.approx(found.value - math.hypot(0.75 * 0.3, 0.25 * 0.2))
    assert found.high == pytest.approx(found.value + math.hypot(0.75 * 0.1, 0.25 * 0.1))
    assert (found.n, found.method) == (30, "mover")


def test_one_stratum_keeps_its_interval():
    one = wilson(19, 24)
    found = standardise([one, Estimate.undefined("no image of b")], [5, 0])
    assert (found.value, found.low, found.high) == pytest.approx((one.value, one.low, one.high))


def test_what_is_undefined_stays_so():
    gap = Estimate.undefined("no image of b")
    assert standardise([wilson(1, 2), gap], [1, 1]) == Estimate.undefined("no image of b", 2)
    bare = Estimate(1.0, n=9, method="bootstrap", reason="every resample is the same")
    found = standardise([bare, wilson(1, 2)], [1, 1])
    assert (found.value, found.low, found.high, found.n) == (0.75, None, None, 11)
    assert found.reason == "every resample is the same"


@pytest.mark.parametrize("weights", [[1], [0, 0], [-1, 2], []])
def test_weights_that_make_no_sense_are_refused(weights):
    with pytest.raises(EvaluationError, match="for each of 2 strata"):
        standardise([wilson(1, 2), wilson(1, 2)], weights)
