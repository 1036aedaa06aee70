"""Changes of grey that need no idea of illumination: equalisation, CLAHE, gamma."""

import cv2
import numpy as np

from hilum.records import PixelArray

#: CLAHE equalises in so many tiles down and across, as Zuiderveld proposes.
TILES = 8


def equalise(image: PixelArray) -> PixelArray:
    """Histogram equalisation over the whole image: all greys become about equally frequent.

    image: (H, W) uint8; returns the same. Monotone: no two greys change their order. The darkest
    becomes 0 and the brightest 255; a constant image stays as it is.
    Source: Gonzalez, Woods, Digital Image Processing, section "Histogram equalization".
    """
    return _pixels(cv2.equalizeHist(np.ascontiguousarray(image)))


def clahe(image: PixelArray, clip_limit: float) -> PixelArray:
    """Contrast-limited adaptive histogram equalisation, in 8 x 8 tiles.

    image: (H, W) uint8; returns the same. clip_limit: how many times as frequent as in a flat
    histogram a grey may be before its excess is spread over all greys; it bounds by how much
    contrast, and with it noise, is amplified. Not monotone: it depends on the place.
    Source: Pizer et al. 1987, doi:10.1016/S0734-189X(87)80186-X; Zuiderveld, "Contrast Limited
    Adaptive Histogram Equalization", Graphics Gems IV, 1994.
    """
    method = cv2.createCLAHE(clipLimit=clip_limit, tileGridSize=(TILES, TILES))
    return _pixels(method.apply(np.ascontiguousarray(image)))


def correct_gamma(image: PixelArray, gamma: float) -> PixelArray:
    """Raise the greys, as shares of white, to a power: below 1 brightens, above 1 darkens.

    image: (H, W) uint8; returns the same. gamma: > 0. Monotone; 0 and 255 stay.
    """
    greys = np.arange(256) / 255
    table: PixelArray = np.rint(255 * greys**gamma).astype(np.uint8)
    return table[image]


def _pixels(found: object) -> PixelArray:
    return np.asarray(found, dtype=np.uint8)
