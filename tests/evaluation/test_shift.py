"""Shifted films: means over copies, who gives to whom, and what a file holds."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hilum.classifier.calibrate import calibrate_on
from hilum.classifier.conformal import fit_conformal, measure_conformal
from hilum.classifier.operating_points import (
    OperatingPoint,
    fit_operating_point,
    measure_operating_point,
)
from hilum.errors import EvaluationError
from hilum.evaluation.shift import (
    keep_promises,
    measure_shift,
    read_shift,
    shift_run,
    summarise_shift,
    write_shift,
)
from hilum.evaluation.stress import StressRun
from hilum.radiographs.image import read_radiograph
from tests.evaluation.test_stress import PAIR, said
from tests.untrained import untrained


def test_means_and_drops_are_those_of_the_counts(tmp_path):
    truth = np.repeat([0, 1], 10)
    wrong = {("composite", 0): 4, ("composite", 1): 6, ("exchange", 0): 12, ("exchange", 1): 8}
    run = StressRun(
        truth, said(truth, [0, 19]), {key: said(truth, range(n)) for key, n in wrong.items()}
    )

    found = summarise_shift(PAIR, run, "val")

    assert (found.n, found.draws, found.hardest) == (20, 2, "exchange")
    values = {kind: mean.measures.accuracy.value for kind, mean in found.kinds.items()}
    assert values == pytest.approx({"composite": 0.75, "exchange": 0.5})
    assert found.kinds["exchange"].drop.accuracy.value == pytest.approx(0.4)
    write_shift(found, tmp_path)
    assert read_shift(tmp_path / "shift.json") == found


def test_what_becomes_of_sets_and_operating_points(tmp_path, spots):
    classifier = calibrate_on(untrained(spots), spots, "val")
    truth, validation = classifier.validation_predictions()
    known = classifier.promised_predictions()
    assert not np.array_equal(known[1].probs, validation.probs), "of shifted copies"
    # changed copies: in one nothing changes, in the other every film is said to be the next class
    turned = replace(validation, probs=np.roll(validation.probs, 1, axis=1))
    run = StressRun(
        truth, validation, {("composite", 0): validation, ("composite", 1): turned,
                            ("exchange", 0): turned, ("exchange", 1): turned},
    )  # fmt: skip

    kept = keep_promises(classifier, run)

    sets, *points = kept
    assert (sets.measure, sets.promised) == ("coverage", 0.9)
    oracle: list[Any] = [
        measure_conformal(fit_conformal(classifier.tree, *known), truth, p).covered.value
        for p in (validation, turned)
    ]
    assert sets.clean.value == oracle[0]
    values: dict[str, Any] = {kind: found.value for kind, found in sets.kinds.items()}
    assert values == pytest.approx({"composite": np.mean(oracle), "exchange": oracle[1]})
    assert sets.hardest.value == min(values.values())
    assert {p.measure for p in points} <= {"sensitivity", "specificity"}
    for point in points:
        wanted = OperatingPoint.parse(point.name, classifier.tree)
        fitted = fit_operating_point(wanted, classifier.tree, *known)
        found = measure_operating_point(fitted, classifier.tree, truth, validation)
        assert point.clean == getattr(found.measured, point.measure)
        assert point.promised == getattr(fitted.chosen.expected, point.measure).value
    shift = replace(summarise_shift(classifier.tree, run, "val"), promises=kept)
    write_shift(shift, tmp_path)
    assert read_shift(tmp_path / "shift.json") == shift
    assert keep_promises(untrained(spots), run) == ()
    assert measure_shift(classifier, spots, "val", draws=1).promises == (), "it was chosen on these"
    assert measure_shift(classifier, spots, "train", draws=1).promises


def test_every_film_is_changed_alike_and_meets_films_of_other_classes(spots, monkeypatch):
    classifier = untrained(spots)
    rows = spots.indices("val")
    read = []

    def noted(path):
        read.append(path)
        return read_radiograph(path)

    monkeypatch.setattr("hilum.classifier.shifted.read_radiograph", noted)
    whole = shift_run(classifier, spots, rows, draws=2)
    assert len(read) == 2 * len(rows)  # donors; the films themselves are read by classify_copies

    read.clear()
    first = shift_run(classifier, spots, rows[:1], draws=1)
    assert list(first.stressed) == [("composite", 0)]  # alone, it has nobody to exchange with
    assert not read
    both = whole.stressed["composite", 0].probs[0]
    np.testing.assert_allclose(first.stressed["composite", 0].probs[0], both, atol=1e-6)

    label = {record.path: record.label for record in spots.records}
    pair = [rows[0], next(r for r in rows if spots.labels[r] != spots.labels[rows[0]])]
    shift_run(classifier, spots, np.array(pair), draws=3)
    assert {label[path] for path in read} == {int(spots.labels[r]) for r in pair}
    assert sorted(map(str, read)) == sorted(
        str(spots.records[r].path) for r in pair for _ in range(3)
    )


def test_what_was_measured_is_named(spots):
    found = measure_shift(untrained(spots), spots, "val", rule="argmax", draws=1)

    assert (found.split, found.rule, found.draws) == ("val", "argmax", 1)
    assert found.data["name"] == spots.name
    assert set(found.kinds) == {"composite", "exchange", "both"}


def test_nothing_to_measure_is_refused(spots):
    with pytest.raises(EvaluationError, match="at least one draw"):
        shift_run(untrained(spots), spots, spots.indices("val"), draws=0)
    with pytest.raises(EvaluationError, match="need an image"):
        shift_run(untrained(spots), spots, np.zeros(0, np.int64))
