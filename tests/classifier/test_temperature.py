"""Temperature scaling: the minimum is found, and nothing is fitted where there is none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from hilum.classifier.temperature import BOUNDS, LEAST_IMAGES, Temperature, fit_temperature
from hilum.codec import from_plain, to_plain
from hilum.errors import EvaluationError


def drawn(n, temperature=1.0, options=3, seed=0):
    """Logits whose right temperature is known: the truth is drawn from softmax(logits / T)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, options))
    probs = softmax(logits, axis=1).cumsum(axis=1)
    targets = (rng.random((n, 1)) > probs[:, :-1]).sum(axis=1)
    return logits * temperature, targets


def nll(logits, targets, temperature):
    probs = softmax(logits / temperature, axis=1)
    return -np.log(probs[np.arange(len(targets)), targets]).mean()


@pytest.mark.parametrize(("temperature", "seed"), [(0.5, 0), (1.0, 1), (2.5, 2)])
def test_a_grid_finds_no_better_temperature(temperature, seed):
    logits, targets = drawn(60, temperature, seed=seed)
    found = fit_temperature(logits, targets)
    grid = np.geomspace(*BOUNDS, 1001)
    losses = [nll(logits, targets, t) for t in grid]
    assert found.value == pytest.approx(grid[np.argmin(losses)], rel=6e-3)
    assert found.nll_after == pytest.approx(min(losses), abs=1e-5)
    assert found.nll_before == pytest.approx(nll(logits, targets, 1.0))
    assert found.n == 60
    assert found.reason == ""


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_a_known_temperature_is_recovered(temperature):
    assert fit_temperature(*drawn(20_000, temperature)).value == pytest.approx(
        temperature, rel=0.03
    )


def test_a_temperature_by_hand():
    # Two options, logits (±1, 0): right in 3 of 4. softmax gives 3/4 where 1/T = log 3.
    logits = np.tile([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], (10, 1))
    targets = np.tile([0, 0, 1, 0], 10)
    found = fit_temperature(logits, targets)
    assert found.value == pytest.approx(1 / np.log(3))
    assert found.nll_after == pytest.approx(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))


@settings(max_examples=20)
@given(st.floats(0.5, 3), st.integers(0, 20))
def test_scaled_logits_scale_the_temperature(factor, seed):
    logits, targets = drawn(50, 1.5, seed=seed)
    one, other = fit_temperature(logits, targets), fit_temperature(factor * logits, targets)
    assert other.value == pytest.approx(factor * one.value, rel=1e-6)
    assert one.nll_after <= one.nll_before


def test_separable_logits_are_left_alone():
    targets = np.arange(60) % 3
    found = fit_temperature(np.eye(3)[targets] * 0.3, targets)
    assert found.value == 1
    assert found.nll_before == found.nll_after
    assert "every image is decided rightly" in found.reason


def test_logits_that_know_nothing_are_left_alone():
    targets = np.arange(60) % 3
    found = fit_temperature(-np.eye(3)[targets], targets)
    assert found.value == 1
    assert "no better than a guess" in found.reason


@pytest.mark.parametrize(("scale", "bound"), [(100.0, BOUNDS[1]), (0.01, BOUNDS[0])])
def test_a_minimum_out_of_bounds_becomes_the_bound(scale, bound):
    logits, targets = drawn(200)
    found = fit_temperature(logits * scale, targets)
    assert found.value == bound
    assert f"the bound {bound:g}" in found.reason
    assert found.nll_after < found.nll_before


def test_too_few_images_are_not_fitted():
    logits, targets = drawn(LEAST_IMAGES, 2.0)
    assert fit_temperature(logits, targets).reason == ""
    found = fit_temperature(logits[1:], targets[1:])
    assert found.value == 1
    assert found.reason == "only 29 images; 30 are needed"
    assert fit_temperature(np.empty((0, 2)), np.empty(0, np.int64)).nll_before is None


def test_every_option_must_be_there():
    logits, targets = drawn(100, 2.0)
    found = fit_temperature(logits[targets != 1], targets[targets != 1])
    assert found.value == 1
    assert found.reason == "1 of the 3 options have no image"


def test_huge_logits_do_not_overflow():
    logits, targets = drawn(100, 400.0)
    before = fit_temperature(logits, targets).nll_before
    assert before is not None
    assert np.isfinite(before)


@pytest.mark.parametrize(
    ("logits", "targets", "words"),
    [
        (np.zeros((3, 2)), np.zeros(2, np.int64), "shapes"),
        (np.zeros((3, 1)), np.zeros(3, np.int64), "K at least 2"),
        (np.full((3, 2), np.nan), np.zeros(3, np.int64), "finite"),
        (np.zeros((3, 2)), np.array([0, 1, -1]), "target class is -1"),
    ],
)
def test_what_cannot_be_fitted_is_refused(logits, targets, words):
    with pytest.raises(EvaluationError, match=words):
        fit_temperature(logits, targets)


def test_a_temperature_survives_json():
    found = fit_temperature(*drawn(60))
    assert (
        from_plain(Temperature, to_plain(found), what="a temperature", error=EvaluationError)
        == found
    )
