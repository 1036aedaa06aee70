import json
from typing import Any

import numpy as np
import pytest

from hilum.classifier.operating_points import (
    fit_operating_point,
    measure_operating_point,
    parse_operating_points,
)
from hilum.codec import from_plain, to_plain
from hilum.errors import EvaluationError
from hilum.evaluation.operating import OperatingAssessment, assess_operating_points
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from tests.plain import again

TREE = LabelTree.from_text("normal, infected(covid, non-covid)")


def sample(seed, n=60):
    rng = np.random.default_rng(seed)
    truth = np.repeat([0, 1, 2], n // 3)
    leaf = rng.dirichlet(np.ones(3), n) + 0.5 * np.eye(3)[truth]
    leaf /= leaf.sum(axis=1, keepdims=True)
    predicted = leaf.argmax(axis=1)
    return truth, Predictions(("",) * n, leaf, TREE.decision_probs(leaf), predicted)


def fit(*texts, truth=None, predictions=None):
    if truth is None:
        truth, predictions = sample(0)
    return [
        fit_operating_point(point, TREE, truth, predictions)
        for point in parse_operating_points(texts, TREE)
    ]


def test_presets_and_own_points_stand_side_by_side():
    points = fit("public-health", "clinic", "covid: npv>=0.9", "infected/covid: clinic")
    truth, predictions = sample(1)
    found = assess_operating_points(TREE, points, truth, predictions, {"covid": 0.02})
    # Labels in the order of the tree, options last; of each, in the order given.
    assert [str(row.point) for row in found.rows] == [
        "infected: public-health", "infected: clinic",
        "covid: public-health", "covid: clinic", "covid: npv>=0.9",
        "non-covid: public-health", "non-covid: clinic",
        "infected/covid: clinic",
    ]  # fmt: skip
    assert found.n == 60
    covid = found.rows[2]
    assert covid.result.counts.n == 60
    at = covid.at_prevalence
    sens = covid.result.measured.sensitivity.value
    spec = covid.result.measured.specificity.value
    assert at.ppv.value == pytest.approx(0.02 * sens / (0.02 * sens + 0.98 * (1 - spec)))
    assert at.expected_ppv.value < covid.point.chosen.expected.ppv.value
    assert found.rows[0].at_prevalence is None
    assert found.rows[-1].result.counts.n == 40
    assert any("sensitivity and specificity stay the same" in note for note in found.notes)


def test_a_row_can_be_read_as_a_sentence():
    truth, predictions = sample(1)
    (row,) = assess_operating_points(
        TREE, fit("covid: recall>=0.9"), truth, predictions, {"covid": 0.02}
    ).rows
    sensitivity = row.result.measured.sensitivity
    assert row.summary().startswith("covid: sensitivity>=0.9: from a probability of 0.")
    assert (
        f"sensitivity {sensitivity.value:.2f} ({sensitivity.low:.2f} to {sensitivity.high:.2f})"
        in row.summary()
    )
    assert "at a prevalence of 0.02, PPV" in row.summary()


def test_what_could_not_be_chosen_or_met_is_said():
    truth = np.array([0, 2, 2])
    leaf = np.array([[0.2, 0.4, 0.4], [0.6, 0.2, 0.2], [0.6, 0.1, 0.3]])
    predictions = Predictions(("",) * 3, leaf, TREE.decision_probs(leaf), leaf.argmax(axis=1))
    points = fit("covid: clinic", "non-covid: precision>=0.99", truth=truth,
                 predictions=predictions)  # fmt: skip
    found = assess_operating_points(TREE, points, *sample(1))
    covid, other = found.rows
    assert covid.result is None
    assert "no positive image among the 3" in covid.summary()
    assert "No threshold meets ppv>=0.99" in other.summary()
    assert any("covid: clinic; non-covid: ppv>=0.99" in note for note in found.notes)
    assert again(found) == found


def test_the_images_that_thresholds_were_chosen_on_are_no_evidence():
    truth, predictions = sample(0)
    points = fit("covid: clinic")
    again = assess_operating_points(TREE, points, truth, predictions, same_images=True)
    assert again.same_images
    assert "films taken as these were" in again.notes[0]
    assert "chosen on these very images" in again.notes[1]
    truth, predictions = sample(1)
    other = assess_operating_points(TREE, points, truth, predictions, {"infected": 0.1})
    assert not any("very images" in note for note in other.notes)
    assert "No operating point uses the prevalence given for infected." in other.notes


def test_a_range_is_told_where_thresholds_were_chosen_on_shifted_copies():
    truth, predictions = sample(1)
    known = sample(0)
    found = assess_operating_points(
        TREE, fit("covid: public-health"), truth, predictions, alike=known
    )
    (row,) = found.rows
    assert "hold elsewhere" in found.notes[0]
    assert row.alike == measure_operating_point(row.point, TREE, *known).measured
    expected: Any = row.point.chosen.expected.sensitivity
    both: Any = row.alike.sensitivity
    reckoned: Any = row.elsewhere("sensitivity")
    assert reckoned == (min(expected.low, both.low), max(expected.high, both.high))
    assert "reckon with sensitivity {:.2f} to {:.2f}".format(*reckoned) in row.summary()
    (plain,) = assess_operating_points(TREE, [row.point], truth, predictions).rows
    assert plain.elsewhere("sensitivity") is None


def test_json_is_plain_and_keeps_everything():
    truth, predictions = sample(1)
    found = assess_operating_points(TREE, fit("clinic"), truth, predictions, {"covid": 0.02})
    data = json.loads(json.dumps(to_plain(found), allow_nan=False))
    assert from_plain(OperatingAssessment, data, what="it", error=EvaluationError) == found
    with pytest.raises(EvaluationError, match="Not an assessment"):
        from_plain(OperatingAssessment, {}, what="an assessment", error=EvaluationError)


def test_refusals():
    truth, predictions = sample(1)
    with pytest.raises(EvaluationError, match="no threshold yet"):
        assess_operating_points(TREE, parse_operating_points(["clinic"], TREE), truth, predictions)
    with pytest.raises(EvaluationError, match="'covid' is 0"):
        assess_operating_points(TREE, fit("clinic"), truth, predictions, {"covid": 0})
