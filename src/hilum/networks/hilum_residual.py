"""hilum-xs, hilum-s and hilum-m: compact residual networks for grey radiographs."""

from collections.abc import Sequence

import torch
from torch import nn

from hilum.networks.contract import register


class ResidualNetwork(nn.Module):
    """A stem at half resolution, four stages of residual blocks, global average pooling, linear.

    widths: channels of each stage; every stage but the first halves the resolution. depths: how
    many blocks each has. The features before the linear layer are as many as the last width.
    """

    def __init__(self, widths: Sequence[int], depths: Sequence[int], outputs: int) -> None:
        super().__init__()
        # No max-pooling follows, as it does in ImageNet's networks: at 150 pixels it would leave
        # 5 x 5 positions to the last stage, and the fine texture of a lung to none.
        self.conv1 = nn.Conv2d(1, widths[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu1 = nn.ReLU(inplace=True)
        stages, channels = [], widths[0]
        for width, depth in zip(widths, depths, strict=True):
            first = ResidualBlock(channels, width)
            rest = (ResidualBlock(width, width) for _ in range(depth - 1))
            stages.append(nn.Sequential(first, *rest))
            channels = width
        self.stages = nn.Sequential(*stages)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Linear(channels, outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """images: (B, 1, H, W) in [0, 1]. Returns logits (B, outputs)."""
        features: torch.Tensor = self.relu1(self.bn1(self.conv1(images)))
        features = self.avgpool(self.stages(features))
        logits: torch.Tensor = self.fc1(features.flatten(1))
        return logits


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with batch normalisation, and a way around them.

    A block that changes the number of channels also halves the resolution. There the way around
    averages 3 x 3 pixels, centred where the strided convolution is, and then maps the channels: a
    strided 1 x 1 convolution would ignore three pixels of four. The second normalisation starts
    with a scale of 0, so that an untrained block hands its input on and a deep network starts as
    a shallow one.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        halves = channels != width
        self.conv1 = nn.Conv2d(channels, width, 3, stride=2 if halves else 1, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        nn.init.zeros_(self.bn2.weight)
        self.around: nn.Module = nn.Identity()
        if halves:
            self.around = nn.Sequential(
                nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False),
                nn.Conv2d(channels, width, 1, bias=False),
                nn.BatchNorm2d(width),
            )
        self.relu2 = nn.ReLU(inplace=True)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """features: (B, channels, H, W). Returns (B, width, H, W) or, rounded up, half of each."""
        change: torch.Tensor = self.relu1(self.bn1(self.conv1(features)))
        change = self.bn2(self.conv2(change))
        result: torch.Tensor = self.relu2(change + self.around(features))
        return result


@register("hilum-xs", smallest=17)
class HilumXS(ResidualNetwork):
    """Seven residual blocks of 16 to 128 channels for grey radiographs: fast, and the default's.

    hilum-s at half its width: 0.7 million parameters, 0.18 billion multiply-adds at 150 x 150.

    Source: as hilum-s.
    """

    def __init__(self, *, outputs: int, image_size: tuple[int, int] = (150, 150)) -> None:
        # Global pooling makes the layers independent of image_size.
        super().__init__((16, 32, 64, 128), (1, 2, 2, 2), outputs)


@register("hilum-s", smallest=17)
class HilumS(ResidualNetwork):
    """Seven residual blocks of 32 to 256 channels for grey radiographs: small and fast.

    At 150 x 150: Conv2d(1, 32, 7, stride 2) 75 x 75, then 1 block of 32 channels 75 x 75, 2 of 64
    38 x 38, 2 of 128 19 x 19, 2 of 256 10 x 10, global average pooling, Linear(256, outputs).
    2.8 million parameters, 0.70 billion multiply-adds. One block at the highest resolution and
    not two: the second holds 0.7 % of the weights and costs 13 % of the arithmetic.

    Source: He et al. 2016, Deep Residual Learning for Image Recognition,
    doi:10.1109/CVPR.2016.90, at half width; the averaging shortcut (ResNet-D) and the scale that
    starts at 0 from He et al. 2019, Bag of Tricks for Image Classification with Convolutional
    Neural Networks, doi:10.1109/CVPR.2019.00065.
    """

    def __init__(self, *, outputs: int, image_size: tuple[int, int] = (150, 150)) -> None:
        super().__init__((32, 64, 128, 256), (1, 2, 2, 2), outputs)


@register("hilum-m", smallest=17)
class HilumM(ResidualNetwork):
    """Nine residual blocks of 48 to 384 channels for grey radiographs: hilum-s, larger.

    Like hilum-s with 48, 96, 192 and 384 channels and 1, 2, 3 and 3 blocks: 9.6 million
    parameters, 2.1 billion multiply-adds at 150 x 150.

    Source: as hilum-s: He et al. 2016, doi:10.1109/CVPR.2016.90, and He et al. 2019,
    doi:10.1109/CVPR.2019.00065.
    """

    def __init__(self, *, outputs: int, image_size: tuple[int, int] = (150, 150)) -> None:
        super().__init__((48, 96, 192, 384), (1, 2, 3, 3), outputs)
