"""The whole assessment: what is measured, what is not and why, and that it is read back."""

import json
import shutil
from dataclasses import replace

import pytest
from PIL import Image, ImageOps

from hilum.codec import to_plain
from hilum.errors import EvaluationError
from hilum.evaluation.assess import assess, read_assessment
from hilum.evaluation.files import read_evaluation
from hilum.evaluation.overlap import is_external
from hilum.radiographs.dataset import open_dataset
from hilum.recipe import Recipe
from hilum.training.run import train
from tests.command import run_command
from tests.spots import write_spots


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "many"
    return open_dataset(write_spots(root, {"train": 40, "val": 20, "test": 12}))


@pytest.fixture(scope="module")
def classifier(data, tmp_path_factory):
    quick = Recipe.load("covinet-flat").override(
        ["strategy=cascade", "image_size=32", "batch_size=8", "epochs=2", "learning_rate=0.003"]
    )
    return train(data, quick, tmp_path_factory.mktemp("runs") / "run")


def test_everything_is_measured_on_new_images(tmp_path, data, classifier):
    evaluation, found = assess(
        classifier, data, "test", operate=["covid: recall>=0.9"], prevalence={"covid": 0.02},
        out=tmp_path,
    )  # fmt: skip

    assert not found.missing
    assert not found.same_images
    points = [str(row.point) for row in found.operating.rows]
    assert "covid: sensitivity>=0.9" in points
    assert "infected: public-health" in points
    assert found.conformal.covered.n == evaluation.n == 36
    assert found.gate.false_alarms.n == 36
    assert (found.arrivals.share, found.arrivals.warning) == (found.gate.false_alarms, "")
    assert {a.name for a in found.subgroups.attributes} >= {"image size", "brightness"}
    assert read_evaluation(tmp_path / "evaluation.json") == evaluation
    assert to_plain(read_assessment(tmp_path / "assessment.json")) == to_plain(found)


def test_figures_on_the_images_that_chose_are_called_that(data, classifier):
    _, found = assess(classifier, data, "val")

    assert found.same_images
    assert found.conformal is None
    assert "chosen on these images" in found.missing["conformal"]
    assert found.operating.same_images


def test_images_are_known_again_by_content_and_not_by_the_name_of_their_split(
    tmp_path, data, classifier
):
    outside = open_dataset(write_spots(tmp_path / "outside", {"train": 12}, seed=5))
    _, found = assess(classifier, outside, "train")
    assert found.gate.false_alarms.n == 36
    assert not found.same_images

    moved = shutil.copytree(data.root, tmp_path / "moved")
    for split, part in {"train": "val", "val": "test", "test": "train"}.items():
        (moved / split).rename(moved / f"_{part}")
    for part in ("train", "val", "test"):
        (moved / f"_{part}").rename(moved / part)
    renamed = open_dataset(moved)
    assert not is_external(classifier, renamed)
    assert is_external(classifier, outside)
    evaluation, found = assess(classifier, renamed, "val")  # those that it was trained on
    assert found.missing["gate"] == "the gate was fitted on these images"
    assert found.arrivals is None
    assert "These images include 120 of those that the classifier was trained on." in (
        evaluation.notes
    )
    _, found = assess(classifier, renamed, "test")
    assert found.same_images, "they chose the thresholds"


def test_images_that_are_together_unlike_those_of_training_are_told_first(
    tmp_path, classifier, monkeypatch, capsys
):
    root = write_spots(tmp_path / "negative", {"test": 5}, seed=5)
    for file in root.rglob("*.png"):
        ImageOps.invert(Image.open(file)).save(file)
    classifier.save(tmp_path / "classifier")
    verb = ("evaluate", tmp_path / "classifier", root, "--split", "test", "--device", "cpu")

    code, said, _ = run_command(monkeypatch, capsys, *verb)

    assert code == 0
    sentence = said.splitlines()[0].removeprefix("Note: ")
    assert sentence.startswith(
        "100.0\N{NARROW NO-BREAK SPACE}% of the 15 pictures of negative (test)"
    )
    assert said.count(sentence) == 1
    found = json.loads(run_command(monkeypatch, capsys, *verb, "--json")[1])
    assert found["notes"][0] == found["assessment"]["arrivals"]["warning"] == sentence


def test_without_calibration_the_reasons_are_given(data, classifier):
    bare = replace(classifier, validation=None, reference=None, gate=None, temperatures={})

    _, found = assess(bare, data, "test")

    assert found.missing.keys() == {"temperature", "operating", "conformal", "gate"}
    assert "hilum calibrate" in found.missing["operating"]
    assert found.calibration.n == 36


def test_a_wrong_operating_point_is_refused_before_anything_runs(data, classifier):
    with pytest.raises(EvaluationError, match="recal"):
        assess(classifier, data, "test", operate=["covid: recal>=0.9"])


@pytest.mark.parametrize("content", ["", "{}", '{"format": 1}', "[]"])
def test_a_damaged_assessment_is_refused(tmp_path, content):
    (tmp_path / "assessment.json").write_text(content)

    with pytest.raises(EvaluationError, match=r"assessment\.json"):
        read_assessment(tmp_path / "assessment.json")


def test_it_holds_no_number_that_json_lacks(tmp_path, data, classifier):
    assess(classifier, data, "test", out=tmp_path)

    def refuse(name):
        raise AssertionError(name)

    json.loads((tmp_path / "assessment.json").read_text(), parse_constant=refuse)
