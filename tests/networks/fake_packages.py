"""Modules in the place of packages of networks, with the signatures that Hilum calls."""

import sys
from collections.abc import Iterable
from enum import Enum
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Residual(nn.Module):
    """In small what torchvision's ResNet-18 is: layers in place, a skip, colour."""

    def __init__(self, num_classes: int, channels: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(64, 64, 3, padding=1)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(64, num_classes)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.bn1(self.conv1(images)))
        pooled: torch.Tensor = self.avgpool(self.relu(self.conv2(x) + x)).flatten(1)
        return pooled

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.fc(self.features(images))
        return logits


class Squeeze(nn.Module):
    """Ends with a convolution."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.last = nn.Conv2d(3, num_classes, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.last(images).mean(dim=(2, 3))
        return logits


class DenseNet(nn.Module):
    """In small TorchXRayVision's, which works in place outside of layers."""

    def __init__(
        self, num_classes: int = 18, in_channels: int = 1, weights: str | None = None
    ) -> None:
        assert weights is None, "would be downloaded, and unpickled"
        super().__init__()
        self.features = nn.Sequential()
        self.features.add_module("conv0", nn.Conv2d(in_channels, 4, 3, bias=False))
        self.features.add_module("norm0", nn.BatchNorm2d(4))
        self.classifier = nn.Linear(4, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = nn.functional.relu(self.features(images), inplace=True).mean(dim=(2, 3))
        logits: torch.Tensor = self.classifier(x)
        return logits


DenseNet.__module__ = "torchxrayvision.models"  # where pickle looks for it


class Published(Enum):
    """What torchvision says of a network's weights."""

    IMAGENET1K_V1 = "https://vision.example/resnet18-{digest}.pth"

    @property
    def url(self) -> str:
        return self.value.format(**FILE)

    def transforms(self) -> SimpleNamespace:
        return SimpleNamespace(mean=list(MEAN), std=list(STD))


#: How the SHA-256 of torchvision's file begins.
FILE = {"digest": "0" * 8}


def _get_model(name: str, *, weights: None, num_classes: int) -> nn.Module:
    assert weights is None
    return Squeeze(num_classes) if name == "squeeze" else Residual(num_classes)


def _create_model(name: str, *, pretrained: bool, in_chans: int, num_classes: int) -> nn.Module:
    assert not pretrained
    if name == "fixed":
        raise AssertionError("not of this size\nand more")
    return Residual(num_classes, in_chans)


def _pretrained_cfg(name: str) -> SimpleNamespace:
    if name.partition(".")[2] not in ("", "a1_in1k"):
        raise RuntimeError("Invalid pretrained tag")
    mean, std, repository = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), "timm/resnet18.a1_in1k"
    return SimpleNamespace(mean=mean, std=std, hf_hub_id=repository, hf_hub_filename=None)


def _list_models(*, module: Any) -> list[str]:
    return ["resnet18", "resnet50", "squeeze"]


VISION: dict[str, Any] = {
    "get_model": _get_model,
    "get_model_weights": lambda name: Published,
    "list_models": _list_models,
}
MODULES: dict[str, dict[str, Any]] = {
    "torchvision.models": VISION,
    "timm": {
        "create_model": _create_model,
        "get_pretrained_cfg": _pretrained_cfg,
        "list_models": lambda: ["resnet18", "fixed"],
    },
    "torchxrayvision.models": {
        "DenseNet": DenseNet,
        "model_urls": {
            name: {"weights_url": f"https://xrv.example/{name}-best.pt"}
            for name in ("all", "densenet121-res224-all", "resnet50-res512-all")
        },
        "torchvision": SimpleNamespace(models=SimpleNamespace(**VISION)),
    },
}


def install(monkeypatch: pytest.MonkeyPatch, modules: Iterable[str] = tuple(MODULES)) -> None:
    """Let the modules, and the packages that they are in, be imported."""
    for name in modules:
        module = ModuleType(name)
        vars(module).update(MODULES[name])
        top = name.partition(".")[0]
        monkeypatch.setitem(sys.modules, top, ModuleType(top))
        monkeypatch.setitem(sys.modules, name, module)
