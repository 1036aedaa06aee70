"""Networks by name: what a recipe, a classifier folder and ``hilum models`` refer to.

To add one, decorate its class with ``contract.register`` and name its module in BUILT_IN; the
contract test then runs over it as well. Two doors need no registering: a user's own class by
``module:Class`` and a package's by ``torchvision:NAME`` and the like (doors.py).
"""

from pathlib import Path

import torch
from torch import nn

from hilum.errors import RecipeError, nearest
from hilum.networks import doors, efficientnet_lite, hilum_residual, published
from hilum.networks.contract import ENTRIES, Entry
from hilum.networks.states import Start, fit_state, read_state

#: The modules whose networks are registered: by being imported.
BUILT_IN = (published, hilum_residual, efficientnet_lite)

#: In a recipe: weights are random, whatever the network's name promises.
NO_WEIGHTS = "none"


def network_names() -> tuple[str, ...]:
    """The names of all registered networks, alphabetically."""
    return tuple(sorted(ENTRIES))


def describe_network(name: str) -> str:
    """One line that says what a network is; imports no code. Raises RecipeError if unknown."""
    return doors.describe(name) if doors.is_door(name) else _entry(name).summary


def create_network(
    name: str,
    *,
    outputs: int,
    image_size: tuple[int, int] = (150, 150),
    own_start: bool = True,
) -> nn.Module:
    """Make a network to be trained, in training mode, in float32 on the CPU.

    name: one of network_names(), or one of the two doors, whose code this call runs: it is for
    names that the user gave. outputs: how many logits, at least 2. image_size: (height, width) in
    pixels of the images that it will be given. own_start: whether weights that its name promises
    are loaded; without, all are random. The initial weights are PyTorch's defaults unless
    the network's docstring says otherwise, drawn from torch's global generator: seed that inside
    torch.random.fork_rng. Under torch.device("meta") registered networks are made without memory
    for their weights; the others are made on the CPU all the same, and tried.
    Raises RecipeError for an unknown name, fewer than 2 outputs, images that are too small,
    initial weights that are not installed, or a network from a door that does not fit.
    """
    network = _make(name, outputs, image_size)
    if doors.is_door(name):
        doors.check_contract(network, name, outputs=outputs, image_size=image_size)
        if own_start and (start := read_start(name, network, "")):
            network.load_state_dict({**network.state_dict(), **start.state})
        return network
    initial_state = _entry(name).initial_state
    if initial_state is not None and own_start:
        state = initial_state()
        if not any(value.is_meta for value in network.state_dict().values()):
            network.load_state_dict({**network.state_dict(), **state})
    return network


def read_start(name: str, network: nn.Module, weights: str) -> Start | None:
    """What a network's training starts from, if that is a file; None: what create_network gives.

    name: the network's; that of a package's network may name weights. network: as made, be it
    without memory for its weights. weights: what a recipe says: a path, 'none', or empty, for what
    the name names. Raises RecipeError where the file is missing, damaged or does not fit.
    """
    if weights == NO_WEIGHTS:
        return None
    found = read_state(Path(weights), RecipeError) if weights else None
    if not weights and doors.is_door(name):
        found = doors.read_published(name)
    return fit_state(found[0], network, name, found[1]) if found else None


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
    if doors.is_door(name) and not allow_code:
        doors.check_allowed(name)
    with torch.random.fork_rng(devices=[]):
        return _make(name, outputs, image_size)


def _make(name: str, outputs: int, image_size: tuple[int, int]) -> nn.Module:
    if outputs < 2:
        raise RecipeError(
            f"The network '{name}' needs at least 2 outputs, one per option; found {outputs}."
        )
    if doors.is_door(name):
        return doors.create(name, outputs=outputs, image_size=image_size)
    entry = _entry(name)
    height, width = image_size
    if min(height, width) < entry.smallest:
        raise RecipeError(
            f"Images of {height} x {width} pixels are too small for the network '{name}'; "
            f"the smallest it works on is {entry.smallest} x {entry.smallest}."
        )
    return entry.factory(outputs=outputs, image_size=image_size)


def _entry(name: str) -> Entry:
    if name not in ENTRIES:
        raise RecipeError(f"There is no network '{name}'.{nearest(name, network_names())}")
    return ENTRIES[name]
