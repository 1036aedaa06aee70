import csv
import json
import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hilum.codec import to_plain
from hilum.errors import EvaluationError
from hilum.evaluation.evaluate import evaluate_predictions
from hilum.evaluation.files import read_evaluation, write_evaluation
from hilum.evaluation.predictions_file import predictions_csv, read_predictions
from hilum.labels import LabelTree
from hilum.predictions import Predictions


def case(tree, n, seed=0):
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, len(tree.classes), n)
    probs = {d.name: generator.dirichlet(np.ones(len(d.options)), n) for d in tree.decisions}
    names = tuple(f"val/{i}.png" for i in range(n))
    predictions = Predictions(names, tree.leaf_probs(probs), probs, tree.choose(probs, "route"))
    return truth, predictions


def write(tree, given, out, names=None):
    truth, predictions = given
    evaluation = evaluate_predictions(
        tree, truth, predictions, rule="route", strategy="cascade", split="val"
    )
    named = replace(predictions, names=tuple(names or predictions.names))
    write_evaluation(evaluation, truth, named, tree, out)
    return evaluation


def test_columns_and_first_line(tree, published, tmp_path):
    write(tree, published, tmp_path / "new" / "val")
    with (tmp_path / "new" / "val" / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24
    assert rows[7] == {
        "path": "val/7.png", "truth": "normal", "predicted": "covid", "correct": "0",
        "p(normal)": "0.25", "p(covid)": "0.5625", "p(non-covid)": "0.1875",
        "root/normal": "0.25", "root/infected": "0.75",
        "infected/covid": "0.75", "infected/non-covid": "0.25",
    }  # fmt: skip
    assert sorted(p.name for p in (tmp_path / "new" / "val").iterdir()) == [
        "evaluation.json",
        "predictions.csv",
    ]


def test_everything_comes_back_to_the_last_bit(tree, tmp_path):
    truth, predictions = case(tree, 50)
    evaluation = write(tree, (truth, predictions), tmp_path)
    assert read_evaluation(tmp_path / "evaluation.json") == evaluation
    truth_back, back = read_predictions(tmp_path / "predictions.csv")
    assert back.names == predictions.names
    assert (truth_back == truth).all()
    assert (back.predicted == predictions.predicted).all()
    assert (back.probs == predictions.probs).all()
    assert list(back.decision_probs) == ["root", "infected"]
    for name, probs in predictions.decision_probs.items():
        assert (back.decision_probs[name] == probs).all()


def test_predictions_without_a_truth(tree, published):
    lines = predictions_csv(published[1], tree).splitlines()
    assert len(lines) == 25
    assert lines[0].startswith('"path","predicted","p(normal)"')
    assert lines[8] == '"val/7.png","covid",0.25,0.5625,0.1875,0.25,0.75,0.75,0.25'


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "'"])
def test_no_cell_is_a_formula_and_the_path_comes_back(start, tmp_path):
    tree = LabelTree.from_text("normal, -x(@a, b c)")
    names = [f'{start}cmd("calc"), 1/a.png', "plain.png", "<img onerror=alert(1)>.png"]
    truth, predictions = case(tree, 3)
    write(tree, (truth, predictions), tmp_path, names)
    with (tmp_path / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[1][0] == "'" + names[0]
    assert "'-x/@a" in rows[0]
    assert not any(cell.startswith(tuple("=+-@\t\r\n")) for row in rows for cell in row)
    truth_back, back = read_predictions(tmp_path / "predictions.csv")
    assert list(back.names) == names
    assert (truth_back == truth).all()
    assert list(back.decision_probs) == ["root", "-x"]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(name=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_any_name_survives(name, tmp_path):
    tree = LabelTree.from_text("a, b")
    truth, predictions = case(tree, 1)
    write(tree, (truth, predictions), tmp_path, [name])
    assert read_predictions(tmp_path / "predictions.csv")[1].names == (name,)


def test_a_name_that_is_not_utf_8_survives(tree, tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    truth, predictions = case(tree, 1)
    write(tree, (truth, predictions), tmp_path, [name])
    assert read_predictions(tmp_path / "predictions.csv")[1].names == (name,)


def test_text_of_the_json_is_the_issue_s_shape(tree, published, tmp_path):
    write(tree, published, tmp_path)
    data = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    assert list(data)[:4] == ["format", "n", "split", "classes"]
    assert list(data["decisions"]) == ["root", "infected"]
    assert data["decisions"]["infected"]["errors_caused"] == 4


def test_parts_that_do_not_fit_together_are_refused(tree, published, tmp_path):
    truth, predictions = published
    evaluation = write(tree, (truth, predictions), tmp_path)
    with pytest.raises(EvaluationError, match="23 images"):
        write_evaluation(evaluation, truth, predictions.take(slice(1, None)), tree, tmp_path)
    other_truth, other = case(tree, 5)
    with pytest.raises(EvaluationError, match="evaluation of 24 images"):
        write_evaluation(evaluation, other_truth, other, tree, tmp_path)


def test_a_failed_write_names_the_file_and_leaves_the_old_one(
    tree, published, tmp_path, monkeypatch
):
    evaluation = write(tree, published, tmp_path)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EvaluationError, match=r"predictions\.csv: No space left on device"):
        write(tree, case(tree, 4), tmp_path)
    assert read_evaluation(tmp_path / "evaluation.json") == evaluation
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "Not an evaluation in format 1"),
        ('{"format": 2}', "Not an evaluation in format 1"),
        ('{"format": 1, "n": 3}', "lacks the key 'split'"),
    ],
)
def test_damaged_json_is_refused(text, message, tmp_path):
    path = tmp_path / "evaluation.json"
    path.write_text(text)
    with pytest.raises(EvaluationError, match=message):
        read_evaluation(path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"accuracy": 0.8}, "wrong kind"),
        ({"confusion_matrix": [[7, 1, 0], [0, 8], [0, 4, 4]]}, "should be 3 rows of 3 counts"),
    ],
)
def test_json_of_the_wrong_kind_is_refused(tree, published, tmp_path, changed, message):
    data = to_plain(write(tree, published, tmp_path))
    (tmp_path / "evaluation.json").write_text(json.dumps({**data, **changed}))
    with pytest.raises(EvaluationError, match=message):
        read_evaluation(tmp_path / "evaluation.json")


