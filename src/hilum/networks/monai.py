"""A door for MONAI's 2-D classification networks: ``network = "monai:DenseNet121"`` in a recipe.

MONAI is not a dependency; where it is installed, its networks are made for one grey channel.
Unlike custom.py this runs no module of a stranger's choice, only classes of MONAI.
"""

import importlib
import re
from types import ModuleType

from torch import nn

from hilum.errors import RecipeError, nearest

_PREFIX = "monai:"


def is_monai(name: str) -> bool:
    """Whether a network's name is that of a class of MONAI."""
    return name.startswith(_PREFIX)


def describe(name: str) -> str:
    """One line for lists. Nothing is imported."""
    return f"{name.removeprefix(_PREFIX)} of MONAI, for 2-D images of one channel."


def create(name: str, *, outputs: int, image_size: tuple[int, int]) -> nn.Module:
    """Make a network of monai.networks.nets with spatial_dims=2, in_channels=1, out_channels.

    image_size is not passed on: MONAI's networks end in global pooling. Raises RecipeError where
    MONAI is missing or has no such network, or where the network takes other keywords.
    """
    class_name = name.removeprefix(_PREFIX)
    networks = _networks(name)
    kind = getattr(networks, class_name, None) if re.fullmatch(r"[A-Za-z]\w*", class_name) else None
    if not isinstance(kind, type) or not issubclass(kind, nn.Module):
        known = [
            n for n, k in vars(networks).items() if isinstance(k, type) and issubclass(k, nn.Module)
        ]
        raise RecipeError(f"MONAI has no network '{class_name}'.{nearest(class_name, known)}")
    try:
        return kind(spatial_dims=2, in_channels=1, out_channels=outputs)
    except (TypeError, ValueError) as error:
        raise RecipeError(
            f"MONAI's {class_name} cannot be made with spatial_dims=2, in_channels=1 and "
            f"out_channels={outputs} ({error}). Make it in a class of your own and name that "
            "as 'module:Class'."
        ) from error


def _networks(name: str) -> ModuleType:
    try:
        return importlib.import_module("monai.networks.nets")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "monai":
            raise RecipeError(
                f"MONAI needs the module '{error.name}', which is not installed."
            ) from None
        raise RecipeError(
            f"The network '{name}' needs MONAI, which is not installed; `pip install monai`."
        ) from None
