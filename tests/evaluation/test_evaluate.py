import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from hilum.codec import to_plain
from hilum.errors import EvaluationError
from hilum.evaluation.evaluate import evaluate_predictions
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from tests.calls import count_calls
from tests.plain import again


def evaluate(tree, truth, predictions, **options):
    settings = {"rule": "route", "strategy": "cascade", "split": "val", **options}
    return evaluate_predictions(tree, truth, predictions, **settings)


def caused(evaluation):
    return {name: decision.errors_caused for name, decision in evaluation.decisions.items()}


def random_case(tree, n, seed):
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, len(tree.classes), n)
    probs = {d.name: generator.dirichlet(np.ones(len(d.options)), n) for d in tree.decisions}
    predictions = Predictions(("",) * n, tree.leaf_probs(probs), probs, tree.choose(probs, "route"))
    return truth, predictions


def test_published_example(tree, published):
    truth, predictions = published
    notes = ["The test set was used during training."]
    evaluation = evaluate(tree, truth, predictions, notes=notes, data={"name": "chest"})
    data = to_plain(evaluation)
    assert (data["n"], data["split"]) == (24, "val")
    assert data["classes"] == ["normal", "covid", "non-covid"]
    assert data["confusion_matrix"] == [[7, 1, 0], [0, 8, 0], [0, 4, 4]]
    accuracy = {k: round(v, 4) if isinstance(v, float) else v for k, v in data["accuracy"].items()}
    assert accuracy == {
        "value": 0.7917, "low": 0.5953, "high": 0.9076, "n": 24, "method": "wilson"
    }  # fmt: skip
    covid = data["per_class"]["covid"]
    assert list(covid) == ["precision", "recall", "specificity", "f1", "auroc", "support"]
    assert covid["support"] == 8
    assert (covid["precision"]["value"], covid["precision"]["n"]) == (pytest.approx(8 / 13), 13)
    assert (covid["recall"]["value"], covid["recall"]["n"]) == (1, 8)
    assert (covid["specificity"]["value"], covid["specificity"]["n"]) == (11 / 16, 16)
    assert covid["f1"]["value"] == pytest.approx(16 / 21)
    assert covid["f1"]["method"] == covid["auroc"]["method"] == "bootstrap"
    assert (data["rule"], data["strategy"]) == ("route", "cascade")
    assert data["notes"] == notes
    assert data["data"] == {"name": "chest"}


def test_each_decision_is_evaluated_alone_on_its_images(tree, published):
    evaluation = evaluate(tree, *published)
    root, infected = evaluation.decisions["root"], evaluation.decisions["infected"]
    assert (root.options, root.n) == (("normal", "infected"), 24)
    assert root.confusion_matrix == ((7, 1), (0, 16))
    assert (infected.options, infected.n) == (("covid", "non-covid"), 16)
    assert infected.confusion_matrix == ((8, 0), (4, 4))
    assert infected.accuracy.value == 12 / 16
    assert infected.per_option["non-covid"].recall.value == 4 / 8
    # 0.75 against 0.25: of 64 pairs, 32 won, 32 tied.
    assert infected.per_option["covid"].auroc.value == 0.75


def test_errors_are_counted_for_the_decision_where_the_paths_part(tree, published):
    evaluation = evaluate(tree, *published)
    assert evaluation.errors == 5
    assert caused(evaluation) == {"root": 1, "infected": 4}


def test_a_decision_is_judged_on_images_that_an_earlier_one_lost(tree):
    # A covid image that root calls normal, though 'infected' would have said covid.
    decision_probs = {"root": np.array([[0.9, 0.1]]), "infected": np.array([[0.8, 0.2]])}
    predictions = Predictions(
        ("a.png",), tree.leaf_probs(decision_probs), decision_probs, np.array([0])
    )
    evaluation = evaluate(tree, np.array([1]), predictions)
    assert evaluation.decisions["root"].accuracy.value == 0
    assert evaluation.decisions["infected"].accuracy.value == 1
    assert caused(evaluation) == {"root": 1, "infected": 0}


def test_undefined_measures_are_null_with_a_reason(tree):
    # Two normals, both called normal: nothing infected anywhere.
    decision_probs = {"root": np.array([[0.9, 0.1]] * 2), "infected": np.array([[0.5, 0.5]] * 2)}
    predictions = Predictions(
        ("", ""), tree.leaf_probs(decision_probs), decision_probs, np.array([0, 0])
    )
    data = to_plain(evaluate(tree, np.array([0, 0]), predictions))
    covid, normal = data["per_class"]["covid"], data["per_class"]["normal"]
    none_predicted = "no image was predicted as covid"
    assert covid["precision"] == {"value": None, "reason": none_predicted, "n": 2}
    assert covid["recall"]["reason"] == covid["f1"]["reason"] == "no image of covid"
    assert covid["auroc"]["value"] is None
    assert covid["specificity"]["value"] == 1
    assert normal["specificity"]["reason"] == "no image of a class other than normal"
    assert data["balanced_accuracy"]["reason"] == "no image of covid, non-covid"
    assert data["decisions"]["infected"]["n"] == 0
    assert data["decisions"]["infected"]["accuracy"]["value"] is None


