"""A radiograph as another site would have made it: several changes at once, for judging.

A stress test changes one thing at a time, and what withstands each alone may fail when they come
together, as they do at another hospital. Here several come at once, drawn for each image:

- composite: one corruption of most families (exposure, framing, geometry, sharpness, noise,
  markers), at strengths at which a person still reads the film;
- exchange: the film gets the acquisition of another class's film (grey curve, sharpness, dark
  margins), which must change no answer but that of a network that tells the classes by it.

They are for judging a classifier and never for training it.
"""

from itertools import groupby
from typing import Final, Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

from hilum.errors import DataError
from hilum.records import PixelArray
from hilum.transforms.corrupt import CORRUPTIONS, Corruption

Shift = Literal["composite", "exchange", "both"]
SHIFTS: Final[tuple[Shift, ...]] = get_args(Shift)

#: Of composite: how often a family changes, and the strengths (1 to 5) that are drawn from.
_OFTEN: Final = 0.6
_STRENGTHS: Final = (1, 2, 3)
_FAMILIES: Final[tuple[tuple[Corruption, ...], ...]] = tuple(
    tuple(members) for _, members in groupby(CORRUPTIONS, lambda corruption: corruption.family)
)

#: Of exchange: the quantiles that the grey curve brings together. The middle one lies in lung or
#: soft tissue, the others are the black and the white level; more of them would carry over how
#: much of the lung is white, which is the finding.
_QUANTILES: Final = (0.01, 0.5, 0.99)
#: Sharpness: the mean amplitude in bands of spatial frequency, in cycles over the longer side,
#: from where the anatomy that all chests share ends; and by how much it is changed at most.
_BANDS: Final = (12.0, 20.0, 32.0, 50.0)
_MOST_GAIN: Final = 3.0
_SIDE: Final = 128
#: Margins: lines along an edge whose mean is darker than this share of the white level.
_DARK: Final = 0.06
_WIDEST: Final = 0.15


def shifted(
    image: PixelArray, kind: Shift, donor: PixelArray | None = None, *, seed: int, index: int
) -> PixelArray:
    """A film as another site would have made it, a pure function of what is given.

    image: (H, W) uint8 of any size, not changed; returns the same shape. donor: a film of another
    class, of any size; 'composite' needs none. seed, index: of the whole test, and the position
    of the image in its data set; both not negative.
    """
    if kind != "composite":
        if donor is None:
            raise DataError("To exchange the acquisition takes a film of another class.")
        image = exchange_acquisition(image, donor)
    if kind != "exchange":
        image = _composite(image, np.random.default_rng((seed, index, 0x5417)))
    return image


def _composite(image: PixelArray, rng: np.random.Generator) -> PixelArray:
    for family in _FAMILIES:
        corruption = family[int(rng.integers(len(family)))]
        strength = _STRENGTHS[int(rng.integers(len(_STRENGTHS)))]
        if rng.random() < _OFTEN:
            image = corruption.apply(image, corruption.amounts[strength - 1], rng)
    return image


def exchange_acquisition(image: PixelArray, donor: PixelArray) -> PixelArray:
    """A film with the grey curve, sharpness and dark margins of another.

    Both uint8, of any size; returns the image's shape. Greys are changed by a rising curve, so
    that what is whiter than its surroundings stays so. Sharpness is matched by the amplitudes of
    high spatial frequencies (the low ones, which Yang and Soatto exchange in "FDA: Fourier domain
    adaptation", CVPR 2020, doi:10.1109/CVPR42600.2020.00414, hold the anatomy of a chest).
    """
    sharpened = _with_sharpness(image, _amplitudes(donor) / _amplitudes(image))
    return _with_margins(_with_curve(sharpened, donor), _margins(donor))


def _with_curve(image: PixelArray, donor: PixelArray) -> PixelArray:
    """The image with the donor's black level, white level and middle grey."""
    own, theirs = (np.quantile(one, _QUANTILES) for one in (image, donor))
    own = np.maximum.accumulate(own + np.arange(len(own)) * 1e-3)  # rising, as interp wants it
    table = np.interp(np.arange(256), [-1, *own, 256], [0, *theirs, 255])
    greys: PixelArray = np.rint(table).clip(0, 255).astype(np.uint8)[image]
    return greys


def _amplitudes(image: PixelArray) -> npt.NDArray[np.float64]:
    """(bands,) mean amplitude of each band, relative to the spread of the greys."""
    small = cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float64)
    window = np.hanning(_SIDE)
    tapered = (small - small.mean()) * window * window[:, None]
    amplitude = np.abs(np.fft.rfft2(tapered))
    radius = _radius(_SIDE, _SIDE)
    edges = zip(_BANDS, (*_BANDS[1:], _SIDE / 2), strict=True)
    found = [amplitude[(radius >= low) & (radius < high)].mean() for low, high in edges]
    return np.array(found) / max(float(small.std()), 1.0) + 1e-3


def _with_sharpness(image: PixelArray, ratios: npt.NDArray[np.float64]) -> PixelArray:
    """Multiply the amplitudes of the bands, with no step between them."""
    height, width = image.shape
    gains = np.clip(ratios, 1 / _MOST_GAIN, _MOST_GAIN)
    gain = np.interp(_radius(height, width), [0, _BANDS[0] / 2, *_BANDS], [1, 1, *gains])
    changed = np.fft.irfft2(np.fft.rfft2(image.astype(np.float64)) * gain, s=image.shape)
    pixels: PixelArray = np.rint(changed).clip(0, 255).astype(np.uint8)
    return pixels


def _radius(height: int, width: int) -> npt.NDArray[np.float64]:
    """(H, W // 2 + 1) spatial frequency of each coefficient of rfft2, in cycles over each side."""
    down, across = np.fft.fftfreq(height, 1 / height), np.fft.rfftfreq(width, 1 / width)
    radius: npt.NDArray[np.float64] = np.hypot(down[:, None], across)
    return radius


def _margins(image: PixelArray) -> tuple[float, float, float, float]:
    """The dark margins at the left, top, right and bottom edge, as shares of the sides."""
    dark = _DARK * float(np.quantile(image, 0.99))
    found = []
    for axis in (0, 1):
        lines = image.mean(axis=axis) > dark
        most = len(lines)
        first = int(lines.argmax()) if lines.any() else 0
        last = int(lines[::-1].argmax()) if lines.any() else 0
        found.append((min(first / most, _WIDEST), min(last / most, _WIDEST)))
    (left, right), (top, bottom) = found
    return left, top, right, bottom


def _with_margins(image: PixelArray, margins: tuple[float, float, float, float]) -> PixelArray:
    """Black out the margins, as a collimator does."""
    height, width = image.shape
    left, top, right, bottom = margins
    shown = np.zeros_like(image)
    rows = slice(round(top * height), height - round(bottom * height))
    columns = slice(round(left * width), width - round(right * width))
    shown[rows, columns] = image[rows, columns]
    return shown
