"""From stored values to the picture that is meant to be seen (PS3.4, N.2: the pipeline).

Stored values → modality LUT → VOI LUT → presentation LUT → 8 bit. It is worked out once for every
value that can be stored, 65,536 at most, and looked up for the pixels.
"""

from dataclasses import dataclass

import numpy as np

from hilum.radiographs.dicom import tags
from hilum.radiographs.dicom.elements import Elements
from hilum.radiographs.dicom.header import ImageHeader
from hilum.radiographs.dicom.stored import Stored
from hilum.records import FloatArray, IntArray, PixelArray

_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
#: The steepest part of a sigmoid that floating point tells from 0 and 1.
_STEEPEST = 700.0


@dataclass(frozen=True, slots=True)
class _Lut:
    """A look-up table (PS3.3, C.11.1.1 and C.11.2.1.1): entries for inputs from first on."""

    first: int
    entries: IntArray

    @property
    def white(self) -> int:
        """Its own largest entry: what it declares is often the size of its words."""
        return int(self.entries.max())

    def look_up(self, inputs: FloatArray) -> FloatArray:
        """Inputs below the first take its entry, those above the last the last's."""
        at = np.clip(np.round(inputs) - self.first, 0, len(self.entries) - 1).astype(np.int64)
        return self.entries[at].astype(np.float64)


def to_grey(stored: Stored, header: ImageHeader, elements: Elements) -> PixelArray:
    """Stored values as a picture: (H, W) uint8, 255 being white.

    Raises DataError where a table or window makes no sense.
    """
    low = stored.range[0]
    table = grey_table(stored.range, header, elements)
    values = stored.values
    picture: PixelArray = table[values.astype(np.int32) - low if low else values]
    return picture


def grey_table(ends: tuple[int, int], header: ImageHeader, elements: Elements) -> PixelArray:
    """The grey of every value from one of the ends to the other: uint8.

    Without a window or VOI LUT the ends are black and white, not the darkest and the brightest
    that this image holds, so that one value is one grey in all images of a detector, and a
    MONOCHROME1 image equals its MONOCHROME2 twin. Nothing is clipped.
    """
    low, high = ends
    stored = np.arange(low, high + 1, dtype=np.float64)
    values, span = _modality(stored, elements, header.signed)
    shares = _voi(values, span, elements, header.signed or span[0] < 0)
    if header.white_is_zero:
        shares = 1 - shares  # PS3.3, C.7.6.3.1.2: after the VOI transformation
    # Rounded twice, so that 1 - (1 - x) falls on the same side of a half as x.
    table: PixelArray = np.floor(np.round(255 * shares, 6) + 0.5).astype(np.uint8)
    return table


def _modality(
    stored: FloatArray, elements: Elements, signed: bool
) -> tuple[FloatArray, tuple[float, float]]:
    """Values after the modality LUT or the rescaling, and their range (PS3.3, C.11.1)."""
    lut = _lut(elements, tags.MODALITY_LUT_SEQUENCE, "modality LUT", stored[-1], signed)
    if lut:
        return lut.look_up(stored), (0.0, float(lut.white))
    slope = elements.decimals(tags.RESCALE_SLOPE, "rescale slope")
    intercept = elements.decimals(tags.RESCALE_INTERCEPT, "rescale intercept")
    if not slope or not intercept:
        return stored, (stored[0], stored[-1])
    if slope[0] == 0:
        raise elements.source.refusal("has a rescale slope of 0, which leaves no image.")
    values = stored * slope[0] + intercept[0]
    return values, (float(values.min()), float(values.max()))


def _voi(
    values: FloatArray, span: tuple[float, float], elements: Elements, signed: bool
) -> FloatArray:
    """Shares of white, in [0, 1], after the first VOI LUT or else window (PS3.3, C.11.2.1)."""
    lut = _lut(elements, tags.VOI_LUT_SEQUENCE, "VOI LUT", span[1], signed)
    if lut:
        shares: FloatArray = lut.look_up(values) / lut.white
        return shares
    center = elements.decimals(tags.WINDOW_CENTER, "window center")
    width = elements.decimals(tags.WINDOW_WIDTH, "window width")
    if not center or not width:
        whole: FloatArray = (values - span[0]) / (span[1] - span[0])
        return whole
    return _window(values, center[0], width[0], elements)


def _window(values: FloatArray, center: float, width: float, elements: Elements) -> FloatArray:
    """PS3.3, C.11.2.1.2.1 (LINEAR), C.11.2.1.3.1 (SIGMOID) and C.11.2.1.3.2 (LINEAR_EXACT)."""
    function = elements.text(tags.VOI_LUT_FUNCTION) or "LINEAR"
    if function not in _FUNCTIONS:
        raise elements.source.refusal(
            f"has a window of an unknown function; expected {', '.join(_FUNCTIONS)}."
        )
    if width < 1 if function == "LINEAR" else width <= 0:
        least = "of at least 1" if function == "LINEAR" else "above 0"
        raise elements.source.refusal(f"has a window {width:g} wide; expected a width {least}.")
    if function == "SIGMOID":
        exponents = np.clip(-4 * (values - center) / width, -_STEEPEST, _STEEPEST)
        sigmoid: FloatArray = 1 / (1 + np.exp(exponents))
        return sigmoid
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    if width == 0:  # LINEAR of width 1 is a threshold
        return (values > center).astype(np.float64)
    return np.clip((values - center) / width + 0.5, 0, 1)


def _lut(elements: Elements, sequence: int, name: str, largest: float, signed: bool) -> _Lut | None:
    """The first table of a sequence, for inputs up to the largest.

    signed: whether the first mapped value may be negative.
    """
    item = elements.item(sequence)
    if item is None:
        return None
    refusal = elements.source.refusal
    descriptor = item.integers(tags.LUT_DESCRIPTOR, signed=signed)
    data = item.found.get(tags.LUT_DATA)
    if len(descriptor) != 3 or data is None:
        raise refusal(f"has a {name} without its data.")
    n = (descriptor[0] & 0xFFFF) or 1 << 16
    bits = descriptor[2]
    if bits != 8 and not 10 <= bits <= 16:
        raise refusal(f"has a {name} of {bits} bits; expected 8, or 10 to 16.")
    if len(data.value) >= 2 * n:
        kind = ">u2" if item.big_endian else "<u2"
    elif bits == 8 and len(data.value) >= n:
        kind = "u1"
    else:
        raise refusal(f"has a {name} of {len(data.value):,} bytes; expected {n:,} entries.")
    entries = np.frombuffer(data.value, kind, count=n).astype(np.int64)
    if int(entries.max()) >= 1 << bits:
        raise refusal(f"has a {name} with values beyond its {bits} bits.")
    if not entries.any():
        raise refusal(f"has a {name} that makes everything black.")
    # a negative number that is written as an unsigned one: no input could reach it
    beyond = signed and descriptor[1] > largest and descriptor[1] >= 1 << 15
    return _Lut(descriptor[1] - (beyond << 16), entries)
