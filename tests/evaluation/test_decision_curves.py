import json

import numpy as np
import pytest

from hilum.codec import from_plain, to_plain
from hilum.errors import EvaluationError, LabelError
from hilum.evaluation.curves import THRESHOLDS, DecisionCurve, measure_decision_curves, net_benefit
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.statistics.intervals import wilson
from tests.plain import again

TREE = LabelTree.from_text("normal, ill")


def predict(ill):
    ill = np.array(ill)
    probs = np.stack([1 - ill, ill], axis=1)
    return Predictions(("",) * len(ill), probs, {"root": probs}, probs.argmax(axis=1))


TRUTH = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
PREDICTIONS = predict([0.9, 0.8, 0.6, 0.2, 0.7, 0.4, 0.3, 0.1, 0.1, 0.0])


def curve(**options):
    (found,) = measure_decision_curves(TREE, TRUTH, PREDICTIONS, **options)
    return found


def test_net_benefit_by_hand():
    found = curve(thresholds=[0.2, 0.5, 0.75])
    # From 0.2: 4 ill and 3 not, at 1 to 4. From 0.5: 3 and 1, at 1 to 1. From 0.75: 2 and 0.
    assert found.net_benefit == pytest.approx(((4 - 3 / 4) / 10, (3 - 1) / 10, 2 / 10))
    assert found.treat_all == pytest.approx(((4 - 6 / 4) / 10, (4 - 6) / 10, (4 - 18) / 10))
    assert found.standardised == pytest.approx([b / 0.4 for b in found.net_benefit])
    assert (found.target, found.n, found.positives, found.prevalence) == ("ill", 10, 4, 0.4)
    assert not found.prevalence_given


def test_another_prevalence_reweighs_sensitivity_and_specificity():
    found = curve(thresholds=[0.2], prevalence={"ill": 0.1})
    assert found.net_benefit == pytest.approx((1.0 * 0.1 - 3 / 6 * 0.9 / 4,))
    assert found.treat_all == pytest.approx((0.1 - 0.9 / 4,))
    assert (found.prevalence, found.prevalence_given) == (0.1, True)


def test_bands_hold_the_value():
    found = curve()
    assert found.thresholds == THRESHOLDS
    for low, value, high in zip(found.low, found.net_benefit, found.high, strict=True):
        assert low < value < high


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.9])
def test_bands_cover_as_often_as_they_say(threshold):
    # 30 ill and 60 not, with uniform scores above and below: the truth is known.
    rng = np.random.default_rng(0)
    truth = np.repeat([1, 0], [30, 60])
    sensitivity = (1 - threshold**2, 1 - threshold)  # ill: the larger of two uniform numbers
    known = sensitivity[0] / 3 - sensitivity[1] * 2 / 3 * threshold / (1 - threshold)
    held = 0
    for _ in range(200):
        scores = rng.random(90)
        scores[:30] = np.maximum(scores[:30], rng.random(30))
        (found,) = measure_decision_curves(TREE, truth, predict(scores), thresholds=[threshold])
        held += found.low[0] <= known <= found.high[0]
    assert held >= 184


def test_no_false_positive_does_not_mean_that_there_can_be_none():
    (found,) = measure_decision_curves(
        TREE, np.array([0, 0, 1, 1]), predict([0.1, 0.1, 1.0, 1.0]), thresholds=[0.5, 0.99]
    )
    assert found.net_benefit == pytest.approx((0.5, 0.5))
    # 0 of 2 leaves a rate of 0.66 possible, and at 0.99 each costs 99 true positives.
    assert found.low[1] == pytest.approx(
        0.5 - np.hypot(0.5 * wilson(0, 2).high, 99 * 0.5 * wilson(0, 2).high), rel=1e-6
    )
    assert found.high == pytest.approx((0.5, 0.5))
    assert found.useful() == ((0.5, 0.99),)
    assert found.useful(surely=True) == ((0.5, 0.5),)


def test_useful_ranges():
    found = DecisionCurve(
        "ill", 10, 4, 0.4, False, (0.1, 0.2, 0.3, 0.4, 0.5),
        net_benefit=(0.3, 0.31, 0.3, -0.1, 0.05),
        low=(0.2, 0.29, 0.1, -0.2, -0.1), high=(0.4, 0.4, 0.4, 0.0, 0.1),
        treat_all=(0.33, 0.28, 0.1, 0.0, -0.2),
    )  # fmt: skip
    assert found.useful() == ((0.2, 0.3), (0.5, 0.5))
    assert found.useful(surely=True) == ((0.2, 0.2),)


def test_without_positives_or_negatives_there_is_no_curve():
    for truth, reason in (([0, 0], "no image of ill"), ([1, 1], "no image other than ill")):
        (found,) = measure_decision_curves(TREE, np.array(truth), predict([0.2, 0.7]))
        assert (found.reason, found.net_benefit, found.useful()) == (reason, (), ())
        assert again(found) == found


def test_labels_and_options_of_a_tree(tree, published):
    curves = measure_decision_curves(tree, *published)
    assert [c.target for c in curves] == ["infected", "covid", "non-covid"]
    assert [c.positives for c in curves] == [16, 8, 8]
    (option,) = measure_decision_curves(tree, *published, targets=["infected/covid"])
    assert (option.target, option.n, option.positives) == ("infected/covid", 16, 8)
    (none,) = measure_decision_curves(
        tree, np.zeros(24, dtype=int), published[1], targets=["infected/covid"]
    )
    assert (none.n, none.prevalence, none.reason) == (0, None, "no image of infected/covid")


def test_json_is_plain_and_keeps_everything():
    found = curve()
    data = json.loads(json.dumps(to_plain(found), allow_nan=False))
    assert from_plain(DecisionCurve, data, what="it", error=EvaluationError) == found
    assert data["useful"] == [list(pair) for pair in found.useful()]
    with pytest.raises(EvaluationError, match="Not a decision curve"):
        from_plain(DecisionCurve, {"target": "ill"}, what="a decision curve", error=EvaluationError)


def test_acting_on_all_and_on_the_ill_only():
    all_of_4, none_of_4 = wilson(4, 4), wilson(0, 4)
    assert net_benefit(all_of_4, none_of_4, 0.25, 0.3).value == 0.3
    assert net_benefit(all_of_4, all_of_4, 0.25, 0.3).value == pytest.approx(0.3 - 0.7 / 3)


def test_refusals():
    with pytest.raises(EvaluationError, match="above 0 and below 1"):
        curve(thresholds=[0.5, 1])
    with pytest.raises(EvaluationError, match="above 0 and below 1"):
        curve(thresholds=[])
    with pytest.raises(EvaluationError, match="'ill' is 1.5"):
        curve(prevalence={"ill": 1.5})
    with pytest.raises(LabelError, match="Did you mean 'ill'"):
        curve(targets=["il"])
