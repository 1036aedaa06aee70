import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from hilum.codec import to_plain
from hilum.errors import EvaluationError
from hilum.statistics.intervals import bootstrap, bootstrap_change, resample, wilson


def mean_of(values):
    """The mean as bootstrap wants it: of (R, n) counts."""
    values = np.asarray(values, dtype=np.float64)
    return lambda counts: counts @ values / counts.sum(axis=1)


def test_wilson_gives_the_published_example():
    estimate = wilson(19, 24)
    assert estimate.value == pytest.approx(19 / 24)
    assert (f"{estimate.low:.4f}", f"{estimate.high:.4f}") == ("0.5953", "0.9076")
    assert (estimate.n, estimate.method) == (24, "wilson")


@given(n=st.integers(1, 5000), share=st.floats(0, 1), confidence=st.floats(0.5, 0.999))
def test_wilson_agrees_with_scipy_and_holds_the_value(n, share, confidence):
    successes = round(n * share)
    estimate = wilson(successes, n, confidence)
    oracle = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    assert (estimate.low, estimate.high) == pytest.approx((oracle.low, oracle.high), abs=1e-9)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    assert estimate.low < estimate.high


def test_wilson_of_no_images_is_undefined_with_a_reason():
    estimate = wilson(0, 0)
    assert estimate.value is None
    assert to_plain(estimate) == {"value": None, "reason": "no images", "n": 0}


@pytest.mark.parametrize(("successes", "n"), [(5, 4), (-1, 4)])
def test_wilson_refuses_impossible_counts(successes, n):
    with pytest.raises(EvaluationError, match="impossible"):
        wilson(successes, n)


def test_confidence_must_be_a_share():
    with pytest.raises(EvaluationError, match=r"for example 0\.95"):
        wilson(1, 2, confidence=95)


def test_bootstrap_of_a_mean_agrees_with_theory():
    # 400 values, half 0 and half 1: the mean's standard error is 0.5 / sqrt(400) = 0.025.
    estimate = bootstrap(mean_of([0, 1] * 200), 400, resamples=4000)
    assert estimate.value == 0.5
    assert estimate.low == pytest.approx(0.5 - 1.96 * 0.025, abs=0.005)
    assert estimate.high == pytest.approx(0.5 + 1.96 * 0.025, abs=0.005)
    assert (estimate.n, estimate.method) == (400, "bootstrap")


def test_bootstrap_is_a_pure_function_of_data_and_seed():
    values = np.linspace(0, 1, 50) ** 2
    first = bootstrap(mean_of(values), 50, seed=3)
    assert bootstrap(mean_of(values), 50, seed=3) == first
    assert bootstrap(mean_of(values), 50, seed=4) != first


def test_measures_of_the_same_images_share_their_resamples():
    (first,), (again,) = resample(9, None, 3, 50), resample(9, np.zeros(9, dtype=np.int64), 3, 50)
    assert again is first
    with pytest.raises(ValueError, match="read-only"):
        first[0, 0] = 1
    assert next(resample(9, np.arange(9) % 2, 3, 50)) is not first
    assert next(resample(9, None, 4, 50)) is not first


def test_a_change_is_bootstrapped_as_its_parts_are():
    old, new = mean_of([0, 1, 1, 0, 1]), mean_of([1, 1, 1, 0, 2])
    alone = bootstrap(old, 5), bootstrap(new, 5), bootstrap(lambda c: new(c) - old(c), 5)
    assert bootstrap_change(old, new, 5) == alone
    undefined = bootstrap_change(lambda c: old(c) * np.nan, new, 5)
    assert [e.value for e in undefined] == [None, alone[1].value, None]
    assert {e.reason for e in bootstrap_change(old, new, 0)} == {"no images"}


def test_every_resample_holds_each_stratum_at_its_own_size():
    strata = np.array([0, 1, 1, 2, 2, 2] * 3)
    seen = []

    def measure(counts):
        seen.append(counts)
        return counts[:, 0].astype(np.float64)

    bootstrap(measure, 18, strata=strata, resamples=200)
    assert [len(block) for block in seen] == [1, 200]
    for stratum, size in enumerate((3, 6, 9)):
        assert (seen[1][:, strata == stratum].sum(axis=1) == size).all()
    # Each image is drawn once on average.
    assert seen[1].mean(axis=0) == pytest.approx(np.ones(18), abs=0.35)


def test_many_images_are_resampled_in_blocks(monkeypatch):
    monkeypatch.setattr("hilum.statistics.intervals._BLOCK_DRAWS", 70)
    sizes = []

    def measure(counts):
        sizes.append(len(counts))
        return counts[:, :3].mean(axis=1)

    bootstrap(measure, 10, resamples=20)
    assert sizes == [1, 7, 7, 6]


def test_no_interval_where_all_resamples_agree():
    estimate = bootstrap(mean_of([1.0, 1.0, 1.0]), 3)
    assert (estimate.value, estimate.low, estimate.high) == (1.0, None, None)
    assert "same value" in estimate.reason


def test_no_interval_where_a_resample_leaves_the_measure_undefined():
    def measure(counts):  # undefined unless image 0 is drawn
        return np.where(counts[:, 0] > 0, counts[:, 0] / 4, math.nan)

    estimate = bootstrap(measure, 4)
    assert (estimate.value, estimate.low, estimate.high) == (0.25, None, None)
    assert "undefined" in estimate.reason


def test_undefined_measure_and_no_images():
    assert bootstrap(lambda counts: np.full(len(counts), math.nan), 4).value is None
    assert bootstrap(mean_of([]), 0).reason == "no images"


def test_bootstrap_refuses_wrong_settings():
    with pytest.raises(EvaluationError, match="3 strata"):
        bootstrap(mean_of([1, 2, 3]), 3, strata=np.array([0, 1]))
    with pytest.raises(EvaluationError, match="at least 2 resamples"):
        bootstrap(mean_of([1, 2, 3]), 3, resamples=1)


@settings(max_examples=25, deadline=None)
@given(values=st.lists(st.integers(0, 100), min_size=2, max_size=30))
def test_bootstrap_interval_lies_within_the_data(values):
    estimate = bootstrap(mean_of(values), len(values), resamples=100)
    if estimate.low is not None:
        assert min(values) <= estimate.low <= estimate.high <= max(values)
