"""The smallest network: a baseline that anything better has to beat."""

import torch
from torch import nn

from hilum.networks.registry import register


@register("naive", smallest=3)
class Naive(nn.Module):
    """One 3 x 3 convolution with 4 channels, then linear: the baseline.

    Layers at 150 x 150: Conv2d(1, 4, 3) 148 x 148, Linear(87616, outputs). No activation stands
    between the two, as published, so the logits are an affine function of the pixels. 175,274
    parameters with 2 outputs.

    Source: the baseline that was published beside the COVINet cascade that Hilum reproduces.
    """

    def __init__(self, *, outputs: int, image_size: tuple[int, int] = (150, 150)) -> None:
        super().__init__()
        height, width = image_size
        self.conv1 = nn.Conv2d(1, 4, 3)
        self.fc1 = nn.Linear(4 * (height - 2) * (width - 2), outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """images: (B, 1, H, W) in [0, 1]. Returns logits (B, outputs)."""
        features: torch.Tensor = self.conv1(images)
        logits: torch.Tensor = self.fc1(features.flatten(1))
        return logits
