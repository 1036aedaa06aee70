"""Networks of packages, with modules in their places: what Hilum asks of them, and its refusals."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from hilum.errors import RecipeError
from hilum.explanation.attribution import attribute
from hilum.explanation.feature_maps import list_layers
from hilum.exporting.onnx import export_onnx
from hilum.files import sha256
from hilum.networks.registry import (
    create_network,
    create_network_to_load,
    describe_network,
    read_start,
)
from tests.explanation.conftest import untrained
from tests.networks import fake_packages as fake

TORCHVISION = "torchvision:resnet18"
IMAGENET = f"{TORCHVISION}.IMAGENET1K_V1"
XRV = "xrv:densenet121-res224-all"


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


@pytest.fixture
def _packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All of them, and where they keep files."""
    fake.install(monkeypatch)
    monkeypatch.setattr(fake, "FILE", dict(fake.FILE))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))


def as_imagenet(grey: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(values)[:, None, None] for values in (fake.MEAN, fake.STD))
    return (grey - mean) / std


@pytest.mark.usefixtures("_packages")
@pytest.mark.parametrize(
    ("name", "seen"),
    [
        (TORCHVISION, as_imagenet),
        ("timm:resnet18", lambda grey: (4 * grey - 2).repeat(1, 3, 1, 1)),
        (XRV, lambda grey: 2048 * grey - 1024),
        ("xrv:resnet50-res512-all", lambda grey: 2048 * grey - 1024),
    ],
)
def test_a_network_sees_images_as_its_package_scales_them(
    name: str, seen: Callable[..., torch.Tensor]
) -> None:
    network = create_network_to_load(name, outputs=3, image_size=(16, 20)).eval()
    grey = torch.rand(2, 1, 16, 20)
    inner = network.get_submodule("network")
    torch.testing.assert_close(network(grey), inner(seen(grey)), rtol=1e-4, atol=1e-4)
    assert describe_network(name).endswith("for grey images.")


def published(tmp_path: Path, *, whole: bool = False) -> tuple[fake.Residual, nn.Module]:
    """Networks as torchvision and TorchXRayVision publish them, written where these keep them.

    whole: whether the latter is saved with its classes, as most of its files are.
    """
    colour, grey = fake.Residual(1000).eval(), fake.DenseNet(18).eval()
    content = tmp_path / "weights"
    torch.save(colour.state_dict(), content)
    fake.FILE["digest"] = sha256(content.read_bytes())[:8]
    file = tmp_path / "hub" / "checkpoints" / f"resnet18-{fake.FILE['digest']}.pth"
    file.parent.mkdir(parents=True)
    content.rename(file)
    file = tmp_path / ".torchxrayvision" / "models_data" / f"{XRV.partition(':')[2]}-best.pt"
    file.parent.mkdir(parents=True)
    torch.save(grey if whole else grey.state_dict(), file)
    return colour, grey


@pytest.mark.usefixtures("_packages")
@pytest.mark.parametrize("whole", [False, True])
def test_a_name_of_weights_starts_from_the_file_that_the_package_keeps(
    tmp_path: Path, whole: bool
) -> None:
    colour, chest = published(tmp_path, whole=whole)
    grey = torch.rand(2, 1, 16, 16)
    network = create_network(IMAGENET, outputs=3, image_size=(16, 16)).eval()
    features = network.get_submodule("network").features
    with torch.no_grad():
        seen = as_imagenet(grey)
        torch.testing.assert_close(features(seen), colour.features(seen))
    made = create_network(XRV, outputs=2, image_size=(16, 16))
    assert torch.equal(made.state_dict()["network.features.conv0.weight"],
                       chest.state_dict()["features.conv0.weight"])  # fmt: skip
    start = read_start(XRV, made, "")
    assert start
    assert start.at_random == ("network.classifier.weight", "network.classifier.bias")
    assert start.unused == ("classifier.weight", "classifier.bias")
    assert read_start(XRV, made, "none") is None
    assert read_start(TORCHVISION, network, "") is None


@pytest.mark.usefixtures("_packages")
def test_another_file_is_not_taken_for_the_published_one(tmp_path: Path) -> None:
    published(tmp_path)
    file = next((tmp_path / "hub" / "checkpoints").iterdir())
    torch.save({"x": torch.ones(1)}, file)
    with pytest.raises(RecipeError, match=f"{file.name}: not the published weights: the SHA-256"):
        create_network(IMAGENET, outputs=3, image_size=(16, 16))


@pytest.mark.usefixtures("_packages")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        (IMAGENET, r"fetch https://vision.example/resnet18-\w+.pth, put it into .*checkpoints, or"),
        (XRV, r"fetch https://xrv.example/densenet\S+-best.pt, put it into .*models_data, or name"),
        ("timm:resnet18.a1_in1k", r"fetch https://huggingface.co/timm/resnet18.a1_in1k/\S+ and na"),
        ("torchvision:resnet18.V9", "no weights 'V9' of resnet18. Known: IMAGENET1K_V1"),
        ("timm:resnet18.b", "timm has no weights 'b' of resnet18 .*Invalid pretrained tag"),
        ("torchvision:resnet81", "has no network 'resnet81'. Did you mean 'resnet18'"),
        ("timm:hf-hub:a/b", "timm has no network 'hf-hub:a/b': a name has letters"),
        ("timm:other", "timm has no network 'other'. Known: resnet18, fixed"),
        (
            "timm:fixed",
            r"timm's fixed cannot be made with pretrained=.*: not of this size\)",
        ),
        ("xrv:all", "TorchXRayVision has no network 'all'. Known: densenet121-res224-all, resn"),
        ("torchvision:squeeze", "has no nn.Linear layer, whose input would be its features"),
    ],
)
def test_what_a_package_lacks_is_refused_in_one_sentence(name: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as refusal:
        make(name)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (RuntimeError("operator nms\nis not"), r"failed .*\(RuntimeError: operator nms\): install"),
        (ModuleNotFoundError("no", name="imageio"), "needs the module 'imageio', which is not ins"),
        (ModuleNotFoundError("no", name="timm"), "needs timm, which is not installed; `pip inst"),
    ],
)
def test_a_package_that_does_not_import_is_named(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, message: str
) -> None:
    def fail(name: str) -> None:
        raise failure

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(RecipeError, match=message) as refusal:
        make("timm:resnet18")
    assert "\n" not in str(refusal.value)


# PyTorch's exporter warns of itself
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
@pytest.mark.usefixtures("_packages")
def test_such_networks_are_explained_and_exported_like_others(tmp_path: Path) -> None:
    classifier = untrained("flat", name=TORCHVISION, size=24)
    images = np.random.default_rng(1).integers(0, 256, (2, 24, 24)).astype(np.uint8)
    layers = {layer.name: layer for layer in list_layers(classifier)}
    assert (layers["network.conv2"].height, layers["network.conv2"].width) == (12, 12)
    for method in ("gradcam", "ig"):
        maps = attribute(classifier, images, method=method, options="covid")
        assert maps.shape == images.shape
        assert maps.any()
    agreement = export_onnx(classifier, tmp_path / "model.onnx", takes="pixels")
    assert agreement.largest_difference < 1e-5
