"""Illumination normalisation: any image goes in, slow variation does not come out."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from scipy import fft, ndimage

from hilum.phantoms.phantom import render_phantom
from hilum.records import PixelArray
from hilum.transforms import illumination
from hilum.transforms.illumination import (
    blur,
    dct_normalise,
    difference_of_gaussians,
    homomorphic,
    multi_scale_retinex,
    retinex,
    self_quotient,
)

Method = Callable[[PixelArray], PixelArray]
METHODS: tuple[Method, ...] = (
    homomorphic, retinex, multi_scale_retinex, self_quotient, dct_normalise,
    difference_of_gaussians,
)  # fmt: skip
#: Homomorphic filtering only damps what is slow; the others remove it.
REMOVING = METHODS[1:]
IMAGES = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=20))
RAMP = np.add.outer(0.5 * np.linspace(-1, 1, 150), np.linspace(-1, 1, 150))


def explained_by_ramp(image: PixelArray) -> float:
    """The share of the image's variance that the ramp explains: a squared correlation."""
    return float(np.corrcoef(image.ravel(), RAMP.ravel())[0, 1] ** 2)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=30)
@given(image=IMAGES)
def test_any_image_is_taken(method: Method, image: PixelArray) -> None:
    before = image.copy()
    found = method(image)
    assert (found.shape, found.dtype) == (image.shape, np.uint8)
    assert np.array_equal(found, method(image))
    assert np.array_equal(image, before)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (301, 1), (61, 48)])
@pytest.mark.parametrize("grey", [0, 1, 77, 255])
def test_without_contrast_all_is_mid_grey(
    method: Method, grey: int, shape: tuple[int, int]
) -> None:
    assert (method(np.full(shape, grey, dtype=np.uint8)) == 128).all()


@pytest.mark.parametrize("method", METHODS)
def test_the_whole_range_is_used(method: Method) -> None:
    found = method(render_phantom("normal", seed=0, index=0)[0])
    assert (found.min(), found.max()) == (0, 255)


@pytest.fixture(scope="module")
def unevenly_lit() -> list[PixelArray]:
    """Phantoms at a third of the brightness, under light that rises fivefold along the ramp."""
    phantoms = [render_phantom("covid", seed=0, index=index)[0] for index in range(6)]
    return [(0.3 * image * np.exp(0.8 * RAMP)).clip(0, 255).astype(np.uint8) for image in phantoms]


@pytest.mark.parametrize("method", REMOVING)
def test_a_gradient_of_illumination_is_removed(
    method: Method, unevenly_lit: list[PixelArray]
) -> None:
    assert np.mean([explained_by_ramp(image) for image in unevenly_lit]) > 0.15
    assert np.mean([explained_by_ramp(method(image)) for image in unevenly_lit]) < 0.04


def test_homomorphic_filtering_damps_a_gradient_of_illumination(
    unevenly_lit: list[PixelArray],
) -> None:
    before = np.mean([explained_by_ramp(image) for image in unevenly_lit])
    after = np.mean([explained_by_ramp(homomorphic(image)) for image in unevenly_lit])
    assert after < 0.75 * before


@pytest.mark.parametrize("method", METHODS)
def test_the_picture_is_the_same_at_any_resolution(method: Method) -> None:
    large, _ = render_phantom("normal", seed=1, index=2, size=300)
    small = np.asarray(Image.fromarray(large).resize((150, 150), Image.Resampling.BOX))
    shrunk = Image.fromarray(method(large)).resize((150, 150), Image.Resampling.BOX)
    assert np.corrcoef(np.asarray(shrunk).ravel(), method(small).ravel())[0, 1] > 0.9


@pytest.mark.parametrize("sigma", [1.5, 4.0, 12.0])
def test_the_blur_is_scipys(sigma: float) -> None:
    image = np.random.default_rng(0).random((60, 90), dtype=np.float32)
    expected = ndimage.gaussian_filter(image.astype(float), sigma, mode="reflect", truncate=8)
    assert np.abs(blur(image, sigma / 60) - expected).max() < 2e-4


@given(hnp.arrays(np.float32, (7, 11), elements=st.floats(0, 256, width=32)), st.floats(0, 2))
def test_a_blur_stays_between_the_extremes(image: np.ndarray, sigma: float) -> None:
    found = blur(image, sigma)
    assert image.min() <= found.min()
    assert found.max() <= image.max()


def test_retinex_is_the_logarithm_over_its_surround() -> None:
    image, _ = render_phantom("normal", seed=0, index=1)
    x = image.astype(float) + 16
    surround = ndimage.gaussian_filter(x, 150 * 80 / 512, mode="reflect", truncate=8)
    expected = np.log(x / surround)
    assert np.corrcoef(retinex(image).ravel(), expected.ravel())[0, 1] > 0.995  # but for clipping


def test_dct_normalisation_drops_twenty_coefficients() -> None:
    # one cosine that is dropped, and one that is not, in the logarithm
    rows, cols = np.indices((64, 64)) + 0.5
    slow = np.cos(np.pi * 2 * rows / 64) * np.cos(np.pi * 3 * cols / 64)  # u + v = 5
    fast = np.cos(np.pi * 6 * rows / 64)  # u + v = 6
    image = np.rint(np.exp(4.2 + 0.4 * slow + 0.4 * fast)).astype(np.uint8) - 16
    found = fft.dctn(dct_normalise(image).astype(float), norm="ortho")
    assert abs(found[2, 3]) < 0.02 * abs(found[6, 0])
    u, v = np.indices(found.shape)
    assert ((u + v <= illumination.DCT_DROPPED) & (u + v > 0)).sum() == 20


def test_a_quotient_does_not_spill_over_a_strong_edge() -> None:
    image = np.full((60, 60), 40, dtype=np.uint8)
    image[:, 30:] = 200
    found = self_quotient(image).astype(int)
    # a plain Gaussian quotient makes wide bright and dark bands along the edge
    assert np.ptp(found[:, :25]) <= 2
    assert np.ptp(found[:, 35:]) <= 2


def test_black_margins_do_not_change_the_contrast_of_the_band_pass() -> None:
    image, _ = render_phantom("normal", seed=0, index=3)
    wide = np.pad(image, ((0, 0), (75, 75)))
    inside = difference_of_gaussians(wide)[20:-20, 95:-95].astype(float)
    alone = difference_of_gaussians(image)[20:-20, 20:-20].astype(float)
    assert inside.std() == pytest.approx(alone.std(), rel=0.35)
