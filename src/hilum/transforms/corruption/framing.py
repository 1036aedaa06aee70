"""Another frame around the chest. What lies outside of the image is black."""

import math

import cv2
import numpy as np

from hilum.records import FloatArray, PixelArray


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
