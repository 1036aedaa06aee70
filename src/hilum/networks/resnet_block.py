"""One residual block: the beginning of ResNet-18, cut after its first block."""

import torch
from torch import nn

from hilum.networks.registry import register


@register("resnet-block", smallest=5)
class ResNetBlock(nn.Module):
    """One ResNet block of 64 channels after a 7 x 7 stem, global average pooling, linear.

    Layers at 150 x 150: Conv2d(1, 64, 7, stride 2, padding 3) 75 x 75, BatchNorm, MaxPool(3,
    stride 2, padding 1) 38 x 38, a block of two 3 x 3 convolutions whose input is added to its
    output, global average pooling, Linear(64, outputs). 77,378 parameters with 2 outputs; 142,248
    with the 1000 outputs of the published table. That table does not show the max-pooling nor the
    skip connection: they are taken from ResNet-18. It shows one ReLU, inside the block, and so
    there is one; ResNet-18 has two more, after the stem's BatchNorm and after the addition.

    Source: He et al. 2016, Deep Residual Learning for Image Recognition,
    doi:10.1109/CVPR.2016.90; cut to one block by the work that published the COVINet cascade.
    """

    def __init__(self, *, outputs: int, image_size: tuple[int, int] = (150, 150)) -> None:
        # Global pooling makes the layers independent of image_size.
        super().__init__()
        self.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.block = ResidualBlock(64)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Linear(64, outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """images: (B, 1, H, W) in [0, 1]. Returns logits (B, outputs)."""
        features: torch.Tensor = self.maxpool(self.bn1(self.conv1(images)))
        features = self.avgpool(self.block(features))
        logits: torch.Tensor = self.fc1(features.flatten(1))
        return logits


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with batch normalisation, and the identity around them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """features: (B, channels, H, W). Returns the same shape."""
        change: torch.Tensor = self.relu(self.bn1(self.conv1(features)))
        change = self.bn2(self.conv2(change))
        return features + change
