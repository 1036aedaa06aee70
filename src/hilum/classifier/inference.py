"""Networks over stored pixels, in evaluation mode: the logits and the penultimate features.

The penultimate features are the input of the last linear layer that runs. That holds for any
network that ends in a linear layer, registered or a user's, without it having to say where.
"""

from functools import cache
from typing import Any

import numpy as np
import scipy
import torch
from torch import nn

from hilum.classifier.reference import FeatureArray
from hilum.errors import ClassifierError
from hilum.radiographs.pixels import Progress
from hilum.records import FloatArray, Pixels
from hilum.transforms.augment import mix_bits
from hilum.transforms.preprocess import Preprocessing

#: More features than this are reduced to this many; see project for what that costs.
MAX_FEATURES = 512

#: How many of the reduced features each feature goes into.
_SPREAD = 4


def compute_logits(
    network: nn.Module,
    pixels: Pixels,
    preprocessing: Preprocessing,
    device: torch.device,
    *,
    batch_size: int = 64,
    progress: Progress | None = None,
) -> FloatArray:
    """Run a network over stored pixels in evaluation mode, in float32.

    pixels: (N, H, W) uint8. Returns (N, options) float64. The network's mode is restored.
    """
    was_training = network.training
    network.eval()
    outputs: list[torch.Tensor] = []
    with torch.inference_mode():
        for start in range(0, len(pixels), batch_size):
            batch = torch.from_numpy(np.array(pixels[start : start + batch_size])).to(device)
            x = preprocessing.to_input(batch).contiguous(memory_format=torch.channels_last)
            outputs.append(network(x).float().cpu())
            if progress:
                progress("Predicting", min(start + batch_size, len(pixels)), len(pixels))
    network.train(was_training)
    return torch.cat(outputs).numpy().astype(np.float64)


def compute_features(
    network: nn.Module,
    pixels: Pixels,
    preprocessing: Preprocessing,
    device: torch.device,
    *,
    batch_size: int = 64,
    progress: Progress | None = None,
) -> FeatureArray:
    """The penultimate features of stored pixels, as compute_logits_and_features gives them."""
    return compute_logits_and_features(
        network, pixels, preprocessing, device, batch_size=batch_size, progress=progress
    )[1]


def compute_logits_and_features(
    network: nn.Module,
    pixels: Pixels,
    preprocessing: Preprocessing,
    device: torch.device,
    *,
    batch_size: int = 64,
    progress: Progress | None = None,
) -> tuple[FloatArray, FeatureArray]:
    """The logits and the penultimate features of stored pixels, in evaluation mode, in float32.

    pixels: (N, H, W) uint8, N ≥ 1. Returns (N, options) float64 and (N, F) float32,
    F ≤ MAX_FEATURES; wider ones are projected (see project). The network is left as it was. Raises
    ClassifierError where it has no nn.Linear that runs once per image.
    """
    seen: list[torch.Tensor] = []
    features: list[FeatureArray] = []

    def keep(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
        # A copy, because layers that work in place may overwrite it.
        seen[:] = [inputs[0].detach().to("cpu", torch.float32, copy=True)]

    def reduce(_module: nn.Module, _inputs: tuple[Any, ...], logits: torch.Tensor) -> None:
        features.append(project(_one_row_per_image(network, seen, len(logits))))
        seen.clear()

    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    hooks = [layer.register_forward_pre_hook(keep) for layer in linear]
    hooks.append(network.register_forward_hook(reduce))
    try:
        logits = compute_logits(
            network, pixels, preprocessing, device, batch_size=batch_size, progress=progress
        )
    finally:
        for hook in hooks:
            hook.remove()
    return logits, np.concatenate(features)


def project(features: FeatureArray) -> FeatureArray:
    """Reduce features (N, F) to at most MAX_FEATURES by a fixed sparse random projection.

    Each feature is added, with a sign, to a few of the reduced ones. Which ones is decided by an
    integer hash of its number, and not by a random generator, whose draws may change from one
    release to the next: a classifier's features must be the same wherever it is used.
    Returns (N, min(F, MAX_FEATURES)) float32; at most MAX_FEATURES wide ones are returned as
    they are. Squared distances are kept on average, with a relative standard deviation of about
    sqrt(2 / MAX_FEATURES), 6 %.
    Source: Kane and Nelson 2014, Sparser Johnson-Lindenstrauss transforms,
    doi:10.1145/2559902
    """
    if features.shape[1] <= MAX_FEATURES:
        return features
    projected: FeatureArray = features @ _projection(features.shape[1])
    return projected


@cache
def _projection(width: int) -> "scipy.sparse.csr_array[np.float32]":
    """The (width, MAX_FEATURES) matrix; each row holds _SPREAD entries of ± 1 / sqrt(_SPREAD)."""
    block = MAX_FEATURES // _SPREAD  # one entry in each block, so that no two fall together
    numbers = np.arange(width * _SPREAD, dtype=np.uint64)
    hashes = mix_bits((numbers + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15))
    columns = (hashes >> np.uint64(1)) % np.uint64(block) + numbers % np.uint64(_SPREAD) * block
    signs = 1 - 2 * (hashes & np.uint64(1)).astype(np.float32)
    starts = np.arange(width + 1) * _SPREAD
    values = (signs / np.sqrt(np.float32(_SPREAD))).astype(np.float32)
    return scipy.sparse.csr_array(
        (values, columns.astype(np.int32), starts), shape=(width, MAX_FEATURES)
    )


def _one_row_per_image(network: nn.Module, seen: list[torch.Tensor], n: int) -> FeatureArray:
    name = type(network).__name__
    if not seen:
        raise ClassifierError(
            f"The network {name} runs no nn.Linear layer, whose input would be its features: "
            "end it with one."
        )
    found = seen[0]
    if found.shape[0] != n:
        raise ClassifierError(
            f"The last nn.Linear of the network {name} was given {found.shape[0]} rows for {n} "
            "images; its features need one row per image."
        )
    rows: FeatureArray = found.flatten(1).numpy()
    return rows
