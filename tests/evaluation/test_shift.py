"""Shifted films: means over copies, who gives to whom, and what a file holds."""

import numpy as np
import pytest

from hilum.errors import EvaluationError
from hilum.evaluation.shift import (
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


def test_every_film_is_changed_alike_and_meets_films_of_other_classes(spots, monkeypatch):
    classifier = untrained(spots)
    rows = spots.indices("val")
    read = []

    def noted(path):
        read.append(path)
        return read_radiograph(path)

    monkeypatch.setattr("hilum.evaluation.shift.read_radiograph", noted)
    whole = shift_run(classifier, spots, rows, draws=2)
    assert len(read) == 2 * len(rows)

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
