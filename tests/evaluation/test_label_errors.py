"""Possible label errors: by hand, planted ones, and as many as chance gives."""

import numpy as np
import pytest

from hilum.codec import from_plain, to_plain
from hilum.errors import EvaluationError
from hilum.evaluation.label_errors import LabelErrors, find_label_errors
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from tests.plain import again

PAIR = LabelTree.from_text("a, b")
FLAT3 = LabelTree.from_text("a, b, c")


def predictions(probs):
    probs = np.asarray(probs, dtype=np.float64)
    names = tuple(f"{i}.png" for i in range(len(probs)))
    return Predictions(names, probs, {"root": probs}, probs.argmax(axis=1))


def of_b(*probs):
    return predictions([[1 - p, p] for p in probs])


def test_by_hand():
    truth = np.array([0, 0, 0, 1, 1, 1])
    found = find_label_errors(PAIR, truth, of_b(0.1, 0.2, 0.9, 0.8, 0.7, 0.3))
    # a: (0.9 + 0.8 + 0.1) / 3; b: (0.8 + 0.7 + 0.3) / 3; so every image is confidently of one
    assert found.thresholds == pytest.approx((0.6, 0.6))
    assert found.confident_joint == ((2, 1), (1, 2))
    assert [(e.name, e.given, e.suggested) for e in found.errors] == [
        ("2.png", "a", "b"), ("5.png", "b", "a")
    ]  # fmt: skip
    assert [e.margin for e in found.errors] == pytest.approx([-0.8, -0.4])
    assert found.errors[0].probs == pytest.approx((0.1, 0.9))


def test_an_image_below_every_threshold_is_of_no_class():
    truth = np.array([0, 0, 1, 1])
    found = find_label_errors(PAIR, truth, of_b(0.0, 0.55, 0.9, 0.95))
    # a: (1 + 0.45) / 2 = 0.725; b: 0.925; images 1 and 2 reach neither
    assert found.thresholds == pytest.approx((0.725, 0.925))
    assert found.confident_joint == ((1, 0), (0, 1))
    assert found.errors == ()


def test_a_label_that_is_the_most_probable_is_no_error():
    # b: its one image has 0.2, which image 0 reaches while it misses a's (0.7 + 1) / 2
    found = find_label_errors(PAIR, np.array([0, 0, 1]), of_b(0.3, 0.0, 0.2))
    assert found.thresholds == pytest.approx((0.85, 0.2))
    assert found.confident_joint == ((1, 1), (0, 1))
    assert found.errors == ()


def test_a_class_without_images_is_never_suggested():
    probs = [[0.1, 0.0, 0.9], [0.7, 0.1, 0.2], [0.2, 0.8, 0.0]]
    found = find_label_errors(FLAT3, np.array([0, 0, 1]), predictions(probs))
    assert found.thresholds == (pytest.approx(0.4), pytest.approx(0.8), None)
    assert all(e.suggested != "c" for e in found.errors)


def blobs(n, flips, seed=0, spread=0.8):
    """Points around three corners with their exact posterior; some labels are then changed."""
    rng = np.random.default_rng(seed)
    corners = np.array([[0.0, 0], [3, 0], [0, 3]])
    truth = rng.integers(0, 3, n)
    points = corners[truth] + spread * rng.normal(size=(n, 2))
    logits = -((points[:, None] - corners) ** 2).sum(axis=2) / (2 * spread**2)
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    labels = truth.copy()
    planted = rng.choice(n, flips, replace=False)
    labels[planted] = (labels[planted] + rng.integers(1, 3, flips)) % 3
    return labels, probs, set(planted.tolist())


def test_planted_errors_are_found():
    labels, probs, planted = blobs(600, 30)
    found = find_label_errors(FLAT3, labels, predictions(probs))
    names = [int(e.name.removesuffix(".png")) for e in found.errors]
    hits = len(planted & set(names))
    assert hits / len(planted) >= 0.8
    assert hits / len(names) >= 0.7
    assert len(planted & set(names[:20])) >= 18  # the surest are real
    margins = [e.margin for e in found.errors]
    assert margins == sorted(margins)
    assert len(found.errors) > found.expected.high
    assert "more than chance gives" in found.sentence


def test_right_labels_give_as_many_as_expected():
    labels, probs, _ = blobs(600, 0, spread=1.6)
    found = find_label_errors(FLAT3, labels, predictions(probs))
    assert found.expected.low <= len(found.errors) <= found.expected.high
    assert found.expected.low > 0
    assert "no more than chance gives" in found.sentence


def test_the_result_can_be_kept():
    labels, probs, _ = blobs(60, 5)
    about = {"study": "heads", "split": "folds"}
    found = find_label_errors(FLAT3, labels, predictions(probs), about=about, seed=3)
    assert again(found) == found
    assert find_label_errors(FLAT3, labels, predictions(probs), about=about, seed=3) == found
    assert to_plain(found)["sentence"].startswith(f"{len(found.errors)} of 60 labels")
    with pytest.raises(EvaluationError, match="Not a list of possible label errors"):
        from_plain(
            LabelErrors, {"n": 1}, what="a list of possible label errors", error=EvaluationError
        )


def test_images_that_were_trained_on_are_refused():
    with pytest.raises(EvaluationError, match="predictions of the split train"):
        find_label_errors(PAIR, np.array([0, 1]), of_b(0.1, 0.9), about={"split": "train"})
