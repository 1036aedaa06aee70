"""Is an image in colour? Decided before it is turned to grey.

Radiographs are grey, but many are stored as RGB, with a colour marker or two, or with the faint
colours that JPEG compression adds.
"""

import numpy as np
from PIL import Image

from hilum.records import PixelArray

#: A pixel has a colour where its largest and smallest channel differ by more than this, of 255.
#: JPEG of quality 50 puts fewer than 1 in 1,000 pixels of a grey image beyond 30.
_COLOURED = 30

#: From this share of coloured pixels on, an image is in colour. Below are letters and markers.
_SHARE = 0.05

_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F"})
_SAMPLED = 256  # pixels looked at along an edge


def has_colour(image: PixelArray) -> bool:
    """Whether an RGB image (H, W, 3) uint8 is in colour: at least 5 % of its pixels are.

    Grey images that are stored as RGB are not; nor is a scan of a slightly tinted film.
    """
    red, green, blue = np.moveaxis(image, 2, 0)
    # channel by channel, which is many times quicker than along an axis of three
    high = np.maximum(np.maximum(red, green), blue)
    spread = high - np.minimum(np.minimum(red, green), blue)
    return bool((spread > _COLOURED).mean() >= _SHARE)


def image_has_colour(image: Image.Image) -> bool:
    """has_colour of an opened image, whose pixels are read only if it can hold colour.

    What was read stays with the image, so that nothing is decoded again.
    """
    if image.mode in _GREY_MODES:
        return False
    step = max(1, min(image.size) // _SAMPLED)
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    return has_colour(np.asarray(rgb)[::step, ::step])
