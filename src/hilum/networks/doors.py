"""Two doors for networks that are not registered: the user's own, and those of packages.

``network = "mypackage.mymodule:MyNetwork"`` in a recipe imports that module from Python's path and
calls the class: it runs code. A recipe is the user's own and says what to run. A classifier's
folder may come from a stranger, who could name any module on the path; there the user has to
allow it first.

``network = "torchvision:resnet18"`` makes one of a package that Hilum knows, where it is installed
(packages.py). Only that package's networks are run.
"""

import importlib
import os
import re
from typing import Any

import torch
from torch import nn

from hilum.errors import RecipeError, in_short, nearest
from hilum.networks import packages
from hilum.networks.contract import evaluating
from hilum.networks.states import State

#: Lists the modules and packages, with commas, whose networks may be made when loading.
ALLOW_CODE = "HILUM_ALLOW_CODE"

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")

#: Names whose code this process has run because its user asked for it: nothing new can happen.
_made: set[str] = set()


def is_door(name: str) -> bool:
    """Whether a network's name is that of a class of the user's own or of a package."""
    return ":" in name


def describe(name: str) -> str:
    """One line for lists. Nothing is imported."""
    if package := packages.package_of(name):
        return f"{name.partition(':')[2]} of {package}, for grey images."
    return f"A network of the user's own, {name.partition(':')[2]} in {_module_of(name)}."


def check_allowed(name: str) -> None:
    """Raise RecipeError unless the user has allowed this process to run a network's code."""
    if packages.package_of(name):
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
        if packages.package_of(name):
            return packages.make(name, outputs)
        return _create_own(name, outputs, image_size)


def read_published(name: str) -> tuple[State, dict[str, Any]] | None:
    """The weights that the name of a package's network names, with their file and SHA-256.

    None where the name names none. Raises RecipeError where they are not on this machine.
    """
    return packages.read_published(name) if packages.package_of(name) else None


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
            f"({in_short(error)})."
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
    if not any(isinstance(module, nn.Linear) for module in network.modules()):
        raise RecipeError(
            f"The network '{name}' has no nn.Linear layer, whose input would be its features: "
            "a network ends with one."
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
            f"image_size={image_size}, the two keywords that it is given ({in_short(error)})."
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
            f"The module of the network '{name}' failed when it was imported ({in_short(error)})."
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
            f"'{name}' is not the name of a network: expected 'package.module:Class', one of a "
            f"package that Hilum knows ({', '.join(f'{p}:NAME' for p in packages.PREFIXES)}), or "
            "a name that `hilum models` lists."
        )
    return name.partition(":")[0]
