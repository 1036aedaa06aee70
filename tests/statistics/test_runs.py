import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import t as student
from scipy.stats import ttest_1samp

from hilum.errors import EvaluationError
from hilum.statistics.comparison import corrected_resampled_t, mean_over_runs

#: Mean 0.06, variance 0.001.
FIVE = [0.02, 0.04, 0.06, 0.08, 0.10]


def test_corrected_t_by_hand():
    # Five folds: the variance of the mean is 0.001 x (1/5 + 1/4) = 0.00045, t(4) = 2.7764.
    found = corrected_resampled_t(FIVE, 0.25)
    half = 2.7764451 * 0.00045**0.5
    assert found.estimate.value == pytest.approx(0.06)
    assert (found.estimate.low, found.estimate.high) == pytest.approx((0.06 - half, 0.06 + half))
    assert found.p == pytest.approx(2 * student.sf(0.06 / 0.00045**0.5, 4))
    assert (found.estimate.n, found.estimate.method) == (5, "corrected resampled t")


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=10))
def test_without_correction_it_is_the_ordinary_t_test(values):
    assume(np.ptp(values) > 1e-3)
    found = corrected_resampled_t(values, 0)
    oracle = ttest_1samp(values, 0)
    interval = oracle.confidence_interval(0.95)
    assert found.p == pytest.approx(oracle.pvalue)
    assert (found.estimate.low, found.estimate.high) == pytest.approx((interval.low, interval.high))


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=10), st.floats(0, 1))
def test_p_and_interval_agree(values, ratio):
    assume(np.ptp(values) > 1e-3)
    found = corrected_resampled_t(values, ratio)
    excludes = found.estimate.low > 0 or found.estimate.high < 0
    assume(abs(found.p - 0.05) > 1e-9)
    assert excludes == (found.p < 0.05)


def test_many_independent_runs_of_one_thing_rarely_differ():
    # Held-out means of 5 folds of pure noise: the corrected test claims at most about 5 %.
    rng = np.random.default_rng(0)
    claims = [corrected_resampled_t(rng.normal(size=5).tolist(), 0.25).p < 0.05 for _ in range(400)]
    assert np.mean(claims) < 0.05


def test_too_few_runs_have_a_value_without_interval():
    one = corrected_resampled_t([0.3], 0.25)
    assert (one.estimate.value, one.estimate.low, one.p) == (0.3, None, None)
    assert "at least 2 runs" in one.estimate.reason
    assert corrected_resampled_t([], 0.25).estimate.value is None


def test_equal_runs_have_no_interval():
    same = corrected_resampled_t([0.1, 0.1, 0.1], 0.25)
    assert (same.estimate.value, same.estimate.low, same.p) == (pytest.approx(0.1), None, None)
    assert "same value" in same.estimate.reason


def test_a_mean_stays_within_what_a_measure_can_be():
    found = mean_over_runs([0.9, 1.0, 1.0], 0.25)
    assert found.value == pytest.approx(2.9 / 3)
    assert (found.high, found.n) == (1.0, 3)
    plain = corrected_resampled_t([0.9, 1.0, 1.0], 0.25).estimate
    assert plain.high > 1
    assert found.low == plain.low
    assert mean_over_runs([0.5], 0.25).low is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: corrected_resampled_t([0.1, float("nan")], 0.25), "finite number for every run"),
        (lambda: corrected_resampled_t([0.1, 0.2], -1), "at least 0"),
        (lambda: corrected_resampled_t([0.1, 0.2], float("inf")), "at least 0"),
        (lambda: mean_over_runs([79.2, 80.1], 0.25), r"lies in \[0, 1\]"),
    ],
)
def test_refuses_what_makes_no_sense(call, message):
    with pytest.raises(EvaluationError, match=message):
        call()
