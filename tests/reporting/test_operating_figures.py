import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from hilum.evaluation.curves import DecisionCurve
from hilum.reporting.evaluation_charts import decision_curve_chart, describe_decision_curve
from hilum.reporting.svg import number_charts

CURVE = DecisionCurve(
    "covid <b>", 10, 4, 0.4, False, (0.1, 0.25, 0.5),
    net_benefit=(0.3, 0.325, 0.2), low=(0.2, 0.3, -0.1), high=(0.4, 0.35, 0.3),
    treat_all=(0.333, 0.2, -0.2),
)  # fmt: skip


def test_the_chart_leaves_colour_to_the_page_and_is_described():
    svg = decision_curve_chart(CURVE)
    root = ET.fromstring(svg)
    assert root[0].text == describe_decision_curve(CURVE)
    assert "var(--series-1)" in svg
    assert "var(--series-2)" in svg
    assert "#0" not in svg
    texts = {e.text for e in root.iter("text")}
    assert {"classifier", "act on all", "act on none", "threshold probability"} <= texts
    ids = [e.get("id", "") for e in ET.fromstring(number_charts(svg, "dc")).iter()]
    assert all(i.startswith("dc0-") for i in ids if i)
    assert decision_curve_chart(CURVE) == svg


def test_the_words_hold_the_numbers():
    assert describe_decision_curve(CURVE) == (
        "Decision curve of covid <b>: net benefit of the classifier on 10 images, at a prevalence "
        "of 0.4 (of these images). At a threshold probability of 0.1 it is 0.300 (0.200 to 0.400), "
        "of acting on all 0.333; at a threshold probability of 0.25 it is 0.325 (0.300 to 0.350), "
        "of acting on all 0.200; at a threshold probability of 0.5 it is 0.200 (-0.100 to "
        "0.300), of acting on all -0.200. It is higher than acting on all and on none at 0.25 to "
        "0.5, and its whole band is at 0.25."
    )
    useless = replace(CURVE, net_benefit=(0.1, 0.1, -0.1), low=(0.0, 0.0, -0.2))
    assert describe_decision_curve(useless).endswith("higher than acting on all and on none.")


def test_an_empty_curve_is_words_only():
    empty = DecisionCurve("covid", 2, 0, 0.0, False, (0.5,), reason="no image of covid")
    assert describe_decision_curve(empty) == (
        "There is no decision curve of covid: no image of covid."
    )
    with pytest.raises(ValueError, match="no image of covid"):
        decision_curve_chart(empty)
