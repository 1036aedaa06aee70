"""The layer table, on networks small enough to count by hand."""

import json

import pytest
import torch
from torch import nn

from hilum.codec import to_plain
from hilum.networks.registry import create_network, create_network_to_load, network_names
from hilum.networks.summary import LayerRow, summarise


class Small(nn.Module):
    """Uses one ReLU twice, shares a weight, and chains two layers in a container."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, bias=False)
        self.relu = nn.ReLU()
        self.tail = nn.Sequential(nn.Conv2d(2, 4, 1, groups=2), nn.Flatten())
        self.first = nn.Linear(16, 16)
        self.second = nn.Linear(16, 16)
        self.second.weight = self.first.weight

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.relu(self.tail(self.relu(self.conv(images))))
        return torch.as_tensor(self.second(self.first(features)))


def test_rows_and_totals_by_hand() -> None:
    # 4 x 4 pixels, 3 x 3 convolution: 2 x 2 left.
    summary = summarise(Small(), (4, 4))
    assert summary.rows == (
        LayerRow("Conv2d-1", "conv", (1, 2, 2, 2), 2 * 9, 8 * 9),
        LayerRow("ReLU-2", "relu", (1, 2, 2, 2), 0, 0),
        LayerRow("Conv2d-3", "tail.0", (1, 4, 2, 2), 4 + 4, 16 * 1),  # two groups of one channel
        LayerRow("Flatten-4", "tail.1", (1, 16), 0, 0),
        LayerRow("ReLU-5", "relu", (1, 16), 0, 0),
        LayerRow("Linear-6", "first", (1, 16), 256 + 16, 256),
        LayerRow("Linear-7", "second", (1, 16), 16, 256),  # its weight was counted above
    )
    assert summary.total_parameters == 18 + 8 + 272 + 16
    assert summary.multiply_adds == 72 + 16 + 256 + 256
    assert summary.input_mb == 16 * 4 / 2**20
    # Outputs: 8 + 8 + 16 + 16 + 16 + 16 + 16 values, each with a gradient, of 4 bytes.
    assert summary.forward_backward_mb == 96 * 2 * 4 / 2**20
    assert summary.parameters_mb == 314 * 4 / 2**20
    assert summary.total_mb == pytest.approx((64 + 768 + 1256) / 2**20)


def test_covinet_by_hand() -> None:
    summary = summarise(create_network("covinet", outputs=2), (150, 150))
    outputs = 3 * 8 * 148**2 + 2 * 16 * 146**2 + 2 * 16 * 73**2 + 2 * 32 * 71**2 + 3 * 32 * 23**2
    assert summary.forward_backward_mb == (outputs + 2) * 8 / 2**20
    assert summary.multiply_adds == (
        8 * 148**2 * 9 + 16 * 146**2 * 8 * 9 + 32 * 71**2 * 16 * 9 + 2 * 16928
    )


def test_a_batch_multiplies_what_depends_on_it() -> None:
    network = create_network("covinet", outputs=2, image_size=(50, 60))
    one, four = (summarise(network, (50, 60), batch=n) for n in (1, 4))
    assert four.input_shape == (4, 1, 50, 60)
    assert four.input_mb == 4 * one.input_mb
    assert four.forward_backward_mb == 4 * one.forward_backward_mb
    assert four.multiply_adds == 4 * one.multiply_adds
    assert four.total_parameters == one.total_parameters


def test_frozen_parameters_are_not_trainable() -> None:
    network = create_network("covinet", outputs=2)
    network.get_submodule("conv1").requires_grad_(False)
    summary = summarise(network, (150, 150))
    assert (summary.total_parameters, summary.trainable_parameters) == (39_746, 39_746 - 80)


def test_a_network_without_parameters() -> None:
    summary = summarise(nn.Sequential(nn.AvgPool2d(2), nn.Flatten()), (4, 4))
    assert [r.output_shape for r in summary.rows] == [(1, 1, 2, 2), (1, 4)]
    assert summary.total_parameters == 0


class Pair(nn.Module):
    """Returns more than one tensor."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return images, images


def test_what_returns_more_than_one_tensor_gets_no_row() -> None:
    summary = summarise(nn.Sequential(nn.Flatten(), Pair()), (4, 4))
    assert [r.layer for r in summary.rows] == ["Flatten-1"]


@pytest.mark.parametrize("name", network_names())
def test_the_network_is_left_as_it_was(name: str) -> None:
    network = create_network_to_load(name, outputs=2, image_size=(40, 40)).train()
    frozen = next(network.children()).eval()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    modes = [m.training for m in network.modules()]
    random_state = torch.get_rng_state()
    summarise(network, (40, 40))
    assert [m.training for m in network.modules()] == modes
    assert not frozen.training
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert not any(m._forward_hooks for m in network.modules())
    assert all(p.grad is None for p in network.parameters())


def test_a_failing_network_is_left_as_it_was_too() -> None:
    network = create_network("naive", outputs=2, image_size=(40, 40)).train()
    with pytest.raises(RuntimeError):  # PyTorch's own: 50 x 50 does not fit the linear layer
        summarise(network, (50, 50))
    assert network.training
    assert not any(m._forward_hooks for m in network.modules())


@pytest.mark.parametrize("name", network_names())
def test_rows_add_up_to_the_totals_and_survive_json(name: str) -> None:
    summary = summarise(create_network_to_load(name, outputs=2), (150, 150))
    assert sum(r.parameters for r in summary.rows) == summary.total_parameters
    data = to_plain(summary)
    assert json.loads(json.dumps(data)) == data
    assert data["total_mb"] == summary.total_mb
    assert [row["layer"].split("-")[-1] for row in data["rows"][:2]] == ["1", "2"]
