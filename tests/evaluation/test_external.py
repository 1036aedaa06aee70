"""The drop on external data: by hand, and against Newcombe's interval."""

import math
from dataclasses import replace

import numpy as np
import pytest
from statsmodels.stats.proportion import confint_proportions_2indep

from hilum.codec import from_plain
from hilum.errors import EvaluationError
from hilum.evaluation.evaluate import evaluate, evaluate_predictions
from hilum.evaluation.external import ExternalDrop, compare_external
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.radiographs.dataset import open_dataset
from hilum.radiographs.label_map import parse_label_map
from tests.plain import again
from tests.spots import write_spots
from tests.untrained import untrained

TREE = LabelTree.from_text("a, b")


def evaluation(matrix, tree=TREE, name="home", **more):
    """An evaluation with a confusion matrix; probabilities favour the predicted class."""
    size = len(tree.classes)
    cells = [(i, j) for i in range(size) for j in range(size) for _ in range(matrix[i][j])]
    truth, predicted = (np.array([cell[k] for cell in cells], dtype=np.int64) for k in (0, 1))
    # different in every image, so that the AUROCs are not all of ties
    sure = np.linspace(0.55, 0.95, len(cells))[:, None]
    probs = np.where(predicted[:, None] == np.arange(size), sure, (1 - sure) / (size - 1))
    decisions = tree.decision_probs(probs)
    predictions = Predictions(("",) * len(cells), probs, decisions, predicted)
    facts = {"name": name, "fingerprint": name}
    return evaluate_predictions(
        tree, truth, predictions,
        **{"rule": "argmax", "strategy": "flat", "split": "test", "data": facts} | more,
    )  # fmt: skip


HOME = evaluation([[90, 10], [20, 80]])
AWAY = evaluation([[30, 20], [5, 45]], name="away")


def named(found):
    return {drop.name: drop for drop in found.drops}


def test_proportions_get_newcombes_interval():
    drops = named(compare_external(HOME, AWAY))
    cases = {
        "accuracy": (170, 200, 75, 100), "recall of a": (90, 100, 30, 50),
        "recall of b": (80, 100, 45, 50), "specificity of a": (80, 100, 45, 50),
    }  # fmt: skip
    for name, counts in cases.items():
        low, high = confint_proportions_2indep(*counts, method="newcomb", compare="diff")
        drop = drops[name].drop
        assert drop.value == pytest.approx(counts[0] / counts[1] - counts[2] / counts[3])
        assert (drop.low, drop.high) == pytest.approx((low, high))


def test_other_measures_combine_their_own_intervals():
    drops = named(compare_external(HOME, AWAY))
    assert list(drops) == [
        "accuracy", "balanced accuracy", "macro AUROC", "recall of a", "recall of b",
        "specificity of a", "specificity of b", "AUROC of a", "AUROC of b",
    ]  # fmt: skip
    for name in ("balanced accuracy", "macro AUROC"):
        drop = drops[name]
        below = math.hypot(drop.internal.value - drop.internal.low,
                           drop.external.high - drop.external.value)  # fmt: skip
        assert drop.drop.low == pytest.approx(drop.drop.value - below)
    assert drops["balanced accuracy"].drop.value == pytest.approx(0.85 - 0.75)


def test_sentences_say_what_the_data_show():
    drops = named(compare_external(HOME, AWAY))
    assert drops["recall of a"].shown
    assert drops["recall of a"].sentence.startswith("recall of a: 0.90 (0.83 to 0.94) inside, 0.60")
    low, high = drops["recall of a"].drop.low, drops["recall of a"].drop.high
    bounds = f"({low:.3f} to {high:.3f})."
    assert drops["recall of a"].sentence.endswith(f" outside: lower by 0.300 {bounds}")
    better = named(compare_external(AWAY, HOME))["recall of a"]
    assert better.sentence.endswith(f" outside: higher by 0.300 {bounds}")
    assert not drops["recall of b"].shown
    same = drops["recall of b"].drop  # 80 of 100 against 45 of 50: 0.1 higher outside
    assert same.value == pytest.approx(-0.1)
    assert drops["recall of b"].sentence.endswith(
        f"(outside less inside {-same.high:.3f} to +{-same.low:.3f})."
    )


def test_a_class_that_is_missing_outside():
    tree = LabelTree.from_text("a, b, c")
    home = evaluation([[8, 2, 0], [1, 9, 0], [5, 0, 15]], tree)
    away = evaluation([[6, 3, 1], [2, 8, 0], [0, 0, 0]], tree, "away")
    found = compare_external(home, away)
    drops = named(found)
    assert found.missing == ("c",)
    shared = drops["accuracy on a, b"]
    assert (shared.internal.value, shared.internal.n) == (17 / 20, 20)
    assert (shared.external.value, shared.external.n) == (14 / 20, 20)
    assert drops["balanced accuracy"].drop.value is None
    assert drops["recall of c"].sentence == "recall of c: not compared (no image of c)."
    assert drops["recall of b"].drop.value == pytest.approx(0.1)
    assert "no image of c" in found.notes[0]
    assert len(found.notes) == 1  # of a and b both hold one half


def test_another_mix_of_classes_is_told():
    (note,) = compare_external(HOME, evaluation([[20, 5], [30, 45]], name="away")).notes
    assert "(inside a 50 %, b 50 %; outside a 25 %, b 75 %)" in note
    assert compare_external(HOME, AWAY).notes == ()


def test_the_result_can_be_kept():
    found = compare_external(HOME, AWAY)
    assert found.external == {"name": "away", "fingerprint": "away", "split": "test", "n": 100}
    assert again(found) == found
    with pytest.raises(EvaluationError, match="Not a comparison with external data"):
        from_plain(ExternalDrop, {}, what="a comparison with external data", error=EvaluationError)


def test_from_folders_with_other_labels_to_the_drop(tmp_path):
    own = open_dataset(write_spots(tmp_path / "own", {"train": 2, "val": 3}))
    elsewhere = write_spots(tmp_path / "elsewhere", {"train": 5}, seed=1) / "train"
    (elsewhere / "normal").rename(elsewhere / "No_findings")
    other = open_dataset(
        elsewhere, tree=own.tree, every_class=False,
        rename=parse_label_map("No_findings=normal, non-covid=-", own.tree),
    )  # fmt: skip
    classifier = untrained(own)
    inside, outside = evaluate(classifier, own, "val"), evaluate(classifier, other, "all")
    assert outside.per_class["non-covid"].recall.value is None
    found = compare_external(inside, outside)
    assert found.missing == ("non-covid",)
    assert found.drops[0].name == "accuracy on normal, covid"
    assert found.drops[0].drop.n == 6 + 10
    assert found.external["name"] == "train"


def test_only_like_is_compared():
    with pytest.raises(EvaluationError, match="same data .home."):
        compare_external(HOME, HOME)
    with pytest.raises(EvaluationError, match="different classifiers or rules"):
        compare_external(HOME, replace(AWAY, rule="route"))
    with pytest.raises(EvaluationError, match="different classifiers or rules"):
        compare_external(HOME, replace(AWAY, classifier={"name": "other"}))
    other = evaluation([[1, 1], [1, 1]], LabelTree.from_text("a, c"), "away")
    with pytest.raises(EvaluationError, match="of a, b, the external one of a, c"):
        compare_external(HOME, other)
