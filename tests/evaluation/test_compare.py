"""Runs compared by their predictions, and runs in a table."""

import json
import re
import shutil

import numpy as np
import pytest

import hilum
from hilum.errors import EvaluationError
from hilum.evaluation.compare import compare
from hilum.evaluation.evaluate import evaluate_predictions
from hilum.evaluation.files import write_evaluation
from hilum.evaluation.overview import list_runs
from hilum.evaluation.predictions_file import read_told
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.statistics.comparison import delong, mcnemar_exact
from tests.command import run_command

TREE = LabelTree.from_text("normal, infected(covid, non-covid)")


def make(folder, seed, *, n=90, sharp=2.0, tree=TREE, split="test", order=None):
    """An evaluation of n images, in which truth raises the true class's logit by `sharp`."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % 3
    logits = rng.normal(size=(n, 3)) + sharp * np.eye(3)[truth]
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    of = [TREE.classes.index(name) for name in tree.classes]
    truth = np.argsort(of)[truth]
    rows = np.arange(n) if order is None else order
    probs, truth = probs[:, of][rows], truth[rows]
    predictions = Predictions(
        tuple(f"test/{i}.png" for i in rows), probs, tree.decision_probs(probs), probs.argmax(1)
    )
    found = evaluate_predictions(
        tree, truth, predictions, rule="argmax", strategy="flat", split=split
    )
    write_evaluation(found, truth, predictions, tree, folder / "evaluation" / split)
    return truth, predictions, found


def test_every_table_of_predictions_is_read_once(tmp_path, monkeypatch):
    read, names = [], ["first", "second", "third"]
    for seed, name in enumerate(names):
        make(tmp_path / name, seed)

    def noted(path):
        read.append(path.parts[-4])
        return read_told(path)

    monkeypatch.setattr("hilum.evaluation.compare.read_told", noted)

    pairs = compare(*(tmp_path / name for name in names))

    assert [(pair.a, pair.b) for pair in pairs] == [("first", "second"), ("first", "third")]
    assert read == names


def test_two_runs_are_compared_without_a_look(tmp_path, monkeypatch, capsys):
    truth, one, first = make(tmp_path / "weak", 0, sharp=1.0)
    turned = LabelTree.from_text("infected(non-covid, covid), normal")
    order = np.random.default_rng(1).permutation(90)
    make(tmp_path / "strong", 0, sharp=4.0, tree=turned, order=order)  # other orders of all
    _, two, second = make(tmp_path / "twin", 0, sharp=4.0)

    (pair,) = compare(tmp_path / "weak", tmp_path / "strong")

    (same,) = hilum.compare(str(tmp_path / "weak"), tmp_path / "twin", split="test")
    assert pair.differences == same.differences
    rows = {d.name: d for d in pair.differences}
    accuracy = rows["Accuracy"]
    assert accuracy.a == first.accuracy.value
    assert accuracy.b == second.accuracy.value
    assert accuracy.difference.value == pytest.approx(accuracy.b - accuracy.a)
    assert accuracy.difference.excludes_zero
    test = mcnemar_exact(one.predicted == truth, two.predicted == truth)
    assert accuracy.p == test.p == pair.mcnemar.p
    for key in ("macro_auroc", "matthews_correlation", "balanced_accuracy"):
        row = pair.differences[list(first.overall).index(key)]
        assert (row.a, row.b) == pytest.approx(
            (first.overall[key].value, second.overall[key].value)
        )
    oracle = delong(truth == 1, two.probs[:, 1], one.probs[:, 1])
    assert rows["AUROC of covid"].p == pytest.approx(oracle.p)
    assert rows["AUROC of covid"].difference.value == pytest.approx(oracle.difference.value)
    assert pair.sentence.startswith("strong is more accurate than weak on test (90 images): +0.")
    assert repr(pair) == pair.sentence
    assert "AUROC of covid" in pair._repr_html_()

    code, out, _ = run_command(monkeypatch, capsys, "compare", tmp_path / "weak", tmp_path / "twin")
    assert code == 0
    assert re.search(r"^Accuracy +[01]\.\d{3} +[01]\.\d{3} +\+0\.\d{3} \(0\.", out, re.M)
    assert "twin is more accurate than weak" in out
    assert "another seed may turn a difference round" in out
    code, out, _ = run_command(
        monkeypatch, capsys, "compare", tmp_path / "weak", tmp_path / "twin", "--json"
    )
    (found,) = json.loads(out)["comparisons"]
    assert found["sentence"].startswith("twin is more accurate")


def test_several_runs_are_adjusted_for_each_other(tmp_path):
    for k, name in enumerate("abc"):
        make(tmp_path / name, k)
    pairs = compare(*(tmp_path / name for name in "abc"))
    assert [(p.a, p.b) for p in pairs] == [("a", "b"), ("a", "c")]
    assert min(p.p_adjusted for p in pairs) == min(1, 2 * min(p.mcnemar.p for p in pairs))
    assert all("is not shown on test (90 images)" in p.sentence for p in pairs)


def test_what_cannot_be_compared(tmp_path):
    make(tmp_path / "a", 0)
    make(tmp_path / "fewer", 0, n=60)
    make(tmp_path / "val", 0, split="val")
    make(tmp_path / "named/a", 1)
    (tmp_path / "empty").mkdir()
    for others, said in {
        (): "two runs or more",
        ("fewer",): r"other images \(90 and 60, of which 60 are the same\)",
        ("val",): "Not all of them were evaluated on the same images. There are: .*a: test; ",
        ("empty",): "holds no predictions. Evaluate it first: hilum evaluate",
    }.items():
        with pytest.raises(EvaluationError, match=said):
            compare(tmp_path / "a", *(tmp_path / other for other in others))
    with pytest.raises(EvaluationError, match="evaluated on 'all'"):
        compare(tmp_path / "a", tmp_path / "a", split="all")
    table = tmp_path / "a/evaluation/test/predictions.csv"
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    lines = table.read_text().splitlines()
    lines[1] = lines[1].replace('"normal"', '"covid"', 1)
    table.write_text("\n".join(lines))
    with pytest.raises(EvaluationError, match="other labels of one image"):
        compare(tmp_path / "a", tmp_path / "b")
    (pair,) = compare(tmp_path / "b", tmp_path / "named/a")
    assert (pair.a, pair.b) == ("b", "a")


def test_runs_in_a_table(tmp_path, monkeypatch, capsys):
    for name, recipe, sharp in (("one", "default", 1.0), ("two", "quick", 4.0)):
        make(tmp_path / "runs" / name, 0, sharp=sharp)
        make(tmp_path / "runs" / name, 0, sharp=9.0, split="val")
        facts = {"name": recipe, "data": {"name": "spots"}, "finished": None, "seconds": 61.0}
        (tmp_path / "runs" / name / "run.json").write_text(json.dumps(facts))
    (tmp_path / "runs/three").mkdir()
    (tmp_path / "runs/three/run.json").write_text("{")

    rows = list_runs(tmp_path / "runs", sort="accuracy")

    assert [row.recipe for row in rows] == ["quick", "default", ""]
    assert {row.split for row in rows[:2]} == {"test"}
    assert "damaged" in rows[2].note
    (only,) = list_runs(tmp_path / "runs", where=["recipe=Def", "data=spot"])
    assert only.run.endswith("one")
    with pytest.raises(EvaluationError, match="Did you mean 'accuracy'"):
        list_runs(tmp_path / "runs", sort="acuracy")
    with pytest.raises(EvaluationError, match="no filter; write recipe=default"):
        list_runs(tmp_path / "runs", where=["x=1"])
    monkeypatch.chdir(tmp_path)
    code, out, err = run_command(monkeypatch, capsys, "runs", "--sort", "accuracy")
    assert (code, "not finished" in out, "damaged" in err) == (0, True, True)
    assert out.index("two ") < out.index("one ")
    code, out, _ = run_command(monkeypatch, capsys, "runs", "--json")
    assert [row["split"] for row in json.loads(out)] == ["test", None, "test"]
    assert run_command(monkeypatch, capsys, "runs", "nowhere")[0] == 2
