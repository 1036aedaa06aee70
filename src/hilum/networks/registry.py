"""Networks by name: what a recipe, a classifier folder and ``hilum models`` refer to.

A network takes ``(B, 1, H, W)`` floats in [0, 1] and returns **logits** ``(B, outputs)``. To add
one, decorate its class with ``@register`` and import its module in ``_built_in``; the contract
test then runs over it as well.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import nn

from hilum.errors import RecipeError, nearest


class NetworkFactory(Protocol):
    """What can be registered: a class or function that makes a network."""

    def __call__(self, *, outputs: int, image_size: tuple[int, int]) -> nn.Module:
        """Make a network with that many logits for images of (height, width)."""
        ...


Factory = TypeVar("Factory", bound=NetworkFactory)


@dataclass(frozen=True, slots=True)
class _Entry:
    factory: NetworkFactory
    smallest: int
    summary: str


_entries: dict[str, _Entry] = {}


def register(name: str, *, smallest: int) -> Callable[[Factory], Factory]:
    """Make a network known by a name. Use as a decorator.

    name: what recipes call it. smallest: the least height and width, in pixels, that the network
    can be trained on. The first line of the docstring describes the network in lists.
    Raises ValueError for a name that is taken or a missing docstring: both are mistakes in code.
    """

    def add(factory: Factory) -> Factory:
        if name in _entries:
            raise ValueError(f"Two networks are registered as '{name}'.")
        lines = (factory.__doc__ or "").strip().splitlines()
        if not lines:
            raise ValueError(f"The network '{name}' has no docstring to describe it.")
        _entries[name] = _Entry(factory, smallest, lines[0].strip())
        return factory

    return add


def network_names() -> tuple[str, ...]:
    """The names of all registered networks, alphabetically."""
    return tuple(sorted(_known()))


def describe_network(name: str) -> str:
    """One line that says what a network is. Raises RecipeError for an unknown name."""
    return _entry(name).summary


def create_network(
    name: str, *, outputs: int, image_size: tuple[int, int] = (150, 150)
) -> nn.Module:
    """Make an untrained network, in training mode, in float32 on the CPU.

    name: one of network_names(). outputs: how many logits, at least 2. image_size: (height,
    width) in pixels of the images that it will be given. The initial weights are PyTorch's
    defaults, drawn from torch's global generator: seed that inside torch.random.fork_rng.
    Raises RecipeError for an unknown name, fewer than 2 outputs or images that are too small.
    """
    entry = _entry(name)
    if outputs < 2:
        raise RecipeError(
            f"The network '{name}' needs at least 2 outputs, one per option; found {outputs}."
        )
    height, width = image_size
    if min(height, width) < entry.smallest:
        raise RecipeError(
            f"Images of {height} x {width} pixels are too small for the network '{name}'; "
            f"the smallest it works on is {entry.smallest} x {entry.smallest}."
        )
    return entry.factory(outputs=outputs, image_size=image_size)


def create_network_to_load(
    name: str, *, outputs: int, image_size: tuple[int, int] = (150, 150)
) -> nn.Module:
    """create_network for weights that are about to be loaded: torch's generator stays put."""
    with torch.random.fork_rng(devices=[]):
        return create_network(name, outputs=outputs, image_size=image_size)


def _entry(name: str) -> _Entry:
    known = _known()
    if name not in known:
        raise RecipeError(f"There is no network '{name}'.{nearest(name, sorted(known))}")
    return known[name]


def _known() -> dict[str, _Entry]:
    _built_in()
    return _entries


def _built_in() -> None:
    # Importing a module registers its network. Here and not at the top, because those modules
    # import this one.
    from hilum.networks import covinet, naive, resnet_block  # noqa: F401
