"""Curves of every class and option, with their bands."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from hilum.errors import EvaluationError
from hilum.evaluation.curves import measure_curves
from hilum.evaluation.evaluate import evaluate_predictions
from hilum.predictions import Predictions
from tests.plain import again


def make(tree, truth, probs):
    decided = tree.decision_probs(probs)
    return Predictions(("",) * len(truth), probs, decided, probs.argmax(axis=1))


@pytest.fixture
def noisy(tree):
    """90 images, a third of each class, told apart with some errors."""
    rng = np.random.default_rng(0)
    truth = np.arange(90) % 3
    probs = np.exp(rng.normal(0, 1, (90, 3)) + 1.5 * np.eye(3)[truth])
    return truth, make(tree, truth, probs / probs.sum(axis=1, keepdims=True))


def test_areas_are_those_of_scikit_learn_and_of_the_evaluation(tree, noisy):
    truth, shown = noisy
    curves = measure_curves(tree, *noisy)
    evaluation = evaluate_predictions(tree, *noisy, rule="argmax", strategy="flat", split="val")
    for k, name in enumerate(tree.classes):
        found, scores = curves.classes[name], shown.probs[:, k]
        assert (found.n, found.positives) == (90, 30)
        assert found.auroc == evaluation.per_class[name].auroc
        assert found.average_precision.value == pytest.approx(
            average_precision_score(truth == k, scores)
        )
        assert found.average_precision.low < found.average_precision.value
        assert np.trapezoid(found.roc.y, found.roc.x) == pytest.approx(
            roc_auc_score(truth == k, scores), abs=1e-3
        )
        assert np.trapezoid(found.pr.y, found.pr.x) == pytest.approx(
            found.average_precision.value, abs=1e-3
        )
    infected = curves.decisions["infected"]["covid"]
    assert (infected.n, infected.positives) == (60, 30)
    assert infected.auroc == evaluation.decisions["infected"].per_option["covid"].auroc


def test_a_band_lies_around_its_curve(tree, noisy):
    curve = measure_curves(tree, *noisy).classes["normal"].roc
    band = curve.band
    # np.interp reads the upper end of a jump, as the band does
    inside = np.interp(band.x, curve.x, curve.y)
    assert (np.array(band.low) <= inside + 1e-3).all()
    assert (np.array(band.high) >= inside - 1e-3).all()
    assert (band.low[-1], band.high[-1]) == (1, 1)
    assert max(h - low for low, h in zip(band.low, band.high, strict=True)) > 0.1


def test_a_band_is_what_resampling_gives(tree):
    """One positive always comes first: at specificity 1 the sensitivity is the share of its draws.

    Of two positives, one above all negatives and one below: it is 0, 1/2 or 1 with 1/4, 1/2, 1/4.
    """
    truth = np.array([0, 0, 1, 1, 2, 2])
    normal = np.array([0.9, 0.1, 0.4, 0.5, 0.3, 0.2])
    probs = np.stack([normal, (1 - normal) / 2, (1 - normal) / 2], axis=1)
    band = measure_curves(tree, truth, make(tree, truth, probs)).classes["normal"].roc.band
    assert (band.low[0], band.high[0]) == (0, 1)


def test_a_perfect_curve_has_no_band(tree):
    truth = np.arange(30) % 3
    probs = np.eye(3)[truth] * 0.7 + 0.1
    found = measure_curves(tree, truth, make(tree, truth, probs)).classes["covid"]
    assert (found.roc.x, found.roc.y) == ((0, 0, 1), (0, 1, 1))
    assert (found.pr.x, found.pr.y[0]) == ((0, 1, 1), 1)
    assert found.roc.band is None
    assert found.pr.band is None
    assert "every resample gives the same curve" in found.roc.reason


def test_a_class_without_images_has_no_curve(tree):
    truth = np.arange(20) % 2
    probs = np.tile([0.5, 0.3, 0.2], (20, 1))
    curves = measure_curves(tree, truth, make(tree, truth, probs))
    absent = curves.classes["non-covid"]
    assert (absent.roc, absent.pr, absent.auroc.value) == (None, None, None)
    assert absent.auroc.reason == "no image of non-covid"
    assert curves.decisions["infected"]["covid"].auroc.reason == "no image other than covid"


def test_no_curve_has_more_than_100_points(tree):
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 300)
    probs = rng.dirichlet([1, 1, 1], 300)
    for found in measure_curves(tree, truth, make(tree, truth, probs)).classes.values():
        assert max(len(found.roc.x), len(found.pr.x)) <= 100


def test_curves_survive_json(tree, noisy):
    curves = measure_curves(tree, *noisy)
    assert again(curves) == curves


def test_what_does_not_belong_together_is_refused(tree, noisy):
    truth, shown = noisy
    with pytest.raises(EvaluationError, match="shape"):
        measure_curves(tree, truth[1:], shown)
