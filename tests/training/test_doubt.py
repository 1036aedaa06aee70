"""Findings that are not known: what training takes them for, evaluating the classifier does too."""

import numpy as np
import pytest

from hilum.classifier.classifier import Classifier
from hilum.decisions import Doubt
from hilum.errors import RecipeError
from hilum.evaluation.evaluate import run_split
from hilum.radiographs.dataset import open_dataset
from hilum.training.run import train
from tests.spots import write_marked_spots


def test_what_is_not_known_is_settled_or_left_out():
    marks = np.array([[1, 0], [-1, -2]])
    assert Doubt().settle(marks).tolist() == [[1, 0], [-1, -2]]
    assert Doubt("present", "absent").settle(marks).tolist() == [[1, 0], [1, 0]]
    assert Doubt("absent").settle(marks).tolist() == [[1, 0], [0, -2]]
    assert marks.tolist() == [[1, 0], [-1, -2]]


@pytest.mark.parametrize(
    ("keys", "known", "said"),
    [
        ([], {"effusion": 10, "mass": 10}, None),
        (["uncertain=present", "unmentioned=absent"], {"effusion": 12, "mass": 12},
         "Findings are taken as in training: those uncertain as present and those of which "
         "nothing is said as absent."),
    ],
)  # fmt: skip
def test_training_and_evaluation_agree(tmp_path, recipe, keys, known, said):
    data = open_dataset(write_marked_spots(tmp_path / "spots", {"train": 3, "val": 2}))
    chosen = recipe("network=naive", "epochs=1", *keys)
    train(data, chosen, tmp_path / "run")
    classifier = Classifier.load(tmp_path / "run", device="cpu")
    run = run_split(classifier, data, "val")
    assert run.marks.tolist() == chosen.doubt.settle(data.marks[run.rows]).tolist()
    assert {name: e.n for name, e in run.evaluation.findings.items()} == known
    notes = [n for n in run.evaluation.notes if n.startswith("Findings are taken")]
    assert notes == [said] * (said is not None)
    assert classifier.validation is not None
    assert classifier.validation.marks is not None
    assert classifier.validation.marks.tolist() == run.marks.tolist()


def test_other_words_are_refused(recipe):
    with pytest.raises(RecipeError, match="uncertain"):
        recipe("uncertain=maybe")
