import json
from dataclasses import replace

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar

from hilum.codec import from_plain, to_plain
from hilum.errors import EvaluationError, StudyError
from hilum.statistics.comparison import delong, holm
from hilum.studies.compare import Comparison, adjust, compare_variants
from hilum.studies.folds import pool
from hilum.studies.measures import Measure
from tests.studies.held_out import TREE, held_out

#: Ten images of each class.
TRUTH = np.repeat([0, 1, 2], 10)


def runs(wrong, *, same_images=False, truth=TRUTH):
    """A run per number: so many of the 30 images are wrong, the first ones of each class."""
    found = []
    for run, count in enumerate(wrong):
        predicted = truth.copy()
        rows = np.argsort(np.arange(len(truth)) % 10, kind="stable")[:count]
        predicted[rows] = (predicted[rows] + 1) % 3
        found.append(held_out(truth, predicted, run=0 if same_images else run))
    return found


def compare(wrong_a, wrong_b, measure="accuracy", **settings):
    same = settings.pop("same_images", False)
    return compare_variants(
        TREE,
        Measure.parse(measure, TREE),
        ("a", runs(wrong_a, same_images=same)),
        ("b", runs(wrong_b, same_images=same)),
        **settings,
    )


def test_a_difference_over_runs_by_hand():
    found = compare([3, 3, 3, 3, 3], [6, 7, 8, 9, 10])
    assert found.runs_a == pytest.approx([0.9] * 5)
    assert found.mean_b.value == pytest.approx(22 / 30)
    # Differences 3 to 7 in 30: their mean is 5, their variance 2.5; 1/5 + 1/4 = 0.45.
    half = 2.7764451 * (2.5 * 0.45) ** 0.5
    assert found.difference.value == pytest.approx(5 / 30)
    assert (found.difference.low, found.difference.high) == pytest.approx(
        ((5 - half) / 30, (5 + half) / 30)
    )
    assert found.difference.n == 5
    assert found.mean_a.low is None  # all runs alike
    assert found.p == found.p_adjusted < 0.05
    assert (found.shown, found.better) == (True, "a")


def test_the_other_tests_stand_beside_it():
    found = compare([3, 3, 3, 3, 3], [6, 7, 8, 9, 10])
    # What a gets wrong b gets wrong too: 25 of 150 images are right in a alone.
    assert (found.mcnemar.only_a, found.mcnemar.only_b, found.n_images) == (25, 0, 150)
    assert found.mcnemar.p == pytest.approx(mcnemar([[110, 25], [0, 15]]).pvalue)
    assert (found.n_groups, found.repeated) == (150, False)
    assert found.pooled_difference.value == pytest.approx(25 / 150)
    assert found.pooled_difference.low < 25 / 150 < found.pooled_difference.high
    # Connor: differing = difference = 1/6; (1.96 sqrt(1/6) + 0.8416 sqrt(5/36))^2 / (1/36) = 44.7
    assert found.images_needed == 45
    assert found.delong == {}


def test_turned_round_the_same_variant_wins():
    found = compare([6, 7, 8, 9, 10], [3, 3, 3, 3, 3])
    assert found.difference.value == pytest.approx(-5 / 30)
    assert (found.shown, found.better) == (True, "b")


def test_noise_is_not_shown():
    found = compare([3, 6, 3, 6, 3], [5, 3, 4, 4, 6])
    assert found.difference.low < 0 < found.difference.high
    assert (found.shown, found.better) == (False, None)
    assert found.images_needed > found.n_images


def test_no_interval_goes_beyond_what_a_difference_can_be():
    found = compare([0, 30], [30, 15])  # differences 1 and -1/2; t(1) is 12.7
    assert (found.runs_a, found.runs_b) == ((1, 0), (0, 0.5))
    assert (found.difference.low, found.difference.high) == (-1, 1)


def test_holm_can_take_a_difference_back():
    shown = compare([3, 3, 3, 3, 3], [6, 7, 8, 9, 10])
    noise = compare([3, 6, 3, 6, 3], [5, 3, 4, 4, 6])
    family = adjust([shown, *[replace(noise, p=0.9)] * 20])
    assert family[0].p_adjusted == pytest.approx(21 * shown.p)
    assert (shown.shown, family[0].shown) == (True, False)
    assert family[0].mcnemar_p_adjusted == pytest.approx(min(1, 21 * shown.mcnemar.p))
    undefined = replace(noise, p=None)
    assert adjust([shown, undefined])[0].p_adjusted == shown.p
    assert adjust([shown, undefined])[1].p_adjusted is None


def test_one_run_has_no_interval():
    found = compare([3], [9])
    assert found.difference.value == pytest.approx(6 / 30)
    assert (found.difference.low, found.p, found.shown) == (None, None, False)
    assert "at least 2 runs" in found.difference.reason
    assert "at least 2 runs" in found.mean_a.reason


def test_an_undefined_run_is_not_left_out():
    # In run 2 b calls nothing covid.
    b = [held_out(TRUTH, TRUTH, run=0), held_out(TRUTH, np.where(TRUTH == 1, 2, TRUTH), run=1)]
    measure = Measure.parse("precision of covid", TREE)
    found = compare_variants(TREE, measure, ("a", runs([3, 4])), ("b", b))
    assert found.runs_b == (1.0, None)
    assert found.mean_b.value is None
    assert found.mean_b.reason == "precision of covid is undefined in run 2"
    assert found.difference.reason == "precision of covid of `b` is undefined in run 2"
    assert (found.p, found.shown, found.runs_needed) == (None, False, None)


