"""The gate: which images are unlike all radiographs that the classifier was trained on.

It describes a picture by some 260 numbers, without any network (what lies where, and how sharp it
is), and judges it by how far it lies from the training images.
"""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy
from PIL import Image

from hilum.classifier.files import pack_arrays, unpacked
from hilum.errors import ClassifierError
from hilum.records import BoolArray, FloatArray, IntArray, PixelArray, Pixels, evenly_spaced
from hilum.transforms.preprocess import check_pixels

Float32Array = npt.NDArray[np.float32]

#: The share of radiographs like those in training that is flagged.
FALSE_ALARMS = 0.01

#: The picture is averaged to this many pixels along both edges.
SIDE = 16

#: Edges of the bands of spatial frequency, in cycles per pixel; 0.5 is the finest that there is.
_BANDS = (0.015, 0.03, 0.06, 0.12, 0.18, 0.25, 0.35, 0.5)

_FAINTEST = 1e-6  # power below this is nothing; keeps the logarithm of a blank image finite
_CHUNK = 128
_JUDGED = 32 * _CHUNK  # pictures that are described at a time
_MAX_IMAGES = 5000
_MAX_COMPONENTS = 64
_IMAGES_PER_COMPONENT = 8  # a covariance of D dimensions needs several times D images
_BLOCKS = 5


@dataclass(frozen=True)
class Verdict:
    """What the gate says of N images.

    scores: (N,) Mahalanobis distances to the training images, ≥ 0. p_values: (N,) share of
    radiographs of the training set (each held out when it was scored) that are at least as odd,
    counting the image itself, so > 0. flagged: (N,) whether that is at most the false-alarm rate.
    """

    scores: FloatArray
    p_values: FloatArray
    flagged: BoolArray


@dataclass(frozen=True)
class Gate:
    """Where training images lie among pictures, and how odd they are themselves.

    mean, scale: (F,) of the description, which is centred and divided by them. components:
    (F, D), each divided by its standard deviation, so that the distance is Euclidean after them.
    scores: (M,) ascending, of training images under gates fitted without them. false_alarms:
    the share of radiographs like those in training that is flagged. image_size: (height, width).
    about: where it comes from, as JSON values.
    """

    mean: Float32Array
    scale: Float32Array
    components: Float32Array
    scores: Float32Array
    false_alarms: float
    image_size: tuple[int, int]
    about: dict[str, Any]

    def judge(self, pixels: Pixels) -> Verdict:
        """Judge stored pixels (N, H, W) uint8, H and W those of the classifier's preprocessing.

        Raises DataError for pixels of another size or kind.
        """
        check_pixels(pixels, self.image_size)
        described = np.empty((len(pixels), len(self.mean)), dtype=np.float32)
        for start in range(0, len(pixels), _JUDGED):  # in between it takes five times as much
            part = slice(start, start + _JUDGED)
            described[part] = _described(pixels[part])
        scores = _distances(described, self.mean, self.scale, self.components)
        odder = len(self.scores) - np.searchsorted(self.scores, scores, side="left")
        p_values = (odder + 1) / (len(self.scores) + 1)
        return Verdict(scores.astype(np.float64), p_values, p_values <= self.false_alarms)

    def to_bytes(self) -> bytes:
        """One safetensors file."""
        facts = {name: getattr(self, name) for name in ("false_alarms", "image_size", "about")}
        return pack_arrays("gate", facts, {name: getattr(self, name) for name in _ARRAYS})

    @classmethod
    def from_bytes(cls, data: bytes, source: str) -> "Gate":
        """The inverse of to_bytes. Raises ClassifierError, naming source, for other content."""
        with unpacked("gate", data, source) as (facts, arrays):
            height, width = facts["image_size"]
            return cls(
                **{name: arrays[name] for name in _ARRAYS},
                false_alarms=float(facts["false_alarms"]),
                image_size=(int(height), int(width)),
                about=dict(facts["about"]),
            )


_ARRAYS = ("mean", "scale", "components", "scores")


