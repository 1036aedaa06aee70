"""Shortcuts: a planted marker is found, and nothing is found where nothing was planted."""

from functools import cache

import numpy as np
import pytest

from hilum.auditing.findings import Finding
from hilum.auditing.probe import FOLDS, LIMIT, _draws, _folds, probe, thin, units_of
from hilum.auditing.shortcuts import (
    LUNGS,
    SIDE,
    Shortcut,
    left_findings,
    measure_shortcuts,
    shortcut_findings,
)
from hilum.labels import LabelTree
from hilum.phantoms.anatomy import anatomy_of, sample_patient
from hilum.phantoms.phantom import render_phantom
from hilum.radiographs.image import Header
from hilum.recipe import Recipe
from hilum.records import Estimate
from hilum.transforms.augment import training_view

CLASSES = ("normal", "covid", "non-covid")
EACH = 60
LABELS = np.repeat([0, 1, 2], EACH)
HEADER = Header("PNG", "L", 8, SIDE, SIDE, 3000, 0.0)


@cache
def bodies() -> np.ndarray:
    """180 phantoms of patients without a finding: any class is as good as another."""
    images = [render_phantom("normal", seed=7, index=i, size=SIDE)[0] for i in range(3 * EACH)]
    return np.stack(images)


def measure(pixels, headers=None, labels=LABELS, **more):
    found = measure_shortcuts(pixels, headers or [HEADER] * len(labels), labels, CLASSES, **more)
    return {s.name: s for s in found}


# ---- the promise --------------------------------------------------------------------------------


def test_without_a_shortcut_everything_stays_within_chance():
    found = measure(bodies())

    for name, shortcut in found.items():
        low, high = shortcut.auroc.low, shortcut.auroc.high
        if name == "file":  # all headers are equal: chance exactly
            assert (low, shortcut.auroc.value, high) == (0.5, 0.5, 0.5)
        assert low <= 0.5 <= high, name
    (finding,) = shortcut_findings(tuple(found.values()))
    assert finding.severity == "passed"
    assert "no proof" in finding.meaning


def test_a_planted_marker_is_found_where_it_stands():
    marked = bodies().copy()
    covid = np.flatnonzero(LABELS == 1)
    marked[covid[covid % 5 != 0], 2:7, 4:8] = 250  # a letter in the corner of 4 in 5

    found = measure(marked)

    assert found["corners"].auroc.low > 0.6
    assert found["corners"].per_class["covid"] > 0.8
    assert not found["file"].above_chance
    finding = shortcut_findings(tuple(found.values()))[0]
    assert finding.severity == "warning"
    assert "without the lungs" in finding.title
    assert len(finding.evidence) == 6


def test_a_machine_that_stores_other_files_is_found_in_the_files_only():
    headers = [
        Header("JPEG", "L", 8, 1024, 1024, 90_000, 12.0 if label == 2 else 3.0) for label in LABELS
    ]

    found = measure(bodies(), headers)

    # one class against two that look alike: perfect for it, and (0.75, 0.75) for the others
    assert found["file"].per_class["non-covid"] == 1
    assert found["file"].auroc.value == pytest.approx((1 + 0.75 + 0.75) / 3, abs=0.12)
    assert not found["corners"].above_chance


def test_what_differs_in_the_lungs_is_no_shortcut():
    opaque = bodies().copy()
    opaque[LABELS == 2, 24:40, 10:22] = 200

    found = measure(opaque)

    assert found["whole image"].per_class["non-covid"] > 0.95
    for name in ("border", "corners", "no lungs"):
        assert found[name].auroc.low <= 0.5, name


def test_brightness_is_told_apart_from_what_is_outside_the_lungs():
    brighter = bodies().copy()
    brighter[LABELS == 2, 10:50, 10:54] = np.minimum(
        brighter[LABELS == 2, 10:50, 10:54].astype(int) + 40, 255
    )

    found = measure(brighter)

    outside, brightness = shortcut_findings(tuple(found.values()))
    assert found["histogram"].above_chance
    assert outside.severity == "passed"
    assert (brightness.severity, brightness.code) == ("note", "shortcut-brightness")


def test_augmentation_takes_a_shortcut_away_or_leaves_it():
    tree = LabelTree.from_text(", ".join(CLASSES))
    pixels = (bodies() * 0.8).astype(np.uint8)
    pixels[LABELS == 1] += 25  # another exposure
    plain = Recipe(name="plain", network="covinet", epochs=1)
    before = measure(pixels)

    views = {}
    for recipe in (plain, Recipe.load("default")):
        name, as_trained = training_view(recipe, tree)
        seen = as_trained(pixels)
        assert (seen.shape, seen.dtype) == (pixels.shape, np.uint8)
        views[name] = measure_shortcuts(seen, None, LABELS, CLASSES)
        assert [s.name for s in views[name]] == [s for s in before if s != "file"]

    for shortcut in views["plain"]:  # it changes nothing
        assert shortcut == before[shortcut.name]
    (kept,) = left_findings("plain", tuple(before.values()), views["plain"])
    assert (kept.severity, kept.code) == ("warning", "shortcut-left")
    assert "The augmentation of 'plain' leaves a shortcut outside the lungs: AUROC 0." in kept.title
    assert before["border"].auroc.low > 0.6
    (gone,) = left_findings("default", tuple(before.values()), views["default"])
    assert gone.severity == "passed"
    assert any("border: AUROC 0.5" in line for line in gone.evidence)
    few = measure_shortcuts(pixels[:5], None, LABELS[:5], CLASSES)
    assert left_findings("plain", few, few) == []


