"""Calibration intercept and slope, with statsmodels as the oracle."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit, logit

from hilum.statistics.calibration import calibration_intercept, calibration_slope


def sample(n, slope=1.0, shift=0.0, seed=0):
    """Events, and probabilities that are wrong in a known way."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 1.5, n)
    return rng.random(n) < expit(z), expit((z - shift) / slope)


@pytest.mark.parametrize("seed", range(4))
def test_statsmodels_agrees(seed):
    happened, probs = sample(80, 0.6, 0.5, seed)
    z = logit(probs)
    family = sm.families.Binomial()
    for found, model in (
        (
            calibration_intercept(happened, probs),
            sm.GLM(happened.astype(float), np.ones(80), family=family, offset=z),
        ),
        (
            calibration_slope(happened, probs),
            sm.GLM(happened.astype(float), sm.add_constant(z), family=family),
        ),
    ):
        fitted = model.fit(tol=1e-12)
        low, high = fitted.conf_int()[-1]
        assert found.value == pytest.approx(fitted.params[-1], abs=1e-6)
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-5)
        assert (found.n, found.method) == (80, "wald")


def test_what_was_done_to_the_probabilities_is_found():
    happened, probs = sample(20_000, slope=0.5)
    slope = calibration_slope(happened, probs)
    assert slope.low < 0.5 < slope.high
    assert slope.value == pytest.approx(0.5, abs=0.03)
    happened, probs = sample(20_000, shift=1.0)
    assert calibration_intercept(happened, probs).value == pytest.approx(1, abs=0.1)


def test_an_intercept_by_hand():
    # 8 of 10 came about at a probability of 0.5: logit(0.8) must be added
    found = calibration_intercept(np.arange(10) < 8, np.full(10, 0.5))
    assert found.value == pytest.approx(np.log(4))
    half = 1.959964 / np.sqrt(10 * 0.8 * 0.2)
    assert (found.low, found.high) == pytest.approx((np.log(4) - half, np.log(4) + half))


@pytest.mark.parametrize(
    ("happened", "probs", "words"),
    [
        ([True, True], [0.3, 0.9], "no image without it"),
        ([False, False], [0.3, 0.9], "no image with it"),
        ([], [], "no images"),
    ],
)
def test_one_sided_events_have_neither(happened, probs, words):
    for measure in (calibration_intercept, calibration_slope):
        found = measure(np.array(happened, bool), np.array(probs))
        assert found.value is None
        assert found.reason == words


@pytest.mark.parametrize("probs", [[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1], [0, 0.5, 0.5, 1]])
def test_separated_events_have_no_slope(probs):
    happened = np.array([False, False, True, True])
    found = calibration_slope(happened, np.array(probs))
    assert found.value is None
    assert "threshold separates" in found.reason
    assert calibration_intercept(happened, np.array(probs)).value is not None


def test_one_probability_for_all_has_no_slope():
    found = calibration_slope(np.array([False, True, True]), np.full(3, 0.5))
    assert found.value is None
    assert "same probability" in found.reason


def test_certain_probabilities_stay_finite():
    happened = np.array([False, True, False, True, True])
    found = calibration_slope(happened, np.array([0.0, 0.0, 1.0, 1.0, 1.0]))
    assert found.value == pytest.approx(np.log(2) / (2 * 36.0437), rel=1e-3)
    right = calibration_intercept(np.arange(6) < 3, np.array([1.0] * 3 + [0.0] * 3))
    assert right.value == pytest.approx(0, abs=1e-6)
    assert right.low is None
    assert "almost 0 and 1" in right.reason
