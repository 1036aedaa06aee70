import json
from typing import Any

import numpy as np
import pytest

from hilum.classifier.operating_points import (
    OperatingPoint,
    apply_operating_point,
    fit_operating_point,
    measure_operating_point,
    parse_operating_points,
)
from hilum.classifier.threshold import PRESETS, Demand
from hilum.codec import from_plain, to_plain
from hilum.errors import EvaluationError, LabelError
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.statistics.intervals import wilson
from hilum.statistics.two_by_two import TwoByTwo
from tests.plain import again

TREE = LabelTree.from_text("normal, infected(covid, non-covid)")
TRUTH = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])


def predict(infected, covid, tree=TREE):
    """Predictions from P(infected) and P(covid | infected) of each image."""
    probs = {
        "root": np.stack([1 - np.array(infected), infected], axis=1),
        "infected": np.stack([covid, 1 - np.array(covid)], axis=1),
    }
    return Predictions(
        ("",) * len(infected), tree.leaf_probs(probs), probs, tree.choose(probs, "route")
    )


PREDICTIONS = predict(
    #  three normal, one of them called infected; three covid; three non-covid
    [0.1, 0.2, 0.8, 0.9, 0.6, 0.9, 0.7, 0.9, 0.9],
    [0.9, 0.9, 0.9, 0.8, 0.9, 0.6, 0.2, 0.1, 0.5],
)


def fit(text, truth=TRUTH, predictions=PREDICTIONS):
    return fit_operating_point(OperatingPoint.parse(text, TREE), TREE, truth, predictions)


def test_parsing():
    point = OperatingPoint.parse(" covid : recall>=0.95, ppv>=0.5", TREE)
    assert point == OperatingPoint("covid", (Demand("sensitivity", 0.95), Demand("ppv", 0.5)))
    assert str(point) == "covid: sensitivity>=0.95, ppv>=0.5"
    assert OperatingPoint.parse(str(point), TREE) == point
    clinic = OperatingPoint.parse("infected/covid: clinic", TREE)
    assert clinic == OperatingPoint("infected/covid", PRESETS["clinic"], "clinic")
    assert OperatingPoint.parse(str(clinic), TREE) == clinic


def test_a_preset_alone_stands_for_every_finding():
    points = parse_operating_points(["public-health", "covid: public-health", "clinic"], TREE)
    assert [str(point) for point in points] == [
        *(f"{label}: public-health" for label in ("infected", "covid", "non-covid")),
        *(f"{label}: clinic" for label in ("infected", "covid", "non-covid")),
    ]
    healthy = LabelTree.from_text("normal, healthy")
    with pytest.raises(EvaluationError, match="as in 'normal: clinic'"):
        parse_operating_points(["clinic"], healthy)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clinc", "Cannot read the operating point 'clinc'.*Did you mean 'clinic'"),
        ("recall>=0.95", "LABEL: MEASURE>=VALUE"),
        ("covid: clinc", "no preset 'clinc'. Did you mean 'clinic'"),
        ("covid: ", "Cannot read the demand ''"),
        ("covid: recall>=0.9, clinic", "Cannot read the demand 'clinic'"),
        ("covid: recall>=0.9, sensitivity>=0.8", "demands a sensitivity twice"),
    ],
)
def test_points_that_cannot_be_read_are_refused(text, message):
    with pytest.raises(EvaluationError, match=message):
        parse_operating_points([text], TREE)


def test_unknown_labels_are_refused():
    with pytest.raises(LabelError, match="Did you mean 'covid'"):
        OperatingPoint.parse("covd: clinic", TREE)


def test_a_label_an_inner_label_and_an_option_have_their_own_scores_and_images():
    # P(covid): 0.09 0.18 0.72 | 0.72 0.54 0.54 | 0.14 0.09 0.45
    covid = fit("covid: recall>=1")
    assert covid.chosen.threshold == pytest.approx((0.54 + 0.45) / 2)
    assert covid.chosen.counts == TwoByTwo(tp=3, fp=1, tn=5, fn=0)
    # P(infected): the six infected have 0.6 or more, and so has one of the normal ones.
    infected = fit("infected: recall>=1")
    assert infected.chosen.threshold == pytest.approx((0.6 + 0.2) / 2)
    assert infected.chosen.counts == TwoByTwo(tp=6, fp=1, tn=2, fn=0)
    # P(covid | infected), on the six infected only: 0.8 0.9 0.6 | 0.2 0.1 0.5
    option = fit("infected/covid: recall>=1")
    assert option.chosen.threshold == pytest.approx((0.6 + 0.5) / 2)
    assert option.chosen.counts == TwoByTwo(tp=3, fp=0, tn=3, fn=0)


