"""Stress tests: the same images on both sides, means and drops that can be checked by hand."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from hilum.codec import to_plain
from hilum.errors import DataError, EvaluationError
from hilum.evaluation.evaluate import run_split
from hilum.evaluation.stress import (
    STRESS_FILE,
    StressRun,
    measure_stress,
    read_stress,
    stress_run,
    summarise_stress,
    write_stress,
)
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.radiographs.image import read_radiograph
from hilum.statistics.intervals import bootstrap, wilson
from hilum.transforms.corrupt import CORRUPTIONS, STRENGTHS, corrupt, select_corruptions
from tests.plain import again
from tests.untrained import untrained

PAIR = LabelTree.from_text("normal, infected")


def said(truth, wrong, seed=0):
    """Predictions over two classes that are right but for the given images."""
    predicted = np.array(truth)
    predicted[list(wrong)] = 1 - predicted[list(wrong)]
    sure = np.random.default_rng(seed).uniform(0.55, 0.95, len(truth))
    probs = np.stack([sure, 1 - sure], axis=1)
    probs[predicted == 1] = probs[predicted == 1][:, ::-1]
    return Predictions(("",) * len(truth), probs, {"root": probs}, predicted)


@pytest.fixture
def run():
    """Twenty images of two classes: 2 wrong as they are, then 4 and 8 under blur, 5 under jpeg."""
    truth = np.repeat([0, 1], 10)
    stressed = {
        ("blur", 2): said(truth, range(0, 4), 1),
        ("blur", 4): said(truth, range(2, 10), 2),
        ("jpeg", 2): said(truth, range(7, 12), 3),
        ("jpeg", 4): said(truth, range(7, 12), 4),
    }
    return StressRun(truth, said(truth, [0, 19]), stressed)


# ---- the measures ------------------------------------------------------------------------------


def test_means_and_drops_are_those_of_the_counts(run):
    found = summarise_stress(PAIR, run, "val")

    assert (found.n, found.split, found.strengths) == (20, "val", (2, 4))
    assert found.clean.accuracy == wilson(18, 20)
    blur, jpeg = found.corruptions
    assert [level.measures.accuracy for level in blur.levels] == [wilson(16, 20), wilson(12, 20)]
    assert [(level.strength, level.amount) for level in jpeg.levels] == [(2, 35), (4, 18)]
    assert blur.mean.measures.accuracy.value == pytest.approx(0.7)
    assert blur.mean.drop.accuracy.value == pytest.approx(0.2)
    assert found.stressed.measures.accuracy.value == pytest.approx((0.8 + 0.6 + 0.75 + 0.75) / 4)
    assert found.stressed.drop.accuracy.value == pytest.approx(0.175)
    assert (blur.augmented_by, jpeg.augmented_by) == ("blur", "")
    assert found.new_kinds == jpeg.mean
    assert found.worst is blur


def test_measures_agree_with_scikit_learn(run):
    found = summarise_stress(PAIR, run, "val")

    for corruption in found.corruptions:
        for level in corruption.levels:
            p = run.stressed[corruption.name, level.strength]
            balanced = balanced_accuracy_score(run.truth, p.predicted)
            assert level.measures.balanced_accuracy.value == pytest.approx(balanced)
            area = roc_auc_score(run.truth, p.probs[:, 1])
            assert level.measures.macro_auroc.value == pytest.approx(area)


def test_the_drop_is_paired(run):
    truth = run.truth
    right = [(p.predicted == truth).astype(float) for p in run.stressed.values()]
    difference = (run.clean.predicted == truth) - np.mean(right, axis=0)

    drop = summarise_stress(PAIR, run, "val", seed=3).stressed.drop.accuracy

    oracle = bootstrap(lambda counts: counts @ difference / 20, 20, strata=truth, seed=3)
    assert drop.value == pytest.approx(oracle.value)
    assert (drop.low, drop.high) == (pytest.approx(oracle.low), pytest.approx(oracle.high))


def test_corruptions_that_change_nothing_have_no_drop_and_say_so(run):
    same = StressRun(run.truth, run.clean, {("blur", 1): run.clean})
    drop = summarise_stress(PAIR, same, "val").stressed.drop
    assert drop.accuracy.value == 0
    assert drop.accuracy.low is None
    assert "every resample gives the same value" in drop.accuracy.reason
    assert summarise_stress(PAIR, same, "val").new_kinds is None


def test_a_missing_class_leaves_its_measures_undefined():
    truth = np.zeros(6, dtype=np.int64)
    run = StressRun(truth, said(truth, [0]), {("jpeg", 1): said(truth, [0, 1, 2])})
    found = summarise_stress(PAIR, run, "val")
    assert found.stressed.measures.accuracy.value == 0.5
    for measures in (found.clean, found.stressed.measures, found.stressed.drop):
        assert measures.macro_auroc.reason == "no image of infected"
        assert measures.balanced_accuracy.value is None


def test_predictions_of_other_images_are_refused(run):
    broken = replace(run, stressed={("blur", 1): said(run.truth[:5], [0])})
    with pytest.raises(EvaluationError, match="shape"):
        summarise_stress(PAIR, broken, "val")


# ---- the run -----------------------------------------------------------------------------------


def test_a_run_says_of_each_image_what_the_classifier_says_of_its_copies(spots):
    model = untrained(spots)
    rows = spots.indices("val")
    told = []

    run = stress_run(
        model,
        spots,
        rows,
        corruptions=["gamma-dark", "shift"],
        strengths=[2, 5],
        seed=7,
        progress=lambda what, done, total: told.append((done, total)),
    )

    assert list(run.stressed) == [("gamma-dark", 2), ("gamma-dark", 5), ("shift", 2), ("shift", 5)]
    clean = run_split(model, spots, "val")
    assert np.array_equal(run.truth, clean.truth)
    np.testing.assert_allclose(run.clean.probs, clean.predictions.probs, atol=1e-6)
    assert run.clean.names == tuple(spots.records[row].name for row in rows)
    (shift,) = select_corruptions(["shift"])
    copies = [
        corrupt(read_radiograph(spots.records[row].path), shift, 5, seed=7, index=int(row))
        for row in rows
    ]
    np.testing.assert_allclose(
        run.stressed["shift", 5].probs, model.predict(copies).probs, atol=1e-6
    )
    assert told[-1] == (len(rows), len(rows))


def test_an_image_meets_the_same_whatever_else_is_tested(spots, monkeypatch):
    model = untrained(spots)
    alone = stress_run(model, spots, np.array([3]), corruptions=["crop"], strengths=[4])
    monkeypatch.setattr("hilum.evaluation.stress._HELD", 1)  # one image at a time

    beside = stress_run(model, spots, np.array([1, 3]), corruptions=["blur", "crop"])

    np.testing.assert_allclose(
        alone.stressed["crop", 4].probs[0], beside.stressed["crop", 4].probs[1], atol=1e-6
    )


def test_the_default_is_every_corruption_in_every_strength(spots):
    found = measure_stress(untrained(spots), spots, spots.indices("val")[::4], rule="argmax")
    assert [c.name for c in found.corruptions] == [c.name for c in CORRUPTIONS]
    assert all([x.strength for x in c.levels] == list(STRENGTHS) for c in found.corruptions)
    assert (found.split, found.rule, found.n) == ("some", "argmax", 3)
    assert found.data["fingerprint"] == spots.fingerprint


def test_what_cannot_be_tested_is_refused(spots):
    model, rows = untrained(spots), spots.indices("val")
    with pytest.raises(DataError, match="no corruption 'blurr'"):
        stress_run(model, spots, rows, corruptions=["blurr"])
    wrong: dict[str, Any]
    for wrong in ({"strengths": []}, {"strengths": [1, 1]}, {"rows": rows[:0]}):
        with pytest.raises(EvaluationError, match="each once|need an image"):
            stress_run(model, spots, wrong.pop("rows", rows), **wrong)
    with pytest.raises(DataError, match="from 1 to 5; found 9"):
        stress_run(model, spots, rows[:1], strengths=[9])
    other = replace(spots, tree=LabelTree.from_text("a, b, c"))
    with pytest.raises(EvaluationError, match="but the labels of"):
        stress_run(model, other, rows)


# ---- files -------------------------------------------------------------------------------------


def test_stress_json_reads_back(run, tmp_path):
    found = summarise_stress(PAIR, run, "val")
    write_stress(found, tmp_path)
    assert read_stress(tmp_path / STRESS_FILE) == found


def test_other_files_are_refused(run, tmp_path):
    path = tmp_path / STRESS_FILE
    with pytest.raises(EvaluationError, match="Cannot read"):
        read_stress(path)
    path.write_text("{")
    with pytest.raises(EvaluationError, match="is not valid JSON"):
        read_stress(path)
    path.write_text('{"format": 9}')
    with pytest.raises(EvaluationError, match=r"stress\.json: Not a stress test in format 1"):
        read_stress(path)
    content = to_plain(summarise_stress(PAIR, run, "val"))
    del content["clean"]
    path.write_text(json.dumps(content))
    with pytest.raises(EvaluationError, match="'clean'"):
        read_stress(path)
    assert again(summarise_stress(PAIR, run, "val")).n == 20
    with pytest.raises(EvaluationError, match="Cannot write"):
        write_stress(summarise_stress(PAIR, run, "val"), path / "below")
