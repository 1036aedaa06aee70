"""Changes of grey: what each promises."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hilum.records import PixelArray
from hilum.transforms.illumination import clahe, correct_gamma, equalise

IMAGES = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40))


def ordered(before: PixelArray, after: PixelArray) -> bool:
    """Whether darker pixels stayed darker, or became equal, and equal ones stayed equal."""
    order = np.argsort(before, axis=None, kind="stable")
    greys, values = before.ravel()[order].astype(int), after.ravel()[order].astype(int)
    steps = np.diff(values)
    return bool((steps[np.diff(greys) > 0] >= 0).all() and (steps[np.diff(greys) == 0] == 0).all())


@settings(max_examples=40)
@given(IMAGES)
def test_equalisation_keeps_the_order_of_greys(image: PixelArray) -> None:
    found = equalise(image)
    assert (found.shape, found.dtype) == (image.shape, np.uint8)
    assert ordered(image, found)
    if image.min() < image.max():
        assert (found.min(), found.max()) == (0, 255)
    else:
        assert np.array_equal(found, image)


def test_equalisation_by_hand() -> None:
    # four greys, each a quarter of the pixels: the shares below or at them, without the darkest's
    # own quarter, are 0, 1/3, 2/3 and 3/3
    image = np.repeat(np.array([[10, 11, 12, 200]], dtype=np.uint8), 4, axis=0)
    assert equalise(image)[0].tolist() == [0, 85, 170, 255]


@settings(max_examples=40)
@given(IMAGES, st.floats(0.05, 20))
def test_gamma_keeps_the_order_of_greys(image: PixelArray, gamma: float) -> None:
    found = correct_gamma(image, gamma)
    assert (found.shape, found.dtype) == (image.shape, np.uint8)
    assert ordered(image, found)
    assert (found[image == 0] == 0).all()
    assert (found[image == 255] == 255).all()


def test_gamma_by_hand() -> None:
    image = np.array([[0, 64, 255]], dtype=np.uint8)
    assert correct_gamma(image, 0.5).tolist() == [[0, 128, 255]]  # sqrt(64 / 255) = 0.501
    assert correct_gamma(image, 2.0).tolist() == [[0, 16, 255]]  # 64² / 255 = 16.06
    assert np.array_equal(correct_gamma(image, 1.0), image)


@settings(max_examples=40)
@given(IMAGES, st.floats(1, 100))
def test_clahe_takes_any_image(image: PixelArray, clip_limit: float) -> None:
    before = image.copy()
    found = clahe(image, clip_limit)
    assert (found.shape, found.dtype) == (image.shape, np.uint8)
    assert np.array_equal(found, clahe(image, clip_limit))
    assert np.array_equal(image, before)


def test_clahe_raises_faint_local_contrast_and_the_limit_bounds_it() -> None:
    rng = np.random.default_rng(0)
    slope = np.linspace(20, 220, 160)[None, :]
    faint = np.rint(slope + rng.normal(0, 3, (160, 160))).clip(0, 255).astype(np.uint8)

    def detail(image: PixelArray) -> float:
        return float(np.diff(image.astype(float), axis=0).std())

    mild, strong = detail(clahe(faint, 2.0)), detail(clahe(faint, 8.0))
    assert 1.2 * detail(faint) < mild < strong


@pytest.mark.parametrize("step", [-1, 2])
def test_a_view_gives_what_its_copy_gives(step: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 50), dtype=np.uint8)[::step, ::step]
    assert np.array_equal(equalise(image), equalise(image.copy()))
    assert np.array_equal(clahe(image, 2.0), clahe(image.copy(), 2.0))
