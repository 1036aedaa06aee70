"""A picture in some 260 numbers, without any network: what lies where, and how sharp it is."""

from functools import cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import fft

from hilum.records import FloatArray, PixelArray

#: The picture is averaged to this many pixels along both edges.
SIDE = 16

#: Edges of the bands of spatial frequency, in cycles per pixel; 0.5 is the finest that there is.
_BANDS = (0.015, 0.03, 0.06, 0.12, 0.18, 0.25, 0.35, 0.5)

_FAINTEST = 1e-6  # power below this is nothing; keeps the logarithm of a blank image finite
_CHUNK = 128


def describe_pictures(pixels: PixelArray) -> tuple[FloatArray, FloatArray]:
    """Describe pictures by what lies where, and by how sharp they are.

    pixels: (N, H, W) uint8, H and W ≥ SIDE. Returns (N, SIDE * SIDE) mean tones, in [0, 1], and
    (N, B) logarithms of the mean power in up to 7 bands of spatial frequency (those that an image
    of this size has), under a Hann window.
    """
    n, height, width = pixels.shape
    bands = _bands(height, width)
    window = np.outer(np.hanning(height), np.hanning(width)).astype(np.float32)
    tones = np.empty((n, SIDE * SIDE))
    sharpness = np.empty((n, bands.shape[1]))
    for start in range(0, n, _CHUNK):
        part = np.array(pixels[start : start + _CHUNK])
        rows = slice(start, start + len(part))
        tones[rows] = [_tones(picture) for picture in part]
        light = part.astype(np.float32) / 255
        light -= light.mean(axis=(1, 2), keepdims=True)  # or it would leak into the lowest band
        spectrum = fft.rfft2(light * window)
        power = (spectrum.real**2 + spectrum.imag**2).reshape(len(part), -1)
        sharpness[rows] = np.log(power @ bands + _FAINTEST)
    return tones, sharpness


def _tones(picture: PixelArray) -> FloatArray:
    small = Image.fromarray(picture).convert("F").resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64).ravel() / 255


@cache
def _bands(height: int, width: int) -> npt.NDArray[np.float32]:
    """(frequencies, B): a column averages the power of one band; bands without any are left out."""
    y, x = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    frequency = np.hypot(y, x).ravel()
    inside = [(frequency > low) & (frequency <= high) for low, high in pairwise(_BANDS)]
    return np.stack([b / b.sum() for b in inside if b.any()], axis=1).astype(np.float32)
