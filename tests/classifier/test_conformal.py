"""Prediction sets: thresholds by hand, MAPIE as the oracle, and coverage over many splits."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mapie.classification import SplitConformalClassifier
from scipy import stats
from sklearn.base import BaseEstimator, ClassifierMixin

from hilum.classifier.conformal import (
    Conformal,
    fit_conformal,
    measure_conformal,
    refer,
)
from hilum.codec import from_plain, to_plain
from hilum.errors import ClassifierError, EvaluationError
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.records import FloatArray, IntArray
from tests.plain import again

TREE = LabelTree.from_text("normal, infected(covid, non-covid)")
PAIR = LabelTree.from_text("a, b")


def predictions(tree: LabelTree, probs: FloatArray) -> Predictions:
    predicted = probs.argmax(axis=1).astype(np.int64)
    return Predictions(("",) * len(probs), probs, tree.decision_probs(probs), predicted)


def pair(of_a: list[float]) -> Predictions:
    return predictions(PAIR, np.array([[p, 1 - p] for p in of_a]))


def draw(rng: np.random.Generator, n: int) -> tuple[IntArray, FloatArray]:
    """Labels, and probabilities that know something of them."""
    truth = rng.choice(3, n, p=[0.25, 0.25, 0.5])
    scores = rng.standard_normal((n, 3)) + 1.5 * np.eye(3)[truth]
    exponents = np.exp(scores)
    return truth, exponents / exponents.sum(axis=1, keepdims=True)


def test_thresholds_by_hand() -> None:
    # class a: nine images; the ceil(10 * 0.9) = 9th largest of their probabilities is the least.
    # class b: nineteen; the ceil(20 * 0.9) = 18th largest of 0.99, 0.97 ... 0.63 is 0.65.
    of_a = [0.9, 0.8, 0.7, 0.6, 0.5, 0.45, 0.4, 0.35, 0.3]
    of_b = [0.99 - 0.02 * i for i in range(19)]
    truth = np.array([0] * 9 + [1] * 19)

    found = fit_conformal(PAIR, truth, pair(of_a + [1 - p for p in of_b]), 0.9)

    assert found.thresholds == pytest.approx((0.3, 0.65))
    assert found.counts == (9, 19)
    assert (found.needed, found.always) == (9, ())
    assert found.sets(np.array([[0.3, 0.7], [0.2, 0.8], [0.36, 0.64]])).tolist() == [
        [True, True],
        [False, True],
        [True, False],
    ]


def test_a_class_with_too_few_images_is_in_every_set_and_named() -> None:
    truth = np.array([0] * 8 + [1] * 9)

    found = fit_conformal(PAIR, truth, pair([0.9] * 8 + [0.1] * 9), 0.9)

    assert found.thresholds == pytest.approx((0.0, 0.9))
    assert found.always == ("a",)
    assert to_plain(found)["classes"]["a"] == {"threshold": 0.0, "n": 8, "always": True}
    assert found.sets(np.array([[0.0, 1.0]])).tolist() == [[True, True]]


@pytest.mark.parametrize(("coverage", "needed"), [(0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19)])
def test_how_many_images_a_coverage_needs(coverage: float, needed: int) -> None:
    assert Conformal(coverage, ("a",), (0.0,), (0,)).needed == needed


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_mapie_gives_the_same_sets_class_by_class(coverage: float) -> None:
    class Given(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
        """A fitted classifier whose features are its probabilities."""

        classes_ = np.arange(3)

        def fit(self, _x: Any, _y: Any) -> "Given":
            return self

        def predict_proba(self, x: FloatArray) -> FloatArray:
            return x

        def predict(self, x: FloatArray) -> IntArray:
            return np.asarray(x.argmax(axis=1), dtype=np.int64)

        def __sklearn_is_fitted__(self) -> bool:
            return True

    rng = np.random.default_rng(1)
    truth, probs = draw(rng, 400)
    _, others = draw(rng, 300)
    found = fit_conformal(TREE, truth, predictions(TREE, probs), coverage).sets(others)

    for k in range(3):  # MAPIE knows marginal coverage only: of one class it is the class's own
        own = truth == k
        mapie = SplitConformalClassifier(Given(), confidence_level=coverage)
        with pytest.warns(UserWarning, match="less labels"):
            mapie.conformalize(probs[own], truth[own])
        np.testing.assert_array_equal(found[:, k], mapie.predict_set(others)[1][:, k, 0])


def test_coverage_over_many_splits_follows_the_theory() -> None:
    """Of one split the coverage is Beta-binomial; its mean over 100 splits must be close to that.

    With n validation images of a class and k = ceil((n + 1) coverage), m other ones are covered
    BetaBinomial(m, k, n + 1 - k) times (Angelopoulos and Bates 2023, section 3.2).
    """
    rng = np.random.default_rng(2)
    truth, probs = draw(rng, 900)
    splits, inside, z = 100, 0, []
    for _ in range(splits):
        order = rng.permutation(900)
        half, rest = order[:450], order[450:]
        conformal = fit_conformal(TREE, truth[half], predictions(TREE, probs[half]))
        sets = conformal.sets(probs[rest])
        for k, n in enumerate(conformal.counts):
            rows = truth[rest] == k
            covered, m = int(sets[rows, k].sum()), int(rows.sum())
            rank = int(np.ceil((n + 1) * 0.9 - 1e-9))
            law = stats.betabinom(m, rank, n + 1 - rank)
            inside += law.ppf(0.005) <= covered <= law.ppf(0.995)
            z.append((covered - law.mean()) / m)

    assert inside / (3 * splits) > 0.97
    assert abs(float(np.mean(z))) < 0.01


@given(st.integers(0, 2**31), st.sampled_from([0.7, 0.8, 0.9]))
def test_more_coverage_never_takes_a_class_out_of_a_set(seed: int, coverage: float) -> None:
    rng = np.random.default_rng(seed)
    truth, probs = draw(rng, int(rng.integers(3, 80)))
    fitted = [fit_conformal(TREE, truth, predictions(TREE, probs), c) for c in (coverage, 0.95)]

    fewer, more = (f.sets(probs) for f in fitted)

    assert (more >= fewer).all()
    for k in range(3):  # on the validation images themselves it is exact
        if (truth == k).any():
            assert more[truth == k, k].mean() >= 0.95


def test_measures_by_hand() -> None:
    conformal = Conformal(0.9, ("a", "b"), (0.6, 0.3), (20, 20))
    # the sets: {a}, {b}, {a, b}, {a}, {}: the last by a threshold that both miss
    found = pair([0.9, 0.1, 0.65, 0.8, 0.5])
    strict = Conformal(0.9, ("a", "b"), (0.6, 0.55), (20, 20))
    truth = np.array([0, 0, 1, 0, 1])

    loose = measure_conformal(conformal, truth, found)
    assert loose.covered.value == 4 / 5  # the second image is an a whose set is {b}
    assert loose.covered_by_class["a"].value == 2 / 3
    assert loose.covered_by_class["b"].value == 1.0
    assert loose.set_size.value == pytest.approx(6 / 5)
    assert loose.referred.value == 1 / 5
    assert loose.answered.value == 3 / 4
    assert loose.accuracy.value == 2 / 5
    assert loose.differing.value == 1 / 4  # the last: its set is {b}, a tie predicts a

    tight = measure_conformal(strict, truth, found)
    assert tight.empty.value == 1 / 5
    assert tight.referred.value == 1 / 5


def test_what_is_undefined_says_so() -> None:
    everything = Conformal(0.9, ("a", "b"), (0.0, 0.0), (0, 0))

    found = measure_conformal(everything, np.array([0, 0]), pair([0.9, 0.8]))

    assert found.referred.value == 1.0
    assert found.answered.reason == "every image is referred"
    assert found.covered_by_class["b"].reason == "no image of 'b'"


def test_json_there_and_back() -> None:
    rng = np.random.default_rng(3)
    truth, probs = draw(rng, 200)
    conformal = fit_conformal(TREE, truth, predictions(TREE, probs))
    result = measure_conformal(conformal, truth, predictions(TREE, probs))

    assert again(conformal) == conformal
    assert again(result) == result
    with pytest.raises(ClassifierError, match="Not the thresholds of prediction sets"):
        from_plain(
            Conformal,
            {"coverage": 0.9},
            what="the thresholds of prediction sets",
            error=ClassifierError,
        )


def test_referring_says_why() -> None:
    sets = np.array([[1, 0], [1, 1], [0, 0], [1, 0]], dtype=bool)

    found = refer(sets, np.array([False, False, False, True]))

    assert found.referred.tolist() == [False, True, True, True]
    assert found.reasons == ("", "several classes", "no class", "not such a radiograph")
    assert refer(sets).reasons[3] == ""


def test_refusals() -> None:
    with pytest.raises(EvaluationError, match=r"between 0 and 1, for example 0\.9; got 90"):
        fit_conformal(PAIR, np.array([0]), pair([0.9]), 90)
    conformal = Conformal(0.9, ("a", "b"), (0.5, 0.5), (20, 20))
    with pytest.raises(EvaluationError, match=r"of 2 classes \(a, b\); found .* \(1, 3\)"):
        conformal.sets(np.ones((1, 3)) / 3)
    with pytest.raises(EvaluationError, match="found 2 classes and 1 images"):
        measure_conformal(conformal, np.array([0, 1]), pair([0.9]))
    with pytest.raises(EvaluationError, match="Expected 1 flags"):
        refer(np.ones((1, 2), dtype=bool), np.zeros(2, dtype=bool))
