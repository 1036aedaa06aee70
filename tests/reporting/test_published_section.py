"""Published figures beside a run's own."""

import json

import pytest

from hilum.records import Estimate
from hilum.reporting.report import write_report
from hilum.reporting.runs import read_runs
from hilum.reporting.sections.published import Figure, compare_published
from hilum.reporting.subject import Subject
from hilum.studies.published import read_published
from tests.reporting.test_report import Page

NAMES = list(read_published().images())
#: What the published confusion matrix has wrong, of 8 images per class in the order of NAMES;
#: the tests' runs give a wrong image the next class.
PUBLISHED_LIKE = (0, 20, 21, 22, 23)


@pytest.fixture
def run_on(make_run):
    """A run on data that are recognised as the published ones; changes as for make_run."""

    def make(folder="run", /, *, names=NAMES, counts=(8, 8, 8), wrong=PUBLISHED_LIKE, **changes):
        run = make_run(folder, names=names, counts=counts, wrong=wrong, **changes)
        info = json.loads((run / "run.json").read_text())
        info["data"]["source"] = changes.get("source", "chest-xray-150")
        (run / "run.json").write_text(json.dumps(info))
        return run

    return make


def compare(*runs):
    return compare_published(Subject(read_runs(runs)))


def test_figures_follow_from_the_published_matrix(run_on):
    (found,) = compare(run_on())["runs"]
    figures = {what: figure for what, *figure in found["table"].rows}
    published = {
        "Accuracy": 19 / 24, "Recall of normal": 7 / 8, "Recall of covid": 1.0,
        "Recall of non-covid": 1 / 2, "Precision of normal": 1.0, "Precision of covid": 8 / 13,
        "Precision of non-covid": 1.0, "F1 of normal": 14 / 15, "F1 of covid": 16 / 21,
        "F1 of non-covid": 2 / 3,
    }  # fmt: skip
    assert {k: there for k, (there, _, _) in figures.items()} == pytest.approx(published)
    assert (found["right"], found["n"]) == ((19, 19), 24)
    # normal called covid once, and 4 of non-covid called normal, where the published said covid
    assert figures["Recall of normal"][2] == figures["Accuracy"][2] == "the same"
    assert figures["Precision of covid"][1].value == 8 / 9
    assert figures["Precision of covid"][2] == "in the interval"
    losses = found["losses"].rows
    assert len(losses) == 8
    assert losses[0][2] == 0.0902
    assert losses[2][3].content is None  # this run did not look at the test split


def test_only_the_published_images_count(run_on):
    names = [*NAMES[:16], "val/infected/covid/8.jpg", *NAMES[16:]]
    run = run_on(names=names, counts=(8, 9, 8), wrong=(16,))
    (found,) = compare(run)["runs"]
    assert (found["right"], found["n"], found["all"]) == ((19, 24), 24, 25)
    _, _, here, verdict = found["table"].rows[0]
    assert (here.value, verdict) == (1.0, "outside the interval")


@pytest.mark.parametrize(
    ("here", "verdict"),
    [
        (Estimate(0.5, 0.2, 0.8, 8), "the same"),
        (Estimate(0.6, 0.5, 0.8, 8), "in the interval"),
        (Estimate(0.7, 0.51, 0.8, 8), "outside the interval"),
        (Estimate(0.7, reason="never varies"), "differs; no interval"),
        (Estimate.undefined("no image"), "undefined here"),
    ],
)
def test_verdicts(here, verdict):
    assert Figure("Accuracy", 0.5, here).verdict == verdict


def test_another_published_network_has_recall_alone(run_on):
    networks = {"flat": {"name": "naive", "outputs": 3}}
    (found,) = compare(run_on(strategy="flat", networks=networks))["runs"]
    assert [row[0] for row in found["table"].rows] == [
        "Accuracy", "Recall of normal", "Recall of covid", "Recall of non-covid",
    ]  # fmt: skip
    assert [row[1] for row in found["table"].rows] == [14 / 24, 7 / 8, 3 / 8, 4 / 8]
    assert (found["matrices"], found["losses"]) == ({}, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"source": "kaggle-pneumonia"},
        {"names": [f"val/{i}.jpg" for i in range(24)]},
        {"networks": {"root": {"name": "of-mine"}, "infected": {"name": "of-mine"}}},
        {"strategy": "flat"},  # the published COVINet was a cascade
        {"split": "test"},
    ],
)
def test_there_is_nothing_where_it_does_not_apply(run_on, changes):
    assert compare(run_on(**changes)) is None


def test_the_page_says_what_the_labels_mean(run_on, tmp_path):
    html = write_report([run_on()], tmp_path / "r.html").read_text(encoding="utf-8")
    text = Page(html).words
    part = text[text.index("Published figures Figures as") :]
    assert "Nothing measured on them says anything about detecting COVID-19." in part
    assert "right for 19 of 24 , this one for 19 of 24 ." in part
