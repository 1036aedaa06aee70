"""EfficientNet-Lite0 to Lite2: their sizes, TensorFlow's padding, and their published weights."""

import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from hilum.errors import RecipeError
from hilum.networks.efficientnet_lite import VARIANTS, Variant, imagenet_state, read_lite_weights
from hilum.networks.registry import create_network, create_network_to_load
from hilum.networks.summary import summarise

LITE0 = VARIANTS[0]
IMAGENET = f"{LITE0.name}-imagenet"
#: The variants whose weights are installed; those of others are not compared.
WITH_WEIGHTS = [
    pytest.param(
        variant,
        marks=pytest.mark.skipif(
            find_spec(variant.package) is None, reason=f"{variant.package} is not installed"
        ),
        id=variant.name,
    )
    for variant in VARIANTS
]
State = dict[str, torch.Tensor]


@pytest.mark.parametrize(
    ("variant", "parameters"),
    list(zip(VARIANTS, (4_652_008, 5_416_680, 6_092_072), strict=True)),
)
def test_the_number_of_parameters_is_the_published_one(variant: Variant, parameters: int) -> None:
    with torch.device("meta"):
        network = create_network_to_load(variant.name, outputs=1000, image_size=(224, 224))
    # published with three channels; grey saves two kernels of 3 x 3 in 32 channels
    assert sum(p.numel() for p in network.parameters()) == parameters - 2 * 9 * 32


def test_the_arithmetic_is_the_published_one() -> None:
    network = create_network_to_load(LITE0.name, outputs=1000, image_size=(224, 224))
    colour = 2 * 9 * 32 * 112**2
    assert summarise(network, (224, 224)).multiply_adds + colour == pytest.approx(385e6, rel=5e-3)


