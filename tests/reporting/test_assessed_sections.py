"""The measured sections: what they tell of an assessment, in which order, and what they refuse."""

import json
import re
from dataclasses import asdict, replace
from typing import Any

import pytest

from hilum.classifier.conformal import fit_conformal, measure_conformal
from hilum.errors import HilumError
from hilum.evaluation.assess import SAME_IMAGES
from hilum.evaluation.ledger import Look
from hilum.evaluation.predictions_file import read_predictions
from hilum.evaluation.subgroups import Subgroups
from hilum.labels import LabelTree
from hilum.records import Estimate
from hilum.reporting.page import page_environment
from hilum.reporting.report import SECTIONS
from hilum.reporting.runs import read_runs
from hilum.reporting.sections.data import describe_ledger, show_looks
from hilum.reporting.sections.elsewhere import show_external, show_subgroups
from hilum.reporting.sections.front import show_operating
from hilum.reporting.sections.probabilities import (
    show_abstention,
    show_calibration,
    show_operating_points,
    show_roc,
)
from hilum.reporting.subject import Subject
from hilum.statistics.intervals import wilson
from tests.reporting.assessments import (
    ODD_ARRIVALS,
    assess_run,
    evaluate_also,
    move_elsewhere,
    write,
)
from tests.reporting.conftest import LABELS
from tests.reporting.test_report import Page


def subject(*runs):
    return Subject(read_runs(runs))


def words(anchor, *runs):
    """What one section says; a whole report would draw every figure."""
    section = next(s for s in SECTIONS if s.anchor == anchor)
    shown = subject(*runs)
    frame = {"title": "", "made": "", "synthetic": [], "warnings": [], "full": False}
    frame["several"] = shown.several
    page = page_environment().get_template("report.html.j2")
    return Page(page.render(sections=[(section, section.collect(shown))], **frame)).words


# ---- which evaluations, and in which order -------------------------------------------------------


def test_new_images_come_first_and_those_that_chose_last(make_run):
    run = make_run()
    for split in ("test", "far"):
        evaluate_also(run, split)
        assess_run(run, split)
    move_elsewhere(run, "far")
    assess_run(run, same_images=True, missing={"conformal": "of a reason"}, conformal=None)

    found = subject(run).assessed()

    assert [(item.title, item.folded) for item in found] == [
        ("covinet-cascade, test", False),
        ("covinet-cascade, elsewhere, far (from elsewhere)", False),
        ("covinet-cascade, val", True),
    ]
    assert [item.warning for item in found] == [None, None, SAME_IMAGES]
    assert found[2].missing("conformal", "gate") == [
        "Not measured: prediction sets, because of a reason."
    ]
    for anchor in ("calibration", "operating-points"):
        text = words(anchor, run)
        assert text.count(f"No evidence: {SAME_IMAGES}") == 1
        assert text.count("val: the images that thresholds were chosen on") == 1


def test_images_that_chose_are_not_folded_away_where_there_are_no_others(make_run):
    run = make_run()
    assess_run(run, same_images=True)
    (item,) = subject(run).assessed()
    assert not item.folded


def test_a_run_without_an_assessment_is_named(make_run):
    measured, bare = make_run("a", name="first"), make_run("b", name="second")
    assess_run(measured)
    for show in (show_roc, show_calibration, show_operating_points, show_abstention):
        assert show(subject(measured, bare))["lacking"] == ["second"]
    assert "Not measured: whether the probabilities are" in words("calibration", bare)
    assert "Not measured: when it is better to refer an image" in words("abstention", bare)
    assert "Not measured for second: how well" in words("roc", measured, bare)


@pytest.mark.parametrize("change", [{"n": 24}, {"split": "test"}])
def test_an_assessment_of_other_images_is_refused(make_run, change):
    run = make_run()
    write(run, replace(assess_run(run), **change))
    with pytest.raises(HilumError, match=r"beside it about 25 of val: evaluate again"):
        read_runs([run])


# ---- calibration and curves ----------------------------------------------------------------------


