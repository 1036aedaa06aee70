"""Subgroups: accuracies by hand, the test against exact and asymptotic ones."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import StratifiedTable

from hilum.codec import from_plain
from hilum.errors import EvaluationError
from hilum.evaluation.bands import Bands
from hilum.evaluation.subgroups import Subgroups, measure_subgroups
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.statistics.intervals import wilson
from tests.plain import again

TREE = LabelTree.from_text("a, b")


def images(cells):
    """(truth, predictions, groups) from {(group, class): (right, wrong)}."""
    truth, predicted, groups = [], [], []
    for (group, k), (right, wrong) in cells.items():
        truth += [k] * (right + wrong)
        predicted += [k] * right + [1 - k] * wrong
        groups += [group] * (right + wrong)
    probs = np.where(np.array(predicted)[:, None] == [0, 1], 0.75, 0.25)
    predictions = Predictions(
        ("",) * len(truth), probs, {"root": probs}, np.array(predicted, dtype=np.int64)
    )
    return np.array(truth), predictions, groups


def measure(cells, **more):
    truth, predictions, groups = images(cells)
    return measure_subgroups(TREE, truth, predictions, {"shade": Bands.of(groups), **more})


def test_by_hand():
    # class a: 60 of 80 right; class b: 10 of 20 right
    result = measure({
        ("dark", 0): (18, 2), ("dark", 1): (5, 5), ("pale", 0): (42, 18), ("pale", 1): (5, 5),
    })  # fmt: skip
    (shade,) = result.attributes
    dark, pale = shade.subgroups
    assert (dark.name, dark.n, pale.name, pale.n) == ("dark", 30, "pale", 70)
    assert dark.accuracy == wilson(23, 30)
    assert dark.expected == pytest.approx((20 * 0.75 + 10 * 0.5) / 30)
    assert dark.standardised.value == pytest.approx(0.8 * 18 / 20 + 0.2 * 5 / 10)
    assert dark.recalls == {"a": wilson(18, 20), "b": wilson(5, 10)}
    assert (shade.worst, shade.rest) == ("pale", wilson(23, 30))
    assert shade.unknown == 0
    assert again(result) == result


def test_the_p_of_one_class_is_the_exact_one():
    (shade,) = measure({("dark", 0): (3, 7), ("pale", 0): (15, 5)}).attributes
    # 18 of 30 are right; dark draws 10 of them: 6 expected, 3 or fewer, 9 or more as extreme
    law = stats.hypergeom(30, 18, 10)
    exact = sum(law.pmf(k) for k in range(11) if abs(k - 6) >= 3)
    assert shade.p == pytest.approx(exact, abs=4 * np.sqrt(exact / 9999))
    assert shade.p == shade.adjusted_p
    assert exact == pytest.approx(stats.fisher_exact([[3, 7], [15, 5]]).pvalue)


def test_the_p_of_many_images_is_that_of_cochran_mantel_haenszel():
    cells = {
        ("dark", 0): (230, 70), ("dark", 1): (60, 50),
        ("pale", 0): (170, 30), ("pale", 1): (90, 60),
    }  # fmt: skip
    (shade,) = measure(cells).attributes
    tables = [np.array([cells["dark", k], cells["pale", k]]) for k in (0, 1)]
    oracle = StratifiedTable(tables).test_null_odds(correction=False).pvalue
    assert shade.p == pytest.approx(oracle, abs=0.01)


def test_a_mix_of_classes_is_no_difference():
    # every class does equally well everywhere, but dark images are mostly of the hard one
    cells = {
        ("dark", 0): (18, 2), ("dark", 1): (40, 40), ("pale", 0): (72, 8), ("pale", 1): (10, 10),
    }  # fmt: skip
    (shade,) = measure(cells).attributes
    dark, pale = shade.subgroups
    assert dark.accuracy.high < pale.accuracy.low
    assert dark.expected == pytest.approx(dark.accuracy.value)
    assert dark.standardised.value == pytest.approx(pale.standardised.value) == pytest.approx(0.7)
    assert shade.p == 1
    assert not shade.differs
    assert shade.sentence == "shade: no difference that these data show (p = 1.000)."


def test_a_difference_is_told_with_both_sides_and_adjusted():
    cells = {("dark", 0): (40, 60), ("pale", 0): (180, 20), ("dark", 1): (30, 20)}
    truth, predictions, groups = images(cells)
    halves = Bands.of(["x", "y"] * (len(truth) // 2))
    result = measure_subgroups(
        TREE, truth, predictions,
        {"shade": Bands.of(groups), "half": halves, "site": Bands.of(["s"] * len(truth))},
    )  # fmt: skip
    shade, half, site = result.attributes
    assert shade.differs
    assert shade.p == pytest.approx(1e-4)
    assert shade.adjusted_p == pytest.approx(2e-4)  # two were tested, site could not be
    assert shade.sentence == (
        "shade: worse for dark: accuracy 0.47 (0.39 to 0.55) in 150 images, where their mix of "
        "classes alone would give 0.69, against 0.90 (0.85 to 0.93) in the 200 others; "
        "p < 0.001, adjusted for 2 comparisons."
    )
    assert shade.subgroups[1].standardised.reason == "no image of b in the subgroup"
    assert not half.differs
    assert (site.p, site.adjusted_p) == (None, None)
    assert site.sentence == "site: not compared (every image is of 's')."
    assert again(result) == result


def test_images_without_a_value_are_in_no_subgroup():
    truth, predictions, _ = images({("", 0): (25, 5)})
    groups = [None] * 6 + ["big"] * 12 + ["small"] * 12
    (found,) = measure_subgroups(TREE, truth, predictions, {"g": Bands.of(groups)}).attributes
    assert [(s.name, s.n) for s in found.subgroups] == [("big", 12), ("small", 12)]
    assert found.unknown == 6
    assert found.subgroups[0].expected == pytest.approx(19 / 24)  # of the known 24


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({("x", 0): (9, 0), ("y", 1): (9, 0)}, "every image is classified correctly"),
        ({("x", 0): (0, 9), ("y", 1): (0, 9)}, "no image is classified correctly"),
        ({("x", 0): (5, 4), ("y", 1): (5, 4)}, "no class with both right and wrong images"),
        ({(None, 0): (5, 4)}, "no image has a value"),
    ],
)
def test_what_cannot_be_tested_says_why(cells, reason):
    (found,) = measure(cells).attributes
    assert found.p is None
    assert found.reason.startswith(reason)
    assert reason in found.sentence


def test_false_alarms_are_as_rare_as_they_claim():
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(60):
        cells = {
            (g, k): (hits := int(rng.binomial(n, share)), n - hits)
            for g, n in (("x", 30), ("y", 60)) for k, share in ((0, 0.9), (1, 0.6))
        }  # fmt: skip
        (found,) = measure(cells).attributes
        alarms += found.p is not None and found.p < 0.05
    assert alarms <= 8  # binomial(60, 0.05) is above 8 once in 1,000 times


def test_lengths_must_agree():
    with pytest.raises(EvaluationError, match="'short' has 1 values for 18 images"):
        measure({("x", 0): (5, 4), ("y", 1): (5, 4)}, short=Bands.of(["x"]))
    with pytest.raises(EvaluationError, match="Not the subgroups"):
        from_plain(Subgroups, {"n": 3}, what="the subgroups", error=EvaluationError)
