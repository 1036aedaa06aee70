"""Side markers that were not there, and corners that someone blacked out."""

from functools import cache

import cv2
import numpy as np

from hilum.records import PixelArray

_TEXTS = ("L", "R", "PA", "AP")
#: The distance of a marker from the edges, as a share of the shorter side.
_BESIDE = 0.03


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
