"""Corruptions for stress tests: what changes between hospitals and folders, in five strengths.

They are for judging a classifier and never for training it. They act on the decoded radiograph,
before preprocessing. Inverting is not among them: it is another reading of the file, not another
film, and is the reader's to get right.
"""

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from hilum.errors import DataError, nearest
from hilum.records import FloatArray, PixelArray
from hilum.transforms.illumination import FloatImage, as_pixels, correct_gamma

#: All strengths, and those of a quick look.
STRENGTHS = (1, 2, 3, 4, 5)
QUICK_STRENGTHS = (2, 4)

#: The grain of noise: a pixel, or this part of the longer side where that is more. Otherwise the
#: noise of a large radiograph would be gone once it is made small.
_GRAINS = 256
#: How many times as many photons reach the detector behind air as behind the densest part.
_LATITUDE = 100.0
#: An image's own range runs between these quantiles: a few dead or burnt-in pixels do not count.
_RANGE = (0.005, 0.995)
#: Side markers, and their distance from the edges, as a share of the shorter side.
_TEXTS = ("L", "R", "PA", "AP")
_BESIDE = 0.03


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
    return as_pixels(cv2.resize(reduced, (width, height), interpolation=cv2.INTER_LINEAR))


def blur(image: PixelArray, share: float, _: np.random.Generator) -> PixelArray:
    """Convolve with a Gaussian whose standard deviation is a share of the shorter side."""
    sigma = share * min(image.shape)
    return as_pixels(cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE))


def compress(image: PixelArray, quality: float, _: np.random.Generator) -> PixelArray:
    """Compress as JPEG and decompress, at the image's own size. quality: 1 to 100 (libjpeg)."""
    done, code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    if not done:  # JPEG ends at 65,535 pixels a side
        raise DataError(f"An image of {image.shape} pixels cannot be compressed as JPEG.")
    return as_pixels(cv2.imdecode(code, cv2.IMREAD_GRAYSCALE))


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


def crop_in(image: PixelArray, kept: float, generator: np.random.Generator) -> PixelArray:
    """Enlarge a part of the image to the whole.

    kept: the share of both sides that is kept; where, is drawn.
    """
    height, width = image.shape
    across, down = generator.uniform(-1, 1, 2) * (1 - kept) / 2
    return _warp(image, np.eye(2) * kept, (across * (width - 1), down * (height - 1)))


def add_margin(image: PixelArray, share: float, _: np.random.Generator) -> PixelArray:
    """Make the image smaller in its middle, with a black margin around it.

    share: of both sides that the image still takes.
    """
    return _warp(image, np.eye(2) / share)


def shift(image: PixelArray, distance: float, generator: np.random.Generator) -> PixelArray:
    """Move the image by a share of its sides, in a direction that is drawn."""
    angle = generator.uniform(0, 2 * math.pi)
    height, width = image.shape
    way = (distance * width * math.cos(angle), distance * height * math.sin(angle))
    return _warp(image, np.eye(2), way)


def stretch(image: PixelArray, ratio: float, generator: np.random.Generator) -> PixelArray:
    """Change the aspect ratio within the frame, as squashing to a square does.

    ratio: > 1; one side, which is drawn, is stretched by √ratio and loses its ends, the other
    shrinks by √ratio and gets black margins.
    """
    root = math.sqrt(ratio)
    wider = generator.random() < 0.5
    return _warp(image, np.diag([1 / root, root] if wider else [root, 1 / root]))


def rotate(image: PixelArray, degrees: float, generator: np.random.Generator) -> PixelArray:
    """Turn the image about its middle, clockwise or not as is drawn."""
    angle = math.radians(degrees) * generator.choice([-1, 1])
    cos, sin = math.cos(angle), math.sin(angle)
    return _warp(image, np.array([[cos, sin], [-sin, cos]]))


def _warp(
    image: PixelArray, linear: FloatArray, offset: tuple[float, float] = (0.0, 0.0)
) -> PixelArray:
    """Take each pixel at (x, y) from the middle from linear @ (x, y) + offset, bilinearly."""
    height, width = image.shape
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    move = middle - linear @ middle + np.asarray(offset)
    found = cv2.warpAffine(
        image,
        np.column_stack([linear, move]),
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
    )
    return np.asarray(found, dtype=np.uint8)


def add_marker(image: PixelArray, height: float, generator: np.random.Generator) -> PixelArray:
    """Burn a white side marker into a corner: L, R, PA or AP; which and where is drawn.

    height: of its letters, as a share of the image's shorter side.
    """
    text = str(generator.choice(_TEXTS))
    right, below = generator.integers(0, 2, 2).tolist()
    side = min(image.shape)
    letters = _letters(text)
    tall = max(1, round(height * side))
    across = max(1, round(tall * letters.shape[1] / letters.shape[0]))
    stamp = cv2.resize(letters, (across, tall), interpolation=cv2.INTER_AREA)
    beside = round(_BESIDE * side)
    marked = image.copy()
    rows = slice(-beside - tall, image.shape[0] - beside) if below else slice(beside, beside + tall)
    columns = (
        slice(-beside - across, image.shape[1] - beside)
        if right
        else slice(beside, beside + across)
    )
    marked[rows, columns] = np.maximum(marked[rows, columns], stamp)
    return marked


