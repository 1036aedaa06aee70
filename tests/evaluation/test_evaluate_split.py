"""evaluate: a classifier over a split of a data set, with what a reader must know."""

import json
from dataclasses import replace

import pytest

from hilum.errors import DataError, EvaluationError
from hilum.evaluation.evaluate import evaluate
from hilum.evaluation.files import read_evaluation
from hilum.evaluation.predictions_file import read_predictions
from hilum.labels import LabelTree
from hilum.radiographs.dataset import open_dataset
from hilum.training.run import train


@pytest.fixture
def trained(tmp_path, spots, recipe):
    return train(spots, recipe("epochs=1"), tmp_path / "run")


def test_writes_and_returns_the_same(tmp_path, spots, trained):
    result = evaluate(trained, spots, "val", out=tmp_path / "out")
    assert read_evaluation(tmp_path / "out/evaluation.json") == result
    truth, predictions = read_predictions(tmp_path / "out/predictions.csv")
    assert predictions.names == tuple(r.name for r in spots.records if r.split == "val")
    assert (truth == spots.labels[spots.indices("val")]).all()
    data = json.loads((tmp_path / "out/evaluation.json").read_text())
    assert data["n"] == 12
    assert data["data"]["fingerprint"] == spots.fingerprint
    assert data["classifier"]["name"] == "quick"


def test_the_rule_can_be_changed(spots, trained):
    assert evaluate(trained, spots, "val", rule="argmax").rule == "argmax"
    assert trained.rule == "route"


def test_says_what_a_reader_must_know(spots, trained):
    assert evaluate(trained, spots, "val").notes == ()
    seen = evaluate(trained, spots, "all")
    assert seen.n == 48
    assert any("trained on" in note for note in seen.notes)
    synthetic = replace(spots, synthetic=True)
    assert any("phantoms" in note for note in evaluate(trained, synthetic, "val").notes)
    trained.provenance |= {"selects_best": ["root"]}
    assert any("chose the epoch of root" in n for n in evaluate(trained, spots, "val").notes)


def test_other_labels_and_missing_splits_are_refused(spots, trained):
    other = open_dataset(spots.root, tree=LabelTree.from_text("normal, covid, non-covid"))
    with pytest.raises(EvaluationError, match="The classifier decides between"):
        evaluate(trained, other, "val")
    with pytest.raises(DataError, match="no split 'test'; found train, val"):
        evaluate(trained, spots, "test")
