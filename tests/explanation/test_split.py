"""The explanation of an evaluated split, and of the evaluations in a run's folder."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from hilum.errors import EvaluationError
from hilum.evaluation.evaluate import evaluate
from hilum.explanation import split as split_module
from hilum.explanation.split import (
    EXPLANATIONS_FILE,
    explain_run,
    explain_split,
    missing_explanations,
    read_explanations,
)
from tests.explanation.conftest import untrained
from tests.plain import again


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Grad-CAM instead of occlusion, which takes 256 passes per map."""
    monkeypatch.setattr(split_module, "METHOD", "gradcam")
    monkeypatch.setattr(split_module, "METHODS", ("gradcam",))


def made_right(classifier, dataset, rights):
    """Predictions of val that are right for the images whose position is in rights."""
    rows = dataset.indices("val")
    names = [dataset.records[row].name for row in rows]
    said = classifier.predict_pixels(dataset.pixels(classifier.preprocessing)[rows], names)
    truth = dataset.labels[rows]
    right = np.isin(np.arange(len(rows)), rights)
    return replace(said, predicted=np.where(right, truth, (truth + 1) % 3))


def test_right_answers_errors_and_checks(spots, tmp_path):
    classifier = untrained()
    # val holds 4 of each class: right are all normal, one covid, no non-covid
    said = made_right(classifier, spots, [0, 1, 2, 3, 5])
    found = explain_split(classifier, spots, "val", tmp_path, predictions=said, pictured=1)
    assert (found.n, len(found.gallery.cases)) == (12, 7)
    assert sum(case.pictures is not None for case in found.gallery.cases) == 1
    # the middles of the two halves of 0 to 3, and the only covid
    assert [example.name for example in found.examples] == [
        "val/normal/1.png",
        "val/normal/3.png",
        "val/infected/covid/1.png",
    ]
    drawn = [(d.decision, d.option) for example in found.examples for d in example.drawings]
    assert drawn == [("root", "normal")] * 2 + [("infected", "covid")]
    assert "No radiograph of non-covid was classified rightly." in found.notes
    assert [check.decision for check in found.sanity] == ["root", "infected"]
    assert {(check.n, check.draws, len(check.steps)) for check in found.sanity} == {(4, 2, 1)}
    assert not any(score.measured for score in found.localisation)
    assert read_explanations(tmp_path / EXPLANATIONS_FILE) == found
    assert again(found) == found


def test_the_pair_is_of_the_first_error_with_a_counterpart(spots):
    classifier = untrained()
    # errors among covid say non-covid, which nothing is rightly; among non-covid they say normal
    found = explain_split(
        classifier, spots, predictions=made_right(classifier, spots, [0, 1, 2, 3])
    )
    with_one = [case for case in found.gallery.cases if case.counterpart]
    assert {case.predicted for case in with_one} == {"normal"}
    assert found.pair.name == with_one[0].name
    assert found.pair.counterpart == with_one[0].counterpart
    assert found.pair.counterpart.startswith("val/normal/")
    assert found.pair.decision == with_one[0].decision == "root"
    assert found.pair.png.startswith(b"\x89PNG")


def test_without_errors_there_is_nothing_to_compare(spots):
    classifier = untrained("flat")
    found = explain_split(classifier, spots, predictions=made_right(classifier, spots, range(12)))
    assert (found.gallery.cases, found.pair, found.notes) == ((), None, ())


def test_checks_of_another_split_are_taken_over(spots, monkeypatch):
    classifier = untrained("flat")
    first = explain_split(classifier, spots, "train", pictured=0)
    monkeypatch.delattr(split_module, "check_sanity")
    monkeypatch.delattr(split_module, "measure_localisation")
    second = explain_split(classifier, spots, "val", pictured=0, checked=first)
    assert (second.sanity, second.localisation) == (first.sanity, first.localisation)
    assert (second.split, second.checked_on) == ("val", "train")


def test_foreign_and_damaged_files_are_refused(tmp_path):
    file = tmp_path / EXPLANATIONS_FILE
    for text, expected in (
        ("{", "not valid JSON"),
        ('{"format": 99}', "format 1"),
        ('{"format": 1}', "split"),
    ):
        file.write_text(text)
        with pytest.raises(EvaluationError, match=expected):
            read_explanations(file)


# ---- a run's folder ------------------------------------------------------------------------


@pytest.fixture
def evaluated(spots, tmp_path):
    """The folder of a classifier that was evaluated on both splits."""
    classifier, folder = untrained("flat"), tmp_path / "run"
    classifier.save(folder)
    for split in spots.splits:
        evaluate(classifier, spots, split, out=folder / "evaluation" / split)
    return folder


def test_only_what_is_missing_or_of_other_predictions_is_made(evaluated, spots):
    assert [p.name for p in missing_explanations(evaluated)] == ["train", "val"]
    assert explain_run(evaluated, spots.root, device="cpu") == {}
    assert missing_explanations(evaluated) == []
    val = read_explanations(evaluated / "evaluation" / "val" / EXPLANATIONS_FILE)
    assert val.checked_on == "train"
    table = evaluated / "evaluation" / "train" / "predictions.csv"
    later = table.stat().st_mtime + 100
    os.utime(table, (later, later))  # as after copying
    assert missing_explanations(evaluated) == []
    shutil.copy(evaluated / "evaluation/val/predictions.csv", table)
    os.utime(table, (0, 0))
    (evaluated / "evaluation/val" / EXPLANATIONS_FILE).write_text("{")
    assert [p.name for p in missing_explanations(evaluated)] == ["train", "val"]


def test_other_data_are_not_explained(evaluated, spots):
    spots.records[0].path.unlink()
    refused = explain_run(evaluated, spots.root, device="cpu")
    assert set(refused) == {"train", "val"}
    assert "not the same data" in refused["val"]
    assert explain_run(evaluated, spots.root / "no-such-place", device="cpu").keys() == {
        "train",
        "val",
    }
    assert not list(evaluated.rglob(EXPLANATIONS_FILE))


def test_predictions_of_other_images_are_not_explained(evaluated, spots):
    table = evaluated / "evaluation" / "val" / "predictions.csv"
    table.write_text(table.read_text().replace("val/normal/0.png", "val/normal/9.png"))
    refused = explain_run(evaluated, spots.root, device="cpu")
    assert list(refused) == ["val"]
    assert "evaluate again" in refused["val"]
