"""The checklists and the model card: complete, linked, and filled only by what is there."""

from dataclasses import replace
from typing import Any

import pytest

from hilum.evaluation.calibration import CalibrationChange
from hilum.reporting.report import SECTIONS
from hilum.reporting.runs import read_runs
from hilum.reporting.sections.forms import (
    CONDITIONS,
    STATUSES,
    Item,
    fill_form,
    holding,
    read_form,
)
from hilum.reporting.subject import Subject
from tests.reporting.assessments import assess_run, write


def items_of(form):
    return {name: item for items in read_form(form).group.values() for name, item in items.items()}


@pytest.mark.parametrize("name", ["claim-2024", "tripod-ai", "model-card"])
def test_conditions_and_anchors_exist(name):
    anchors = {section.anchor for section in SECTIONS}
    for item in items_of(name).values():
        assert {*item.filled, *item.partly} <= CONDITIONS.keys(), item
        assert item.anchor in anchors or (not item.filled and not item.partly), item
        assert set(item.filled) != set(item.partly) or not item.filled, item


def test_the_items_are_those_published():
    assert list(items_of("claim-2024")) == [str(i) for i in range(1, 45)]
    tripod = list(items_of("tripod-ai"))
    assert len(tripod) == 52
    assert {int(n.rstrip("abcdefg")) for n in tripod} == set(range(1, 28))


def test_a_status_needs_all_its_conditions():
    item = Item("…", "data", filled=("counts", "split"), partly=("counts",))
    assert item.status(frozenset({"counts", "split", "audit"})) == "filled"
    assert item.status(frozenset({"counts"})) == "partly"
    assert item.status(frozenset({"split"})) == "for the author to write"
    assert Item("…").status(frozenset(CONDITIONS)) == "for the author to write"


def test_a_condition_must_hold_for_every_run(make_run):
    evaluated, bare = make_run("a"), make_run("b", split=None, networks={})
    both = Subject(read_runs([evaluated, bare]))
    one = Subject(read_runs([evaluated]))
    assert {"results", "intervals", "networks"} <= holding(one)
    assert not {"results", "intervals", "networks"} & holding(both)
    assert {"recipe", "history", "counts"} <= holding(both)


BEYOND = {"calibration", "temperature", "operating-points", "gate", "subgroups"}


def test_what_was_assessed_counts(make_run):
    run = make_run()
    assert not (BEYOND | {"external", "sources"}) & holding(Subject(read_runs([run])))
    assess_run(run)
    assert holding(Subject(read_runs([run]))) & {*BEYOND, "external", "sources"} == BEYOND


def test_only_what_the_page_shows_counts(make_run):
    run = make_run()
    found: Any = assess_run(run)
    same = replace(
        found.temperature.classes.log_loss, after=found.temperature.classes.log_loss.before
    )
    unscaled = CalibrationChange(replace(found.temperature.classes, log_loss=same), {})
    rows = tuple(replace(row, result=None) for row in found.operating.rows)
    counted = tuple(replace(a, p=None) for a in found.subgroups.attributes)
    write(
        run,
        replace(
            found,
            temperature=unscaled,
            operating=replace(found.operating, rows=rows),
            gate=None,
            subgroups=replace(found.subgroups, attributes=counted),
        ),
    )
    assert holding(Subject(read_runs([run]))) & BEYOND == {"calibration"}


def answers_of(part):
    """Name and answer of every item of a form's only sheet, in order; names may stand twice."""
    (groups,) = part["sheets"].values()
    return [(answer.name, answer) for answers in groups.values() for answer in answers]


def test_the_tally_counts_every_item(make_run):
    part = fill_form("claim-2024")(Subject(read_runs([make_run()])))
    assert list(part["tally"]) == list(STATUSES)
    assert sum(part["tally"].values()) == 44
    status = {name: answer.status for name, answer in answers_of(part)}
    assert status["22"] == "filled"  # the networks
    assert status["32"] == "partly"  # val is internal, but no test set
    assert status["44"] == "for the author to write"  # funding


def card_of(run):
    return answers_of(fill_form("model-card", each=True)(Subject(read_runs([run]))))


def test_a_model_card_invents_nothing(make_run):
    run = make_run(split=None, networks={}, finished=None, data={}, notes=[])
    fields = dict(card_of(run))
    for name in ("Data sets", "Licence", "Performance measures", "Unitary results"):
        assert (fields[name].says, fields[name].status) == ("", "for the author to write")


def test_a_model_card_says_what_the_run_says(make_run):
    said = [(name, answer.says) for name, answer in card_of(make_run())]
    trained_on = "radiographs, split train: 1,341 normal, 1,345 covid and 2,530 non-covid"
    assert ("Data sets", trained_on) in said
    assert any(name == "Unitary results" and "20 of 25" in says for name, says in said)
