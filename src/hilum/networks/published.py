"""The three networks that were published beside each other, COVINet among them, as published."""

import torch
from torch import nn

from hilum.networks.contract import register


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


@register("covinet", smallest=14)
class CoviNet(nn.Module):
    """Three 3 x 3 convolutions of 8, 16 and 32 channels with dropout, then linear, after COVINet.

    Layers at 150 x 150: Conv2d(1, 8, 3) 148 x 148, Dropout2d(0.2), ReLU, Conv2d(8, 16, 3)
    146 x 146, ReLU, MaxPool(2) 73 x 73, Dropout2d(0.2), Conv2d(16, 32, 3) 71 x 71, ReLU,
    AvgPool(3, stride 3) 23 x 23, Dropout2d(0.2), ReLU, Linear(16928, outputs). 39,746 parameters
    with 2 outputs. The names of the weights (conv1, conv2, conv3, fc1) are those of the published
    checkpoints, which therefore load as they are.

    Source: after Umer et al. 2021, COVINet: a convolutional neural network approach for
    predicting COVID-19 from chest X-ray images, doi:10.1007/s12652-021-02917-3.
    """

    def __init__(self, *, outputs: int, image_size: tuple[int, int] = (150, 150)) -> None:
        super().__init__()
        # In place wherever no backward pass needs the value that is overwritten: activations
        # here are large and arithmetic is cheap, so that memory traffic is what training costs.
        # Modules are not shared, so that a hook on one of them sees one place in the network.
        self.conv1 = nn.Conv2d(1, 8, 3)
        self.dropout1 = nn.Dropout2d(0.2, inplace=True)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(8, 16, 3)
        self.relu2 = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(2)
        self.dropout2 = nn.Dropout2d(0.2, inplace=True)
        self.conv3 = nn.Conv2d(16, 32, 3)
        self.relu3 = nn.ReLU(inplace=True)
        self.avgpool = nn.AvgPool2d(3, stride=3)
        self.dropout3 = nn.Dropout2d(0.2, inplace=True)
        self.relu4 = nn.ReLU(inplace=True)
        height, width = (_pooled(side) for side in image_size)
        self.fc1 = nn.Linear(32 * height * width, outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """images: (B, 1, H, W) in [0, 1]. Returns logits (B, outputs)."""
        features: torch.Tensor = self.relu1(self.dropout1(self.conv1(images)))
        features = self.conv2(features)
        if self.training:  # the largest of four is rectified: the same bits, for less memory
            features = self.relu2(self.dropout2(self.maxpool(features)))
        else:  # as published, which feature maps show
            features = self.dropout2(self.maxpool(self.relu2(features)))
        features = self.avgpool(self.relu3(self.conv3(features)))
        features = self.relu4(self.dropout3(features))
        logits: torch.Tensor = self.fc1(features.flatten(1))
        return logits


def _pooled(side: int) -> int:
    """How many pixels of an image's side are left before the linear layer: 23 of 150."""
    return ((side - 4) // 2 - 2) // 3