def images_needed(false_alarms: float = FALSE_ALARMS) -> int:
    """The fewest training images that a false-alarm rate can be set with: 99 for 1 %."""
    return int(np.ceil(1 / false_alarms - 1e-9)) - 1


def fit_gate(
    pixels: Pixels,
    labels: IntArray,
    *,
    false_alarms: float = FALSE_ALARMS,
    about: dict[str, Any] | None = None,
) -> Gate:
    """Fit the gate on training images.

    pixels: (N, H, W) uint8, stored by the classifier's preprocessing, in the order of the data set;
    of more than 5,000, as many at equal steps are used. labels: (N,). false_alarms: in (0, 1).

    Each image is scored by a gate that was fitted without its block, a fifth of its class in data
    set order, because neighbouring files are often of one patient. The threshold is that of
    conformal prediction: of exchangeable radiographs at most this share is flagged, but for the
    little that patients in two blocks and the larger final fit change. Raises ClassifierError for a
    rate out of range, for fewer images than images_needed, and where images are all alike. Source
    of the p-value: Vovk et al. 2005, doi:10.1007/b106715; as a test for outliers, Bates et al.
    2023, doi:10.1214/22-AOS2244.
    """
    if not 0 < false_alarms < 1:
        raise ClassifierError(
            f"A false-alarm rate lies between 0 and 1, for example 0.01; got {false_alarms}."
        )
    rows = evenly_spaced(len(pixels), _MAX_IMAGES)
    if len(rows) < images_needed(false_alarms):
        raise ClassifierError(
            f"A gate with {100 * false_alarms:g} % false alarms needs at least "
            f"{images_needed(false_alarms)} training images; there are {len(rows)}."
        )
    described = _described(np.asarray(pixels[rows]))
    blocks = _blocks(labels[rows])
    # The same number in every block and at last: distances in more dimensions are larger.
    dimensions = min(_MAX_COMPONENTS, max(1, len(rows) // _IMAGES_PER_COMPONENT))
    scores = np.empty(len(rows), dtype=np.float32)
    for block in range(_BLOCKS):
        out = blocks == block
        scores[out] = _distances(described[out], *_fit(described[~out], dimensions))
    return Gate(
        *_fit(described, dimensions),
        scores=np.sort(scores),
        false_alarms=false_alarms,
        image_size=(int(pixels.shape[1]), int(pixels.shape[2])),
        about={**(about or {}), "n": len(rows)},
    )


def _described(pixels: PixelArray) -> Float32Array:
    return np.hstack(describe_pictures(pixels)).astype(np.float32)


def _blocks(labels: IntArray) -> IntArray:
    """The block of each image: its class, in order, divided into _BLOCKS runs."""
    blocks = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        blocks[own] = np.arange(len(own)) * _BLOCKS // len(own)
    return blocks


def _fit(
    described: Float32Array, dimensions: int
) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Mean, scale and the first whitened principal components of (M, F) descriptions."""
    x = described.astype(np.float64)
    mean, variance = x.mean(axis=0), x.var(axis=0)
    scale = np.empty_like(variance)
    tones = SIDE * SIDE
    for part in (slice(tones), slice(tones, None)):
        total = variance[part].sum()  # so that what lies where and the sharpness weigh the same
        if total < 1e-12:
            raise ClassifierError("The training images are all alike: there is nothing to learn.")
        scale[part] = np.sqrt(total)
    x = (x - mean) / scale
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    # A direction in which training images hardly differ must not outweigh all others.
    spread = np.sqrt(np.maximum(values, 1e-6 * values[-1]))
    components = (vectors / spread)[:, -dimensions:]
    return mean.astype(np.float32), scale.astype(np.float32), components.astype(np.float32)


def _distances(
    described: Float32Array, mean: Float32Array, scale: Float32Array, components: Float32Array
) -> Float32Array:
    """Of descriptions (M, F), which are overwritten."""
    described -= mean
    described /= scale
    embedded = described @ components
    distances: Float32Array = np.sqrt((embedded**2).sum(axis=1))
    return distances


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
        spectrum = scipy.fft.rfft2(light * window)
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
