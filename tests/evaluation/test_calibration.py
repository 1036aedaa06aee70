"""Calibration over the classes and at each decision."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from hilum.errors import EvaluationError
from hilum.evaluation.calibration import (
    compare_calibration,
    measure_calibration,
)
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from tests.plain import again


def predictions(tree, probs, predicted=None):
    return Predictions(
        names=("",) * len(probs),
        probs=probs,
        decision_probs=tree.decision_probs(probs),
        predicted=probs.argmax(axis=1) if predicted is None else predicted,
    )


def drawn(tree, n, sharpness=1.0, seed=0):
    """The truth is drawn from probabilities, and those that are shown are sharper than that."""
    rng = np.random.default_rng(seed)
    right = rng.dirichlet(np.ones(len(tree.classes)), n)
    truth = (rng.random((n, 1)) > right.cumsum(axis=1)[:, :-1]).sum(axis=1)
    shown = right**sharpness
    return truth, predictions(tree, shown / shown.sum(axis=1, keepdims=True))


def test_the_published_predictions_by_hand(tree, published):
    # 24 images, 19 right; probability 0.75 of normal, 0.75 * 0.75 of the others
    found = measure_calibration(tree, *published)
    top = found.classes.top_label
    assert [b.mean_prob for b in top.bins] == pytest.approx([0.5625, 0.75])
    assert [b.observed.value for b in top.bins] == [12 / 17, 1]
    assert [b.observed.n for b in top.bins] == [17, 7]
    squares = [(0.5625 - 12 / 17) ** 2 - 12 / 17 * 5 / 17 / 16, 0.25**2]
    assert top.ece.value == pytest.approx(np.sqrt((17 * squares[0] + 7 * squares[1]) / 24))
    root, infected = found.decisions["root"], found.decisions["infected"]
    assert (found.n, root.n, infected.n) == (24, 24, 16)
    # at 'infected' every probability is 0.75, and 12 of 16 are right: not a hair off
    assert infected.top_label.bins[0].observed.value == 0.75
    assert infected.top_label.ece.value == 0
    # 0.25^2 + 0.25^2 where right, 0.75^2 + 0.75^2 where wrong
    assert infected.brier.value == pytest.approx((12 * 0.125 + 4 * 1.125) / 16)
    assert infected.brier_skill.value == pytest.approx(1 - 0.375 / 0.5)
    assert infected.log_loss.value == pytest.approx(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))
    assert infected.per_option["covid"].support == 8


def test_each_option_is_measured_against_the_rest(tree):
    truth, shown = drawn(tree, 200)
    found = measure_calibration(tree, truth, shown)
    for k, name in enumerate(tree.classes):
        option = found.classes.per_option[name]
        bins = option.bins
        assert sum(b.observed.n for b in bins) == 200
        assert all(b.observed.value is not None for b in bins)
        events = sum((b.observed.value or 0) * b.observed.n for b in bins)
        assert events == pytest.approx((truth == k).sum())
        assert option.support == (truth == k).sum()
    assert found.classes.brier.value == pytest.approx(
        brier_score_loss(truth, shown.probs, labels=[0, 1, 2], scale_by_half=False)
    )


def test_the_top_label_is_the_class_that_was_given(tree):
    truth = np.zeros(10, np.int64)
    shown = predictions(tree, np.tile([0.5, 0.3, 0.2], (10, 1)), np.full(10, 2))
    (only,) = measure_calibration(tree, truth, shown).classes.top_label.bins
    assert (only.mean_prob, only.observed.value) == (pytest.approx(0.2), 0)


def test_right_probabilities_pass_and_sharpened_ones_do_not(tree):
    for sharpness, right in ((1, True), (3, False)):
        choice = measure_calibration(tree, *drawn(tree, 500, sharpness)).classes
        slope = choice.per_option["covid"].slope
        assert (choice.top_label.ece.low == 0) is right
        assert (slope.low < 1 < slope.high) is right
        assert (choice.top_label.ece.value < 0.05) is right
        if not right:
            assert slope.high < 0.6


def test_an_interval_holds_its_value_and_the_seed_decides(tree):
    truth, shown = drawn(tree, 60, 2)
    one = measure_calibration(tree, truth, shown)
    for estimate in (one.classes.top_label.ece, one.classes.brier, one.classes.log_loss):
        assert estimate.low <= estimate.value <= estimate.high
    assert measure_calibration(tree, truth, shown) == one
    assert measure_calibration(tree, truth, shown, seed=1) != one


def test_a_decision_that_no_image_reaches_is_undefined(tree):
    shown = predictions(tree, np.tile([0.8, 0.1, 0.1], (12, 1)))
    found = measure_calibration(tree, np.zeros(12, np.int64), shown)
    empty = found.decisions["infected"]
    assert (empty.n, empty.top_label.bins, empty.top_label.ece.value) == (0, (), None)
    assert {empty.brier.reason, empty.brier_skill.reason, empty.log_loss.reason} == {"no images"}
    assert found.classes.brier_skill.reason == "images of one kind only"
    assert found.classes.per_option["covid"].slope.reason == "no image with it"


def test_a_change_is_measured_in_pairs(tree):
    truth, sharp = drawn(tree, 200, 3)
    _, right = drawn(tree, 200, 1)
    change = compare_calibration(tree, truth, sharp, right)
    for choice in (change.classes, *change.decisions.values()):
        for measure in (choice.ece, choice.brier, choice.log_loss):
            assert measure.difference.value == pytest.approx(
                measure.after.value - measure.before.value
            )
        assert choice.log_loss.difference.high < 0
    ece = change.classes.ece
    assert ece.difference.high < 0
    assert ece.before == measure_calibration(tree, truth, sharp).classes.top_label.ece
    width = ece.difference.high - ece.difference.low
    assert width < (ece.before.high - ece.before.low) + (ece.after.high - ece.after.low)


def test_a_deep_tree_has_every_decision():
    tree = LabelTree.from_text("a, b(c, d(e, f))")
    found = measure_calibration(tree, *drawn(tree, 120))
    assert list(found.decisions) == ["root", "b", "d"]
    assert list(found.decisions["d"].per_option) == ["e", "f"]


def test_results_survive_json(tree):
    truth, shown = drawn(tree, 50)
    found = measure_calibration(tree, truth, shown)
    assert again(found) == found
    change = compare_calibration(tree, truth, shown, shown)
    assert again(change) == change


def test_what_does_not_belong_together_is_refused(tree):
    truth, shown = drawn(tree, 10)
    with pytest.raises(EvaluationError, match="shape"):
        measure_calibration(tree, truth[1:], shown)
    with pytest.raises(EvaluationError, match="shape"):
        compare_calibration(tree, truth, shown, drawn(tree, 9)[1])
