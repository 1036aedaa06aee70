"""The published networks: their parameter counts, layer shapes and weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hilum.networks.registry import create_network, network_names
from hilum.networks.summary import summarise


def test_the_published_networks_are_registered() -> None:
    assert {"covinet", "naive", "resnet-block"} <= set(network_names())


@pytest.mark.parametrize(
    ("name", "outputs", "parameters"),
    [
        ("naive", 2, 175_274),
        ("naive", 3, 262_891),
        ("resnet-block", 2, 77_378),
        ("resnet-block", 1000, 142_248),  # the published table kept 1000 outputs
        ("covinet", 2, 39_746),
    ],
)
def test_parameter_counts_are_the_published_ones(name: str, outputs: int, parameters: int) -> None:
    network = create_network(name, outputs=outputs)
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert summarise(network, (150, 150)).total_parameters == parameters


def test_covinet_has_the_published_layers_in_their_order() -> None:
    rows = summarise(create_network("covinet", outputs=2), (150, 150)).rows
    assert [(r.layer.split("-")[0], r.output_shape) for r in rows] == [
        ("Conv2d", (1, 8, 148, 148)),
        ("Dropout2d", (1, 8, 148, 148)),
        ("ReLU", (1, 8, 148, 148)),
        ("Conv2d", (1, 16, 146, 146)),
        ("ReLU", (1, 16, 146, 146)),
        ("MaxPool2d", (1, 16, 73, 73)),
        ("Dropout2d", (1, 16, 73, 73)),
        ("Conv2d", (1, 32, 71, 71)),
        ("ReLU", (1, 32, 71, 71)),
        ("AvgPool2d", (1, 32, 23, 23)),
        ("Dropout2d", (1, 32, 23, 23)),
        ("ReLU", (1, 32, 23, 23)),
        ("Linear", (1, 2)),
    ]


def test_covinet_drops_a_fifth_of_the_channels() -> None:
    network = create_network("covinet", outputs=2)
    dropouts = [m for m in network.modules() if isinstance(m, torch.nn.Dropout2d)]
    assert [m.p for m in dropouts] == [0.2, 0.2, 0.2]


def test_covinet_learns_to_the_bit_as_in_the_published_order() -> None:
    torch.manual_seed(3)
    network = create_network("covinet", outputs=2, image_size=(40, 44)).train()
    images, targets = torch.rand(6, 1, 40, 44), torch.tensor([0, 1, 1, 0, 1, 0])

    def as_published(images: torch.Tensor) -> torch.Tensor:
        layer = network.get_submodule
        for name in (
            *("conv1", "dropout1", "relu1", "conv2", "relu2", "maxpool", "dropout2"),
            *("conv3", "relu3", "avgpool", "dropout3", "relu4"),
        ):
            images = layer(name)(images)
        logits: torch.Tensor = layer("fc1")(images.flatten(1))
        return logits

    found = []
    for forward in (network, as_published):
        torch.manual_seed(4)  # of dropout
        logits = forward(images)
        gradients = torch.autograd.grad(
            torch.nn.functional.cross_entropy(logits, targets), list(network.parameters())
        )
        found.append((logits.detach(), *gradients))
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


def test_naive_has_the_published_layers() -> None:
    rows = summarise(create_network("naive", outputs=2), (150, 150)).rows
    assert [(r.layer, r.output_shape) for r in rows] == [
        ("Conv2d-1", (1, 4, 148, 148)),
        ("Linear-2", (1, 2)),
    ]
    assert create_network("naive", outputs=2).get_submodule("fc1").in_features == 87_616


def test_resnet_block_has_the_published_shapes() -> None:
    rows = summarise(create_network("resnet-block", outputs=1000), (150, 150)).rows
    shapes = {r.name: r.output_shape for r in rows}
    assert shapes["conv1"] == shapes["bn1"] == (1, 64, 75, 75)
    assert shapes["maxpool"] == shapes["block"] == (1, 64, 38, 38)
    assert shapes["avgpool"] == (1, 64, 1, 1)
    assert shapes["fc1"] == (1, 1000)


def test_the_block_adds_its_input() -> None:
    block = create_network("resnet-block", outputs=2).get_submodule("block").eval()
    for parameter in block.parameters():
        torch.nn.init.zeros_(parameter)
    features = torch.arange(64.0 * 4).reshape(1, 64, 2, 2) - 100
    assert torch.equal(block(features), features)


@pytest.mark.shared
def test_published_weights_load_strictly_and_repeat_the_published_result(shared_data: Path) -> None:
    networks = {}
    for decision in ("root", "infected"):
        checkpoint = torch.load(
            shared_data / "published-weights" / f"{decision}.pt",
            map_location="cpu",
            weights_only=True,
        )
        networks[decision] = create_network("covinet", outputs=2).eval()
        networks[decision].load_state_dict(checkpoint["model_state_dict"], strict=True)
    matrix = np.zeros((3, 3), dtype=int)
    for truth, folder in enumerate(["normal", "infected/covid", "infected/non-covid"]):
        files = [shared_data / "chest-xray-150/val" / folder / f"{i}.jpg" for i in range(8)]
        pixels = np.stack([np.asarray(Image.open(f)) for f in files])
        images = torch.from_numpy(pixels)[:, None].float() / 255
        with torch.no_grad():
            infected = networks["root"](images).argmax(1)
            kind = networks["infected"](images).argmax(1)
        for predicted in (infected * (1 + kind)).tolist():
            matrix[truth, predicted] += 1
    assert matrix.tolist() == [[7, 1, 0], [0, 8, 0], [0, 4, 4]]
