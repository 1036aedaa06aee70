"""What is random or changes by epoch in a training: order, seeds, generators, sizes of images.

Which samples an epoch visits in which order, and how large they are, are pure functions.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import interpolate

from hilum.errors import RecipeError
from hilum.records import FloatArray, IntArray
from hilum.settings import Settings

#: The share of the epochs over which images grow; in the rest they have their full size.
GROWING = 0.75

_STEP = 8  # sides of smaller images are multiples of it: few sizes, for which kernels are prepared


@dataclass(frozen=True)
class Visits:
    """The visits of an epoch.

    positions: (n,) of the samples, in order. repeats: (n,) how often the sample was drawn in this
    epoch for another visit; 0 where there is only one.
    """

    positions: IntArray
    repeats: IntArray


def plan_epoch(
    settings: Settings, seed: int, decision: str, epoch: int, targets: IntArray
) -> Visits:
    """The visits of an epoch (from 1) under a decision's sampling. targets: (n,) as of kinds_of."""
    if settings.sampling == "balanced":
        return balanced_order(seed, decision, epoch, targets)
    order = sample_order(seed, decision, epoch, len(targets))
    return Visits(order, np.zeros_like(order))


def kinds_of(targets: IntArray | FloatArray, options: int) -> IntArray:
    """What balanced sampling takes as equal: (n,) option indices.

    targets: as of training's Samples. An image with findings counts for the rarest that it has, or
    else for its option, if there is a choice, or for none.
    """
    if targets.ndim == 1:
        return np.asarray(targets, dtype=np.int64)
    present = targets[:, options:] > 0.5  # NaN is not
    rarity = np.where(present, present.sum(axis=0), len(targets) + 1)
    kinds = np.where(present.any(axis=1), rarity.argmin(axis=1), present.shape[1])
    if options:
        kinds = np.where(present.any(axis=1), kinds, kinds + targets[:, :options].argmax(axis=1))
    return np.asarray(kinds, dtype=np.int64)


def sample_order(seed: int, decision: str, epoch: int, n: int) -> IntArray:
    """The order in which an epoch (from 1) visits n samples: a pure function of its arguments."""
    return np.random.default_rng([seed_of(seed, decision), epoch]).permutation(n)


def balanced_order(seed: int, decision: str, epoch: int, targets: IntArray) -> Visits:
    """Visits of an epoch (from 1) in which all options come equally often, give or take one.

    targets: (n,) option indices; there are n visits. Each option's samples are gone through in a
    random order, all of them before one comes again; where an epoch ends, the next one goes on,
    and so every sample of an option is visited equally often over the epochs. A pure function of
    its arguments.
    """
    n, own_seed = len(targets), seed_of(seed, decision)
    options = np.unique(targets)
    positions, repeats = [], []
    for i, option in enumerate(options):
        samples = np.flatnonzero(targets == option)
        # By Hermite's identity the options' shares add up to n in every epoch.
        visits = np.arange(((epoch - 1) * n + i) // len(options), (epoch * n + i) // len(options))
        rounds, places = np.divmod(visits, len(samples))
        for number in np.unique(rounds):
            shuffled = np.random.default_rng([own_seed, int(option), int(number)]).permutation(
                samples
            )
            positions.append(shuffled[places[rounds == number]])
            repeats.append(np.full(len(positions[-1]), number - rounds[0]))
    order = sample_order(seed, decision, epoch, n)
    return Visits(
        np.concatenate(positions).astype(np.int64)[order],
        np.concatenate(repeats).astype(np.int64)[order],
    )


def seed_of(seed: int, name: str) -> int:
    """A seed of its own for every decision, in 32 bits: PyTorch's CPU generator drops any more."""
    return _mix(seed, zlib.crc32(name.encode()))


def member_seed(seed: int, member: int) -> int:
    """The seed of a member of an ensemble, from 0; the first has the recipe's own.

    The others' are not seed + 1 and so on: those are the seeds of the other runs of a study, whose
    ensembles would then share members and look more alike than they are.
    """
    return _mix(seed, member) if member else seed


def _mix(*entropy: int) -> int:
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


@contextmanager
def own_randomness(device: torch.device, seed: int) -> Iterator[None]:
    """Seed torch's global generators, and afterwards leave them as they were found."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def draw_apart(seed: int, *place: int) -> None:
    """Seed torch's generators, within own_randomness, for the dropout of a further process.

    place: its rank, and where it begins.
    """
    torch.manual_seed(_mix(seed, *place))


def rng_state(device: torch.device) -> dict[str, torch.Tensor]:
    """The state of the generators that a training on a device uses."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_rng_state(states: dict[str, torch.Tensor], device: torch.device) -> None:
    """The inverse of rng_state."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)


def states_of(processes: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The states of several processes' generators in one table: those of rank 1 as 'cpu.1'."""
    return {
        f"{name}.{rank}" if rank else name: state
        for rank, states in enumerate(processes)
        for name, state in states.items()
    }


def state_of(rank: int, states: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Those of one process; empty where it is not among them."""
    parts = ((name.partition("."), state) for name, state in states.items())
    return {name: state for (name, _, of), state in parts if (of or "0") == str(rank)}


def size_in(epoch: int, epochs: int, start: float, full: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the images of an epoch, at most full.

    epoch: from 1. start: share of the sides in the first epoch, in (0, 1]; it grows evenly.
    Source: Howard and others, fastai; Tan and Le 2021, EfficientNetV2, arXiv:2104.00298, which
    also strengthens augmentation meanwhile: it stays the same here.
    """
    share = min(1.0, start + (1 - start) * (epoch - 1) / max(1.0, GROWING * epochs))
    if epoch == epochs or share == 1:
        return full
    height, width = (min(side, max(_STEP, round(side * share / _STEP) * _STEP)) for side in full)
    return height, width


def resize(images: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Images (B, 1, H, W), averaged down to a size of at most theirs."""
    if tuple(images.shape[2:]) == size:
        return images
    return interpolate(images, size=size, mode="area")


def check_resizable(network: nn.Module, kind: str, size: tuple[int, int]) -> None:
    """Refuse a network, on the device 'meta', that does not take images of another size.

    kind: its name in the recipe. Raises RecipeError.
    """
    try:
        network(torch.empty((2, 1, *size), device="meta"))
    except RuntimeError:
        raise RecipeError(
            f"start_size trains on smaller images first, here {size[0]} x {size[1]}, and the "
            f"network '{kind}' takes none of another size than image_size. Leave start_size out, "
            "or take a network that pools over the whole image, such as hilum-s."
        ) from None