def test_a_measure_that_is_newer_than_the_file_is_undefined(tree, published, tmp_path):
    evaluation = write(tree, published, tmp_path)
    data = to_plain(evaluation)
    for measured in (data, *data["decisions"].values()):
        del measured["matthews_correlation"]
    (tmp_path / "evaluation.json").write_text(json.dumps(data))
    found = read_evaluation(tmp_path / "evaluation.json")
    assert found.accuracy == evaluation.accuracy
    for measured in (found, *found.decisions.values()):
        missing = measured.overall["matthews_correlation"]
        assert missing.value is None
        assert missing.reason == "not measured: the file was written by an earlier version"


HEADER = "path,truth,predicted,correct,p(a),p(b),root/a,root/b\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found none"),
        ("path,truth\n", "expected the columns path, truth, predicted, correct"),
        (HEADER + "x.png,a,b,0,0.5\n", "row 2: expected 8 cells"),
        (HEADER + "x.png,a,c,0,0.5,0.5,0.5,0.5\n", "labels among a, b"),
        (HEADER + "x.png,a,b,0,0.5,half,0.5,0.5\n", "finite numbers"),
        (HEADER + "x.png,a,b,0,0.5,nan,0.5,0.5\n", "finite numbers"),
        (HEADER + '"x.png,a', "comma-separated"),
    ],
)
def test_damaged_tables_are_refused(text, message, tmp_path):
    path = tmp_path / "predictions.csv"
    path.write_text(text)
    with pytest.raises(EvaluationError, match=message):
        read_predictions(path)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(EvaluationError, match=r"none\.json: No such file"):
        read_evaluation(tmp_path / "none.json")
    with pytest.raises(EvaluationError, match=r"none\.csv: No such file"):
        read_predictions(tmp_path / "none.csv")
