"""What notebooks show: the figures are those of the results, and nothing foreign becomes HTML."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.auditing.audit import run_audit
from hilum.errors import DataError, EvaluationError, HilumError
from hilum.evaluation.assess import assess
from hilum.evaluation.evaluate import evaluate_predictions
from hilum.explanation.errors import ErrorGallery, collect_errors
from hilum.explanation.explain import explain
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.radiographs.dataset import open_dataset
from hilum.recipe import Recipe
from hilum.records import Estimate
from hilum.reporting.notebook import (
    show_confusion,
    show_counterpart,
    show_counts,
    show_errors,
    show_explanation,
    show_feature_maps,
    show_findings,
    show_layers,
    show_learning_curves,
    show_measures,
    show_operating_points,
    show_predictions,
    show_samples,
)
from hilum.reporting.notebook_html import Shown, show, table
from tests.spots import write_spots
from tests.untrained import untrained


def texts(shown: Shown) -> list[str]:
    """The text of every cell of a table, in order; the HTML has to be well formed for it."""
    html = re.sub(r"<(img|br)([^>]*)>", r"<\1\2/>", shown._repr_html_())
    root = ET.fromstring(f"<page>{html}</page>")
    return [" ".join(e.itertext()) for e in root.iter() if e.tag in ("td", "th")]


def decided(tree: LabelTree, truth: list[int], probs: list[list[float]]) -> tuple[Any, ...]:
    given = np.array(probs)
    said = Predictions(
        ("",) * len(truth), given, tree.decision_probs(given), given.argmax(axis=1).astype(np.int64)
    )
    return np.array(truth, dtype=np.int64), said


@pytest.fixture
def always_first(spots):
    """An untrained cascade that calls every radiograph normal."""
    classifier = untrained(spots)
    for network in classifier.networks.values():
        last = list(network.parameters())[-1]
        last.data.zero_()
        last.data[0] = 1000
    return classifier


# ---- tables and charts -------------------------------------------------------------------------


def test_counts_are_those_of_the_data(spots):
    found = show_counts(spots)
    assert texts(found)[5:10] == ["train", "12", "12", "12", "36"]
    assert repr(found) == (
        "spots: train: 12 normal, 12 covid, 12 non-covid; val: 4 normal, 4 covid, 4 non-covid."
    )


def test_findings_say_what_they_mean(spots):
    audit = run_audit(spots)
    found = show_findings(audit)
    listed = [f for f in audit.findings if f.severity != "passed"]
    assert texts(found)[3::3] == [f.severity for f in listed]
    assert texts(found)[4::3] == [f.title for f in listed]
    assert f"{len(audit.findings) - len(listed)} checks found nothing" in found.alt


def test_layers_add_up(spots):
    classifier = untrained(spots)
    total = sum(p.numel() for p in classifier.networks["infected"].parameters())
    found = show_layers(classifier, "infected")
    assert f"{total:,} parameters" in found.alt
    assert sum(int(t.replace(",", "")) for t in texts(found)[7::4]) == total
    with pytest.raises(HilumError, match="Did you mean 'infected'"):
        show_layers(classifier, "infectd")


def test_curves_are_those_of_the_history(tmp_path: Path):
    assert repr(show_learning_curves(tmp_path)) == f"Nothing has been trained in {tmp_path} yet."
    row = {"decision": "root", "epochs": 9, "train_loss": 0.7, "train_accuracy": 0.5}
    monitored = {"monitor_loss": float("inf"), "monitor_accuracy": None}
    rows = [
        {**row, "epoch": 1, **monitored},
        {**row, "epoch": 2, "train_loss": 0.25, **monitored},
    ]
    (tmp_path / "history.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tmp_path / "recipe.toml").write_text(Recipe(monitor="blocks").to_toml())
    found = show_learning_curves(str(tmp_path))
    # what is not finite, or was not measured, is no line
    assert repr(found) == (
        "Loss of root over 2 epochs: train 0.700 to 0.250. "
        "Accuracy of root over 2 epochs: train 0.500 to 0.500."
    )
    assert "root: epoch 2 of 9" in found.html
    assert "blocks" in found.html


def test_confusion_and_measures_by_hand():
    tree = LabelTree.from_text("normal, covid")
    truth, said = decided(
        tree, [0, 0, 0, 1, 1], [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6], [0.1, 0.9]]
    )
    found = evaluate_predictions(
        tree, truth, said, rule="argmax", strategy="flat", split="val", notes=["Mind <this>."]
    )
    confusion = show_confusion(found)
    assert texts(confusion)[:12] == [
        "", "called normal", "called covid", "all",
        "truly normal", "2", "1", "3",
        "truly covid", "0", "2", "2",
    ]  # fmt: skip
    assert "root" in texts(confusion)
    assert "1 of 1" in texts(confusion)
    assert "5 radiographs of val: accuracy 0.800 (" in confusion.alt
    assert "Mind &lt;this&gt;." in confusion.html
    measures = texts(show_measures(found))
    assert measures[7:9] == ["normal", "3"]
    assert measures[9].startswith("1.000 ")  # precision: both that were called normal are
    assert measures[10].startswith("0.667 ")  # recall: two of three
    assert measures[11].startswith("1.000 ")  # specificity: neither covid was called normal


def test_what_is_undefined_says_why():
    tree = LabelTree.from_text("normal, covid")
    truth, said = decided(tree, [0, 0], [[0.9, 0.1], [0.8, 0.2]])
    found = evaluate_predictions(tree, truth, said, rule="argmax", strategy="flat", split="val")
    shown = show_measures(found)
    assert "undefined: no image of covid" in texts(shown)
    assert "recall of covid undefined (no image of covid)" in shown.alt


def test_operating_points_are_those_of_the_assessment(spots):
    classifier = untrained(spots)
    _, bare = assess(classifier, spots)
    assert repr(show_operating_points(bare)).startswith("No operating points: the classifier")

    from hilum.classifier.calibrate import calibrate

    pixels = spots.pixels(classifier.preprocessing)
    rows = spots.indices("train")
    ready = calibrate(classifier, spots, pixels, validation_rows=rows, split="train")
    _, assessment = assess(ready, spots, prevalence={"covid": 0.05})
    shown = show_operating_points(assessment)
    assert assessment.operating is not None
    cells = texts(shown)
    assert cells[7::7] == [str(row.point) for row in assessment.operating.rows]
    assert all(row.summary() in shown.alt for row in assessment.operating.rows)
    assert any(cell.endswith(" at 0.05") for cell in cells)


# ---- pictures ----------------------------------------------------------------------------------


def test_samples_are_spread_over_the_split(spots):
    found = show_samples(spots, "train", each=3)
    # of 0 to 11 the first, the last, and one in between
    assert re.findall(r"Radiograph train/normal/(\d+)\.png", found.html) == ["0", "6", "11"]
    assert repr(found) == "Radiographs of train: 3 of normal, 3 of covid, 3 of non-covid."
    assert show_samples(spots, "val", each=99).html.count("<img") == 12
    with pytest.raises(DataError, match="no split 'test'"):
        show_samples(spots, "test")


def test_predictions_tell_right_from_wrong(spots, always_first):
    found = show_predictions(always_first, spots, "val")
    assert repr(found) == "12 radiographs of val, 8 of them misclassified."
    assert found.html.count("<figcaption>✓ normal (100%)<") == 4
    assert found.html.count("<figcaption>✗ normal (100%), truly covid<") == 4


def test_feature_maps_of_one_and_of_two(spots):
    classifier = untrained(spots)
    one, other = spots.records[0].name, spots.records[20].name
    assert show_feature_maps(classifier, spots, one).html.count("<img") == 2
    both = show_feature_maps(classifier, spots, [one, other], decision="infected")
    assert both.html.count("<img") == 3
    assert f"{one} (left) and {other} (right)" in both.alt
    assert "decision infected" in both.alt
    with pytest.raises(DataError, match=r"no radiograph 'nowhere\.png'"):
        show_feature_maps(classifier, spots, "nowhere.png")
    with pytest.raises(DataError, match="found 3"):
        show_feature_maps(classifier, spots, [one] * 3)
    with pytest.raises(EvaluationError, match="layer"):
        show_feature_maps(classifier, spots, one, layer="nonsense")


def test_errors_stand_beside_their_counterparts(spots, always_first):
    errors = collect_errors(always_first, spots, method="gradcam", pictured=2)
    found = show_errors(errors, spots)
    assert repr(found).startswith("8 of 12 radiographs of val were misclassified. Of 8 errors")
    assert found.html.count("<h4>") == 2
    assert found.html.count("<figcaption>nearest that is rightly normal<") == 2
    case = errors.cases[0]
    assert f"{case.name}: truly {case.truth}, called normal" in found.alt

    maps = show_counterpart(always_first, spots, errors)
    assert f"{case.name} (left) and {case.counterpart} (right)" in maps.alt
    assert "decision root" in maps.alt


def test_without_errors_there_is_nothing_to_compare(spots, always_first):
    none = ErrorGallery("val", 12, "gradcam", ())
    assert repr(show_errors(none, spots)) == "Of 12 radiographs of val none was misclassified."
    assert "none has a counterpart" in repr(show_counterpart(always_first, spots, none))


def test_explanations_show_every_picture(spots, tmp_path: Path):
    image = spots.records[0]
    found = explain(untrained(spots), [image.path], tmp_path, methods=["gradcam"], dataset=spots)
    shown = show_explanation(found)
    assert shown.html.count("<img") == len(found.images[0].pictures)
    assert "truly normal" in shown.alt
    assert "A map shows what moved" in shown.alt
    assert "Do the maps find" not in shown.html, "no finding is known of these"


# ---- names that come from outside ----------------------------------------------------------------


def test_foreign_names_stay_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    hostile = "<img src=x onerror=alert>$x$"
    monkeypatch.setattr("tests.spots.PLACES", {"normal": (6, 6), hostile: (20, 20)})
    dataset = open_dataset(write_spots(tmp_path / "spots", {"train": 3, "val": 2}))
    classifier = untrained(dataset)
    errors = collect_errors(classifier, dataset, method="gradcam")
    explained = explain(
        classifier, [r.path for r in dataset.records[-1:]], tmp_path, methods=["gradcam"]
    )
    for found in (
        show_counts(dataset),
        show_samples(dataset),
        show_predictions(classifier, dataset),
        show_confusion(assess(classifier, dataset)[0]),
        show_measures(assess(classifier, dataset)[0]),
        show_errors(errors, dataset),
        show_explanation(explained),
    ):
        html = found._repr_html_()
        assert "<img src=x" not in html
        assert "onerror=alert" not in html.replace("&lt;img src=x onerror=alert&gt;", "")
        assert "mathjax_ignore" in html


def test_tables_show_estimates_with_their_intervals():
    rows = [["a&b", Estimate(0.5, 0.25, 0.75, 8, "wilson"), Estimate(0.5)]]
    found = show("words", table("A table", ["name", "one", "two"], rows))
    assert texts(found)[3:] == ["a&b", "0.500 0.250 to 0.750", "0.500"]
    assert repr(found) == "words"