def test_an_auroc_has_delong_on_each_image_once():
    rng = np.random.default_rng(0)

    def variant(noise):
        found = []
        for run in range(3):
            predicted = np.where(rng.random(30) < noise, rng.integers(0, 3, 30), TRUTH)
            found.append(held_out(TRUTH, predicted, run=run, sure=0.5 + rng.random(30) / 2))
        return found

    a, b = variant(0.1), variant(0.4)
    found = compare_variants(TREE, Measure.parse("macro auroc", TREE), ("a", a), ("b", b))
    assert list(found.delong) == ["normal", "covid", "non-covid"]
    truth = np.tile(TRUTH, 3)
    one, two = (np.concatenate([run.predictions.probs[:, 1] for run in v]) for v in (a, b))
    assert found.delong["covid"] == delong(truth == 1, one, two)
    ps = [test.p for test in found.delong.values()]
    assert list(found.delong_p_adjusted.values()) == holm(ps)
    twice = adjust([found, found])
    assert list(twice[1].delong_p_adjusted.values()) == holm(ps + ps)[3:]
    decision = Measure.parse("auroc(infected/covid)", TREE)
    alone = compare_variants(TREE, decision, ("a", a), ("b", b))
    assert alone.delong["infected/covid"].auc_a.n == 60
    restored = from_plain(
        Comparison,
        json.loads(json.dumps(to_plain(found), allow_nan=False)),
        what="a comparison",
        error=StudyError,
    )
    assert restored == found


def test_images_of_one_group_are_drawn_together():
    alone = compare([3, 6, 3], [8, 5, 9])
    # Of each class image 0 alone, then pairs: as images of one patient, they are wrong together.
    groups = {
        f"{r}/{i}.png": f"{r}/{i // 10}/{(i % 10 + 1) // 2}" for r in range(3) for i in range(30)
    }
    blocks = compare([3, 6, 3], [8, 5, 9], groups=groups)
    assert (alone.n_groups, blocks.n_groups) == (90, 54)
    assert blocks.n_images == 90
    assert blocks.difference == alone.difference
    wide, narrow = blocks.pooled_difference, alone.pooled_difference
    assert wide.high - wide.low > 1.2 * (narrow.high - narrow.low)
    assert blocks.images_needed > alone.images_needed


def test_testing_the_same_images_again_makes_them_no_more():
    # Every run holds out the same 30 images: seeds agree, but 4 images carry the difference.
    found = compare([3, 3, 3, 4, 3], [7, 7, 7, 7, 7], same_images=True)
    assert (found.repeated, found.n_images, found.pooled_difference.n) == (True, 30, 30)
    assert (found.mcnemar.only_a, found.mcnemar.n) == (4, 30)
    assert found.difference.low > 0
    assert found.pooled_difference.low > 0
    assert found.shown
    few = compare([3, 3, 3, 3, 3], [4, 4, 4, 5, 4], same_images=True)
    assert few.difference.low > 0
    assert few.p_adjusted < 0.05
    assert few.pooled_difference.low <= 0
    assert not few.shown


def test_comparing_a_variant_with_its_copy():
    found = compare([3, 5, 4], [3, 5, 4])
    assert (found.difference.value, found.difference.low, found.p) == (0, None, None)
    assert (found.mcnemar.p, found.images_needed, found.shown) == (1, None, False)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (runs([3, 3]), runs([3]), "2 and 1 runs"),
        (runs([3]), [held_out(TRUTH[::-1], TRUTH)], "run 1 of each held out other images"),
        (runs([3]), [held_out(TRUTH, TRUTH, run=7)], "or in another order"),
        (runs([3]), [held_out(TRUTH, TRUTH, n_train=99)], "trained on 120 and 99"),
        ([], [], "no runs"),
    ],
)
def test_refuses_runs_that_are_not_paired(a, b, message):
    with pytest.raises(EvaluationError, match=message):
        compare_variants(TREE, Measure("accuracy"), ("a", a), ("b", b))


def test_pooled_runs_hold_each_image_once():
    first = held_out([0, 1], [0, 2], names=["x", "y"])
    second = held_out([1, 2], [1, 2], names=["y", "z"])
    pooled = pool(TREE, [first, second], {"x": "p", "y": "p", "z": "q"})
    assert pooled.first.tolist() == [True, True, False, True]
    assert (pooled.n_images, pooled.n_groups) == (3, 2)
    truth, once, _ = pooled.once
    assert truth.tolist() == [0, 1, 2]
    assert once.names == ("x", "y", "z")
    assert once.predicted.tolist() == [0, 2, 2]
    assert once.probs.shape == (3, 3)


@pytest.mark.parametrize(
    ("parts", "groups", "message"),
    [
        ([held_out([0, 1], [0, 1], names=["x", "x"])], None, "names an image twice"),
        ([held_out([0, 1], [0, 1], names=["x", ""])], None, "or not at all"),
        (
            [held_out([0], [0], names=["x"]), held_out([1], [0], names=["x"])],
            None,
            "x: normal in one run and covid in run 2",
        ),
        ([held_out([0], [0], names=["x"])], {"y": "p"}, "x has no group"),
        ([held_out([0], [0], n_train=0)], None, "trained on 0"),
    ],
)
def test_pooling_refuses_what_does_not_fit(parts, groups, message):
    with pytest.raises(EvaluationError, match=message):
        pool(TREE, parts, groups)
