"""Two doors for networks that are not registered: the user's own, and MONAI's.

``network = "mypackage.mymodule:MyNetwork"`` in a recipe imports that module from Python's path and
calls the class: it runs code. A recipe is the user's own and says what to run. A classifier's
folder may come from a stranger, who could name any module on the path; there the user has to
allow it first.

``network = "monai:DenseNet121"`` makes one of MONAI's classification networks for one grey channel
of 2-D images, where MONAI is installed; it is no dependency. Only classes of MONAI are run.
"""

import importlib
import os
import re
from types import ModuleType
from typing import Any

import torch
from torch import nn

from hilum.errors import RecipeError, nearest
from hilum.networks.contract import evaluating

#: Lists the modules and packages, with commas, whose networks may be made when loading.
ALLOW_CODE = "HILUM_ALLOW_CODE"

_MONAI = "monai:"
_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")

#: Names whose code this process has run because its user asked for it: nothing new can happen.
_made: set[str] = set()


def is_door(name: str) -> bool:
    """Whether a network's name is that of a class of the user's own or of MONAI."""
    return ":" in name


def describe(name: str) -> str:
    """One line for lists. Nothing is imported."""
    if name.startswith(_MONAI):
        return f"{name.removeprefix(_MONAI)} of MONAI, for 2-D images of one channel."
    return f"A network of the user's own, {name.partition(':')[2]} in {_module_of(name)}."


def check_allowed(name: str) -> None:
    """Raise RecipeError unless the user has allowed this process to run a network's code."""
    if name.startswith(_MONAI):
        return
    module = _module_of(name)
    listed = [entry.strip() for entry in os.environ.get(ALLOW_CODE, "").split(",")]
    allowed = any(module == entry or module.startswith(f"{entry}.") for entry in listed if entry)
    if name not in _made and not allowed:
        raise RecipeError(
            f"The network '{name}' is not part of Hilum: loading it would import the module "
            f"'{module}' from Python's path and run it. If you know and trust that module, "
            f"allow it by the environment variable {ALLOW_CODE}={module}."
        )


def create(name: str, *, outputs: int, image_size: tuple[int, int]) -> nn.Module:
    """Import a class, or a function, and make a network by it, on the CPU.

    Raises RecipeError where the name is malformed, the module or the class is missing, or one of
    them fails.
    """
    # Code that Hilum does not know is made where it can be tried. Whoever asks for no weights
    # ("meta") draws none from torch's generator, so this must not either.
    without_weights = torch.get_default_device().type == "meta"
    with torch.random.fork_rng(devices=[], enabled=without_weights), torch.device("cpu"):
        if name.startswith(_MONAI):
            return _create_monai(name, outputs)
        return _create_own(name, outputs, image_size)


def check_contract(
    network: nn.Module, name: str, *, outputs: int, image_size: tuple[int, int]
) -> None:
    """Try a network on two random images before anything is trained; it is left as it was.

    Raises RecipeError where it fails, has no parameters to train, or returns anything but finite
    logits of shape (2, outputs).
    """
    shape = (2, 1, *image_size)
    try:
        with (
            evaluating(network),
            torch.random.fork_rng(devices=[]),
            torch.device("cpu"),
            torch.no_grad(),
        ):
            logits = network(torch.rand(shape))
    except Exception as error:
        raise RecipeError(
            f"The network '{name}' failed on images of shape {shape}, (B, 1, H, W) in [0, 1] "
            f"({_in_short(error)})."
        ) from error
    expected = f"expected logits of shape {(2, outputs)}, (B, outputs), for images of {shape}"
    if not isinstance(logits, torch.Tensor):
        raise RecipeError(f"The network '{name}' returned a {type(logits).__name__}; {expected}.")
    if logits.shape != (2, outputs) or not logits.is_floating_point():
        found = f"{logits.dtype} of shape {tuple(logits.shape)}"
        raise RecipeError(f"The network '{name}' returned {found}; {expected}.")
    if not logits.isfinite().all():
        raise RecipeError(
            f"The network '{name}' returned logits that are not finite, for random images in "
            "[0, 1]; check its initial weights and its arithmetic."
        )
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise RecipeError(f"The network '{name}' has no parameters that could be trained.")


def _create_own(name: str, outputs: int, image_size: tuple[int, int]) -> nn.Module:
    factory = _import(name)
    try:
        network = factory(outputs=outputs, image_size=image_size)
    except Exception as error:
        raise RecipeError(
            f"The network '{name}' could not be made with outputs={outputs} and "
            f"image_size={image_size}, the two keywords that it is given ({_in_short(error)})."
        ) from error
    if not isinstance(network, nn.Module):
        raise RecipeError(
            f"'{name}' made a {type(network).__name__}; a network is a torch.nn.Module."
        )
    _made.add(name)
    return network


def _import(name: str) -> Any:
    module_name, attribute = _module_of(name), name.partition(":")[2]
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(
            f"{error.name}."
        ):
            raise RecipeError(
                f"There is no module '{error.name}', which the network '{name}' names. Install "
                "it, or put the folder that holds it into the environment variable PYTHONPATH."
            ) from None
        raise RecipeError(
            f"The module of the network '{name}' failed when it was imported ({_in_short(error)})."
        ) from error
    factory = getattr(module, attribute, None)
    if not callable(factory):
        public = [n for n in vars(module) if not n.startswith("_") and callable(getattr(module, n))]
        raise RecipeError(
            f"The module '{module_name}' has no class or function '{attribute}'."
            + nearest(attribute, public)
        )
    return factory


def _module_of(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise RecipeError(
            f"'{name}' is not the name of a network: expected 'package.module:Class', "
            "'monai:Class', or a name that `hilum models` lists."
        )
    return name.partition(":")[0]


def _create_monai(name: str, outputs: int) -> nn.Module:
    """A network of monai.networks.nets. They end in global pooling and take images of any size."""
    class_name = name.removeprefix(_MONAI)
    networks = {
        n: kind
        for n, kind in vars(_import_monai(name)).items()
        if isinstance(kind, type) and issubclass(kind, nn.Module) and not n.startswith("_")
    }
    if class_name not in networks:
        raise RecipeError(f"MONAI has no network '{class_name}'.{nearest(class_name, networks)}")
    try:
        return networks[class_name](spatial_dims=2, in_channels=1, out_channels=outputs)
    except (TypeError, ValueError) as error:
        raise RecipeError(
            f"MONAI's {class_name} cannot be made with spatial_dims=2, in_channels=1 and "
            f"out_channels={outputs} ({error}). Make it in a class of your own and name that "
            "as 'module:Class'."
        ) from error


def _import_monai(name: str) -> ModuleType:
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


def _in_short(error: Exception) -> str:
    """The kind of an error and the first line of what it says."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
