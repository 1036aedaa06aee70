"""Which training samples an epoch visits, and in which order: pure functions."""

import zlib
from dataclasses import dataclass

import numpy as np

from hilum.recipe import Settings
from hilum.records import IntArray


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
    """The visits of an epoch (from 1) under a decision's sampling. targets: (n,) option indices."""
    if settings.sampling == "balanced":
        return balanced_order(seed, decision, epoch, targets)
    order = sample_order(seed, decision, epoch, len(targets))
    return Visits(order, np.zeros_like(order))


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
