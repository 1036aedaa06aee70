"""COVINet: three small convolutions and a linear layer."""

import torch
from torch import nn

from hilum.networks.registry import register


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
        features = self.dropout2(self.maxpool(self.relu2(self.conv2(features))))
        features = self.avgpool(self.relu3(self.conv3(features)))
        features = self.relu4(self.dropout3(features))
        logits: torch.Tensor = self.fc1(features.flatten(1))
        return logits


def _pooled(side: int) -> int:
    """How many pixels of an image's side are left before the linear layer: 23 of 150."""
    return ((side - 4) // 2 - 2) // 3
