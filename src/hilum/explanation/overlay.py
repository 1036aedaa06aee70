"""An attribution map drawn over its radiograph, with a colour bar, as a small PNG."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import cv2
import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from PIL import Image

from hilum.classifier.classifier import Classifier
from hilum.decisions import Decision
from hilum.errors import EvaluationError
from hilum.explanation.attribution import METHOD_NAMES, METHODS, SIGNED, Method, attribute
from hilum.explanation.feature_maps import MapArray
from hilum.explanation.pictures import ColourMap, colour, to_png
from hilum.radiographs.pixels import Progress
from hilum.records import IntArray, PixelArray

#: How many pixels the longer side of the radiograph takes in the picture.
LONGEST: Final = 176
#: The strongest places take their colour whole; weaker ones let the radiograph through.
_STRONGEST: Final = 0.75
#: Values beyond this quantile of the magnitudes are drawn like it: a few pixels of integrated
#: gradients are far stronger than all others, and would leave the rest of the picture empty.
_CLIP: Final = 0.995
#: Integrated gradients change sign from pixel to pixel; smoothed over this share of the side they
#: show where, not which pixel.
_SMOOTH: Final = 0.015


@dataclass(frozen=True, slots=True)
class Drawing:
    """PNG bytes of an attribution over its radiograph, and what they show in words (alt)."""

    method: Method
    decision: str
    option: str
    png: bytes
    alt: str


def draw_overlay(
    pixels: PixelArray,
    attribution: MapArray,
    *,
    method: Method,
    option: str,
    decision: str,
    name: str = "",
) -> Drawing:
    """Draw a map over its radiograph.

    pixels: (H, W) uint8. attribution: (H, W), of `method` for `option` of `decision`. name: of the
    radiograph, for the words. A method that knows a sign is drawn in orange (for) and violet
    (against), the others from dark blue to yellow; both are told apart with any common colour
    vision deficiency. The strongest value of the map ends the scale. Integrated gradients are
    smoothed a little. Raises EvaluationError where the shapes differ or a value is not finite.
    """
    if pixels.shape != attribution.shape or pixels.ndim != 2:
        raise EvaluationError(
            f"The map {attribution.shape} must have the shape of its radiograph {pixels.shape}."
        )
    if not np.isfinite(attribution).all():
        raise EvaluationError(f"The {method} map of {name or 'the radiograph'} is not finite.")
    values: MapArray = attribution.astype(np.float32)
    if METHODS[method].rough:
        spread = max(0.5, _SMOOTH * min(values.shape))
        values = cv2.GaussianBlur(values, (0, 0), spread).astype(np.float32)
    signed = method in SIGNED
    times = LONGEST / max(pixels.shape)
    size = max(1, round(pixels.shape[1] * times)), max(1, round(pixels.shape[0] * times))
    grey = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
    share = np.asarray(
        Image.fromarray(scale_map(values, signed=signed)).resize(size, Image.Resampling.BILINEAR)
    )
    name_of_map: ColourMap = "PuOr_r" if signed else "viridis"
    colours = colour((share + 1) / 2 if signed else share, name_of_map).astype(np.float32)
    weight = _STRONGEST * np.sqrt(np.abs(share))[..., None]
    blended = (1 - weight) * grey[..., None] + weight * colours
    picture = np.concatenate([np.rint(blended).astype(np.uint8), _bar(size[1], signed)], axis=1)
    words = _describe(values, method, option, decision, name)
    return Drawing(method, decision, option, to_png(picture), words)


def draw_attributions(
    classifier: Classifier,
    pixels: PixelArray,
    names: Sequence[str],
    options: IntArray,
    *,
    network: Decision,
    method: Method,
    layer: str | None = None,
    progress: Progress | None = None,
) -> list[Drawing]:
    """The maps of a network drawn over radiographs (N, H, W). names, options: (N,), of each.

    options: indices among the network's answers.
    """
    maps = attribute(
        classifier, pixels, method=method, options=options, decision=network.name, layer=layer,
        progress=progress,
    )  # fmt: skip
    return [
        draw_overlay(
            image, values, method=method, option=network.answers[k], decision=network.name,
            name=name,
        )
        for image, values, k, name in zip(pixels, maps, options, names, strict=True)
    ]  # fmt: skip


def scale_map(values: MapArray, *, signed: bool) -> MapArray:
    """A map in [-1, 1], or in [0, 1] where it knows no sign, its strongest places at the ends."""
    scale = float(np.quantile(np.abs(values), _CLIP)) or float(np.abs(values).max()) or 1.0
    scaled: MapArray = np.clip(values / scale, -1 if signed else 0, 1).astype(np.float32)
    return scaled


def _describe(values: MapArray, method: Method, option: str, decision: str, name: str) -> str:
    """What the picture shows, and in which part of it the strongest place lies."""
    of = f" of {name}" if name else ""
    what = f"{METHOD_NAMES[method]}{of}: what speaks for '{option}' (decision {decision})"
    if not (values > 0).any():
        return f"{what}. Nothing does."
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    down = ("upper", "middle", "lower")[min(2, 3 * int(row) // values.shape[0])]
    across = ("left", "middle", "right")[min(2, 3 * int(column) // values.shape[1])]
    place = "middle" if (down, across) == ("middle", "middle") else f"{down} {across}"
    return f"{what}. Strongest in the {place} of the picture."


@cache  # the same beside every picture of a height
def _bar(height: int, signed: bool) -> PixelArray:
    """The colour bar as pixels (height, width, 3)."""
    with matplotlib.rc_context({"font.size": 7, "font.family": ["DejaVu Sans"]}):
        figure = Figure(figsize=(0.66, height / 100), dpi=100)
        axes = figure.add_axes((0.08, 0.08, 0.17, 0.84))
        norm = Normalize(-1 if signed else 0, 1)
        bar = figure.colorbar(ScalarMappable(norm, "PuOr_r" if signed else "viridis"), cax=axes)
        ticks = (-1, 0, 1) if signed else (0, 1)
        bar.set_ticks(list(ticks), labels=["against", "0", "for"] if signed else ["0", "for"])
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
    with Image.open(buffer) as image:
        pixels: PixelArray = np.asarray(image.convert("RGB"), dtype=np.uint8)
    return pixels[:height]
