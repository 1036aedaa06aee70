import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import TTestPower

from hilum.errors import EvaluationError
from hilum.records import Estimate
from hilum.statistics.intervals import cluster_bootstrap
from hilum.statistics.power import images_needed, images_needed_for, runs_needed

#: Mean 0.06, variance 0.001: the mean is 1.897 standard deviations.
FIVE = [0.02, 0.04, 0.06, 0.08, 0.10]


def test_images_needed_by_hand():
    # 50 % differ, by 40 %: (1.96 sqrt(0.5) + 0.8416 sqrt(0.5 - 0.16))^2 / 0.16 = 22.01.
    assert images_needed(45, 5, 100) == 23
    assert images_needed(5, 45, 100) == 23


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 100))
def test_images_needed_gives_the_power_that_was_asked_for(only_a, only_b, rest):
    n = only_a + only_b + rest
    if only_a == only_b:
        assert n == 0 or images_needed(only_a, only_b, n) is None
        return
    needed = images_needed(only_a, only_b, n)
    differing, difference = (only_a + only_b) / n, abs(only_a - only_b) / n

    def power(images):
        spread = np.sqrt(max(differing - difference**2, 1e-12))
        return stats.norm.cdf((difference * images**0.5 - 1.959964 * differing**0.5) / spread)

    assert power(needed) >= 0.8 - 1e-6
    assert needed == 1 or power(needed - 1) < 0.8 + 1e-6


def test_images_needed_for_any_measure_by_hand():
    # The error is 0.1 / 1.96; (1.96 + 0.8416) / 1.96 squared is 2.043 times the images.
    assert images_needed_for(Estimate(0.1, 0.0, 0.2, n=100)) == 205
    assert images_needed_for(Estimate(-0.1, -0.2, 0.0, n=100)) == 205
    assert images_needed_for(Estimate(0.05, -0.05, 0.15, n=100)) == 818  # half of it: four times


def test_both_ways_agree_on_accuracy_of_independent_images():
    # 1000 images: 60 only a, 30 only b.
    right = np.array([1] * 60 + [-1] * 30 + [0] * 910)
    difference = cluster_bootstrap(lambda c: c @ right / c.sum(axis=1), np.arange(1000))
    assert images_needed_for(difference) == pytest.approx(images_needed(60, 30, 1000), rel=0.1)


def test_nothing_is_needed_to_show_no_difference():
    assert images_needed(7, 7, 24) is None
    assert images_needed_for(Estimate(0.0, -0.1, 0.1, n=24)) is None
    assert images_needed_for(Estimate(0.1, n=24, reason="no interval")) is None
    assert images_needed_for(Estimate.undefined("no images")) is None


def test_runs_needed_is_the_smallest_number_with_that_power():
    # True differences of mean 0.06 and variance 0.001, each of 5 runs as alike as five folds are:
    # a part of variance c is common to all, and s sees the rest, so c / rest is the ratio 1/4.
    needed = runs_needed(FIVE, 0.25)
    assert runs_needed([-d for d in FIVE], 0.25) == needed
    rng = np.random.default_rng(0)

    def power(runs):
        common = rng.normal(0, (0.001 * 0.25) ** 0.5, (20_000, 1))
        values = 0.06 + common + rng.normal(0, 0.001**0.5, (20_000, runs))
        error = values.std(axis=1, ddof=1) * (1 / runs + 0.25) ** 0.5
        return np.mean(np.abs(values.mean(axis=1)) / error > stats.t.ppf(0.975, runs - 1))

    assert power(needed) > 0.8 - 0.01
    assert power(needed - 1) < 0.8 + 0.01


@given(effect=st.floats(0.05, 2.5))  # the oracle has no value for larger ones
def test_runs_needed_without_overlap_is_that_of_a_t_test(effect):
    # Two values at effect ± 1/√2 have that mean and a standard deviation of 1.
    needed = runs_needed([effect + 0.5**0.5, effect - 0.5**0.5], 0)
    oracle = TTestPower()
    assert oracle.power(effect, needed, 0.05) >= 0.8 - 1e-3
    assert needed == 2 or oracle.power(effect, needed - 1, 0.05) < 0.8 + 1e-3


def test_runs_needed_of_a_very_large_difference_is_two():
    assert runs_needed([1, 1.0001], 0.25) == 2


def test_no_number_of_runs_is_enough_on_few_images():
    # 2.8016 x sqrt(0.5) = 1.98 is more than 1.897, so that even endless runs leave the doubt.
    assert runs_needed(FIVE, 0.5) is None
    assert runs_needed(FIVE, 0.45) is not None
    assert runs_needed([0.1, -0.0999], 0) is None  # more than a million
    assert runs_needed([0.1], 0.25) is None
    assert runs_needed([0.1, 0.1], 0.25) is None
    assert runs_needed([0.1, -0.1], 0.25) is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: images_needed(20, 5, 24), "impossible"),
        (lambda: images_needed(0, 0, 0), "impossible"),
    ],
)
def test_refuses_what_makes_no_sense(call, message):
    with pytest.raises(EvaluationError, match=message):
        call()