def test_applying():
    covid = fit("covid: recall>=1")
    assert apply_operating_point(covid, TREE, PREDICTIONS).nonzero()[0].tolist() == [2, 3, 4, 5]
    option = fit("infected/covid: recall>=1")
    called = apply_operating_point(option, TREE, PREDICTIONS)
    assert called.nonzero()[0].tolist() == [0, 1, 2, 3, 4, 5]


def test_measuring_on_other_images():
    point = fit("covid: recall>=1")
    truth = np.array([0, 0, 1, 1, 2])
    other = predict([0.1, 0.9, 0.9, 0.5, 0.9], [0.5, 0.9, 0.9, 0.5, 0.2])
    result = measure_operating_point(point, TREE, truth, other)
    # P(covid) 0.05 0.81 | 0.81 0.25 | 0.18 against 0.495
    assert result.counts == TwoByTwo(tp=1, fp=1, tn=2, fn=1)
    assert result.measured.sensitivity == wilson(1, 2)
    assert result.measured.ppv == wilson(1, 2)
    expected = point.chosen.expected.sensitivity
    assert result.drop.sensitivity.value == pytest.approx(expected.value - 0.5)
    assert result.drop.sensitivity.low < result.drop.sensitivity.value
    assert again(result) == result


def test_an_option_is_measured_on_the_images_of_its_decision():
    result = measure_operating_point(fit("infected/covid: recall>=1"), TREE, TRUTH, PREDICTIONS)
    assert result.counts.n == 6
    none = measure_operating_point(
        fit("infected/covid: recall>=1"), TREE, np.array([0]), predict([0.5], [0.5])
    )
    assert none.counts.n == 0
    assert none.measured.sensitivity.reason == "no positive image"
    assert none.drop.sensitivity.value is None


def test_demands_that_are_not_met_are_measured_but_never_applied():
    point = fit("covid: precision>=0.99")
    assert not point.chosen.satisfied
    assert measure_operating_point(point, TREE, TRUTH, PREDICTIONS).counts.n == 9
    with pytest.raises(EvaluationError, match="cannot be applied. No threshold meets ppv>=0.99"):
        apply_operating_point(point, TREE, PREDICTIONS)


def test_a_point_without_a_threshold_is_refused():
    point = OperatingPoint.parse("covid: clinic", TREE)
    for call in (
        lambda: apply_operating_point(point, TREE, PREDICTIONS),
        lambda: measure_operating_point(point, TREE, TRUTH, PREDICTIONS),
    ):
        with pytest.raises(EvaluationError, match="'covid: clinic' has no threshold yet"):
            call()
    nothing = fit("covid: clinic", np.array([0, 2]), predict([0.1, 0.9], [0.5, 0.5]))
    with pytest.raises(EvaluationError, match="has no threshold: no positive image among the 2"):
        measure_operating_point(nothing, TREE, TRUTH, PREDICTIONS)


def test_flat_probabilities_have_options_too():
    leaf = np.array([[0.2, 0.6, 0.2], [0.2, 0.2, 0.6], [0.8, 0.1, 0.1]])
    flat = Predictions(("",) * 3, leaf, TREE.decision_probs(leaf), leaf.argmax(axis=1))
    point = fit("infected/covid: recall>=1", np.array([1, 2, 0]), flat)
    # 0.6 / 0.8 and 0.2 / 0.8
    assert point.chosen.threshold == pytest.approx(0.5)


def test_json_is_plain_and_keeps_everything():
    for point in (fit("covid: clinic"), OperatingPoint.parse("covid: recall>=0.9", TREE)):
        data = json.loads(json.dumps(to_plain(point), allow_nan=False))
        assert from_plain(OperatingPoint, data, what="it", error=EvaluationError) == point
    wrong: Any
    for wrong in ([], {"target": "covid"}, {**data, "demands": [1]}, {**data, "chosen": {}}):
        with pytest.raises(EvaluationError, match="Not an operating point"):
            from_plain(OperatingPoint, wrong, what="an operating point", error=EvaluationError)
