"""Errors, explanations and label errors in the report."""

import shutil
import sys
from dataclasses import replace

import pytest

from hilum import cli
from hilum.explanation.localisation import Localisation
from hilum.records import Estimate
from hilum.reporting.report import write_report
from hilum.reporting.runs import read_runs
from hilum.reporting.sections.explanations import show_errors, show_explanations
from hilum.reporting.subject import Subject
from tests.browser import Browser
from tests.browser import browser as browser
from tests.browser import chromium as chromium
from tests.reporting.conftest import make_run
from tests.reporting.explained import explain_errors
from tests.reporting.test_report import HOSTILE, Page, noise


def section(*runs):
    return show_explanations(Subject(read_runs(runs)))


def words(run, tmp_path, **options):
    out = write_report([run], tmp_path / "r.html", **options)
    return Page(out.read_text(encoding="utf-8")).words


def test_every_error_is_listed_and_the_trust_comes_first(make_run, tmp_path):
    run = make_run()
    explain_errors(run)
    (split,) = section(run)["splits"]
    assert (len(split["of"].gallery.cases), split["above"], split["pictured"]) == (5, 1, [])
    ((pictured,),) = [e["pictured"] for e in show_errors(Subject(read_runs([run]))) or ()]
    assert pictured["overlay"].startswith("data:image/webp;base64,")
    text = words(run, tmp_path)
    trust = text.index("depend on what the network learned")
    assert trust < text.index("true: normal , ✗ covid")  # the first map
    assert trust < text.index("Right answers") < text.index("Of 25 radiographs 5 were given")
    assert "Whether the maps find the findings: not measured: where they lie is not" in text
    for case in split["of"].gallery.cases:
        assert case.name in text
    assert "took covid for normal" in text
    assert "Not looked for" in text


def test_maps_that_cannot_be_trusted_are_called_so(make_run, tmp_path):
    run = make_run()
    found = explain_errors(run)
    (check,) = found.sanity
    same = replace(check, steps=(replace(check.steps[0], similarity=Estimate(0.9, 0.8, 0.95, 4)),))
    measured = Localisation(
        "ig", "root", 16, Estimate(0.25, 0.1, 0.5, 16), Estimate(0.05, 0.02, 0.08, 16),
        Estimate(0.04, 0.03, 0.05, 16), Estimate(0.01, -0.01, 0.03, 16), 0,
    )  # fmt: skip
    findings = [replace(measured, finding=name) for name in ("effusion", "mass")]
    explain_errors(run, sanity=(same,), localisation=(measured, *findings))
    text = words(run, tmp_path)
    assert "hardly depend on what the network learned" in text
    assert "Integrated gradients maps of the decision root are no better than chance." in text
    assert "Integrated gradients maps of effusion and mass are no better than chance." in text
    assert "Integrated gradients effusion 16 0.250" in text


def test_explanations_of_other_predictions_are_left_out(make_run, tmp_path):
    run, other = make_run("a"), make_run("b", wrong=(1,))
    explain_errors(other)
    file = "evaluation/val/explanations.json"
    shutil.copy(other / file, run / file)
    found = section(run)
    assert (found["splits"], found["lacking"], found["outdated"]) == ([], "", "val")
    assert "Left out for val" in words(run, tmp_path)


def test_what_was_not_explained_is_said(make_run, tmp_path):
    assert "Not made for val" in words(make_run("a"), tmp_path)
    assert "no run has been evaluated" in words(make_run("b", split=None), tmp_path)


def test_label_errors_stand_apart(make_run, tmp_path, monkeypatch):
    # the run's own errors, which no label deserves: the surest class is another one than the label
    run = make_run()
    table = run / "evaluation" / "val" / "predictions.csv"
    out = tmp_path / "r.html"
    command = ["report", str(run), "--no-explanations", "--out-of-fold", str(table)]
    monkeypatch.setattr(sys, "argv", ["hilum", *command, "--out", str(out)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    text = Page(out.read_text(encoding="utf-8")).words
    assert "of 25 labels are possibly wrong" in text
    assert "From val/predictions.csv" in text
    assert not list(run.rglob("explanations.json"))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    run = make_run(
        folder / "run", strategy="flat", labels="normal, <img src=x onerror=alert`1`>",
        counts=(3, 3), wrong=(0, 4), names=[HOSTILE, *(f"val/{i}.png" for i in range(5))],
    )  # fmt: skip
    explain_errors(run)
    return write_report([run], folder / "report.html", images=noise)


@pytest.mark.parametrize(("size", "dark"), [("phone", True), ("desktop", False)])
def test_it_opens_without_a_fault(browser: Browser, hostile, size, dark):
    visit = browser.open(hostile, size=size, dark=dark)
    visit.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    visit.check_accessible()
    visit.check_fits()
    visit.check_quiet()
    assert visit.page.locator("img[src=x]").count() == 0
    seen = "[...document.querySelectorAll('#explanations img')].every(i => i.naturalWidth > 0)"
    assert visit.page.evaluate(seen)