def test_calibration_is_told_of_the_classes_and_of_each_decision(make_run):
    run = make_run()
    found = assess_run(run)
    (item,) = show_calibration(subject(run))["shown"]
    names = [getattr(column, "name", column) for column in item["table"].columns]
    assert names == ["measure", "all classes", "decision root", "decision infected"]
    rows = {name: cells for name, *cells in item["table"].rows}
    assert rows["Images"] == [25, 25, 17]
    assert rows["Brier score"][0] == found.calibration.classes.brier
    assert rows["Log loss, nats"][2] == found.calibration.decisions["infected"].log_loss
    assert len(item["diagrams"]) == 3
    _, _, before, after, difference = item["changes"].rows[0]
    assert difference.value == pytest.approx(after.value - before.value)
    assert len(item["changes"].rows) == 3 * 3
    loss = found.temperature.classes.log_loss
    assert f"from {loss.before.value:.3f} to {loss.after.value:.3f}" in item["change"]


def test_of_one_decision_the_classes_are_told_once(make_run):
    run = make_run(strategy="flat", labels="normal, sick", counts=(12, 13), wrong=(0, 20))
    assess_run(run)
    (item,) = show_calibration(subject(run))["shown"]
    assert [column.name for column in item["table"].columns[1:]] == ["all classes"]
    (curves,) = show_roc(subject(run))["shown"]
    assert curves["decisions"] == {}
    # One curve of each kind: that of 'normal' is the same, turned round.
    assert len(curves["classes"]["charts"]) == 2
    assert [row[0] for row in curves["classes"]["table"].rows] == ["normal", "sick"]


def test_without_temperatures_the_reason_stands_there(make_run):
    run = make_run()
    assess_run(run, temperature=None, missing={"temperature": "no validation figures"})
    text = words("calibration", run)
    assert "Not measured: what temperature scaling changed, because no validation figures." in text
    assert "Every measure before and after" not in text


# ---- operating points ----------------------------------------------------------------------------


def test_points_stand_with_expected_measured_and_their_difference(make_run):
    run = make_run()
    found = assess_run(run)
    (item,) = show_operating_points(subject(run))["shown"]
    ((name, target),) = item["targets"].items()
    assert name == found.operating.rows[0].point.target
    table = list(target["table"].rows)
    heads = [i for i, row in enumerate(table) if len(row) == 1]
    assert [table[i][0].content.split(":")[0] for i in heads[:2]] == ["public-health", "clinic"]
    for start, end, row in zip(heads, [*heads[1:], None], found.operating.rows, strict=True):
        cells = {name: values for name, *values in table[start + 1 : end]}
        expected, measured, difference = cells["Specificity"]
        assert expected == row.point.chosen.expected.specificity
        assert measured == row.result.measured.specificity
        assert difference.value == pytest.approx(measured.value - expected.value)
        assert difference.low == -row.result.drop.specificity.high
        counts = row.result.counts
        assert table[start][0].content.endswith(
            f"{counts.tp + counts.fp} of {counts.n} called positive, "
            f"with {counts.tp} of the {counts.tp + counts.fn} that are"
        )
        at, measured, none = cells["PPV (precision) at a prevalence of 0.02"]
        assert none == ""
        assert measured == row.at_prevalence.ppv
        assert at == row.at_prevalence.expected_ppv


def test_a_demand_that_is_not_met_is_said(make_run):
    run = make_run()
    found = assess_run(run)
    unmet = found.operating.rows[-1]
    assert not unmet.point.chosen.satisfied
    text = words("operating-points", run)
    assert f"Not met: sensitivity>=1, specificity>=1: {unmet.point.chosen.reason}" in text
    assert "sensitivity>=1, specificity>=1 (not met; the nearest)" in text


def test_a_point_without_a_threshold_has_words_and_no_column(make_run):
    run = make_run()
    found: Any = assess_run(run)
    chosen = replace(
        found.operating.rows[0].point.chosen, threshold=None, satisfied=False, reason="no positive"
    )
    point = replace(found.operating.rows[0].point, chosen=chosen)
    row = replace(found.operating.rows[0], point=point, result=None, at_prevalence=None)
    write(run, replace(found, operating=replace(found.operating, rows=(row,))))
    ((target,),) = [i["targets"].values() for i in show_operating_points(subject(run))["shown"]]
    assert target["table"] is None
    assert target["unmet"] == ["public-health: no positive."]


