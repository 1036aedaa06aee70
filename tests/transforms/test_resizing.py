"""Squash, pad and centre crop."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hilum.records import PixelArray
from hilum.settings import Resize
from hilum.transforms.cropping import resize_image

METHODS: tuple[Resize, ...] = get_args(Resize)


@pytest.mark.parametrize("how", METHODS)
@settings(max_examples=40)
@given(
    image=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)),
    size=st.tuples(st.integers(16, 40), st.integers(16, 40)),
)
def test_any_image_gets_the_size(how: Resize, image: PixelArray, size: tuple[int, int]) -> None:
    found = resize_image(image, size, how)
    assert (found.shape, found.dtype) == (size, np.uint8)
    assert image.min() <= found.max() <= image.max()


@pytest.mark.parametrize("how", METHODS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1)])
def test_thin_images_are_taken(how: Resize, shape: tuple[int, int]) -> None:
    found = resize_image(np.full(shape, 90, dtype=np.uint8), (16, 20), how)
    assert found.shape == (16, 20)
    assert found.max() == 90


def test_the_same_aspect_ratio_needs_no_choice() -> None:
    image = np.random.default_rng(0).integers(0, 256, (60, 90), dtype=np.uint8)
    squashed, padded, cropped = (resize_image(image, (20, 30), how) for how in METHODS)
    assert np.array_equal(squashed, padded)
    assert np.array_equal(squashed, cropped)


def test_padding_keeps_the_aspect_ratio_and_centres() -> None:
    white = np.full((100, 50), 255, dtype=np.uint8)
    found = resize_image(white, (40, 40), "pad")
    assert (found[:, 10:30] == 255).all()
    assert not found[:, :10].any()
    assert not found[:, 30:].any()


def test_a_centre_crop_cuts_both_sides_equally() -> None:
    image = np.zeros((40, 120), dtype=np.uint8)
    image[:, 40:80] = 200  # the middle third is all that is left
    assert (resize_image(image, (40, 40), "centre-crop") == 200).all()
    assert resize_image(image, (40, 40), "squash").mean() == pytest.approx(200 / 3, abs=1)
