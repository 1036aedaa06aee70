"""Feature maps as arrays, as pictures and in words."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from hilum.errors import EvaluationError
from hilum.explanation.feature_maps import (
    FeatureMaps,
    compute_feature_maps,
    describe_feature_maps,
    draw_feature_maps,
    list_layers,
)
from tests.explanation.conftest import untrained


def test_layers_are_listed_with_their_shapes():
    layers = {layer.name: layer for layer in list_layers(untrained(), "infected")}
    assert next(iter(layers)) == "conv1"
    assert (layers["conv3"].kind, layers["conv3"].channels, layers["conv3"].height) == (
        "Conv2d", 32, 12,
    )  # fmt: skip
    assert "fc1" not in layers  # its output is no map


def test_maps_are_what_the_layer_gave_before_others_overwrote_it():
    classifier = untrained()
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 32)).astype(np.uint8)
    found = compute_feature_maps(classifier, image, layer="conv1", decision="root")
    conv = classifier.networks["root"].conv1
    with torch.no_grad():
        expected = conv(torch.from_numpy(image)[:, None] / 255).numpy()
    assert (expected < 0).any()  # the ReLU that follows in place would have made these 0
    np.testing.assert_allclose(found.maps, expected, atol=1e-5)
    assert compute_feature_maps(classifier, image).layer == "conv3"


@pytest.mark.parametrize(
    ("layer", "said"), [("conv9", "Did you mean 'conv"), ("fc1", r"gives \(2,\)")]
)
def test_layers_that_give_no_maps_are_refused(layer, said):
    with pytest.raises(EvaluationError, match=said):
        compute_feature_maps(untrained(), np.zeros((1, 32, 32), np.uint8), layer=layer)


def test_a_grid_scales_each_channel_from_dark_to_bright():
    maps = np.zeros((2, 2, 2), np.float32)
    maps[0, 0, 0], maps[1, 1, 1] = 5, 0.001
    picture = np.asarray(Image.open(io.BytesIO(draw_feature_maps(maps))).convert("RGB")).astype(int)
    assert picture.shape == (72, 2 * 72 + 2, 3)
    brightness = picture.sum(axis=2)
    assert brightness[10, 10] == brightness[60, 140] > brightness[60, 10] + 100


def test_a_pair_shares_the_scale_of_each_channel():
    pair = np.zeros((2, 1, 2, 2), np.float32)
    pair[0], pair[1] = 1, 2
    picture = np.asarray(Image.open(io.BytesIO(draw_feature_maps(pair))).convert("RGB")).astype(int)
    assert picture[5, -5].sum() > picture[5, 5].sum() + 100


def test_the_words_name_both_images_and_the_channels_left_out():
    shown = FeatureMaps("root", "conv3", np.zeros((2, 100, 4, 5), np.float32))
    words = describe_feature_maps(shown, ("a.png", "b.png"))
    assert "a.png (left) and b.png (right)" in words
    assert "the first 64 of 100 channels of 4 x 5" in words
