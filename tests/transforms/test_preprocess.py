"""Preprocessing: the same pixels and numbers wherever a classifier is used."""

import itertools
import json
import tomllib
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from hilum.errors import RecipeError
from hilum.phantoms.phantom import render_phantom
from hilum.radiographs.image import read_radiograph
from hilum.recipe import Recipe
from hilum.settings import Contrast, Crop, Resize
from hilum.transforms.cropping import body_box
from hilum.transforms.preprocess import Preprocessing, preprocessing_grid


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


def test_the_storage_key_differs_with_every_setting_of_stored_pixels() -> None:
    kinds = itertools.product(get_args(Crop), get_args(Contrast), get_args(Resize))
    keys = [Preprocessing(crop=c, contrast=k, resize=r).storage_key for c, k, r in kinds]
    keys += [Preprocessing(contrast="gamma", gamma=g).storage_key for g in (0.7, 0.70001, 1.5)]
    keys += [Preprocessing(contrast="clahe", clip_limit=c).storage_key for c in (3.0, 40.0)]
    assert len(set(keys)) == len(keys)
    assert all(set(key) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-") for key in keys)
    assert Preprocessing(crop="lungs", contrast="clahe", resize="pad").storage_key == (
        "crop-lungs-clahe2.0-pad-150x150"
    )


def test_what_stored_pixels_do_not_depend_on_is_not_in_the_key() -> None:
    other = Preprocessing(standardise="z-score", gamma=0.3, clip_limit=9.0)
    assert other.storage_key == Preprocessing().storage_key


def test_the_order_is_crop_contrast_resize() -> None:
    image = np.pad(render_phantom("normal", seed=0, index=0)[0], ((0, 0), (60, 60)))
    both = Preprocessing(crop="body", contrast="equalise", image_size=(64, 64)).to_pixels(image)
    body = body_box(image).cut(image)
    by_hand = Preprocessing(contrast="equalise", image_size=(64, 64)).to_pixels(body)
    assert np.array_equal(both, by_hand)


@pytest.mark.parametrize("contrast", get_args(Contrast))
@pytest.mark.parametrize("crop", get_args(Crop))
@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (200, 1), (90, 61)])
def test_every_setting_takes_every_shape(
    contrast: Contrast, crop: Crop, shape: tuple[int, int]
) -> None:
    transform = Preprocessing(contrast=contrast, crop=crop, image_size=(24, 20))
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    pixels = transform.to_pixels(image)
    assert (pixels.shape, pixels.dtype) == ((24, 20), np.uint8)
    assert np.array_equal(pixels, transform.to_pixels(image))


def test_z_scores_have_mean_0_and_standard_deviation_1_in_every_image() -> None:
    stored = torch.tensor([[[0, 10], [20, 30]], [[7, 7], [7, 7]]], dtype=torch.uint8)
    x = Preprocessing(standardise="z-score").to_input(stored)
    # mean 15, variance (225 + 25 + 25 + 225) / 4 = 125
    assert x[0].flatten().tolist() == pytest.approx([-15 / 125**0.5, -5 / 125**0.5,
                                                     5 / 125**0.5, 15 / 125**0.5])  # fmt: skip
    assert x[1].abs().max() == 0
    assert stored[0, 1, 1] == 30


def test_z_scores_do_not_depend_on_the_batch_or_on_brightness() -> None:
    image = torch.from_numpy(render_phantom("normal", seed=0, index=0)[0] // 2)
    transform = Preprocessing(standardise="z-score")
    batch = transform.to_input(torch.stack([image, image + 100, 255 - image]))
    assert torch.equal(batch[:1], transform.to_input(image[None]))
    assert torch.allclose(batch[0], batch[1], atol=1e-4)
    assert torch.allclose(batch[0], -batch[2], atol=1e-4)


def test_the_grid_shows_every_setting_once() -> None:
    image, _ = render_phantom("covid", seed=0, index=0, size=200)
    grid = preprocessing_grid(np.pad(image, ((0, 0), (80, 60))), (64, 80))
    names = [f"{k}: {v}" for k, kind in (("crop", Crop), ("contrast", Contrast), ("resize", Resize))
             for v in get_args(kind) if v not in ("none", "squash")]  # fmt: skip
    assert list(grid) == ["as it is", *names]
    assert {picture.shape for picture in grid.values()} == {(64, 80)}
    assert len({picture.tobytes() for picture in grid.values()}) == len(grid) - (
        np.array_equal(grid["crop: body"], grid["crop: lungs"])
    )


# ---- in recipes --------------------------------------------------------------------------------


def test_without_a_table_preprocessing_is_what_it_always_was() -> None:
    assert Preprocessing.from_recipe(Recipe()) == Preprocessing()
    assert Preprocessing.from_recipe(Recipe(image_size=(64, 32))).storage_key == "squash-64x32"
    # as classifier.json was written before there was a choice
    old = {"image_size": [150, 150], "resize": "squash", "value_range": [0.0, 1.0]}
    assert Preprocessing.model_validate(old) == Preprocessing()


def test_a_recipe_decides_the_preprocessing() -> None:
    recipe = Recipe.from_dict(
        tomllib.loads("""
        image_size = 64
        [preprocessing]
        crop = "body"
        contrast = "clahe"
        clip_limit = 3
        resize = "pad"
        standardise = "z-score"
    """)
    )
    assert Preprocessing.from_recipe(recipe) == Preprocessing(
        image_size=(64, 64), crop="body", contrast="clahe", clip_limit=3.0, resize="pad",
        standardise="z-score",
    )  # fmt: skip
    assert Recipe.from_dict(tomllib.loads(recipe.to_toml())) == recipe
    changed = recipe.override(["preprocessing.contrast=retinex"])
    assert changed.preprocessing.contrast == "retinex"
    assert changed.preprocessing.crop == "body"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"contrst": "clahe"}, "preprocessing.contrst is not a key.*Did you mean 'contrast'"),
        ({"contrast": "clache"}, "preprocessing.contrast: .*'clahe'.*found 'clache'"),
        ({"gamma": 0}, "preprocessing.gamma: .*greater than.*found 0"),
        ({"gamma": True}, "preprocessing.gamma: .*number.*found True"),
        ({"clip_limit": 0.5}, "preprocessing.clip_limit: .*found 0.5"),
        ("clahe", "preprocessing: expected a table.*found 'clahe'"),
    ],
)
def test_a_wrong_table_is_refused_with_its_key(wrong: object, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Recipe.from_dict({"preprocessing": wrong})


@pytest.mark.shared
def test_real_radiographs_keep_most_of_their_area_and_lose_dark_margins(
    shared_data: Path,
) -> None:
    files = sorted((shared_data / "chest-xray-150" / "val").rglob("*.*"))[::25]
    for file in files:
        image = read_radiograph(file)
        box = body_box(image)
        outside = np.ones(image.shape, dtype=bool)
        outside[box.top : box.bottom, box.left : box.right] = False
        assert not outside.any() or np.median(image[outside]) < 0.25 * np.quantile(image, 0.9)
        assert outside.mean() < 0.5
    assert files


def test_settings_travel_as_json() -> None:
    settings = Preprocessing(
        image_size=(64, 48), value_range=(-1.0, 1.0), crop="lungs", contrast="gamma", gamma=0.3
    )
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
