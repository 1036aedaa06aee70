"""Reliability bins, calibration error, Brier score and log loss."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss

from hilum.statistics.calibration import (
    brier_scores,
    brier_skills,
    calibration_errors,
    equal_mass_bins,
    log_losses,
)


def once(n):
    return np.ones((1, n), dtype=np.int64)


def test_bins_hold_equally_many():
    probs = np.linspace(0, 1, 100)
    bins = equal_mass_bins(probs[::-1])
    assert np.bincount(bins).tolist() == [10] * 10
    assert (np.diff(bins) <= 0).all()


@pytest.mark.parametrize(("n", "bins"), [(1, 1), (9, 1), (19, 1), (20, 2), (24, 2), (500, 10)])
def test_few_images_make_few_bins(n, bins):
    assert len(np.unique(equal_mass_bins(np.linspace(0.1, 0.9, n)))) == bins


def test_equal_probabilities_share_a_bin():
    assert set(equal_mass_bins(np.full(50, 0.3))) == {0}
    # the border in the middle moves to the only place where the probability changes
    for few in (5, 15):
        probs = np.array([0.1] * few + [0.9] * (20 - few))
        assert np.bincount(equal_mass_bins(probs)).tolist() == [few, 20 - few]
    # ... or to the nearer of two: 2 + 12 + 6, the middle is 10
    probs = np.array([0.1] * 2 + [0.5] * 12 + [0.9] * 6)
    assert np.bincount(equal_mass_bins(probs)).tolist() == [14, 6]


@settings(max_examples=50)
@given(st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.25, 0.7, 1.0]), max_size=80))
def test_bins_are_full_ordered_and_independent_of_order(values):
    probs = np.array(values)
    bins = equal_mass_bins(probs)
    assert sorted(set(bins)) == list(range(len(set(bins))))
    assert (np.diff(bins[np.argsort(probs, kind="stable")]) >= 0).all()
    assert all(len(set(bins[probs == p])) == 1 for p in set(values))
    assert equal_mass_bins(probs[::-1]).tolist() == bins[::-1].tolist()


def test_a_calibration_error_by_hand():
    # One bin of ten: mean probability 0.9, 6 came true. (0.3)^2 - 0.6 * 0.4 / 9
    probs, happened = np.full(10, 0.9), np.arange(10) < 6
    error = calibration_errors(probs, happened, np.zeros(10, np.int64), once(10))
    assert error == pytest.approx(np.sqrt(0.09 - 0.24 / 9))


def test_two_bins_are_weighed_by_their_images():
    probs = np.array([0.2] * 4 + [0.5] * 12)
    happened = np.array([False] * 4 + [True] * 12)  # no noise: (0.2)^2 and (0.5)^2
    bins = (probs == 0.5).astype(np.int64)
    error = calibration_errors(probs, happened, bins, once(16))
    assert error == pytest.approx(np.sqrt((4 * 0.04 + 12 * 0.25) / 16))


def test_less_than_noise_is_no_error():
    probs, happened = np.full(10, 0.5), np.arange(10) < 6
    assert calibration_errors(probs, happened, np.zeros(10, np.int64), once(10)) == 0


def test_an_image_drawn_twice_brings_nothing_new():
    probs, happened = np.linspace(0.5, 1, 20), np.arange(20) % 3 == 0
    bins = equal_mass_bins(probs)
    errors = calibration_errors(probs, happened, bins, np.stack([once(20)[0], 3 * once(20)[0]]))
    assert errors[0] == pytest.approx(errors[1])
    assert errors[0] > 0


def test_a_bin_may_be_empty_in_a_resample_or_hold_one_image():
    probs, happened = np.array([0.1, 0.1, 0.8, 0.8]), np.array([False, True, True, True])
    bins = np.array([0, 0, 1, 1])
    errors = calibration_errors(probs, happened, bins, np.array([[0, 0, 2, 2], [0, 0, 4, 0]]))
    assert errors == pytest.approx([0.2, 0.2])


def test_the_debiased_square_has_no_bias():
    """Of probabilities that are 0.2 too high, by draws; without the correction it has one."""
    rng = np.random.default_rng(0)
    squares, plain = [], []
    for _ in range(400):
        probs = rng.uniform(0.3, 0.7, 20)
        happened = rng.random(20) < probs
        bins = np.zeros(20, np.int64)
        shift = 0.2  # large enough for the square to stay above 0, below which it is cut off
        squares.append(calibration_errors(probs + shift, happened, bins, once(20))[0] ** 2)
        plain.append((happened.mean() - probs.mean() - shift) ** 2)
    assert np.mean(squares) == pytest.approx(0.04, abs=0.005)
    assert np.mean(plain) > 0.047


def test_scores_by_hand_and_by_scikit_learn():
    rng = np.random.default_rng(1)
    probs = rng.dirichlet([1, 1, 1], 30)
    truth = rng.integers(0, 3, 30)
    brier = brier_score_loss(truth, probs, labels=[0, 1, 2], scale_by_half=False)
    assert brier_scores(truth, probs, once(30)) == pytest.approx(brier)
    assert log_losses(truth, probs, once(30)) == pytest.approx(log_loss(truth, probs))
    # (1 - 0.7)^2 + 0.2^2 + 0.1^2
    assert brier_scores(np.array([0]), np.array([[0.7, 0.2, 0.1]]), once(1)) == pytest.approx(0.14)


def test_a_probability_of_zero_is_not_infinitely_bad():
    loss = log_losses(np.array([1]), np.array([[1.0, 0.0]]), once(1))
    assert loss == pytest.approx(-np.log(np.finfo(float).eps))


def test_skill_is_measured_against_the_shares():
    truth = np.array([0, 0, 0, 1])
    shares = np.tile([0.75, 0.25], (4, 1))
    assert brier_skills(truth, shares, once(4)) == pytest.approx(0)
    assert brier_skills(truth, np.eye(2)[truth], once(4)) == pytest.approx(1)
    assert np.isnan(brier_skills(truth, shares, np.array([[2, 1, 1, 0]]))).all()


def test_a_resample_is_its_images():
    rng = np.random.default_rng(2)
    probs, truth = rng.dirichlet([1, 1], 12), rng.integers(0, 2, 12)
    counts = rng.multinomial(12, np.full(12, 1 / 12), size=3)
    for measure in (brier_scores, brier_skills, log_losses):
        for row, value in zip(counts, measure(truth, probs, counts), strict=True):
            rows = np.repeat(np.arange(12), row)
            assert value == pytest.approx(measure(truth[rows], probs[rows], once(12))[0])