# ---- abstention ----------------------------------------------------------------------------------


def test_too_few_validation_images_force_a_class_into_every_set(make_run):
    run = make_run()  # 8, 9 and 8 images; a coverage of 0.9 needs 9 of each class
    tree = LabelTree.from_text(LABELS)
    truth, predictions = read_predictions(run / "evaluation" / "val" / "predictions.csv")
    sets = measure_conformal(fit_conformal(tree, truth, predictions, 0.9), truth, predictions)
    assess_run(run, conformal=sets)
    (item,) = show_abstention(subject(run))["shown"]
    assert item["sets"]["always"] == [("normal", 8), ("non-covid", 8)]
    assert [row[1] == "always" for row in item["sets"]["classes"].rows] == [True, False, True]
    assert "Forced: normal (8), non-covid (8) had fewer than the 9" in words("abstention", run)


def test_coverage_that_falls_short_is_said(make_run):
    run = make_run()
    found: Any = assess_run(run)
    # 2 of 20: the Wilson interval ends at 0.301, far below 0.85.
    covered = {**found.conformal.covered_by_class, "covid": wilson(2, 20)}
    write(run, replace(found, conformal=replace(found.conformal, covered_by_class=covered)))
    assert "Less than promised: of covid" in words("abstention", run)


def test_the_gate_is_told_with_what_it_lets_pass(make_run):
    run = make_run()
    assess_run(run)
    text = words("abstention", run)
    assert "“upside down” 50.0 % (23.7 to 76.3 %), and all pictures of the other 1 kinds" in text
    assert "are unlike" not in text
    assess_run(run, arrivals=ODD_ARRIVALS)
    assert "50.0 % of the 10 pictures are unlike." in words("abstention", run)


# ---- subgroups -----------------------------------------------------------------------------------


def test_subgroups_that_differ_come_first_and_worst_first(make_run):
    run = make_run()
    found = assess_run(run)
    (plain,) = found.subgroups.attributes
    differing = replace(
        plain,
        name="site",
        p=0.001,
        adjusted_p=0.002,
        sentence="site: worse for second.",
        subgroups=(
            replace(plain.subgroups[0], name="first", accuracy=wilson(9, 10), expected=0.8),
            replace(plain.subgroups[1], name="second", accuracy=wilson(2, 10), expected=0.8),
        ),
        worst="second",
    )
    write(run, replace(found, subgroups=Subgroups(25, (plain, differing))))
    (item,) = show_subgroups(subject(run))["shown"]
    assert [(a.name, a.differs) for a, _ in item["attributes"]] == [
        ("site", True),
        ("half", False),
    ]
    orders = [[row[0] for row in table.rows] for _, table in item["attributes"]]
    assert orders == [["second", "first"], ["first", "second"]]


# ---- looks and data from elsewhere ---------------------------------------------------------------


def look(**changes):
    first = Look("2026-11-23T05:39:08Z", "ours", "f", False, "test", 24, "i", "w", "route")
    return replace(first, **changes)


def test_every_look_is_told(make_run):
    folder = make_run()
    (unfinished,) = show_looks(subject(folder))
    assert unfinished["run"].classifier is None
    (folder / "classifier").mkdir()
    (folder / "classifier" / "classifier.json").write_text("{}")
    assert show_looks(subject(folder))[0]["table"].rows == []
    looks = [look(), look(data="far", images="j", fingerprint="g"), look(weights="v")]
    ledger = folder / "classifier" / "ledger.jsonl"
    ledger.write_text("".join(json.dumps(asdict(k)) + "\n" for k in looks))
    (found,) = show_looks(subject(folder))
    assert [row[-1] for row in found["table"].rows] == ["1", "1", "2"]
    assert found["table"].rows[0][0] == "2026-11-23 05:39:08 UTC"
    (run,) = read_runs([folder])
    again, elsewhere = describe_ledger(run)
    assert "2nd look of this classifier at this test set (ours, test), with 2 different" in again
    assert "1st look of this classifier at this test set (far, test)" in elsewhere


