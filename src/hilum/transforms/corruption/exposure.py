"""Another exposure, or another display window."""

import numpy as np

from hilum.records import PixelArray
from hilum.transforms.contrast import correct_gamma

#: An image's own range runs between these quantiles: a few dead or burnt-in pixels do not count.
_RANGE = (0.005, 0.995)


def change_gamma(image: PixelArray, exponent: float, _: np.random.Generator) -> PixelArray:
    """Raise the greys, as shares of white, to a power: below 1 brightens, above 1 darkens."""
    return correct_gamma(image, exponent)


def change_window(image: PixelArray, width: float, _: np.random.Generator) -> PixelArray:
    """Show the greys through a window of another width, about the middle of their range.

    width: a share of the image's own range. Below 1 contrast grows by 1 / width, and what lies
    outside of the window becomes the darkest or the brightest grey of the image; above 1 contrast
    falls by width, about the same middle.
    """
    low, high = np.quantile(image, _RANGE)
    middle = (low + high) / 2
    greys = middle + (np.arange(256) - middle) / width
    if width < 1:
        greys = greys.clip(low, high)
    table: PixelArray = np.rint(greys.clip(0, 255)).astype(np.uint8)
    return table[image]
