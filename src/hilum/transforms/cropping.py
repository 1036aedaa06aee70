"""Crop and resize: the boxes of body and lungs on a frontal radiograph, and bringing it to a size.

The boxes are found by edges and projections, and rather keep too much than lose lung: where what
they look for does not stand out, the larger one is kept. The margins are set on phantoms, whose
lungs are known.
"""

from typing import NamedTuple

import cv2
import numpy as np
import scipy
from PIL import Image

from hilum.records import BoolArray, PixelArray
from hilum.settings import Resize
from hilum.transforms.illumination import FloatImage

#: Lungs are looked for on a copy of the body with this many pixels along either edge.
GRID = 96
#: Smoothing that makes ribs fade, and that gives the brightness of the surroundings, in pixels
#: of that copy: lung is darker than its surroundings.
RIBS, SURROUNDINGS = 1.5, 12.0
#: Of the brightness of bright tissue (the 90th percentile): more than this is tissue, less than
#: this may be air. Between the two lies well-exposed lung.
TISSUE, AIR = 0.25, 0.15
#: A row or column is body where this share of it is tissue; a side marker on black is less.
FILLED = 0.1
#: How far the box goes beyond the dark fields, in half of their common width on that copy: above
#: for the apices behind the clavicles, below for the lung behind the diaphragm, to either side.
ABOVE, BELOW, BESIDE = 0.45, 0.75, 0.35
#: What is too small to be two whole lungs: each dark field, as a share of the copy; half the
#: width and the height of both together, as shares of the body's.
SMALLEST_FIELD, NARROWEST, LOWEST = 0.015, 0.32, 0.4


class Box(NamedTuple):
    """A rectangle of an image: rows top to bottom - 1, columns left to right - 1."""

    top: int
    bottom: int
    left: int
    right: int

    def cut(self, image: PixelArray) -> PixelArray:
        """The part of an image (H, W) inside the box, as a view."""
        return image[self.top : self.bottom, self.left : self.right]


def body_box(image: PixelArray) -> Box:
    """The box of the body: the image without its dark margins.

    image: (H, W) uint8, bone bright. From each edge inwards, columns and then rows are left out
    until one has a tenth of its length in tissue. An image without any tissue is kept whole.
    """
    tissue = image > TISSUE * np.quantile(image, 0.9)
    left, right = _span(tissue.mean(axis=0) >= FILLED)
    top, bottom = _span(tissue[:, left:right].mean(axis=1) >= FILLED)
    return Box(top, bottom, left, right)


def lungs_box(image: PixelArray) -> Box:
    """A box around both lungs, with margins for what bone and diaphragm hide of them.

    image: (H, W) uint8, frontal, upright, bone bright. Within the body, the brightest column of
    the middle (spine and heart) parts the sides; on each the largest field that is darker than
    its surroundings is taken for lung. The box is symmetric about the middle, so that a lung that a
    consolidation whitens is kept by the other's width and height. Where a side has no such field,
    or both are too small to be whole lungs, the box is that of the body.
    On phantoms at least 99 % of the lung is inside; no such check exists for patients.
    """
    body = body_box(image)
    grid = cv2.resize(body.cut(image), (GRID, GRID), interpolation=cv2.INTER_AREA)
    smooth = scipy.ndimage.gaussian_filter(grid.astype(np.float32), RIBS)
    fields = _dark_fields(grid.astype(np.float32), smooth)
    middle = _middle(smooth)
    right_lung = _largest(fields[:, :middle])
    left_lung = _largest(fields[:, middle:])
    if right_lung is None or left_lung is None:
        return body
    top = min(right_lung.top, left_lung.top)
    bottom = max(right_lung.bottom, left_lung.bottom)
    half = max(middle - right_lung.left, left_lung.right)
    if half < NARROWEST * GRID or bottom - top < LOWEST * GRID:
        return body
    # In the copy's own units, so that a radiograph that was squashed to a square is cut alike.
    down, across = (body.bottom - body.top) / GRID, (body.right - body.left) / GRID
    return Box(
        max(body.top, int(body.top + (top - ABOVE * half) * down)),
        min(body.bottom, int(np.ceil(body.top + (bottom + BELOW * half) * down))),
        max(body.left, int(body.left + (middle - (1 + BESIDE) * half) * across)),
        min(body.right, int(np.ceil(body.left + (middle + (1 + BESIDE) * half) * across))),
    )


