"""Random changes to training images, on a whole batch, on the device that trains.

The change to a sample is a pure function of (seed, epoch, index of the sample): it does not
depend on the batch, on the number of workers, or on where a resumed run started.
"""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hilum.recipe import Augmentation
from hilum.records import FloatArray, IntArray

if TYPE_CHECKING:
    import torch


def augment(
    x: "torch.Tensor", kind: Augmentation, *, seed: int, epoch: int, indices: IntArray
) -> "torch.Tensor":
    """Return the batch with the random changes of this epoch.

    x: (B, 1, H, W). kind: 'none', or 'mirror', which flips left and right with probability 1/2
    (and with it the side of the heart). indices: (B,) positions of the samples in the data set.
    """
    if kind == "none":
        return x
    import torch

    flip = torch.from_numpy(uniform(seed, epoch, indices) < 0.5).to(x.device)
    return torch.where(flip[:, None, None, None], x.flip(-1), x)


def uniform(seed: int, epoch: int, indices: IntArray) -> FloatArray:
    """One number in [0, 1) per sample, a pure function of (seed, epoch, index).

    The bit mixer is SplitMix64 (Steele, Lea, Flood 2014, doi:10.1145/2660193.2660195).
    """
    golden = np.uint64(0x9E3779B97F4A7C15)

    def mix(z: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed: npt.NDArray[np.uint64] = z ^ (z >> np.uint64(31))
        return mixed

    with np.errstate(over="ignore"):  # wrapping is what the mixer is made of
        state = np.full(len(indices), np.uint64(seed % 2**64))
        for part in (np.uint64(epoch), indices.astype(np.uint64)):
            state = mix(state + golden * (part + np.uint64(1)))
    return (state >> np.uint64(11)).astype(np.float64) / 2.0**53
