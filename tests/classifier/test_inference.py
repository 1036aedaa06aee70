"""Penultimate features of any network, and their fixed projection."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from hilum.classifier.inference import (
    MAX_FEATURES,
    compute_features,
    compute_logits,
    project,
)
from hilum.errors import ClassifierError
from hilum.networks.registry import create_network, create_network_to_load, network_names
from hilum.records import PixelArray
from hilum.transforms.preprocess import Preprocessing

SMALL = Preprocessing(image_size=(32, 32))
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(4)
        yield


def images(n: int = 5, side: int = 32) -> PixelArray:
    return np.random.default_rng(0).integers(0, 256, (n, side, side)).astype(np.uint8)


@pytest.mark.parametrize("name", network_names())
def test_the_last_layer_turns_features_into_the_logits(name: str) -> None:
    pixels, preprocessing = images(side=40), Preprocessing(image_size=(40, 40))
    network = create_network_to_load(name, outputs=3, image_size=(40, 40))
    seen: list[torch.Tensor] = []
    last = [m for m in network.modules() if isinstance(m, nn.Linear)][-1]

    with last.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0].clone())):
        compute_logits(network, pixels, preprocessing, CPU)
    features = compute_features(network, pixels, preprocessing, CPU, batch_size=2)

    np.testing.assert_allclose(features, project(seen[0].numpy()), rtol=1e-4, atol=1e-5)
    assert features.dtype == np.float32
    assert features.shape == (5, min(last.in_features, MAX_FEATURES))


def test_features_are_a_copy_though_the_network_goes_on_in_place() -> None:
    class Scribbler(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(32 * 32, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            flat = x.flatten(1)
            logits: torch.Tensor = self.last(flat)
            flat.zero_()
            return logits

    network = Scribbler()

    found = compute_features(network, images(), SMALL, CPU)

    np.testing.assert_allclose(found, project((images() / 255).reshape(5, -1).astype(np.float32)),
                               rtol=1e-4, atol=1e-5)  # fmt: skip


def test_the_last_to_run_counts_not_the_last_to_be_made() -> None:
    class Reversed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(3, 2)
            self.first = nn.Linear(32 * 32, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.last(self.first(x.flatten(1)))
            return logits

    network = Reversed()

    logits = compute_logits(network, images(), SMALL, CPU)
    features = compute_features(network, images(), SMALL, CPU)

    assert features.shape == (5, 3)
    weight, bias = (p.detach().numpy() for p in (network.last.weight, network.last.bias))
    np.testing.assert_allclose(features @ weight.T + bias, logits, rtol=1e-4, atol=1e-5)


def test_the_network_is_left_as_it_was() -> None:
    network = create_network("covinet", outputs=2, image_size=(32, 32)).train()

    compute_features(network, images(), SMALL, CPU)

    assert network.training
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in network.modules())


def test_a_network_without_a_linear_layer_is_refused() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 32), nn.Flatten())

    with pytest.raises(ClassifierError, match=r"Sequential runs no nn\.Linear layer.*end it with"):
        compute_features(network, images(), SMALL, CPU)
    assert not network._forward_hooks


def test_a_linear_layer_over_parts_of_an_image_is_refused() -> None:
    network = nn.Sequential(nn.Flatten(0, 2), nn.Linear(32, 2), nn.Unflatten(0, (-1, 32)))

    with pytest.raises(ClassifierError, match="given 160 rows for 5 images"):
        compute_features(network, images(), SMALL, CPU)


def test_the_projection_keeps_distances() -> None:
    rng = np.random.default_rng(1)
    wide = rng.standard_normal((40, 5000)).astype(np.float32)

    narrow = project(wide)

    pairs = np.triu_indices(40, 1)
    before = np.linalg.norm(wide[pairs[0]] - wide[pairs[1]], axis=1)
    after = np.linalg.norm(narrow[pairs[0]] - narrow[pairs[1]], axis=1)
    # the distance itself varies by half of the 6 % of its square
    assert abs(float(np.mean(after / before)) - 1) < 0.02
    assert float(np.std(after / before)) < 0.05


def test_the_projection_is_fixed_for_ever() -> None:
    """Features that classifiers carry would lose their meaning if it ever changed."""
    row = np.zeros((1, 1000), dtype=np.float32)
    row[0, 7] = 2.0

    found = project(row)[0]

    places = np.flatnonzero(found)
    assert places.tolist() == [11, 185, 295, 402]
    assert found[places].tolist() == [1.0, 1.0, -1.0, -1.0]
    narrow = np.ones((2, MAX_FEATURES), dtype=np.float32)
    assert project(narrow) is narrow
