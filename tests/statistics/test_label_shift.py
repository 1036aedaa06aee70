"""The mix of classes without labels, whether images look alike, and what to label: known truth."""

import numpy as np
import pytest

from hilum.errors import EvaluationError
from hilum.statistics.drift import (
    departure_from_mix,
    departure_of_counts,
    departure_within,
    learn_moments,
    ranks,
)
from hilum.statistics.label_shift import estimate_mix, learn
from hilum.statistics.stratified import choose_to_label, expected_width, stratified_share

PLACES = np.array([[0.0, 0.0], [2.2, 0.0], [1.8, 1.6]])
EVEN, OTHER = (0.4, 0.3, 0.3), (0.8, 0.15, 0.05)


def drawn(rng, n, mix, moved=0.0):
    """Truth, probabilities (not calibrated), predicted classes and places of n images."""
    truth = rng.choice(3, n, p=mix)
    places = PLACES[truth] + rng.standard_normal((n, 2)) + moved
    scores = -((places[:, None] - PLACES) ** 2).sum(axis=2) * 0.7 + [0.3, -0.2, 0.0]
    probs = np.exp(scores - scores.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    return truth, probs, probs.argmax(axis=1), places


def behind(predicted, values):
    return np.hstack([np.eye(3)[predicted][:, 1:], values])


@pytest.mark.parametrize("mix", [EVEN, OTHER])
def test_intervals_hold_the_mix_and_the_accuracy(mix):
    sets, held, right, chance = 60, np.zeros((2, 3)), 0, []
    for seed in range(sets):
        rng = np.random.default_rng(seed)
        truth, probs, predicted, places = drawn(rng, 300, EVEN)
        known = learn(probs, predicted, truth, seed=seed, draws=200)
        new, probs, said, seen = drawn(rng, 100, mix)
        found = estimate_mix(known, probs, said, seed=seed)
        for row, estimates in zip(held, (found.black_box, found.likely), strict=True):
            row += [e.low <= share <= e.high for e, share in zip(estimates, mix, strict=True)]
        right += found.accuracy.low <= (new == said).mean() <= found.accuracy.high
        assert found.agree
        moments = learn_moments(behind(predicted, ranks(places, places)), truth, 3)
        mean = behind(said, ranks(places, seen)).mean(axis=0)
        chance.append(departure_within(moments, mean, 100).p_value)
    # of 60 intervals that hold 95 %, fewer than 51 do in one set in 1,000
    assert held.min() >= 51
    assert right >= 51
    assert (np.array(chance) <= 0.01).sum() <= 4


def test_images_that_look_otherwise_are_seen_whatever_the_mix():
    rng = np.random.default_rng(0)
    truth, probs, predicted, places = drawn(rng, 300, EVEN)
    moments = learn_moments(behind(predicted, ranks(places, places)), truth, 3)
    _, _, said, seen = drawn(rng, 200, OTHER, moved=[-1.0, 1.0])

    found = departure_within(moments, behind(said, ranks(places, seen)).mean(axis=0), 200)

    assert found.p_value < 1e-4
    assert found.size > 0.2


def test_counts_are_compared_with_labelled_ones_or_with_a_mix():
    known = np.array([40, 30, 30])
    confusion = np.diag(known)

    assert departure_of_counts(known, known).p_value == 1
    moved = departure_of_counts(np.array([80, 10, 10]), known)
    assert (moved.p_value < 0.001, moved.size) == (True, pytest.approx(0.4))
    assert departure_from_mix(known, confusion, np.array([0.4, 0.3, 0.3])).p_value > 0.5
    assert departure_from_mix(known, confusion, np.array([0.9, 0.05, 0.05])).p_value < 0.001


def test_a_confusion_that_cannot_be_solved_is_told():
    truth = np.arange(60) % 2
    known = learn(np.full((60, 2), 0.5), np.tile([0, 0, 1, 1], 15), truth)

    found = estimate_mix(known, np.full((40, 2), 0.5), np.zeros(40, dtype=np.int64))

    assert known.singular < 0.1
    assert "too much" in found.black_box[0].reason
    assert not found.agree
    with pytest.raises(EvaluationError, match="no labelled image"):
        learn(np.full((60, 2), 0.5), truth, np.zeros(60, dtype=np.int64))


def test_a_chosen_sample_tells_the_share_and_more_than_a_random_one():
    rng = np.random.default_rng(1)
    sure = np.concatenate([np.full(700, 0.98), np.full(100, 0.5)])
    right = rng.random(800) < sure
    held = 0
    for seed in range(60):
        chosen, strata = choose_to_label(sure, 40, seed=seed)
        assert len(set(chosen)) == 40
        many = strata.max() + 1
        labelled = np.bincount(strata[chosen], minlength=many)
        correct = np.bincount(strata[chosen], weights=right[chosen], minlength=many)
        found = stratified_share(correct.astype(np.int64), labelled, np.bincount(strata))
        held += found.low <= right.mean() <= found.high
    assert held >= 51
    assert expected_width(sure, strata, 40) < expected_width(sure, np.zeros_like(strata), 40)
    every = stratified_share(np.array([3, 5]), np.array([4, 5]), np.array([4, 5]))
    assert (every.low, every.high) == (every.value, every.value)
    with pytest.raises(EvaluationError, match="Every stratum needs a label"):
        stratified_share(np.array([0]), np.array([0]), np.array([3]))
    with pytest.raises(EvaluationError, match="at least 2 labels"):
        choose_to_label(sure, 1)