def test_a_perfect_auroc_claims_no_certainty(tree):
    probs = {"root": np.array([[0.9, 0.1]] * 3 + [[0.1, 0.9]] * 6),
             "infected": np.array([[0.9, 0.1]] * 6 + [[0.1, 0.9]] * 3)}  # fmt: skip
    predictions = Predictions(("",) * 9, tree.leaf_probs(probs), probs, tree.choose(probs, "route"))
    evaluation = evaluate(tree, np.repeat([0, 1, 2], 3), predictions)
    auroc = evaluation.overall["macro_auroc"]
    assert (auroc.value, auroc.low, auroc.high) == (1, None, None)
    assert "same value" in to_plain(evaluation)["macro_auroc"]["reason"]
    assert evaluation.accuracy.low < 0.75


def test_flat_predictions_are_evaluated_at_each_decision_too(tree):
    leaf_probs = np.array([[0.40, 0.35, 0.25], [0.2, 0.5, 0.3]])
    predictions = Predictions(
        ("", ""), leaf_probs, tree.decision_probs(leaf_probs), leaf_probs.argmax(axis=1)
    )
    evaluation = evaluate(tree, np.array([1, 2]), predictions, rule="argmax", strategy="flat")
    # The first is called normal, though infected is more probable (0.6): the class counts as the
    # root's error, while root alone would have been right.
    assert caused(evaluation) == {"root": 1, "infected": 1}
    assert evaluation.decisions["root"].accuracy.value == 1
    assert evaluation.strategy == "flat"


@pytest.mark.parametrize(
    "text", ["a, b", "normal, infected(covid, non-covid)", "a(b(c, d, e), f), g(h, i)"]
)
@settings(max_examples=8, deadline=None)
@given(n=st.integers(1, 40), seed=st.integers(0, 1000))
def test_what_holds_for_any_predictions(text, n, seed):
    tree = LabelTree.from_text(text)
    truth, predictions = random_case(tree, n, seed)
    evaluation = evaluate(tree, truth, predictions)
    assert sum(map(sum, evaluation.confusion_matrix)) == n
    assert sum(caused(evaluation).values()) == evaluation.errors
    assert evaluation.errors == (truth != predictions.predicted).sum()
    assert sum(m.support for m in evaluation.per_class.values()) == n
    assert evaluation.decisions["root"].n == n
    for measures in evaluation.per_class.values():
        for name in ("precision", "recall", "specificity", "f1", "auroc"):
            estimate = getattr(measures, name)
            if estimate.value is None:
                assert estimate.reason
            elif estimate.low is None:
                assert estimate.reason.startswith("no interval")
            else:
                assert 0 <= estimate.low <= estimate.high <= 1
                assert 0 <= estimate.value <= 1
    assert again(evaluation) == evaluation


def test_values_agree_with_scikit_learn(tree):
    truth, predictions = random_case(tree, 624, seed=5)
    evaluation = evaluate(tree, truth, predictions)
    for k, measures in enumerate(evaluation.per_class.values()):
        area = oracle.roc_auc_score(truth == k, predictions.probs[:, k])
        assert measures.auroc.value == pytest.approx(area)
        assert measures.auroc.low < area < measures.auroc.high
        f1 = oracle.f1_score(truth == k, predictions.predicted == k)
        assert measures.f1.value == pytest.approx(f1)
        assert measures.f1.low < f1 < measures.f1.high
    balanced = oracle.balanced_accuracy_score(truth, predictions.predicted)
    assert evaluation.overall["balanced_accuracy"].value == pytest.approx(balanced)


def test_resamples_are_taken_together(tree):
    """2,000 resamples, each measured by itself, would be hundreds of thousands of calls."""
    truth, predictions = random_case(tree, 624, seed=5)

    assert count_calls(lambda: evaluate(tree, truth, predictions)) < 30_000


def changed(predictions, **fields):
    return dataclasses.replace(predictions, **fields)


def test_refusals_are_one_clear_sentence(tree, published):
    truth, predictions = published
    nan = predictions.probs.copy()
    nan[2, 1] = np.nan
    doubled = {**predictions.decision_probs, "root": predictions.decision_probs["root"] * 2}
    empty = Predictions(
        (), np.empty((0, 3)), {"root": np.empty((0, 2)), "infected": np.empty((0, 2))},
        np.empty(0, dtype=np.int64),
    )  # fmt: skip
    cases = [
        (truth[:-1], predictions, "one true class per image"),
        (np.empty(0, dtype=np.int64), empty, "no images to evaluate"),
        (truth + 1, predictions, "a true class is 3"),
        (truth.astype(float), predictions, "must be integers"),
        (truth, changed(predictions, predicted=predictions.predicted - 1), "predicted class is -1"),
        (truth, changed(predictions, predicted=predictions.predicted[:3]), "24 predicted classes"),
        (truth, changed(predictions, probs=nan), r"val/2\.png are \[.*nan"),
        (truth, changed(predictions, probs=predictions.probs[:, :2]), r"shape \(24, 3\)"),
        (truth, changed(predictions, decision_probs=doubled), "decision 'root' must lie"),
        (truth, changed(predictions, decision_probs={}), "lack the decision 'root'"),
    ]
    for given_truth, given_predictions, message in cases:
        with pytest.raises(EvaluationError, match=message):
            evaluate(tree, given_truth, given_predictions)
