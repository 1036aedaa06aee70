"""Variants under stress: what is measured, summarised, compared and kept."""

import json

import numpy as np
import pytest

from hilum.classifier.classifier import Classifier
from hilum.codec import from_plain, to_plain
from hilum.errors import EvaluationError, StudyError
from hilum.evaluation.shift import measure_shift
from hilum.evaluation.stress import measure_stress
from hilum.records import Estimate
from hilum.studies.folds import divide
from hilum.studies.results import read_study
from hilum.studies.runner import run_study
from hilum.studies.stressed import (
    SHIFTED,
    StressedComparison,
    StressedRun,
    compare_stressed,
    read_stressed,
    summarise_stressed,
)
from hilum.transforms.corrupt import CORRUPTIONS, QUICK_STRENGTHS
from tests.studies.small import small_data, small_study

FIRST, SECOND = (
    StressedRun(10, 0.9, {"gamma-bright": 0.5, "gamma-dark": 0.7, "blur": 0.9}, "f"),
    StressedRun(10, 0.8, {"gamma-bright": 0.4, "gamma-dark": 0.6, "blur": 0.2}, "f"),
)


def test_a_run_by_hand():
    assert FIRST.accuracy == pytest.approx(0.7)
    assert FIRST.families == pytest.approx({"exposure": 0.6, "sharpness": 0.9})
    data = to_plain(FIRST)
    assert from_plain(StressedRun, data, what="a run", error=EvaluationError) == FIRST


def test_runs_together_by_hand():
    found = summarise_stressed([FIRST, SECOND], 0.25)
    assert found.runs == pytest.approx((0.7, 0.4))
    assert found.stressed.value == pytest.approx(0.55)
    assert found.clean.value == pytest.approx(0.85)
    assert found.families["sharpness"].value == pytest.approx(0.55)


def test_differences_are_paired_by_the_number_of_the_run():
    # 0.7 - 0.4 in run 0; run 1 has no partner.
    found = compare_stressed([("a", "b")], {"a": {0: FIRST, 1: SECOND}, "b": {0: SECOND}}, 0.25)
    assert found[0].difference.value == pytest.approx(0.3)
    assert not found[0].shown
    assert found[0].difference.reason
    assert compare_stressed([("a", "b")], {"a": {0: FIRST}, "b": {1: SECOND}}, 0.25) == ()


def test_p_values_are_adjusted_for_all_pairs():
    def runs(*values):
        return {i: StressedRun(9, 1.0, {"blur": value}, "f") for i, value in enumerate(values)}

    variants = {"a": runs(0.9, 0.91, 0.9), "b": runs(0.5, 0.5, 0.51), "c": runs(0.9, 0.9, 0.91)}
    found = compare_stressed([("a", "b"), ("a", "c")], variants, 0.25)
    assert found[0].shown
    assert found[0].p_adjusted == pytest.approx(2 * found[0].p)
    assert not found[1].shown


@pytest.mark.parametrize(
    ("difference", "p", "shown"),
    [
        (Estimate(0.1, 0.05, 0.15), 0.01, True),
        (Estimate(0.1, 0.05, 0.15), 0.06, False),
        (Estimate(0.1, -0.05, 0.25), 0.01, False),
        (Estimate(0.1, reason="no interval"), None, False),
    ],
)
def test_what_is_shown(difference, p, shown):
    assert StressedComparison("a", "b", difference, p, p).shown is shown


def test_a_study_under_stress(tmp_path):
    data, study = small_data(tmp_path / "spots"), small_study(tmp_path, stress=6)
    result = run_study(study, data, tmp_path / "out")
    variant = result.variants["quick"]
    assert variant.stressed.n == 6
    assert len(variant.stressed.runs) == 2
    assert {"exposure", "framing", "noise"} < variant.stressed.families.keys()
    assert [(c.a, c.b) for c in result.stressed] == [("slow", "quick")]
    assert read_study(tmp_path / "out/rates") == result

    # the same as `hilum evaluate --stress` says of these images, before calibration
    folder = tmp_path / "out/runs" / variant.runs[0].run
    found = read_stressed(folder / "evaluation/stressed.json")
    assert found.corruptions.keys() == {c.name for c in CORRUPTIONS}
    part = divide(data, 2, 1).part(0)
    rows = part.indices("val")[np.linspace(0, 11, 6).astype(int)]
    stress = measure_stress(Classifier.load(folder), part, rows, strengths=QUICK_STRENGTHS)
    assert found.clean == pytest.approx(stress.clean.accuracy.value)
    assert found.accuracy == pytest.approx(stress.stressed.measures.accuracy.value)
    shift = measure_shift(Classifier.load(folder), part, rows)
    assert found.shifts == pytest.approx(
        {kind: mean.measures.accuracy.value for kind, mean in shift.kinds.items()}
    )
    assert found.families[SHIFTED] == pytest.approx(np.mean(list(found.shifts.values())))


def test_what_is_there_is_taken_and_what_is_damaged_made_anew(tmp_path):
    data = small_data(tmp_path / "spots")
    plain = run_study(small_study(tmp_path), data, tmp_path / "out")
    assert plain.variants["quick"].stressed is None
    assert plain.stressed == ()
    result = run_study(small_study(tmp_path, stress=6), data, tmp_path / "out")  # no training
    files = sorted((tmp_path / "out/runs").glob("*/evaluation/stressed.json"))
    assert len(files) == 4
    times = [file.stat().st_mtime_ns for file in files]
    files[0].write_text("{")
    older = json.loads(files[1].read_text())
    del older["shifts"]  # as it was written before there were any
    files[1].write_text(json.dumps(older))
    assert run_study(small_study(tmp_path, stress=6), data, tmp_path / "out") == result
    after = [file.stat().st_mtime_ns for file in files]
    assert after[0] != times[0]
    assert read_stressed(files[1]).shifts
    assert after[2:] == times[2:]
    more = run_study(small_study(tmp_path, stress=9), data, tmp_path / "out")
    assert more.variants["quick"].stressed.n == 9


def test_bad_input(tmp_path):
    with pytest.raises(StudyError, match="stress"):
        small_study(tmp_path, stress=-1)
    file = tmp_path / "stressed.json"
    file.write_text(json.dumps({"format": 1, "n": 3}))
    with pytest.raises(EvaluationError, match="lacks the key 'clean'"):
        read_stressed(file)
    file.write_text("[]")
    with pytest.raises(EvaluationError, match="format 1"):
        read_stressed(file)
