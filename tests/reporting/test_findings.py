"""The report and the explanation's page on trees of classes, of findings, and of both."""

import re

import pytest

from hilum.evaluation.assess import assess
from hilum.explanation.explain import explain
from hilum.explanation.split import explain_split
from hilum.radiographs.dataset import open_dataset
from hilum.reporting.explain_page import write_explanation_page
from hilum.reporting.report import write_report
from tests.marked import TREES, write_marked
from tests.untrained import untrained


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("hilum.explanation.split.METHOD", "gradcam")
    monkeypatch.setattr("hilum.explanation.split.METHODS", ("gradcam",))


def words_of(page):
    """A page's text without tags, blanks set to one; pictures by their words."""
    text = re.sub(r"<style.*?</style>|data:[^\"]*", "", page.read_text(), flags=re.DOTALL)
    text = re.sub(r'<img[^>]*alt="([^"]*)"[^>]*>', r" \1 ", text)
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


@pytest.mark.parametrize("tree", TREES)
def test_a_report_tells_of_what_the_tree_has(tmp_path, tree):
    dataset = open_dataset(write_marked(tmp_path / "data", {"train": 8, "val": 24}), tree=tree)
    classifier, run = untrained(dataset), tmp_path / "run"
    classifier.save(run)
    evaluation, _ = assess(classifier, dataset, "val", out=run / "evaluation" / "val")
    explain_split(classifier, dataset, "val", run / "evaluation" / "val")
    chooses, findings = bool(dataset.tree.decisions), bool(dataset.tree.findings)

    words = words_of(write_report(run, images=dataset))
    front = words[: words.index("The data")]

    assert ("accuracy on val, " in front) == chooses
    assert ("named the right class" in words) == chooses
    assert ("Confusion matrix on val" in front) == chooses
    assert ("Which findings are called together on val" in front) == findings
    assert ("Below its name stands the probability" in front) == findings
    assert ("mean AUROC on val, " in front) == (findings and not chooses)
    assert ("dot: run, val" in words) == findings
    assert "None" not in words
    if findings:
        false, missed = (
            sum(own.confusion_matrix[truth][1 - truth] for own in evaluation.findings.values())
            for truth in (0, 1)
        )
        assert ("called, but absent" in front, "missed" in front) == (false > 0, missed > 0)
        assert "bar called from 0.50 12 of 24" in front
    if not chooses:  # the one class of such a tree is nowhere called one
        assert not re.search(r"(true|class|recall of|taken for|than) ?:? root", words)

    found = explain(classifier, dataset.records[0].path, methods="gradcam", dataset=dataset)
    page = words_of(write_explanation_page(found, tmp_path / "explained.html"))
    assert ("Findings: bar" in page) == findings
    assert found.images[0].called
    assert f"Predicted: {found.images[0].called}" in page
