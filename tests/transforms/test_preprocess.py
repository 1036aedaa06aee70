"""Preprocessing: the same pixels and numbers wherever a classifier is used."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from hilum.transforms.preprocess import Preprocessing


def test_an_image_of_the_right_size_stays_as_it_is() -> None:
    image = np.arange(20 * 30, dtype=np.uint8).reshape(20, 30)
    assert np.array_equal(Preprocessing(image_size=(20, 30)).to_pixels(image), image)


def test_height_and_width_are_not_mixed_up() -> None:
    image = np.zeros((40, 60), dtype=np.uint8)
    image[:20] = 255  # the upper half is bright
    pixels = Preprocessing(image_size=(16, 32)).to_pixels(image)
    assert pixels.shape == (16, 32)
    assert pixels.dtype == np.uint8
    assert pixels[:7].min() == 255
    assert pixels[9:].max() == 0


def test_shrinking_averages_instead_of_picking() -> None:
    # a board of single black and white pixels is grey from afar; picking would give 0 or 255
    board = np.indices((160, 160)).sum(axis=0) % 2 * 255
    pixels = Preprocessing(image_size=(16, 16)).to_pixels(board.astype(np.uint8))
    assert np.abs(pixels.astype(int) - 127.5).max() <= 2


@pytest.mark.parametrize("shape", [(1, 1), (5, 300), (300, 5), (151, 149)])
def test_resizing_is_pillows_bilinear(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    expected = Image.fromarray(image).resize((24, 20), Image.Resampling.BILINEAR)
    assert np.array_equal(Preprocessing(image_size=(20, 24)).to_pixels(image), np.asarray(expected))


def test_a_view_is_resized_as_its_copy_is() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 50), dtype=np.uint8)[::-2, ::3]
    transform = Preprocessing(image_size=(16, 16))
    assert np.array_equal(transform.to_pixels(image), transform.to_pixels(image.copy()))


@pytest.mark.parametrize(
    ("value_range", "expected"),
    [
        ((0.0, 1.0), [0, 0.2, 1]),
        ((-1.0, 1.0), [-1, -0.6, 1]),
        ((0.0, 255.0), [0, 51, 255]),
        ((-1024.0, 1024.0), [-1024, -614.4, 1024]),
    ],
)
def test_pixels_become_numbers_of_the_declared_range(
    value_range: tuple[float, float], expected: list[float]
) -> None:
    stored = torch.tensor([[[0, 51, 255]]], dtype=torch.uint8)
    x = Preprocessing(value_range=value_range).to_input(stored)
    assert x.shape == (1, 1, 1, 3)
    assert x.dtype == torch.float32
    assert x.flatten().tolist() == pytest.approx(expected)
    assert stored.tolist() == [[[0, 51, 255]]]


def test_the_storage_key_names_what_stored_pixels_depend_on() -> None:
    assert Preprocessing().storage_key == "squash-150x150"
    assert Preprocessing(image_size=(20, 30)).storage_key == "squash-20x30"
    assert Preprocessing(value_range=(-1.0, 1.0)).storage_key == Preprocessing().storage_key


def test_settings_travel_as_json() -> None:
    settings = Preprocessing(image_size=(64, 48), value_range=(-1.0, 1.0))
    again = Preprocessing.model_validate(json.loads(settings.model_dump_json()))
    assert again == settings


@pytest.mark.parametrize(
    "wrong",
    [
        {"image_size": (15, 150)}, {"image_size": (150, 2049)}, {"image_size": (150,)},
        {"image_size": "150"}, {"resize": "crop"}, {"sise": (150, 150)},
        {"value_range": (0.0, float("nan"))}, {"value_range": (0.0, float("inf"))},
        {"value_range": (1.0, 1.0)}, {"value_range": (1.0, 0.0)},
    ],
)  # fmt: skip
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Preprocessing.model_validate(wrong)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Preprocessing().image_size = (64, 64)  # type: ignore[misc]