@cache
def _letters(text: str) -> PixelArray:
    """A text in white on black, large, cut to its box: OpenCV's own measure of it is larger."""
    canvas = np.zeros((400, 600), dtype=np.uint8)
    cv2.putText(canvas, text, (50, 300), cv2.FONT_HERSHEY_SIMPLEX, 8.0, 255, 28, cv2.LINE_AA)
    left, top, width, height = cv2.boundingRect(canvas)
    return canvas[top : top + height, left : left + width]


def erase_corners(image: PixelArray, share: float, _: np.random.Generator) -> PixelArray:
    """Black out all four corners, and with them the markers there.

    share: of the width and of the height that each of the four boxes takes.
    """
    rows, columns = (max(1, round(share * side)) for side in image.shape)
    erased = image.copy()
    for across in (slice(None, columns), slice(-columns, None)):
        erased[:rows, across] = 0
        erased[-rows:, across] = 0
    return erased


@dataclass(frozen=True, slots=True)
class Corruption:
    """One thing that changes, in five strengths.

    amounts: what the strengths 1 to 5 are; quantity: what they measure, with its unit. apply:
    from an image (H, W) uint8, an amount and a generator to an image of the same shape.
    augmented_by: the part of training's augmentation (settings.Augmentation) that does
    something of the same kind, or ''. A recipe that uses that part was trained for this.
    """

    name: str
    family: str
    quantity: str
    amounts: tuple[float, float, float, float, float]
    apply: Callable[[PixelArray, float, np.random.Generator], PixelArray]
    augmented_by: str = ""


#: At strength 5 a person can still read the same film: the amounts were set by looking at three
#: radiographs of 150 x 150 pixels. Of what augmentation = "full" has, strength 1 lies at or near
#: the end of its range and the others beyond it, but for cropping, where it goes further, and
#: turning, where strengths 1 and 2 lie inside.
CORRUPTIONS = (
    Corruption("gamma-bright", "exposure", "exponent of the greys",
               (0.77, 0.67, 0.58, 0.5, 0.43), change_gamma, "gamma"),
    Corruption("gamma-dark", "exposure", "exponent of the greys",
               (1.3, 1.5, 1.75, 2.0, 2.3), change_gamma, "gamma"),
    Corruption("window-narrow", "exposure", "width of the window, share of the image's range",
               (0.9, 0.85, 0.8, 0.74, 0.68), change_window, "contrast"),
    Corruption("window-wide", "exposure", "width of the window, share of the image's range",
               (1.2, 1.5, 1.8, 2.1, 2.5), change_window, "contrast"),
    Corruption("crop", "framing", "share of both sides that is kept",
               (0.95, 0.91, 0.87, 0.83, 0.8), crop_in, "corner_crop"),
    Corruption("margin", "framing", "share of both sides that the image takes",
               (0.92, 0.86, 0.8, 0.74, 0.68), add_margin, "scale"),
    Corruption("shift", "framing", "distance, share of the sides",
               (0.05, 0.08, 0.11, 0.14, 0.17), shift, "shift"),
    Corruption("aspect", "geometry", "ratio of the sides",
               (1.1, 1.18, 1.26, 1.34, 1.42), stretch, "aspect"),
    Corruption("rotation", "geometry", "degrees either way",
               (4, 7, 10, 13, 16), rotate, "rotate"),
    Corruption("resolution", "sharpness", "pixels along the longer side",
               (112, 98, 84, 72, 60), reduce_resolution),
    Corruption("blur", "sharpness", "standard deviation, share of the shorter side",
               (0.003, 0.005, 0.007, 0.009, 0.011), blur, "blur"),
    Corruption("jpeg", "sharpness", "JPEG quality",
               (50, 35, 25, 18, 12), compress),
    Corruption("quantum-noise", "noise", "photons a grain behind white",
               (100, 50, 25, 14, 8), add_quantum_noise),
    Corruption("electronic-noise", "noise", "standard deviation, share of black to white",
               (0.02, 0.03, 0.04, 0.055, 0.07), add_electronic_noise, "noise"),
    Corruption("marker-added", "markers", "height of the letters, share of the shorter side",
               (0.05, 0.075, 0.1, 0.125, 0.15), add_marker),
    Corruption("corners-erased", "markers", "share of the sides that each box takes",
               (0.05, 0.09, 0.13, 0.17, 0.21), erase_corners, "erase"),
)  # fmt: skip


def select_corruptions(names: Sequence[str]) -> tuple[Corruption, ...]:
    """Corruptions by name, in the given order. Raises DataError for unknown or repeated names."""
    known = {corruption.name: corruption for corruption in CORRUPTIONS}
    for name in names:
        if name not in known:
            raise DataError(f"There is no corruption '{name}'.{nearest(name, known)}")
    if not names or len(set(names)) < len(names):
        raise DataError("Name at least one corruption, and each only once.")
    return tuple(known[name] for name in names)


def corrupt(
    image: PixelArray, corruption: Corruption, strength: int, *, seed: int = 0, index: int = 0
) -> PixelArray:
    """A radiograph under one corruption, a pure function of what is given.

    image: (H, W) uint8 of any size, not changed; returns the same shape. strength: 1 to 5. seed,
    index: of the whole test, and the position of the image in its data set; both not negative.
    Directions, places and the pattern of noise are drawn from these and the corruption's name
    alone, so that an image meets them the same at all strengths and whichever others are tested.
    Raises DataError for another strength.
    """
    if strength not in STRENGTHS:
        raise DataError(f"A strength is a whole number from 1 to 5; found {strength}.")
    generator = np.random.default_rng((seed, index, zlib.crc32(corruption.name.encode())))
    return corruption.apply(image, corruption.amounts[strength - 1], generator)
