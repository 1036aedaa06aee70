"""Networks by name: what a recipe, a classifier folder and ``hilum models`` refer to.

A network takes ``(B, 1, H, W)`` floats in [0, 1] and returns **logits** ``(B, outputs)``. To add
one, decorate its class with ``@register`` and import its module in ``_built_in``; the contract
test then runs over it as well. Two doors need no registering: a user's own class by
``module:Class`` (custom.py) and MONAI's by ``monai:Class`` (monai.py).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import nn

from hilum.errors import RecipeError, nearest
from hilum.networks import custom, monai


class NetworkFactory(Protocol):
    """What can be registered: a class or function that makes a network."""

    def __call__(self, *, outputs: int, image_size: tuple[int, int]) -> nn.Module:
        """Make a network with that many logits for images of (height, width)."""
        ...


Factory = TypeVar("Factory", bound=NetworkFactory)
#: Gives the weights that a network starts its training from, all or some, by their names.
InitialState = Callable[[], dict[str, torch.Tensor]]


@dataclass(frozen=True, slots=True)
class _Entry:
    factory: NetworkFactory
    smallest: int
    summary: str
    initial_state: InitialState | None


_entries: dict[str, _Entry] = {}


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
        _entries[name] = _Entry(factory, smallest, lines[0].strip(), initial_state)
        return factory

    return add


def network_names() -> tuple[str, ...]:
    """The names of all registered networks, alphabetically."""
    return tuple(sorted(_known()))


def describe_network(name: str) -> str:
    """One line that says what a network is; imports no code. Raises RecipeError if unknown."""
    if monai.is_monai(name):
        return monai.describe(name)
    if custom.is_custom(name):
        return custom.describe(name)
    return _entry(name).summary


def create_network(
    name: str, *, outputs: int, image_size: tuple[int, int] = (150, 150)
) -> nn.Module:
    """Make a network to be trained, in training mode, in float32 on the CPU.

    name: one of network_names(), or one of the two doors, whose code this call runs: it is for
    names that the user gave. outputs: how many logits, at least 2. image_size: (height, width) in
    pixels of the images that it will be given. The initial weights are PyTorch's defaults unless
    the network's docstring says otherwise, drawn from torch's global generator: seed that inside
    torch.random.fork_rng. Under torch.device("meta") registered networks are made without memory
    for their weights; the others are made on the CPU all the same, and tried.
    Raises RecipeError for an unknown name, fewer than 2 outputs, images that are too small,
    initial weights that are not installed, or a network from a door that does not fit.
    """
    _check_outputs(name, outputs)
    if ":" in name:
        network = _from_a_door(name, outputs, image_size)
        custom.check_contract(network, name, outputs=outputs, image_size=image_size)
        return network
    network = _registered(name, outputs, image_size)
    initial_state = _entry(name).initial_state
    if initial_state is not None:
        state = initial_state()
        if not any(value.is_meta for value in network.state_dict().values()):
            network.load_state_dict({**network.state_dict(), **state})
    return network


def create_network_to_load(
    name: str,
    *,
    outputs: int,
    image_size: tuple[int, int] = (150, 150),
    allow_code: bool = False,
) -> nn.Module:
    """create_network for weights that are about to be loaded.

    torch's generator stays put, and no initial weights need be installed. allow_code: whether
    the name may be that of a user's own network, whose code then runs. Without it the name is
    taken for a stranger's, and such a network is made only if the environment variable
    HILUM_ALLOW_CODE lists its module, or if this process made one by create_network.
    Raises RecipeError like create_network, and for code that is not allowed.
    """
    _check_outputs(name, outputs)
    if custom.is_custom(name) and not allow_code:
        custom.check_allowed(name)
    with torch.random.fork_rng(devices=[]):
        if ":" in name:
            return _from_a_door(name, outputs, image_size)
        return _registered(name, outputs, image_size)


def _registered(name: str, outputs: int, image_size: tuple[int, int]) -> nn.Module:
    entry = _entry(name)
    height, width = image_size
    if min(height, width) < entry.smallest:
        raise RecipeError(
            f"Images of {height} x {width} pixels are too small for the network '{name}'; "
            f"the smallest it works on is {entry.smallest} x {entry.smallest}."
        )
    return entry.factory(outputs=outputs, image_size=image_size)


def _from_a_door(name: str, outputs: int, image_size: tuple[int, int]) -> nn.Module:
    create = monai.create if monai.is_monai(name) else custom.create
    # Code that Hilum does not know is made where it can be tried. Whoever asks for no weights
    # ("meta") draws none from torch's generator, so this must not either.
    without_weights = torch.get_default_device().type == "meta"
    with torch.random.fork_rng(devices=[], enabled=without_weights), torch.device("cpu"):
        return create(name, outputs=outputs, image_size=image_size)


def _check_outputs(name: str, outputs: int) -> None:
    if outputs < 2:
        raise RecipeError(
            f"The network '{name}' needs at least 2 outputs, one per option; found {outputs}."
        )


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
    from hilum.networks import efficientnet_lite0, hilum_residual, published  # noqa: F401
