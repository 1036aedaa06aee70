"""What a network has to be, and how one becomes known by a name.

A network takes ``(B, 1, H, W)`` floats in [0, 1] and returns **logits** ``(B, outputs)``.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, TypeVar

import torch
from torch import nn


class NetworkFactory(Protocol):
    """What can be registered: a class or function that makes a network."""

    def __call__(self, *, outputs: int, image_size: tuple[int, int]) -> nn.Module:
        """Make a network with that many logits for images of (height, width)."""
        ...


Factory = TypeVar("Factory", bound=NetworkFactory)
#: Gives the weights that a network starts its training from, all or some, by their names.
InitialState = Callable[[], dict[str, torch.Tensor]]


@dataclass(frozen=True, slots=True)
class Entry:
    """A registered network; see register."""

    factory: NetworkFactory
    smallest: int
    summary: str
    initial_state: InitialState | None


_entries: dict[str, Entry] = {}

#: The registered networks by name. registry.py imports the modules that fill it.
ENTRIES: Mapping[str, Entry] = MappingProxyType(_entries)


def register(
    name: str, *, smallest: int, initial_state: InitialState | None = None
) -> Callable[[Factory], Factory]:
    """Make a network known by a name. Use as a decorator.

    name: what recipes call it, without a colon. smallest: the least height and width, in pixels,
    that the network can be trained on. initial_state: the weights that its training starts from,
    where they do not all start at random. The first line of the docstring describes the network
    in lists. Raises ValueError for a name that is taken or a missing docstring: both are mistakes
    in code.
    """

    def add(factory: Factory) -> Factory:
        if name in _entries:
            raise ValueError(f"Two networks are registered as '{name}'.")
        lines = (factory.__doc__ or "").strip().splitlines()
        if not lines:
            raise ValueError(f"The network '{name}' has no docstring to describe it.")
        _entries[name] = Entry(factory, smallest, lines[0].strip(), initial_state)
        return factory

    return add


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode, and afterwards leave it as it was."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        # Module by module: train() on the whole would thaw layers that were frozen on purpose.
        for module, training in modes:
            module.training = training
