"""Pictures held as arrays, in 8 bits: which of an array's values is white."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.errors import DataError
from hilum.radiographs.depth import value_range
from hilum.records import PixelArray

#: How many channels the last axis of a picture may have: grey, RGB, RGBA.
CHANNELS = (1, 3, 4)

_FORMS = "grey (H, W), or (H, W, 3) RGB or (H, W, 4) RGBA"


def as_array(given: Any) -> npt.NDArray[Any]:
    """What NumPy makes of an array or a tensor. Raises DataError where that is not possible."""
    try:
        return np.asarray(given)
    except Exception as error:  # a tensor on another device, or one that wants its gradient
        raise DataError(f"{type(given).__name__}: cannot be made an array ({error}).") from None


def array_to_8_bit(array: npt.NDArray[Any], source: Path | str) -> PixelArray:
    """One picture of an array as uint8, grey or in colour.

    White is 255 in uint8, and 1 where values are floats, which must lie in [0, 1]. uint16 is
    scaled as a 16-bit file is (scale_to_8_bit). Other integers must lie in 0 to 255. Nothing else
    is guessed at: 0.5 of 255 and 0.5 of 1 are different greys.

    array: (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA. source: for the message.
    Returns (H, W), (H, W, 3) or (H, W, 4) of the same picture. Raises DataError for other forms,
    and for values whose white is not known.
    """
    if not _is_picture(array) or 0 in array.shape:
        raise DataError(f"{source}: an image array is {_FORMS}, not {array.shape}.{_advice(array)}")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype == np.uint16:
        return scale_to_8_bit(array, source)
    kind = array.dtype.kind
    if kind not in "iuf":
        raise DataError(f"{source}: an image array holds integers or floats, not {array.dtype}.")
    low, high = float(array.min()), float(array.max())
    found = f"{source}: {array.dtype} values from {low:g} to {high:g}"
    if kind == "f":
        if not 0 <= low <= high <= 1:  # so that NaN is refused, too
            raise DataError(
                f"{found}, and floats must lie in [0, 1], where 1 is white. Divide by what is "
                "white in them, as in array / 255, or give integers: array.astype('uint8')."
            )
        return np.rint(array.astype(np.float64) * 255).astype(np.uint8)
    if low < 0 or high > 255:
        raise DataError(
            f"{found}, and integers must lie in 0 to 255. Deeper pixels go as uint16, of which "
            "all bits that they need are scaled: array.astype('uint16')."
        )
    return array.astype(np.uint8)


def one_by_one(array: npt.NDArray[Any], source: Path | str) -> list[npt.NDArray[Any]]:
    """The pictures of an array: one, or those of a batch (N, H, W) or (N, H, W, channels).

    A last axis of 1, 3 or 4 is one of channels. Raises DataError for other forms.
    """
    if _is_picture(array):
        return [array]
    if array.ndim == 3 or (array.ndim == 4 and array.shape[3] in CHANNELS):
        return list(array)
    raise DataError(
        f"{source}: an image array is {_FORMS}, or several of them along a first axis, not "
        f"{array.shape}.{_advice(array)}"
    )


def _is_picture(array: npt.NDArray[Any]) -> bool:
    return array.ndim == 2 or (array.ndim == 3 and array.shape[2] in CHANNELS)


def _advice(array: npt.NDArray[Any]) -> str:
    """How to move channels that come first to where they are looked for."""
    if array.ndim not in (3, 4) or array.shape[-3] not in CHANNELS:
        return ""
    axes = "1, 2, 0" if array.ndim == 3 else "0, 2, 3, 1"
    return f" Channels come last: array.transpose({axes})."


def scale_to_8_bit(
    pixels: npt.NDArray[Any], source: Path | str, stated: int | None = None
) -> PixelArray:
    """Scale non-negative integers of up to 16 significant bits linearly to [0, 255].

    pixels: of any shape. source: for the message. stated: how many bits they have, where that is
    known; else the fewest of 8, 10, 12, 14 or 16 that hold all values (depth.value_range).
    Raises DataError for negative values or more than 16 bits.
    """
    low, high = int(pixels.min()), int(pixels.max())
    if low < 0 or high > 65535:
        raise DataError(f"{source}: pixel values from {low} to {high}; expected 0 to 65535.")
    _, white = value_range(low, high, stated, signed=False)
    # A table is quicker than arithmetic on every pixel, and needs a twentieth of its memory.
    table = ((np.arange(white + 1) * 255 + white // 2) // white).astype(np.uint8)
    scaled: PixelArray = table[pixels.astype(np.uint16)]
    return scaled
