"""A user's own network: found, tried before training, and loaded only where that is allowed."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from hilum.errors import RecipeError
from hilum.networks import doors
from hilum.networks.registry import create_network, create_network_to_load, describe_network

MODULE = """
import torch
from torch import nn

class Good(nn.Module):
    def __init__(self, *, outputs, image_size):
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.dropout = nn.Dropout(0.5)
        self.last = nn.Linear(image_size[0] * image_size[1], outputs)

    def forward(self, x):
        return self.last(self.dropout(self.norm(x).flatten(1)))

class Colour(Good):
    def __init__(self, *, outputs, image_size):
        super().__init__(outputs=outputs, image_size=image_size)
        self.norm = nn.BatchNorm2d(3)

class Wide(Good):
    def __init__(self, *, outputs, image_size):
        super().__init__(outputs=outputs + 1, image_size=image_size)

class Pair(Good):
    def forward(self, x):
        return super().forward(x), x

class Whole(Good):
    def forward(self, x):
        return super().forward(x).round().long()

class Infinite(Good):
    def forward(self, x):
        return super().forward(x) / 0

class Frozen(Good):
    def __init__(self, *, outputs, image_size):
        super().__init__(outputs=outputs, image_size=image_size)
        self.requires_grad_(False)

class Positional(Good):
    def __init__(self, classes):
        super().__init__(outputs=classes, image_size=(8, 8))

def lazy(*, outputs, image_size):
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(outputs))

def no_network(*, outputs, image_size):
    return "a text"

number = 3
"""


@pytest.fixture(autouse=True)
def _own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package on the path: own.networks as above, own.broken; nothing allowed, nothing made."""
    package = tmp_path / "own"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "networks.py").write_text(MODULE)
    (package / "broken.py").write_text("raise OSError('no licence')")
    (package / "needy.py").write_text("import a_module_that_nobody_has")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv(doors.ALLOW_CODE, raising=False)
    monkeypatch.setattr(doors, "_made", set())
    importlib.invalidate_caches()
    yield
    for name in [n for n in sys.modules if n.split(".")[0] == "own"]:
        del sys.modules[name]


def make(name: str) -> nn.Module:
    with torch.random.fork_rng():
        return create_network(name, outputs=3, image_size=(8, 9))


def load(name: str, *, allow_code: bool = False) -> nn.Module:
    return create_network_to_load(name, outputs=3, image_size=(8, 9), allow_code=allow_code)


def test_it_is_made_like_a_registered_one() -> None:
    network = make("own.networks:Good")
    assert all(module.training for module in network.modules())
    assert network(torch.rand(5, 1, 8, 9)).shape == (5, 3)
    assert "Good in own.networks" in describe_network("own.networks:Good")


def test_trying_it_changes_neither_the_network_nor_the_random_generator() -> None:
    states = []
    for _ in range(2):
        with torch.random.fork_rng():
            torch.manual_seed(5)
            network = create_network("own.networks:Good", outputs=3, image_size=(8, 9))
            states.append(torch.get_rng_state())
            torch.manual_seed(5)
            by_hand = type(network)(outputs=3, image_size=(8, 9))
            assert torch.equal(torch.get_rng_state(), states[-1])
        for name, value in by_hand.state_dict().items():
            assert torch.equal(network.state_dict()[name], value), name
    assert torch.equal(*states)


def test_where_no_weights_are_wanted_it_is_tried_all_the_same() -> None:
    before = torch.get_rng_state()
    with torch.device("meta"):
        network = create_network("own.networks:Good", outputs=3, image_size=(8, 9))
        with pytest.raises(RecipeError, match="not finite"):
            create_network("own.networks:Infinite", outputs=3, image_size=(8, 9))
    assert not any(p.is_meta for p in network.parameters())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_function_and_lazy_layers_will_do() -> None:
    assert make("own.networks:lazy")(torch.rand(2, 1, 8, 9)).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own.networks:Colour", r"failed on images of shape \(2, 1, 8, 9\).*RuntimeError: "),
        ("own.networks:Wide", r"returned torch.float32 of shape \(2, 4\); expected .*\(2, 3\)"),
        ("own.networks:Pair", "returned a tuple; expected logits"),
        ("own.networks:Whole", "returned torch.int64"),
        ("own.networks:Infinite", "logits that are not finite"),
        ("own.networks:Frozen", "no parameters that could be trained"),
        ("own.networks:Positional", "could not be made with outputs=3 .*TypeError"),
        ("own.networks:no_network", "made a str; a network is a torch.nn.Module"),
        ("own.networks:Goood", "no class or function 'Goood'. Did you mean 'Good'"),
        ("own.networks:number", "no class or function 'number'"),
        ("own.broken:Net", "failed when it was imported .OSError: no licence"),
        ("own.needy:Net", "failed when it was imported .*a_module_that_nobody_has"),
        ("own.nothing:Net", "no module 'own.nothing'.*PYTHONPATH"),
        ("nowhere.nothing:Net", "no module 'nowhere'.*PYTHONPATH"),
        ("own.networks:", "not the name of a network: expected 'package.module:Class'"),
        (":Net", "not the name of a network"),
        ("own/networks.py:Net", "not the name of a network"),
        ("own.networks:Good.forward", "not the name of a network"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(name: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as refusal:
        make(name)
    assert "\n" not in str(refusal.value)


def test_loading_runs_no_code_that_was_not_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "own.networks:Good"
    for listed in ("", "1", "other", "ow", "own.network", "own.networks.more", "own.networks:Good"):
        monkeypatch.setenv(doors.ALLOW_CODE, listed)
        with pytest.raises(RecipeError, match="import the module.*HILUM_ALLOW_CODE=own.networks"):
            load(name)
    assert "own" not in sys.modules


@pytest.mark.parametrize("listed", ["own", "own.networks", "other, own"])
def test_the_environment_allows_modules_and_packages(
    listed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(doors.ALLOW_CODE, listed)
    before = torch.get_rng_state()
    assert load("own.networks:Good").training
    assert torch.equal(torch.get_rng_state(), before)


def test_the_caller_may_allow_it() -> None:
    assert isinstance(load("own.networks:Good", allow_code=True), nn.Module)


def test_what_this_process_trains_it_may_load() -> None:
    make("own.networks:Good")
    assert isinstance(load("own.networks:Good"), nn.Module)
    with pytest.raises(RecipeError, match="not part of Hilum"):
        load("own.networks:Wide")
