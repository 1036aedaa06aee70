"""Networks that answer together: several members, and an image with its mirror image.

What answers together is one module with one answer per image, so that all that works with a
network works with it. Probabilities are averaged, not logits: so the mean says that an option is
unlikely only where most say so, while in a mean of logits one member that is too sure outvotes the
rest. The answer is given as logits, whose softmax is that mean.
Source: Lakshminarayanan, Pritzel, Blundell 2017, Simple and scalable predictive uncertainty
estimation using deep ensembles, doi:10.48550/arXiv.1612.01474
"""

import math
from collections.abc import Sequence

import torch
from torch import nn


class Mirrored(nn.Module):
    """The mean of a network's probabilities for an image and for its mirror image."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (B, 1, H, W). Returns (B, options): the logarithm of the mean probabilities."""
        mirrored = self.network(x.flip(-1))  # first: see Ensemble.forward
        return _log_mean([self.network(x), mirrored])


class Ensemble(nn.Module):
    """The mean of the probabilities of several networks with the same options."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (B, 1, H, W). Returns (B, options): the logarithm of the mean probabilities."""
        # The first member, on the image itself, runs last: features are those of the last layer
        # that runs (hilum.classifier.inference), and they should be those of one plain network.
        last_first = [member(x) for member in reversed(list(self.members))]
        return _log_mean(last_first[::-1])


def join_networks(members: Sequence[nn.Module], *, mirror: bool) -> nn.Module:
    """One module for networks that answer together; a single one that mirrors nothing as it is."""
    joined = [Mirrored(member) for member in members] if mirror else list(members)
    return joined[0] if len(joined) == 1 else Ensemble(joined)


def split_network(network: nn.Module) -> tuple[list[nn.Module], bool]:
    """The inverse of join_networks: the members, and whether they also see mirror images."""
    members = list(network.members) if isinstance(network, Ensemble) else [network]
    plain = [member.network if isinstance(member, Mirrored) else member for member in members]
    return plain, isinstance(members[0], Mirrored)


def _log_mean(logits: Sequence[torch.Tensor]) -> torch.Tensor:
    """The logarithm of the mean of the softmax of each (B, options), in float32."""
    log_probs = torch.stack([torch.log_softmax(values.float(), dim=1) for values in logits])
    return torch.logsumexp(log_probs, dim=0) - math.log(len(logits))
