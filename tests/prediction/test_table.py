"""What a row tells, checked against the parts that it is made of."""

import csv
import io

import numpy as np
import pytest
from PIL import Image

from hilum.classifier.conformal import NONE, ODD, SEVERAL, Conformal, fit_conformal
from hilum.errors import ClassifierError, EvaluationError
from hilum.evaluation.predictions_file import predictions_csv
from hilum.labels import LabelTree
from hilum.prediction.predict import predict_each
from hilum.prediction.stream import Answers
from hilum.prediction.table import Table, encode_csv, encode_header
from hilum.predictions import Predictions

TREE = LabelTree.from_text("normal, infected(covid, non-covid)")


def answers(probs, *, p_values=None, coloured=None, names=None):
    probs = np.array(probs)
    infected = probs[:, 1:].sum(axis=1, keepdims=True)
    decisions = {
        "root": np.hstack([probs[:, :1], infected]),
        "infected": probs[:, 1:] / infected,
    }
    names = names or [f"{i}.png" for i in range(len(probs))]
    found = Predictions(
        tuple(names), probs, decisions, probs.argmax(axis=1),
        None if p_values is None else np.array(p_values),
    )  # fmt: skip
    colours = np.array(coloured if coloured else [False] * len(probs))
    return Answers(tuple(names), ("",) * len(probs), found, colours)


def test_probabilities_stand_as_in_an_evaluation():
    """The same columns and the same cells, but for the status and the reason."""
    given = answers([[0.1, 0.7, 0.2], [1 / 3, 1 / 3, 1 / 3]], names=["=a,b.png", "c\nd.png"])
    table = Table(TREE)

    ours = encode_header(table.columns) + encode_csv([*table.columns], table.rows(given))

    rows = list(csv.reader(io.StringIO(ours.decode(), newline="")))
    expected = csv.reader(io.StringIO(predictions_csv(given.predictions, TREE), newline=""))
    assert [[*row[:2], *row[4:]] for row in rows] == list(expected)
    assert [row[2:4] for row in rows] == [["status", "reason"], ["ok", ""], ["ok", ""]]
    assert rows[1][0] == "'=a,b.png"


def test_sets_and_who_is_referred():
    # a class is in the set from these probabilities on
    conformal = Conformal(0.9, TREE.classes, (0.5, 0.3, 0.3), (20, 20, 20))
    table = Table(TREE, conformal=conformal, false_alarms=0.01)
    given = answers(
        [[0.6, 0.2, 0.2], [0.2, 0.4, 0.4], [0.49, 0.26, 0.25], [0.6, 0.2, 0.2], [0.6, 0.2, 0.2]],
        p_values=[0.5, 0.5, 0.5, 0.01, 0.5],
        coloured=[False, False, False, False, True],
    )

    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows(given)]

    assert [r["set"] for r in rows] == ["normal", "covid|non-covid", "", "normal", "normal"]
    assert [r["referred"] for r in rows] == [0, 1, 1, 1, 1]
    assert [r["referral"] for r in rows] == ["", SEVERAL, NONE, ODD, ODD]
    assert [r["gate_p_value"] for r in rows] == [0.5, 0.5, 0.5, 0.01, 0.5]


def test_without_prediction_sets_only_the_gate_refers():
    table = Table(TREE, false_alarms=0.05)
    given = answers([[0.4, 0.3, 0.3], [0.4, 0.3, 0.3]], p_values=[0.05, 0.06])

    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows(given)]

    assert "set" not in table.columns
    assert [r["referred"] for r in rows] == [1, 0]


def test_a_classifier_that_was_not_calibrated_tells_probabilities_only(plain):
    assert list(Table.of(plain).columns) == [
        "path", "predicted", "status", "reason", "p(normal)", "p(covid)", "p(non-covid)",
        "root/normal", "root/infected", "infected/covid", "infected/non-covid",
    ]  # fmt: skip
    for asked in ({"operate": ["clinic"]}, {"coverage": 0.9}):
        with pytest.raises(ClassifierError, match="hilum calibrate"):
            Table.of(plain, **asked)


def test_operating_points_call_as_their_thresholds_say(calibrated, folder):
    wish = "infected: sensitivity>=0.5"
    table = Table.of(calibrated, [wish], coverage=0.8)
    threshold = table.points[0].chosen.threshold

    rows = [
        dict(zip(table.columns, table.row(p), strict=True))
        for p in predict_each(calibrated, [str(folder)], table)
    ]

    told = [r for r in rows if r["status"] == "ok"]
    assert [r[wish] for r in told] == [int(r["root/infected"] >= threshold) for r in told]
    truth, known = calibrated.promised_predictions()
    sets = fit_conformal(calibrated.tree, truth, known, 0.8)
    assert table.conformal == sets
    classes = calibrated.tree.classes
    for r in told:
        own = zip(classes, sets.thresholds, strict=True)
        assert r["set"] == "|".join(c for c, least in own if r[f"p({c})"] >= least)
    failed = [r for r in rows if r["status"] == "failed"]
    assert len(failed) == 2
    assert failed[0]["reason"].startswith("not a PNG")
    assert failed[1]["reason"] == "the file is empty."
    assert {v for r in failed for k, v in list(r.items())[4:]} == {None}


def test_demands_that_cannot_be_met_are_refused_before_any_image(calibrated):
    with pytest.raises(EvaluationError, match="cannot be applied"):
        # of networks that learnt nothing
        Table.of(calibrated, ["covid: sensitivity>=0.99, specificity>=0.99"])


def test_a_photograph_in_colour_is_referred(tmp_path, calibrated, folder):
    grey = np.asarray(Image.open(folder / "infected/covid/0.png"))
    rgb = np.stack([grey, grey // 2, 255 - grey], axis=2)
    Image.fromarray(rgb).save(tmp_path / "colour.png")
    table = Table.of(calibrated)

    (found,) = predict_each(calibrated, [str(tmp_path / "colour.png")], table)
    *_, referred, why = table.row(found)

    assert (referred, why) == (1, ODD)
