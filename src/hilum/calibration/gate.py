"""Is this a chest radiograph such as the classifier was trained on?

A classifier answers whatever it is shown. The gate describes a picture by what lies where and by
its sharpness (see picture), and measures how far that is from the training images: the
Mahalanobis distance in the space of their principal components (Lee et al. 2018,
doi:10.48550/arXiv.1807.03888, there of a network's features).

It looks at the picture and not at what a network sees in it, because small networks do not see
what matters here. Measured with the published COVINet cascade on chest-xray-150, at 1 % false
alarms: its penultimate features (Mahalanobis in 32 or 64 principal components, the residual
outside them, both, or the distance to the fifth neighbour) miss at least a fifth of blank images,
half of drawn knees, 6 in 10 drawn abdomens and three quarters of upside-down radiographs. The
picture finds all of the drawn kinds; added to it, the network's features only blur that, and one
mean for each class instead of one for all changes nothing.

Known limits. Of upside-down radiographs about 4 in 10 pass: a chest is nearly symmetric in what
is measured here. Three held-out blocks of that data set gave 20 false alarms in 2,346 (0.9 %).
Radiographs of another hospital may be flagged for their sharpness alone: the gate says how unlike
the training images a picture is, not whether it is a chest.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy
from safetensors import SafetensorError

from hilum.calibration.picture import SIDE, describe_pictures
from hilum.errors import ClassifierError, DataError
from hilum.records import FloatArray, IntArray, PixelArray
from hilum.spacing import evenly_spaced

BoolArray = npt.NDArray[np.bool_]
Float32Array = npt.NDArray[np.float32]

FALSE_ALARMS = 0.01

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

    def judge(self, pixels: PixelArray) -> Verdict:
        """Judge stored pixels (N, H, W) uint8, H and W those of the classifier's preprocessing.

        Raises DataError for pixels of another size or kind.
        """
        if pixels.ndim != 3 or pixels.shape[1:] != self.image_size or pixels.dtype != np.uint8:
            height, width = self.image_size
            raise DataError(
                f"Expected uint8 pixels of shape (N, {height}, {width}), "
                f"found {pixels.dtype} {pixels.shape}."
            )
        scores = _distances(_described(pixels), self.mean, self.scale, self.components)
        odder = len(self.scores) - np.searchsorted(self.scores, scores, side="left")
        p_values = (odder + 1) / (len(self.scores) + 1)
        return Verdict(scores.astype(np.float64), p_values, p_values <= self.false_alarms)

    def to_bytes(self) -> bytes:
        """One safetensors file."""
        arrays = {name: np.ascontiguousarray(getattr(self, name)) for name in _ARRAYS}
        facts = {
            "false_alarms": self.false_alarms,
            "image_size": self.image_size,
            "about": self.about,
        }
        data: bytes = safetensors.numpy.save(arrays, {"gate": json.dumps(facts, sort_keys=True)})
        return data

    @classmethod
    def from_bytes(cls, data: bytes, source: str) -> "Gate":
        """The inverse of to_bytes. Raises ClassifierError, naming source, for other content."""
        try:
            length = int.from_bytes(data[:8], "little")
            facts = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["gate"])
            arrays = safetensors.numpy.load(data)
            height, width = facts["image_size"]
            mean, scale, components, scores = (arrays[name] for name in _ARRAYS)
            false_alarms, about = float(facts["false_alarms"]), dict(facts["about"])
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ClassifierError(f"{source}: damaged ({error}).") from None
        size = (int(height), int(width))
        return cls(mean, scale, components, scores, false_alarms, size, about)


_ARRAYS = ("mean", "scale", "components", "scores")


def images_needed(false_alarms: float = FALSE_ALARMS) -> int:
    """The fewest training images that a false-alarm rate can be set with: 99 for 1 %."""
    return int(np.ceil(1 / false_alarms - 1e-9)) - 1


def fit_gate(
    pixels: PixelArray,
    labels: IntArray,
    *,
    false_alarms: float = FALSE_ALARMS,
    about: dict[str, Any] | None = None,
) -> Gate:
    """Fit the gate on training images.

    pixels: (N, H, W) uint8, stored by the classifier's preprocessing, in the order of the data
    set. labels: (N,) class indices. Of more than 5,000 images, 5,000 at equal steps are used.
    false_alarms: in (0, 1), the share of radiographs like these that is to be flagged. Each image
    is scored by a gate that was fitted without its block, a fifth of its class in data set order,
    because neighbouring files are often of one patient. The threshold is then that of conformal
    prediction: of exchangeable radiographs at most this share is flagged, but for the little
    that patients in two blocks and the larger final fit change.
    Raises ClassifierError for a rate out of range, for fewer images than images_needed, and
    where images are all alike.
    Source of the p-value: Vovk et al. 2005, doi:10.1007/b106715; as a test for outliers, Bates et
    al. 2023, doi:10.1214/22-AOS2244.
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
    embedded = ((described - mean) / scale) @ components
    distances: Float32Array = np.sqrt((embedded**2).sum(axis=1))
    return distances
