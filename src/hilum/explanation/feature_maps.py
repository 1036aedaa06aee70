"""What a layer of a network answers to a radiograph: its feature maps, as arrays and pictures."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import nn

from hilum.classifier.classifier import Classifier
from hilum.errors import EvaluationError
from hilum.explanation.network import OpenNetwork, check_pixels, open_network
from hilum.explanation.pictures import colour, to_png
from hilum.records import PixelArray

MapArray = npt.NDArray[np.float32]

#: How many channels a grid shows, and how many pixels wide one of them is drawn.
MOST_CHANNELS = 64
_CELL = 72
_COLUMNS = 8
_GAP = 2


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer that feature maps can be taken of.

    name: as in the network's own attributes, such as 'conv3' or 'block.conv2'. kind: its class.
    channels, height, width: of its output for one image.
    """

    name: str
    kind: str
    channels: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class FeatureMaps:
    """The output of a layer for N images: maps (N, channels, h, w), float32."""

    decision: str
    layer: str
    maps: MapArray


def list_layers(classifier: Classifier, decision: str | None = None) -> tuple[Layer, ...]:
    """Every layer of a decision's network that gives a map, in the order in which they run.

    decision: None takes the first. Raises EvaluationError with the nearest name.
    """
    opened = open_network(classifier, decision)
    found: dict[str, Layer] = {}
    blank = np.zeros((1, *classifier.preprocessing.image_size), dtype=np.uint8)

    def note(name: str, module: nn.Module, output: Any) -> None:
        if isinstance(output, torch.Tensor) and output.ndim == 4:
            found[name] = Layer(name, type(module).__name__, *(int(k) for k in output.shape[1:]))

    hooks = [
        # Names are bound now; the loop variable would be the last one when the hook runs.
        module.register_forward_hook(lambda m, _, output, name=name: note(name, m, output))
        for name, module in opened.network.named_modules()
        if name
    ]
    with torch.inference_mode():
        opened.network(opened.to_input(blank))
    for hook in hooks:
        hook.remove()
    return tuple(found.values())


def compute_feature_maps(
    classifier: Classifier,
    pixels: PixelArray,
    *,
    layer: str | None = None,
    decision: str | None = None,
) -> FeatureMaps:
    """The output of a layer for radiographs, in evaluation mode.

    pixels: (N, H, W) uint8 of the classifier's size. layer: one of list_layers by name; None
    takes the last convolution. decision: whose network; None takes the first.
    Raises EvaluationError for a layer or decision that is not there, or a layer whose output is
    no map; DataError for other pixels.
    """
    check_pixels(classifier, pixels)
    opened = open_network(classifier, decision)
    name, module = opened.find_layer(layer)
    return FeatureMaps(opened.decision.name, name, _outputs(opened, module, name, pixels))


def _outputs(opened: OpenNetwork, module: nn.Module, name: str, pixels: PixelArray) -> MapArray:
    seen: list[Any] = []
    hook = module.register_forward_hook(lambda _module, _input, output: seen.append(output))
    parts: list[MapArray] = []
    try:
        with torch.inference_mode():
            for start in range(0, len(pixels), 64):
                seen.clear()
                opened.network(opened.to_input(pixels[start : start + 64]))
                one = len(seen) == 1 and isinstance(seen[0], torch.Tensor)
                if not one or seen[0].ndim != 4:
                    found = (
                        f"gives {tuple(seen[0].shape[1:])}"
                        if one
                        else f"runs {len(seen)} times or gives no tensor"
                    )
                    raise EvaluationError(
                        f"The layer '{name}' {found}: a feature map needs one output of "
                        "(channels, height, width) per image, such as a convolution's."
                    )
                parts.append(seen[0].float().cpu().numpy())
    finally:
        hook.remove()
    return np.concatenate(parts)


def draw_feature_maps(maps: MapArray) -> bytes:
    """A PNG of feature maps as a grid, one cell a channel, row by row; several images side by side.

    maps: (channels, h, w) of one image, or (2, channels, h, w) of two, which then share the scale
    of every channel and stand left and right of a gap. At most MOST_CHANNELS are shown, the
    first. Each channel has its own scale, from its least (dark) to its greatest value (bright).
    """
    both = maps[None] if maps.ndim == 3 else maps
    both = both[:, :MOST_CHANNELS]
    low = both.min(axis=(0, 2, 3), keepdims=True)
    span = both.max(axis=(0, 2, 3), keepdims=True) - low
    scaled = np.divide(both - low, span, out=np.zeros_like(both), where=span > 0)
    sheets = [_grid(image) for image in scaled]
    gap = np.full((sheets[0].shape[0], 6 * _GAP, 3), 255, np.uint8)
    return to_png(np.concatenate([part for s in sheets for part in (gap, s)][1:], axis=1), 48)


def describe_feature_maps(shown: FeatureMaps, names: tuple[str, ...]) -> str:
    """The picture of draw_feature_maps in words. names: of the one or two radiographs."""
    channels = shown.maps.shape[1]
    count = f"{channels} channels" if channels <= MOST_CHANNELS else (
        f"the first {MOST_CHANNELS} of {channels} channels"
    )  # fmt: skip
    who = names[0] if len(names) == 1 else f"{names[0]} (left) and {names[1]} (right)"
    return (
        f"Feature maps of the layer {shown.layer}, decision {shown.decision}, for {who}: "
        f"{count} of {shown.maps.shape[2]} x {shown.maps.shape[3]}, each on its own scale from its "
        "least (dark) to its greatest value (bright)."
    )


def _grid(scaled: MapArray) -> PixelArray:
    """Cells of one image as an RGB picture; scaled: (channels, h, w) in [0, 1]."""
    channels, height, width = scaled.shape
    columns = min(_COLUMNS, channels)
    rows = -(-channels // columns)
    size = (round(_CELL * width / max(height, width)), round(_CELL * height / max(height, width)))
    how = Image.Resampling.BOX if max(height, width) > _CELL else Image.Resampling.NEAREST
    cells = [np.asarray(Image.fromarray(cell).resize(size, how)) for cell in scaled]
    width, height = size
    sheet = np.full(
        (rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3), 255, np.uint8
    )
    for k, cell in enumerate(cells):
        top, left = k // columns * (height + _GAP), k % columns * (width + _GAP)
        sheet[top : top + height, left : left + width] = colour(cell, "viridis")
    return sheet
