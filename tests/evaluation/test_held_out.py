"""Tables of held-out predictions, joined by image."""

import numpy as np
import pytest

from hilum.errors import EvaluationError
from hilum.evaluation.evaluate import evaluate_predictions
from hilum.evaluation.files import read_held_out, write_evaluation
from hilum.evaluation.predictions_file import predictions_csv
from hilum.labels import LabelTree
from hilum.predictions import Predictions


def table(path, tree, truth, probs, names):
    probs = np.array(probs, dtype=np.float64)
    decisions = tree.decision_probs(probs)
    predictions = Predictions(tuple(names), probs, decisions, tree.choose(decisions, "route"))
    text = predictions_csv(predictions, tree, truth=np.array(truth))
    path.write_text(text, encoding="utf-8")
    return path


def test_one_table_comes_back_as_it_is(tmp_path, tree, published):
    truth, predictions = published
    path = tmp_path / "predictions.csv"
    path.write_text(predictions_csv(predictions, tree, truth=truth), encoding="utf-8")
    found_truth, found = read_held_out([path], tree)
    assert (found_truth == truth).all()
    assert found.names == predictions.names
    assert (found.probs == predictions.probs).all()
    assert (found.predicted == predictions.predicted).all()
    for name, probs in predictions.decision_probs.items():
        assert found.decision_probs[name] == pytest.approx(probs)


def test_several_tables_are_averaged_by_image(tmp_path):
    tree = LabelTree.from_text("a, b")
    one = table(tmp_path / "1.csv", tree, [0, 1], [[0.9, 0.1], [0.4, 0.6]], ["x", "y"])
    two = table(tmp_path / "2.csv", tree, [1, 1], [[0.8, 0.2], [0.5, 0.5]], ["y", "z"])
    truth, found = read_held_out([one, two], tree)
    assert found.names == ("x", "y", "z")
    assert truth.tolist() == [0, 1, 1]
    assert found.probs == pytest.approx(np.array([[0.9, 0.1], [0.6, 0.4], [0.5, 0.5]]))
    assert found.predicted.tolist() == [0, 0, 0]
    assert found.decision_probs["root"] == pytest.approx(found.probs)


def test_tables_of_other_data_are_refused(tmp_path):
    tree = LabelTree.from_text("a, b")
    one = table(tmp_path / "1.csv", tree, [0], [[0.9, 0.1]], ["x"])
    two = table(tmp_path / "2.csv", tree, [1], [[0.8, 0.2]], ["x"])
    with pytest.raises(EvaluationError, match=r"2\.csv: 'x' is of b, but in .*1\.csv of a"):
        read_held_out([one, two], tree)
    with pytest.raises(EvaluationError, match="its classes are a, b; expected b, a"):
        read_held_out([one], LabelTree.from_text("b, a"))
    with pytest.raises(EvaluationError, match="at least one table"):
        read_held_out([], tree)
    with pytest.raises(EvaluationError, match="Cannot read"):
        read_held_out([tmp_path / "none.csv"], tree)


@pytest.mark.parametrize(
    ("split", "data", "fits"),
    [("val", "A", True), ("train", "A", False), ("all", "A", False), ("all", "B", True)],
)
def test_images_that_were_trained_on_are_refused(tmp_path, tree, published, split, data, fits):
    truth, predictions = published
    evaluation = evaluate_predictions(
        tree, truth, predictions, rule="route", strategy="cascade", split=split,
        data={"fingerprint": data}, classifier={"data": {"fingerprint": "A"}},
    )  # fmt: skip
    write_evaluation(evaluation, truth, predictions, tree, tmp_path)
    if fits:
        assert len(read_held_out([tmp_path / "predictions.csv"], tree)[1]) == 24
    else:
        with pytest.raises(EvaluationError, match=f"of the split {split}, which the classifier"):
            read_held_out([tmp_path / "predictions.csv"], tree)
