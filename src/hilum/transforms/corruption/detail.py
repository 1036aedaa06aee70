"""Less detail, more noise: another detector, or what was done to its images on the way."""

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from hilum.errors import DataError
from hilum.records import PixelArray

#: The grain of noise: a pixel, or this part of the longer side where that is more. Otherwise the
#: noise of a large radiograph would be gone once it is made small.
_GRAINS = 256
#: How many times as many photons reach the detector behind air as behind the densest part.
_LATITUDE = 100.0

FloatImage = npt.NDArray[np.float32]


def reduce_resolution(image: PixelArray, longest: float, _: np.random.Generator) -> PixelArray:
    """Make the image smaller, to so many pixels along its longer side, and large again.

    An image that is no larger stays as it is.
    """
    height, width = image.shape
    scale = longest / max(height, width)
    if scale >= 1:
        return image.copy()
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    reduced = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return _pixels(cv2.resize(reduced, (width, height), interpolation=cv2.INTER_LINEAR))


def blur(image: PixelArray, share: float, _: np.random.Generator) -> PixelArray:
    """Convolve with a Gaussian whose standard deviation is a share of the shorter side."""
    sigma = share * min(image.shape)
    return _pixels(cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE))


def compress(image: PixelArray, quality: float, _: np.random.Generator) -> PixelArray:
    """Compress as JPEG and decompress, at the image's own size. quality: 1 to 100 (libjpeg)."""
    done, code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    if not done:  # JPEG ends at 65,535 pixels a side
        raise DataError(f"An image of {image.shape} pixels cannot be compressed as JPEG.")
    return _pixels(cv2.imdecode(code, cv2.IMREAD_GRAYSCALE))


def add_quantum_noise(
    image: PixelArray, photons: float, generator: np.random.Generator
) -> PixelArray:
    """The noise of few photons: strongest where the body is densest, so where it is bright.

    photons: that reach a grain of the detector behind the brightest grey; behind black there are
    a hundred times as many, and greys are the logarithm of their number. The square root of a
    Poisson number is about normal with a standard deviation of 1/2.
    Source: Anscombe 1948, doi:10.1093/biomet/35.3-4.246.
    """
    greys = np.arange(256) / 255
    roots = np.sqrt(photons * _LATITUDE ** (1 - greys)).astype(np.float32)
    counted = np.maximum(roots[image] + 0.5 * _grain(image, generator), 0.5)
    logs = np.log(counted) - np.float32(0.5 * math.log(photons))
    return _rounded(255 - logs * np.float32(2 * 255 / math.log(_LATITUDE)))


def add_electronic_noise(
    image: PixelArray, sd: float, generator: np.random.Generator
) -> PixelArray:
    """Add Gaussian noise that is the same everywhere. sd: as a share of black to white."""
    return _rounded(image + np.float32(255 * sd) * _grain(image, generator))


def _grain(image: PixelArray, generator: np.random.Generator) -> FloatImage:
    """(H, W) normal numbers, with a grain that can be seen in an image of any size."""
    height, width = image.shape
    scale = min(1.0, _GRAINS / max(height, width))
    coarse = (max(1, round(height * scale)), max(1, round(width * scale)))
    noise = generator.standard_normal(coarse, dtype=np.float32)
    if coarse == image.shape:
        return noise
    large = cv2.resize(noise, (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(large, dtype=np.float32)


def _rounded(values: npt.NDArray[np.floating[Any]]) -> PixelArray:
    pixels: PixelArray = np.rint(values).clip(0, 255).astype(np.uint8)
    return pixels


def _pixels(found: object) -> PixelArray:
    return np.asarray(found, dtype=np.uint8)
