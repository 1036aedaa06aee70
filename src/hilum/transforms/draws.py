"""Random numbers for augmentation: pure functions of seed, epoch, sample and parameter."""

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.records import FloatArray, IntArray

_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_WORD = 2**64


def uniform(seed: int, epoch: int, indices: IntArray, stream: str = "") -> FloatArray:
    """One number in [0, 1) per sample, a pure function of (seed, epoch, stream, index).

    indices: (B,) not negative. stream: names what the numbers are for; two streams of one sample
    are independent. Returns (B,).
    The bit mixer is SplitMix64 (Steele, Lea, Flood 2014, doi:10.1145/2660193.2660195).
    """
    state = seed % _WORD
    for part in (epoch, zlib.crc32(stream.encode())):
        state = _mix_one((state + _GOLDEN * (part + 1)) % _WORD)
    with np.errstate(over="ignore"):  # wrapping is what the mixer is made of
        z = np.uint64(state) + np.uint64(_GOLDEN) * (indices.astype(np.uint64) + np.uint64(1))
        z = (z ^ (z >> np.uint64(30))) * np.uint64(_FIRST)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(_SECOND)
        mixed: npt.NDArray[np.uint64] = z ^ (z >> np.uint64(31))
    return (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53


def _mix_one(z: int) -> int:
    """The mixer on a Python integer: for what a whole batch shares."""
    z = (z ^ (z >> 30)) * _FIRST % _WORD
    z = (z ^ (z >> 27)) * _SECOND % _WORD
    return z ^ (z >> 31)


@dataclass(frozen=True)
class Draws:
    """The numbers of a batch in one epoch: (B,) float64 for every named stream.

    indices: (B,) positions of the samples in the data set.
    """

    seed: int
    epoch: int
    indices: IntArray

    def unit(self, stream: str) -> FloatArray:
        """Evenly in [0, 1)."""
        return uniform(self.seed, self.epoch, self.indices, stream)

    def either_way(self, stream: str, dose: float) -> FloatArray:
        """Evenly in [-dose, dose)."""
        return (2 * self.unit(stream) - 1) * dose

    def factor(self, stream: str, dose: float) -> FloatArray:
        """From 1 / (1 + dose) to 1 + dose, evenly on a logarithmic scale: 1 in the middle."""
        factors: FloatArray = (1 + dose) ** (2 * self.unit(stream) - 1)
        return factors
