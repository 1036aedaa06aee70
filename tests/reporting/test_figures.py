import base64
import io
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest
from PIL import Image

from hilum.records import Estimate
from hilum.reporting.charts import (
    Series,
    class_bars,
    interval_chart,
    learning_curve,
    radiograph_uri,
)
from hilum.reporting.svg import number_charts, shorten


def curve() -> str:
    train = Series("train", (1, 2, 3), (0.7, 0.5, 0.4))
    val = Series("val", (1, 2, 3), (0.7, 0.6, 0.6))
    return learning_curve([train, val], quantity="loss", ylim=(0, 1), of="x")


def test_charts_leave_colour_and_font_to_the_page():
    svg = curve()
    assert "currentColor" in svg
    assert "var(--series-1)" in svg
    assert "var(--series-2)" in svg
    assert "#0" not in svg
    assert "DejaVu" not in svg
    assert "<style" not in svg
    assert "http" not in svg


def test_charts_are_reproducible_and_leave_no_settings_behind():
    before = dict(matplotlib.rcParams)
    assert curve() == curve()
    assert dict(matplotlib.rcParams) == before


def test_ids_carry_the_key_and_the_number_of_the_chart():
    page = ET.fromstring(number_charts(f"<p>{curve()}{curve()}</p>", "abc"))
    for chart, key in zip(page, ("abc0-", "abc1-"), strict=True):
        ids = {e.get("id") for e in chart.iter()} - {None}
        assert ids
        assert all(i is not None and i.startswith(key) for i in ids)
        assert {chart.get("aria-labelledby")} <= ids


def test_a_chart_is_described():
    root = ET.fromstring(curve())
    assert root[0].tag == "title"
    assert root[0].text == "Loss of x: train from 0.700 to 0.400; val from 0.700 to 0.600."
    assert root.get("aria-labelledby") == root[0].get("id")


@pytest.mark.parametrize("epochs", [1, 2, 7, 100])
def test_any_number_of_epochs_can_be_drawn(epochs):
    line = Series("train", tuple(range(1, epochs + 1)), (0.5,) * epochs)
    learning_curve([line], quantity="loss", ylim=(0, 1), of="x")


def test_names_of_rows_are_text_and_nothing_else():
    bars = class_bars(["$x^", "肺炎", "a\x00b"], [("train", [1, 2, 0])], title="Bars")
    texts = [e.text for e in ET.fromstring(bars).iter("text")]
    assert {"$x^", "肺炎", "a\N{REPLACEMENT CHARACTER}b"} <= set(texts)
    rows = {"<a>": Estimate(0.5, 0.25, 0.75), "b": Estimate(0.5)}
    chart = interval_chart(rows, quantity="accuracy", alt="Two.")
    texts = [e.text for e in ET.fromstring(chart).iter("text")]
    assert {"<a>", "b", "0.500"} <= set(texts)


def test_a_split_without_images_has_no_shares():
    class_bars(["a", "b"], [("train", [1, 1]), ("val", [0, 0])], title="Bars")


def test_a_radiograph_keeps_its_shape_and_is_made_smaller():
    pixels = np.tile(np.arange(200, dtype=np.uint8), (400, 2))[:, :400]
    uri = radiograph_uri(np.ascontiguousarray(pixels[:, :200]))
    head, data = uri.split(",")
    assert head == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert image.size == (112, 224)
        assert image.mode == "L"


@pytest.mark.parametrize("pixels", [np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2))])
def test_pixels_of_another_kind_are_refused(pixels):
    with pytest.raises(ValueError, match=r"\(H, W\) uint8"):
        radiograph_uri(pixels)


def test_shorten_keeps_both_ends():
    assert shorten("abcdefghij", 10) == "abcdefghij"
    assert shorten("abcdefghijk", 7) == "abc…ijk"