def test_the_rectangle_holds_the_lungs():
    outside, total = 0, 0
    for i in range(100):
        anatomy = anatomy_of(sample_patient(np.random.default_rng([3, i])), SIDE)
        lung = (anatomy.right.depth + anatomy.left.depth) > 1.0  # more than a centimetre of it
        total += lung.sum()
        lung[LUNGS] = False
        outside += lung.sum()

    assert outside / total < 0.005


# ---- few images, many images, patients ----------------------------------------------------------


def test_too_few_images_are_said_to_be_too_few():
    labels = np.array([0] * 20 + [1] * 9 + [2] * 20)
    found = measure(bodies()[: len(labels)], labels=labels)

    assert found["corners"].auroc.value is None
    assert found["corners"].auroc.reason == "'covid' has fewer than 10 images"
    (finding,) = shortcut_findings(tuple(found.values()))
    assert finding.code == "shortcut-unknown"


def test_a_patient_stands_in_one_fold_and_is_drawn_as_one():
    labels = np.array([0] * 20 + [1] * 20)
    groups = [f"p{i // 4}" for i in range(40)]
    units = units_of(labels, groups)

    folds, draws = _folds(labels, units), _draws(labels, units, seed=0)

    for unit in np.unique(units):
        assert len(set(folds[units == unit])) == 1
        assert (np.ptp(draws[:, units == unit], axis=1) == 0).all()
    assert set(folds) == set(range(FOLDS))
    assert (draws[0] == 1).all()
    assert (draws[:, labels == 0].sum(axis=1) == 20).all(), "units are of equal size here"


def test_without_patients_neighbouring_files_count_as_one():
    units = units_of(np.zeros(400, dtype=np.int64))

    assert np.bincount(units).tolist() == [10] * 40
    assert np.bincount(units_of(np.zeros(60, dtype=np.int64))).tolist() == [3] * 20


def test_a_class_of_one_patient_cannot_be_held_out():
    labels = np.repeat([0, 1], 20)
    groups = [f"p{i}" for i in range(20)] + ["one"] * 20

    auroc, _ = probe(
        np.ones((40, 1), dtype=np.float32), labels, units_of(labels, groups), ("a", "b"), 0
    )

    assert auroc.value is None
    assert "'b' has too few patients" in auroc.reason


def test_above_the_limit_whole_runs_are_left_out():
    labels = np.repeat([0, 1], 3 * LIMIT // 2)  # three times too many: every third run stays

    kept = thin(labels)

    assert len(kept) == pytest.approx(LIMIT, rel=0.01)
    assert kept[:20].tolist() == [*range(10), *range(30, 40)]


def test_rows_choose_the_images():
    marked = bodies().copy()
    marked[:EACH, 2:7, 4:8] = 250
    rows = np.arange(0, 3 * EACH, 2)

    half = measure(marked, rows=rows)["corners"]
    alone = measure(marked[rows], labels=LABELS[rows])["corners"]

    assert half == alone
    assert half.auroc.n == len(rows)


# ---- the arithmetic -----------------------------------------------------------------------------


def test_without_a_class_in_some_draw_there_is_no_interval():
    labels = np.repeat([0, 1], [20, 10])
    groups = [f"p{i}" for i in range(20)] + ["p0"] * 5 + ["p19"] * 5  # two of twenty are drawn

    auroc, each = probe(
        np.ones((30, 1), dtype=np.float32), labels, units_of(labels, groups), ("a", "b"), 0
    )

    assert (auroc.value, auroc.low, each) == (0.5, None, {"a": 0.5, "b": 0.5})
    assert "some resamples leave a class without images" in auroc.reason


def test_intervals_hold_chance_where_there_is_nothing():
    held = []
    labels = np.repeat([0, 1], 100)
    for i in range(30):
        noise = np.random.default_rng(i).normal(size=(200, 10)).astype(np.float32)
        auroc, _ = probe(noise, labels, units_of(labels), ("a", "b"), 0)
        held.append(auroc.low <= 0.5 <= auroc.high)

    assert np.mean(held) >= 0.9, "nominally 95 %"


# ---- findings -----------------------------------------------------------------------------------


def shortcut(name: str, value: float, low: float, high: float) -> Shortcut:
    return Shortcut(name, f"the {name}", Estimate(value, low, high, 100), {}, name == "whole image")


@pytest.mark.parametrize(
    ("shortcuts", "severity", "code"),
    [
        ([shortcut("border", 0.8, 0.7, 0.9)], "warning", "shortcut"),
        ([shortcut("border", 0.55, 0.52, 0.58)], "note", "shortcut-possible"),
        ([shortcut("border", 0.7, 0.45, 0.9)], "passed", "shortcut"),
        (
            [shortcut("border", 0.5, 0.4, 0.6), shortcut("whole image", 0.9, 0.8, 1.0)],
            "passed",
            "shortcut",
        ),
    ],
)
def test_how_much_a_shortcut_matters(shortcuts, severity, code):
    (finding,) = shortcut_findings(shortcuts)

    assert isinstance(finding, Finding)
    assert (finding.severity, finding.code) == (severity, code)
