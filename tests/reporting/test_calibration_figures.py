"""Reliability diagrams and curves: safe text, colours of the page, and the numbers in words."""

import xml.etree.ElementTree as ET

import pytest

from hilum.evaluation.calibration import Bin, Reliability
from hilum.evaluation.curves import Band, Curve, OptionCurves
from hilum.records import Estimate
from hilum.reporting.evaluation_charts import curve_charts, reliability_diagram
from hilum.reporting.svg import number_charts

CLASS = OptionCurves(
    n=20,
    positives=8,
    auroc=Estimate(0.875, 0.7, 0.96, 20, "bootstrap"),
    average_precision=Estimate(0.8, n=20, method="bootstrap", reason="no interval: same"),
    roc=Curve((0, 0, 1), (0, 0.75, 1), Band((0, 1), (0.5, 1), (0.9, 1))),
    pr=Curve((0, 1), (0.8, 0.8), None, "no band"),
)
ABSENT = OptionCurves(
    20, 0, Estimate.undefined("no image of x"), Estimate.undefined("no image of x"), None, None
)
RELIABILITY = Reliability(
    (
        Bin(0.25, Estimate(0.3, 0.1, 0.6, 10, "wilson")),
        Bin(0.9, Estimate(0.8, 0.5, 0.94, 10, "wilson")),
    ),
    Estimate(0.07, 0.0, 0.2, 20, "bootstrap"),
)
EMPTY = Reliability((), Estimate.undefined("no images"))


def title(svg):
    return ET.fromstring(svg)[0].text


def texts(svg):
    return [e.text for e in ET.fromstring(svg).iter("text")]


def test_a_reliability_diagram_says_its_numbers():
    words = title(reliability_diagram(RELIABILITY, of="covid"))
    assert words == (
        "Reliability diagram of the probability of covid. "
        "mean probability 0.25, observed 0.30 (0.10 to 0.60) of 10 images; "
        "mean probability 0.90, observed 0.80 (0.50 to 0.94) of 10 images. "
        "Expected calibration error 0.07 (0.00 to 0.20)."
    )


def test_no_images_make_an_empty_diagram_that_says_so():
    words = title(reliability_diagram(EMPTY, of="covid"))
    assert "No images. Expected calibration error undefined, no images." in words


@pytest.mark.parametrize(
    ("kind", "words", "shown"),
    [
        ("roc", "AUROC 0.88 (0.70 to 0.96).", "0.88 (0.70–0.96)"),
        ("pr", "average precision 0.80 (no interval: same), chance 0.40.", "0.80"),
    ],
)
def test_a_curve_says_its_area(kind, words, shown):
    (svg,) = curve_charts({"covid": CLASS, "x": ABSENT}, kind=kind)
    assert f"covid (8 of 20 images): {words}" in title(svg)
    assert "x (0 of 20 images):" in title(svg)
    assert "undefined, no image of x" in title(svg)
    assert {"covid", shown} <= set(texts(svg))
    assert "x" not in texts(svg)


def test_a_band_is_drawn_where_there_is_one():
    (roc,) = curve_charts({"covid": CLASS}, kind="roc")
    (pr,) = curve_charts({"covid": CLASS}, kind="pr")
    assert "fill-opacity: 0.16" in roc
    assert "fill-opacity: 0.16" not in pr


def test_more_than_four_classes_make_more_charts():
    charts = curve_charts({str(i): CLASS for i in range(6)}, kind="roc")
    assert len(charts) == 2
    assert "5 (8 of 20 images)" in title(charts[1])
    page = ET.fromstring(number_charts(f"<p>{''.join(charts)}</p>", "c"))
    ids = [{e.get("id") for e in svg.iter()} - {None} for svg in page]
    assert not ids[0] & ids[1]
    assert curve_charts({}, kind="roc") == []


def test_names_are_text_and_nothing_else():
    long = "a name that is longer than a legend can hold"
    hostile = {"<img onerror=x>": CLASS, "$x^": CLASS, "肺炎": CLASS, long: CLASS}
    (svg,) = curve_charts(hostile, kind="roc")
    assert "<img" not in svg
    assert {"<img onerror=x>", "$x^", "肺炎"} <= set(texts(svg))
    assert max(len(text or "") for text in texts(svg)) <= 24
    assert long in title(svg)
    assert "<b>" not in reliability_diagram(RELIABILITY, of="<b>")


def test_pictures_leave_colour_to_the_page_and_are_reproducible():
    pictures = [
        reliability_diagram(RELIABILITY, of="covid"),
        *curve_charts({"covid": CLASS}, kind="pr"),
    ]
    for svg in pictures:
        assert "var(--series-1)" in svg
        assert "currentColor" in svg
        assert "#0" not in svg
        assert "http" not in svg
    assert pictures[0] == reliability_diagram(RELIABILITY, of="covid")