@pytest.mark.parametrize("size", [(33, 40), (150, 150), (131, 157)])
def test_resolution_halves_and_rounds_up(size: tuple[int, int]) -> None:
    network = create_network_to_load("efficientnet-lite0", outputs=2, image_size=size)
    shapes = {row.name: row.output_shape for row in summarise(network, size).rows}
    sides = list(size)
    for layer in ("relu0", "blocks.1", "blocks.3", "blocks.5", "blocks.11"):
        sides = [-(-side // 2) for side in sides]
        assert list(shapes[layer][2:]) == sides, layer


#: Of a network with so many blocks, those that halve the resolution.
HALVING = {16: (1, 3, 5, 11), 21: (1, 4, 7, 15)}


def published_logits(weights: State, colour: torch.Tensor) -> torch.Tensor:
    """The published network, written down from its definition; colour: (B, 3, H, W) in [0, 1]."""

    def normalise(x: torch.Tensor, name: str) -> torch.Tensor:
        mean, var = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
        scale, shift = weights[f"{name}.weight"], weights[f"{name}.bias"]
        return F.batch_norm(x, mean, var, scale, shift, eps=1e-3)

    def same(x: torch.Tensor, name: str, stride: int, groups: int = 1) -> torch.Tensor:
        kernel = weights[name].shape[-1]
        h, w = (max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in x.shape[2:])
        x = F.pad(x, (w // 2, w - w // 2, h // 2, h - h // 2))
        return F.conv2d(x, weights[name], stride=stride, groups=groups)

    x = (colour * 255 - 127) / 128
    x = F.relu6(normalise(same(x, "_conv_stem.weight", 2), "_bn0"))
    count = sum(name.endswith("_project_conv.weight") for name in weights)
    for number in range(count):
        block = f"_blocks.{number}."
        inner, stride = x, 2 if number in HALVING[count] else 1
        if f"{block}_expand_conv.weight" in weights:
            inner = same(inner, f"{block}_expand_conv.weight", 1)
            inner = F.relu6(normalise(inner, f"{block}_bn0"))
        inner = same(inner, f"{block}_depthwise_conv.weight", stride, groups=inner.shape[1])
        inner = F.relu6(normalise(inner, f"{block}_bn1"))
        inner = normalise(same(inner, f"{block}_project_conv.weight", 1), f"{block}_bn2")
        x = x + inner if stride == 1 and x.shape == inner.shape else inner
    x = F.relu6(normalise(same(x, "_conv_head.weight", 1), "_bn1")).mean(dim=(2, 3))
    return F.linear(x, weights["_fc.weight"], weights["_fc.bias"])


def with_published_head(variant: Variant, size: tuple[int, int], weights: State) -> nn.Module:
    with torch.random.fork_rng():
        network = create_network(f"{variant.name}-imagenet", outputs=1000, image_size=size).eval()
    head = {"weight": weights["_fc.weight"], "bias": weights["_fc.bias"]}
    network.get_submodule("fc").load_state_dict(head)
    return network


@pytest.mark.parametrize("variant", WITH_WEIGHTS)
@pytest.mark.parametrize("size", [(224, 224), (131, 157), (33, 40)])
def test_logits_are_those_of_the_published_network_on_grey_images(
    variant: Variant, size: tuple[int, int]
) -> None:
    weights = read_lite_weights(variant)
    grey = np.random.default_rng(0).random((2, 1, *size), dtype=np.float32)
    images = torch.from_numpy(grey)
    with torch.no_grad():
        expected = published_logits(weights, images.repeat(1, 3, 1, 1))
        found = with_published_head(variant, size, weights)(images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("variant", WITH_WEIGHTS)
def test_a_grey_photograph_is_recognised(variant: Variant) -> None:
    """Known answers: ImageNet's 985 is 'daisy', 698 'palace'; scikit-learn brings photographs.

    Lite1 and Lite2 do not know this daisy in colour either, by the network written down above.
    """
    from sklearn.datasets import load_sample_image

    file, answer = ("flower.jpg", 985) if variant is LITE0 else ("china.jpg", 698)
    photograph = torch.from_numpy(load_sample_image(file).copy()).float().mean(dim=2)
    square = photograph[None, None, :, 106:533]  # of 427 x 640
    images = F.interpolate(square, (224, 224), mode="bilinear", antialias=True) / 255
    with torch.no_grad():
        logits = with_published_head(variant, (224, 224), read_lite_weights(variant))(images)
    assert logits.argmax().item() == answer


@pytest.mark.parametrize("variant", WITH_WEIGHTS)
def test_only_the_last_layer_starts_at_random(variant: Variant) -> None:
    name = f"{variant.name}-imagenet"
    with torch.random.fork_rng():
        torch.manual_seed(1)
        one = create_network(name, outputs=3, image_size=(40, 40)).state_dict()
        two = create_network(name, outputs=3, image_size=(40, 40)).state_dict()
    differ = {name for name in one if not torch.equal(one[name], two[name])}
    assert differ == {"fc.weight", "fc.bias"}
    assert imagenet_state(variant).keys() == one.keys() - differ


@pytest.mark.parametrize("variant", WITH_WEIGHTS[:1])
def test_without_memory_for_weights_none_are_copied(variant: Variant) -> None:
    with torch.device("meta"):
        network = create_network(f"{variant.name}-imagenet", outputs=2, image_size=(40, 40))
    assert all(value.is_meta for value in network.state_dict().values())


def test_without_the_package_training_is_refused_and_loading_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, LITE0.package, None)
    for device in ("cpu", "meta"):
        with (
            torch.device(device),
            torch.random.fork_rng(),
            pytest.raises(RecipeError, match=r'pip install "hilum\[pretrained\]"'),
        ):
            create_network(IMAGENET, outputs=2, image_size=(40, 40))
    network = create_network_to_load(IMAGENET, outputs=2, image_size=(40, 40))
    assert network.get_submodule("fc").get_parameter("weight").shape == (2, 1280)


def test_another_file_is_not_taken_for_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(LITE0, package="other_weights")
    file = tmp_path / other.package / other.file
    file.parent.mkdir(parents=True)
    (tmp_path / other.package / "__init__.py").touch()
    torch.save({}, file)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RecipeError, match="not the published ImageNet weights"):
        read_lite_weights(other)
