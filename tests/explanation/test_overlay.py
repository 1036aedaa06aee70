"""Attributions over radiographs: colours, size, words."""

import io

import numpy as np
import pytest
from PIL import Image

from hilum.errors import EvaluationError
from hilum.explanation.overlay import draw_overlay
from hilum.phantoms.phantom import render_phantom


def rgb(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def draw(values, method="occlusion", pixels=None):
    pixels = np.full(values.shape, 128, np.uint8) if pixels is None else pixels
    return draw_overlay(
        pixels, values.astype(np.float32), method=method, option="<sick>", decision="root", name="a"
    )


def test_for_is_orange_against_is_violet_and_nothing_is_the_radiograph():
    values = np.zeros((60, 60))
    values[:20, :20], values[40:, 40:] = 1, -1
    picture = rgb(draw(values).png)
    for_, against, nothing = picture[20, 20], picture[160, 160], picture[88, 88]
    assert for_[0] > for_[2] + 40
    assert against[2] > against[1] + 20
    np.testing.assert_allclose(nothing, 128, atol=4)


def test_the_words_say_what_and_where():
    values = np.zeros((60, 60))
    values[50, 5] = 1
    assert draw(values).alt == (
        "Occlusion of a: what speaks for '<sick>' (decision root). "
        "Strongest in the lower left of the picture."
    )
    assert draw(-values).alt.endswith("Nothing does.")


@pytest.mark.parametrize("method", ["gradcam", "ig", "occlusion"])
def test_a_picture_is_small_and_keeps_the_aspect_ratio(method):
    image, _ = render_phantom("covid", seed=0, index=0, size=150)
    noise = np.random.default_rng(0).normal(size=(150, 100))
    png = draw(noise, method, image[:, :100]).png
    assert len(png) < 25_000
    height, width = rgb(png).shape[:2]
    assert height == 176
    assert width == pytest.approx(117 + 66, abs=1)


def test_maps_that_do_not_fit_are_refused():
    with pytest.raises(EvaluationError, match="shape of its radiograph"):
        draw(np.zeros((4, 4)), pixels=np.zeros((4, 5), np.uint8))
    with pytest.raises(EvaluationError, match="not finite"):
        draw(np.full((4, 4), np.nan))
