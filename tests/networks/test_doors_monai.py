"""MONAI's networks, with a module in MONAI's place: what Hilum asks of it, and its refusals."""

import sys
from types import ModuleType

import pytest
import torch
from torch import nn

from hilum.errors import RecipeError
from hilum.networks.registry import create_network, create_network_to_load, describe_network


class DenseNet121(nn.Module):
    """Has the signature of MONAI's."""

    def __init__(self, spatial_dims: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        assert spatial_dims == 2
        self.conv = nn.Conv2d(in_channels, 4, 3)
        self.out = nn.Linear(4, out_channels)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.out(self.conv(images).mean(dim=(2, 3)))
        return logits


class ViT(nn.Module):
    """Takes other keywords."""

    def __init__(self, in_channels: int, img_size: int, patch_size: int) -> None:
        super().__init__()


class UNet(nn.Conv2d):
    """Returns a picture, as a network for segmentation does."""

    def __init__(self, spatial_dims: int, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1)


def make(name: str) -> nn.Module:
    with torch.random.fork_rng():
        return create_network(name, outputs=3, image_size=(16, 20))


@pytest.fixture
def _monai(monkeypatch: pytest.MonkeyPatch) -> None:
    nets = ModuleType("monai.networks.nets")
    vars(nets).update(DenseNet121=DenseNet121, ViT=ViT, UNet=UNet, helper=len)
    for name in ("monai", "monai.networks"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, nets.__name__, nets)


@pytest.mark.usefixtures("_monai")
def test_a_network_is_made_for_two_dimensions_and_one_channel() -> None:
    network = make("monai:DenseNet121")
    assert isinstance(network, DenseNet121)
    assert network.conv.in_channels == 1
    assert network.out.out_features == 3
    assert describe_network("monai:DenseNet121").startswith("DenseNet121 of MONAI")


@pytest.mark.usefixtures("_monai")
def test_loading_needs_no_permission_because_only_monais_code_runs() -> None:
    assert isinstance(
        create_network_to_load("monai:DenseNet121", outputs=2, image_size=(16, 16)), DenseNet121
    )


@pytest.mark.usefixtures("_monai")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("monai:DenseNet12", "MONAI has no network 'DenseNet12'. Did you mean 'DenseNet121'"),
        ("monai:helper", "MONAI has no network 'helper'"),
        ("monai:", "MONAI has no network ''"),
        ("monai:__class__", "MONAI has no network '__class__'"),
        ("monai:ViT", "ViT cannot be made with spatial_dims=2.*a class of your own"),
        ("monai:UNet", r"'monai:UNet' returned .* \(2, 3, 16, 20\); expected logits"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        make(name)


def test_without_monai_the_refusal_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "monai", None)
    with pytest.raises(RecipeError, match="needs MONAI, which is not installed; `pip install"):
        make("monai:DenseNet121")