def test_data_from_elsewhere_are_no_split_of_the_run(make_run):
    folder = make_run()
    evaluate_also(folder)
    move_elsewhere(folder)
    (run,) = read_runs([folder])
    assert [r.split for r in run.results] == ["val"]
    (item,) = show_external(subject(folder))["shown"]
    assert item["title"] == "covinet-cascade on elsewhere, test"
    assert item["drop"]["table"].rows[0][3].value == 0  # the same images under another name
    assert "no difference that these data show" in item["drop"]["sentences"][0]
    assert "Data from elsewhere: elsewhere, test Accuracy: 0.80" in words("limits", folder)
    told = "on elsewhere, test, from elsewhere, its accuracy is 80.0 %"
    assert told in words("summary", folder).replace("\u202f", " ")


def test_data_from_elsewhere_without_a_comparison_say_so(make_run):
    run = make_run()
    evaluate_also(run)
    (move_elsewhere(run) / "external.json").unlink()
    text = words("external", run)
    assert "Not compared: there was no evaluation of the run's own images" in text
    assert "Accuracy there: 80.0 % of 25." in text


def test_a_damaged_comparison_is_refused(make_run):
    run = make_run()
    evaluate_also(run)
    (move_elsewhere(run) / "external.json").write_text('{"drops": 3}')
    with pytest.raises(HilumError, match=r"external\.json: Not a comparison"):
        read_runs([run])


# ---- the first part ------------------------------------------------------------------------------


def test_the_first_part_tells_of_new_images(make_run):
    run = make_run()
    evaluate_also(run)
    found = assess_run(run, "test")
    assess_run(run, same_images=True)
    ece = found.calibration.classes.top_label.ece
    assert f"It is off by {100 * ece.value:.1f}" in words("confusion", run)
    (shown,) = show_operating(subject(run)) or [{}]
    first = found.operating.rows[0]
    name, threshold, sensitivity, *_ = shown["table"].rows[0]
    assert name == f"{first.point.target}: public-health"
    assert threshold == first.point.chosen.threshold
    assert sensitivity.content == first.result.measured.sensitivity.value
    text = words("operating", run)
    assert "Measured on test, with 95 % intervals." in text
    assert "With prediction sets for 85.0 % of each class" in text
    text = words("limits", run)
    assert "On test no difference that these data show between subgroups of half" in text
    every = "".join(words(s.anchor, run) for s in SECTIONS if s.front)
    assert "On test it named the right class for 20 of 25" in every
    assert not re.search(r"\b[Oo]n val\b", every)


def test_expected_values_stand_where_measured_ones_flatter(make_run):
    run = make_run()
    found = assess_run(run, same_images=True)
    (shown,) = show_operating(subject(run)) or [{}]
    expected = found.operating.rows[0].point.chosen.expected.sensitivity.value
    assert shown["table"].rows[0][2].content == expected
    assert "Expected of images like val, on which the thresholds were chosen" in words(
        "operating", run
    )
    assert "thresholds were chosen on val too" in words("summary", run)


def test_the_first_part_says_what_is_undefined_and_what_no_threshold_meets(make_run):
    run = make_run()
    found: Any = assess_run(run)
    classes = found.calibration.classes
    top = replace(classes.top_label, ece=Estimate.undefined("no image"), bins=())
    calibration = replace(found.calibration, classes=replace(classes, top_label=top))
    answered = replace(found.conformal, answered=Estimate.undefined("every image is referred"))
    write(run, replace(found, calibration=calibration, conformal=answered))
    assert "Its error is undefined: no image." in words("confusion", run)
    text = words("operating", run)
    assert "nothing is left to answer (every image is referred)" in text
    assert "No threshold meets its demands:" in text
    assert "sensitivity>=1 and specificity>=1" in text
