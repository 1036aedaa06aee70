"""What every registered network must do. A new network is tested by being registered."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from hilum.errors import RecipeError
from hilum.networks.contract import ENTRIES, register
from hilum.networks.registry import create_network, describe_network, network_names

#: Of networks that also start from ImageNet's weights, which are the same, the one from scratch.
NAMES = tuple(name for name in network_names() if not name.endswith("-imagenet"))
RANDOM_LAYERS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
BATCH_LAYERS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(20)
        yield


def images(batch: int, height: int, width: int) -> torch.Tensor:
    return torch.rand(batch, 1, height, width)


def gradients(network: nn.Module, batch: torch.Tensor) -> dict[str, torch.Tensor]:
    targets = torch.arange(len(batch)) % 2
    nn.functional.cross_entropy(network(batch), targets).backward()
    found = {}
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, f"no gradient reaches {name}"
        found[name] = parameter.grad
    return found


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize(
    ("batch", "height", "width", "outputs"),
    [(1, 150, 150, 2), (4, 150, 150, 3), (3, 100, 100, 2), (2, 131, 157, 5)],
)
def test_logits_have_their_shape_and_are_finite(
    name: str, mode: str, batch: int, height: int, width: int, outputs: int
) -> None:
    network = create_network(name, outputs=outputs, image_size=(height, width))
    logits = network.train(mode == "train")(images(batch, height, width))
    assert logits.shape == (batch, outputs)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_blank_image_gives_finite_logits_and_gradients(name: str, value: float) -> None:
    network = create_network(name, outputs=2, image_size=(60, 60))
    batch = torch.full((2, 1, 60, 60), value)
    assert network(batch).isfinite().all()
    assert all(g.isfinite().all() for g in gradients(network, batch).values())


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_finite_and_reach_every_parameter(name: str) -> None:
    network = create_network(name, outputs=2, image_size=(100, 90))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    reached = set()
    for _ in range(2):  # a scale that starts at 0 holds back what lies before it for one step
        optimizer.zero_grad()
        for parameter, gradient in gradients(network, images(4, 100, 90)).items():
            assert gradient.isfinite().all(), parameter
            if gradient.abs().max() > 0:
                reached.add(parameter)
        optimizer.step()
    assert reached == dict(network.named_parameters()).keys()


@pytest.mark.parametrize("name", NAMES)
def test_overwriting_in_place_changes_neither_logits_nor_gradients(name: str) -> None:
    network = create_network(name, outputs=2, image_size=(40, 40))
    batch = images(4, 40, 40)
    results = []
    for in_place in (True, False):
        for module in network.modules():
            if isinstance(module, (nn.ReLU, *RANDOM_LAYERS)):
                module.inplace = in_place and module.inplace
        network.zero_grad()
        torch.manual_seed(1)  # the same dropout both times
        results.append(gradients(network, batch))
    for parameter, expected in results[1].items():
        torch.testing.assert_close(results[0][parameter], expected)


@pytest.mark.parametrize("name", NAMES)
def test_the_images_are_left_as_they_were(name: str) -> None:
    network = create_network(name, outputs=2, image_size=(40, 40))
    batch = images(2, 40, 40)
    before = batch.clone()
    network(batch)
    assert torch.equal(batch, before)


@pytest.mark.parametrize("name", NAMES)
def test_eval_mode_is_deterministic_and_changes_no_state(name: str) -> None:
    network = create_network(name, outputs=2, image_size=(60, 60)).eval()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    batch = images(3, 60, 60)
    assert torch.equal(network(batch), network(batch))
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
def test_train_mode_differs_only_through_dropout_and_batch_normalisation(name: str) -> None:
    network = create_network(name, outputs=2, image_size=(60, 60))
    batch = images(3, 60, 60)
    evaluated = network.eval()(batch)
    network.train()
    for module in network.modules():
        if isinstance(module, RANDOM_LAYERS + BATCH_LAYERS):
            module.eval()
    assert torch.equal(network(batch), evaluated)


@pytest.mark.parametrize("name", NAMES)
def test_an_image_has_the_same_logits_alone_and_in_a_batch(name: str) -> None:
    network = create_network(name, outputs=2, image_size=(60, 70)).eval()
    batch = images(5, 60, 70)
    alone = torch.cat([network(batch[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(network(batch), alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_channels_last_gives_close_logits(name: str) -> None:
    network = create_network(name, outputs=2, image_size=(131, 157)).eval()
    batch = images(2, 131, 157)
    contiguous = network(batch)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    found = network(batch.to(memory_format=torch.channels_last))
    torch.testing.assert_close(found, contiguous, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_autocast_gives_close_logits_and_finite_gradients(name: str) -> None:
    network = create_network(name, outputs=2, image_size=(40, 40))
    batch = images(2, 40, 40)
    expected = network.eval()(batch)
    with torch.autocast("cpu", torch.bfloat16):
        found = network(batch)
    # bfloat16 keeps 8 significant bits: 0.4 % a rounding.
    torch.testing.assert_close(found.float(), expected, rtol=0.05, atol=0.05)
    with torch.autocast("cpu", torch.bfloat16):
        found = gradients(network.train(), batch)
    assert all(g.isfinite().all() for g in found.values())


@pytest.mark.parametrize("name", NAMES)
def test_saved_weights_load_into_a_new_network(name: str, tmp_path: Path) -> None:
    network = create_network(name, outputs=3, image_size=(50, 60))
    network(images(4, 50, 60))  # moves what batch normalisation remembers
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    other = create_network(name, outputs=3, image_size=(50, 60))
    batch = images(2, 50, 60)
    expected = network.eval()(batch)
    assert not torch.equal(other.eval()(batch), expected)
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert torch.equal(other.eval()(batch), expected)


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_outside_decides_the_initial_weights(name: str) -> None:
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        network = create_network(name, outputs=2, image_size=(40, 40))
        states.append(torch.cat([p.flatten() for p in network.parameters()]))
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


@pytest.mark.parametrize("name", NAMES)
def test_the_smallest_image_trains_and_a_smaller_one_is_refused(name: str) -> None:
    smallest = ENTRIES[name].smallest
    network = create_network(name, outputs=2, image_size=(smallest, smallest))
    found = gradients(network, images(1, smallest, smallest))
    assert all(g.isfinite().all() for g in found.values())
    for size in [(smallest - 1, 150), (150, smallest - 1)]:
        with pytest.raises(RecipeError, match=rf"'{name}'.*smallest.* {smallest} x {smallest}"):
            create_network(name, outputs=2, image_size=size)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("outputs", [1, 0, -2])
def test_fewer_than_two_outputs_are_refused(name: str, outputs: int) -> None:
    with pytest.raises(RecipeError, match=f"'{name}' needs at least 2 outputs.*found {outputs}"):
        create_network(name, outputs=outputs)


@pytest.mark.parametrize("name", network_names())
def test_a_network_is_described_in_one_line_and_gives_its_source(name: str) -> None:
    line = describe_network(name)
    assert 10 < len(line) <= 100
    assert line.endswith(".")
    assert "Source:" in (ENTRIES[name].factory.__doc__ or "")


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"no network 'covnet'\. Did you mean 'covinet'\?$"):
        create_network("covnet", outputs=2)
    with pytest.raises(RecipeError, match="Known: covinet, .*, naive, resnet-block"):
        describe_network("zzz")


def test_a_taken_name_or_a_missing_docstring_is_a_mistake_in_code() -> None:
    def silent(*, outputs: int, image_size: tuple[int, int]) -> nn.Module:
        return nn.Linear(image_size[0] * image_size[1], outputs)

    with pytest.raises(ValueError, match="'silent' has no docstring"):
        register("silent", smallest=1)(silent)
    with pytest.raises(ValueError, match="Two networks are registered as 'naive'"):
        register("naive", smallest=1)(silent)
    assert "silent" not in network_names()
