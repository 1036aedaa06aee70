"""The moving average of a network's weights over a training."""

import copy

import torch
from torch import nn


class AveragedWeights:
    """An exponential moving average of a network's weights, in a network of its own.

    It forgets by the factor decay a step, and by less at first, min(decay, (1 + t) / (10 + t)) in
    step t from 0: so that a short training does not drag its initial weights along. Floating-point
    buffers, such as the running statistics of batch normalisation, are averaged as the weights
    that they belong to are; counters are copied.
    Source: Polyak and Juditsky 1992, doi:10.1137/0330046; the warm-up is that of TensorFlow's
    ExponentialMovingAverage.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after an optimizer step. step: how many came before it."""
        keep = min(self.decay, (1 + step) / (10 + step))
        pairs = list(zip(_tensors(self.network), _tensors(network), strict=True))
        floats = [(mine, new) for mine, new in pairs if mine.is_floating_point()]
        # All at once: a GPU would spend more time on starting these small steps than on them.
        torch._foreach_lerp_([m for m, _ in floats], [n for _, n in floats], 1 - keep)
        for mine, new in pairs:
            if not mine.is_floating_point():
                mine.copy_(new)


def _tensors(network: nn.Module) -> list[torch.Tensor]:
    return [*network.parameters(), *network.buffers()]
