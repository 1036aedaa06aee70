"""Arrays as small pictures: colours that everyone can tell apart, PNG bytes."""

import base64
import io
from typing import Final, Literal

import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image

from hilum.records import PixelArray

#: Perceptually uniform for amounts; for signed values violet to orange, which people with any of
#: the common colour vision deficiencies tell apart. Sources: matplotlib's viridis; ColorBrewer's
#: PuOr, doi:10.1559/152304003100010929
ColourMap = Literal["viridis", "PuOr_r"]

#: How many colours a picture keeps: enough for a radiograph, at a third of the size.
_COLOURS: Final = 192


def colour(values: npt.NDArray[np.floating], name: ColourMap) -> PixelArray:
    """Values (H, W) in [0, 1] as colours (H, W, 3) uint8."""
    rgba = matplotlib.colormaps[name](values, bytes=True)
    colours: PixelArray = np.asarray(rgba, dtype=np.uint8)[..., :3]
    return colours


def to_png(picture: PixelArray, colours: int = _COLOURS) -> bytes:
    """A grey (H, W) or coloured (H, W, 3) uint8 picture as PNG bytes; of colours so many stay."""
    image = Image.fromarray(picture)
    if image.mode == "RGB":
        image = image.quantize(colours, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def thumbnail_png(pixels: PixelArray, longest: int = 96) -> bytes:
    """A radiograph (H, W) uint8 as a small grey PNG, for looking and not for measuring."""
    image = Image.fromarray(pixels)
    image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return to_png(np.asarray(image, dtype=np.uint8))


def to_text(png: bytes) -> str:
    """A picture in Base64, for JSON."""
    return base64.b64encode(png).decode("ascii")
