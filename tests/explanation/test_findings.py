"""Explanations of trees of classes, of findings, and of both."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from hilum.evaluation.evaluate import evaluate
from hilum.explanation import split as split_module
from hilum.explanation.attribution import attribute
from hilum.explanation.explain import explain
from hilum.explanation.split import explain_run, explain_split, missing_explanations
from hilum.radiographs.dataset import open_dataset
from tests.marked import TREES, write_marked
from tests.plain import again
from tests.untrained import untrained


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Grad-CAM instead of occlusion, which takes 256 passes per map."""
    monkeypatch.setattr(split_module, "METHOD", "gradcam")
    monkeypatch.setattr(split_module, "METHODS", ("gradcam",))


@pytest.mark.parametrize("tree", TREES)
def test_every_error_and_right_answers_of_any_tree(tmp_path, tree):
    dataset = open_dataset(write_marked(tmp_path / "data", {"train": 8, "val": 12}), tree=tree)
    classifier = untrained(dataset)
    rows = dataset.indices("val")
    said = classifier.predict_pixels(
        dataset.pixels(classifier.preprocessing)[rows], [dataset.records[r].name for r in rows]
    )
    truth, marks = dataset.labels[rows], dataset.marks[rows]
    # the first of the images is called wrongly in everything, all others rightly
    first, last = np.arange(len(rows)) == 0, len(dataset.tree.classes) - 1
    predicted = np.where(first, last if dataset.tree.decisions else 0, truth)
    said = replace(said, predicted=predicted, present=(marks == 1) ^ first[:, None])

    found = explain_split(classifier, dataset, "val", predictions=said)

    errors = {(case.finding, case.truth, case.predicted) for case in found.gallery.cases}
    of_class = {("", "normal", dataset.tree.classes[last])} if dataset.tree.decisions else set()
    names = [finding.name for finding in dataset.tree.findings]
    assert errors == of_class | {(name, "negative", name) for name in names}
    assert {case.name for case in found.gallery.cases} == {"val0.png"}
    for case in found.gallery.cases:
        assert case.pictures.overlay.startswith(b"\x89PNG")
        assert f"'{case.finding or case.chosen_option}'" in case.pictures.alt
        assert case.decision == (case.finding or "root")
    right = Counter(example.truth for example in found.examples)
    assert set(right) == {*(dataset.tree.classes if dataset.tree.decisions else ()), *names}
    assert again(found) == found


def test_a_finding_is_explained_by_its_own_output(tmp_path):
    data = write_marked(tmp_path / "data", {"train": 8, "val": 4})
    dataset = open_dataset(data, tree="normal, abnormal{bar, dot}")
    classifier = untrained(dataset)
    network = classifier.networks["abnormal"]
    with torch.no_grad():  # what says 'bar' sees nothing of the image
        last = [m for m in network.modules() if isinstance(m, torch.nn.Linear)][-1]
        last.weight[0] = 0
    pixels = dataset.pixels(classifier.preprocessing)[:2]
    bar, dot = (
        attribute(classifier, pixels, method="ig", options=name, decision="abnormal")
        for name in ("bar", "dot")
    )
    assert np.abs(bar).max() == 0 < np.abs(dot).max()


def test_explained_are_the_findings_that_are_called_or_asked_for(tmp_path):
    dataset = open_dataset(write_marked(tmp_path / "data", {"train": 8, "val": 4}))
    path = dataset.records[0].path
    told = {}
    for limit in (0.0, 1.0):  # everything is called present, and nothing
        classifier = replace(untrained(dataset), thresholds={"bar": limit, "dot": limit})
        found = explain(classifier, path, methods="gradcam", dataset=dataset).images[0]
        told[limit] = [p.option for p in found.pictures if p.kind == "attribution"]
        assert found.called == ("bar, dot" if limit == 0 else "no finding")
    assert told[0.0] == ["bar", "dot"]
    assert len(told[1.0]) == 1
    found = explain(classifier, path, methods="gradcam", decision="dot").images[0]
    assert [p.option for p in found.pictures if p.kind == "attribution"] == ["dot"]


def test_the_evaluations_of_a_run_of_findings_are_explained_once(tmp_path):
    data = write_marked(tmp_path / "data", {"train": 8, "val": 8})
    dataset = open_dataset(data)
    classifier, run = untrained(dataset), tmp_path / "run"
    classifier.save(run)
    evaluate(classifier, dataset, "val", out=run / "evaluation" / "val")
    assert explain_run(run, data) == {}
    assert missing_explanations(run) == []
