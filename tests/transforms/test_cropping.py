"""Crops: dark margins go, lung stays. On phantoms the lungs are known."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp
from PIL import Image

from hilum.phantoms.anatomy import anatomy_of, sample_patient
from hilum.phantoms.findings import THIN_LUNG
from hilum.phantoms.phantom import LABELS, render_phantom
from hilum.records import PixelArray
from hilum.transforms.cropping import Box, body_box, lungs_box

Mask = npt.NDArray[np.bool_]
Framing = Callable[[PixelArray, np.random.Generator], PixelArray]
Find = Callable[[PixelArray], Box]
PHANTOMS, SIZE = 200, 96


@pytest.fixture(scope="module")
def phantoms() -> list[tuple[PixelArray, PixelArray]]:
    """Radiographs of every class with the mask of their lungs (255 inside)."""
    made = []
    for index in range(PHANTOMS):
        label = index % len(LABELS)
        image, _ = render_phantom(LABELS[label], seed=5, index=index, size=SIZE)
        body = np.random.default_rng([5, label, index, 0])  # the stream of the patient's body
        anatomy = anatomy_of(sample_patient(body), SIZE)
        lungs = anatomy.right.depth + anatomy.left.depth > THIN_LUNG
        made.append((image, np.where(lungs, 255, 0).astype(np.uint8)))
    return made


def as_it_is(image: PixelArray, rng: np.random.Generator) -> PixelArray:
    return image


def wide_margins(image: PixelArray, rng: np.random.Generator) -> PixelArray:
    top, bottom, left, right = rng.integers(0, SIZE // 2, 4)
    return np.pad(image, ((top, bottom), (left, right)))


def squashed(image: PixelArray, rng: np.random.Generator) -> PixelArray:
    width, height = rng.integers(70, 200, 2)
    return np.asarray(Image.fromarray(image).resize((int(width), int(height))))


def cut_tight(image: PixelArray, rng: np.random.Generator) -> PixelArray:
    top, bottom, left, right = rng.integers(1, SIZE // 10, 4)
    return image[top:-bottom, left:-right]


@pytest.mark.parametrize("find", [body_box, lungs_box])
@pytest.mark.parametrize("framing", [as_it_is, wide_margins, squashed, cut_tight])
def test_99_percent_of_every_lung_stay_inside(
    phantoms: list[tuple[PixelArray, PixelArray]], framing: Framing, find: Find
) -> None:
    kept = []
    for index, (image, mask) in enumerate(phantoms):
        framed = framing(image, np.random.default_rng(index))
        lungs = framing(mask, np.random.default_rng(index))
        kept.append((find(framed).cut(lungs) > 127).sum() / (lungs > 127).sum())
    assert min(kept) >= 0.99, f"phantom {int(np.argmin(kept))}"


@pytest.mark.parametrize("find", [body_box, lungs_box])
def test_margins_go_away(phantoms: list[tuple[PixelArray, PixelArray]], find: Find) -> None:
    for image, _ in phantoms[:20]:
        wide = np.pad(image, ((30, 10), (60, 50)))
        box = find(wide)
        assert box.top >= 30
        assert box.bottom <= 30 + SIZE
        assert box.left >= 60
        assert box.right <= 60 + SIZE


def test_lungs_are_a_part_of_the_body(phantoms: list[tuple[PixelArray, PixelArray]]) -> None:
    smaller = 0
    for image, _ in phantoms[:60]:
        body, lungs = body_box(image), lungs_box(image)
        assert body.top <= lungs.top < lungs.bottom <= body.bottom
        assert body.left <= lungs.left < lungs.right <= body.right
        smaller += lungs != body
    assert smaller >= 15  # the crop is cautious, but it does crop


def test_the_box_of_a_bright_square() -> None:
    image = np.zeros((50, 40), dtype=np.uint8)
    image[10:30, 5:35] = 200
    assert body_box(image) == Box(10, 30, 5, 35)
    assert np.array_equal(body_box(image).cut(image), image[10:30, 5:35])


def test_a_marker_in_the_margin_is_not_body() -> None:
    image = np.zeros((100, 100), dtype=np.uint8)
    image[:, 30:] = 180
    image[10:17, 5:10] = 255  # 7 % of the height
    assert body_box(image).left == 30


@settings(max_examples=40)
@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=24)))
def test_every_image_has_a_box_with_pixels(image: PixelArray) -> None:
    for find in (body_box, lungs_box):
        assert find(image).cut(image).size > 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (64, 48)])
@pytest.mark.parametrize("grey", [0, 77, 255])
def test_an_image_without_contrast_is_kept_whole(shape: tuple[int, int], grey: int) -> None:
    image = np.full(shape, grey, dtype=np.uint8)
    assert body_box(image) == lungs_box(image) == Box(0, shape[0], 0, shape[1])
