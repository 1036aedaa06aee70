"""The resize of the graph equals Pillow's, pixel for pixel."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.exporting.graph import ResizeImages
from hilum.transforms.cropping import resize_image


def resized(images, size, how):
    return ResizeImages(size, how)(torch.from_numpy(images)).numpy()


@settings(max_examples=60)
@given(
    st.integers(1, 260), st.integers(1, 260), st.integers(16, 90), st.integers(16, 90),
    st.sampled_from(["squash", "pad", "centre-crop"]), st.integers(0, 2**32),
)  # fmt: skip
def test_equal_to_pillow(height, width, out_height, out_width, how, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)

    found = resized(image[None], (out_height, out_width), how)[0]

    assert (found == resize_image(image, (out_height, out_width), how)).all()


@pytest.mark.parametrize("how", ["squash", "pad", "centre-crop"])
@pytest.mark.parametrize("shape", [(900, 310), (310, 900), (64, 64), (63, 65), (1, 400)])
def test_either_order_of_the_passes_and_whole_batches(how, shape):
    images = np.random.default_rng(0).integers(0, 256, (3, *shape)).astype(np.uint8)

    found = resized(images, (64, 64), how)

    assert found.dtype == np.uint8
    assert (found == np.stack([resize_image(i, (64, 64), how) for i in images])).all()


def test_a_flat_image_stays_flat_and_padding_is_black():
    flat = np.full((1, 40, 20), 77, dtype=np.uint8)

    assert (resized(flat, (20, 20), "squash") == 77).all()
    padded = resized(flat, (20, 20), "pad")[0]
    assert (padded[:, 5:15] == 77).all()
    assert (padded[:, :5] == 0).all()
    assert (padded[:, 15:] == 0).all()