def _span(kept: BoolArray) -> tuple[int, int]:
    """The first index that is kept and the one after the last; all where none is."""
    found = np.flatnonzero(kept)
    return (int(found[0]), int(found[-1]) + 1) if found.size else (0, kept.size)


def _dark_fields(grid: FloatImage, smooth: FloatImage) -> BoolArray:
    """What is darker than its surroundings and not the air around the body."""
    air = smooth < AIR * np.quantile(grid, 0.9)
    # An opening, so that a thin chest wall still parts the air from dark lung.
    air = scipy.ndimage.binary_erosion(air, iterations=3, border_value=1)
    air = scipy.ndimage.binary_dilation(air, iterations=3)
    parts, _ = scipy.ndimage.label(air)
    border = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
    outside = np.isin(parts, border[border > 0])
    surroundings = scipy.ndimage.gaussian_filter(grid, SURROUNDINGS, mode="nearest")
    fields: BoolArray = scipy.ndimage.binary_opening(
        (smooth < surroundings) & ~outside, iterations=2
    )
    return fields


def _middle(smooth: FloatImage) -> int:
    """The column of spine and heart: the brightest of the middle third."""
    profile = scipy.ndimage.gaussian_filter1d(
        smooth[int(0.3 * GRID) : int(0.7 * GRID)].mean(axis=0), 3
    )
    first = int(0.35 * GRID)
    return first + int(profile[first : int(0.65 * GRID)].argmax())


def _largest(fields: BoolArray) -> Box | None:
    """The box of the largest dark field of one side, with what lies above it: the apex."""
    parts, count = scipy.ndimage.label(fields)
    height, width = fields.shape
    core = parts[int(0.2 * height) : int(0.8 * height), int(0.1 * width) : int(0.9 * width)]
    sizes = np.bincount(core.ravel(), minlength=count + 1)
    sizes[0] = 0
    if sizes.max() < SMALLEST_FIELD * GRID * GRID:
        return None
    lung = parts == sizes.argmax()
    top, bottom = _span(lung.any(axis=1))
    left, right = _span(lung.any(axis=0))
    # The clavicle cuts the apex off: parts that lie mostly above the field belong to it.
    above = parts[:top, left:right]
    for part in np.unique(above[above > 0]):
        inside = above == part
        if 2 * inside.sum() > (parts == part).sum():
            top = min(top, _span(inside.any(axis=1))[0])
    return Box(top, bottom, left, right)


def resize_image(image: PixelArray, size: tuple[int, int], how: Resize) -> PixelArray:
    """Bring an image to a size; bilinear, antialiased when shrinking.

    image: (H, W) uint8. size: (height, width). how: 'squash' scales both sides to fit, which
    changes the aspect ratio; 'pad' keeps it and fills with black, the image in the middle;
    'centre-crop' keeps it and cuts what stands over, equally on both sides.
    """
    height, width = size
    if image.shape == size:
        return image
    picture = Image.fromarray(image)
    if how == "squash":
        return _resized(picture, height, width)
    down, across = height / picture.height, width / picture.width
    if how == "pad":
        scale = min(down, across)
        inner_height = min(height, max(1, round(picture.height * scale)))
        inner_width = min(width, max(1, round(picture.width * scale)))
        padded = np.zeros(size, dtype=np.uint8)
        top, left = (height - inner_height) // 2, (width - inner_width) // 2
        inner = _resized(picture, inner_height, inner_width)
        padded[top : top + inner_height, left : left + inner_width] = inner
        return padded
    scale = max(down, across)
    # Rounding may put an edge a hair outside of the image, which Pillow refuses.
    beside = max(0.0, picture.width - width / scale) / 2
    above = max(0.0, picture.height - height / scale) / 2
    box = (beside, above, picture.width - beside, picture.height - above)
    return _resized(picture, height, width, box)


def _resized(
    picture: Image.Image,
    height: int,
    width: int,
    box: tuple[float, float, float, float] | None = None,
) -> PixelArray:
    resized = picture.resize((width, height), Image.Resampling.BILINEAR, box=box)
    return np.asarray(resized, dtype=np.uint8)
