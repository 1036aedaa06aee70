"""What a classifier remembers of its training images: where they lie in its feature space.

So that, long after training and without the images, the nearest training radiographs of any
image can be found. It holds no pixels and no file names: rows of a data set, and which data set.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from hilum.classifier.files import pack_arrays, unpacked
from hilum.classifier.validation import Keys
from hilum.errors import ClassifierError, EvaluationError
from hilum.records import FloatArray, IntArray, evenly_spaced

FeatureArray = npt.NDArray[np.float32]

#: At most so many images, at equal steps through the data set, and so many dimensions, are kept.
MAX_IMAGES = 5000
MAX_DIMENSIONS = 64

_CHUNK = 256


@dataclass(frozen=True)
class Reference:
    """N training images in D dimensions: the principal components of the networks' features.

    embedded: (N, D) float16. labels: (N,) class indices. rows: (N,) positions of the images in
    the data set's records, ascending where they were. networks: the names of the networks, in the
    order in which their features stand side by side, with the number F of each. mean: (sum F,).
    components: (sum F, D), which also scale each network's features to total variance 1, so that
    networks weigh the same. about: the data set ('name', 'fingerprint', …), as JSON values. seen:
    (N,) image_keys, by which the images are known again. marks: (N, F) what is known of each of
    the label tree's findings. Both are None in files of earlier versions.
    """

    embedded: npt.NDArray[np.float16]
    labels: IntArray
    rows: IntArray
    networks: dict[str, int]
    mean: FeatureArray
    components: FeatureArray
    about: dict[str, Any]
    seen: Keys | None = None
    marks: IntArray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def fit(
        cls,
        features: Mapping[str, FeatureArray],
        labels: IntArray,
        rows: IntArray,
        about: Mapping[str, Any],
        seen: Keys | None = None,
        marks: IntArray | None = None,
    ) -> "Reference":
        """Remember training images.

        features: by network (N, F) float32, as compute_features gives them. labels: (N,). rows:
        (N,) positions in the data set. marks: (N, F) of findings. Raises ClassifierError for
        unequal lengths, fewer than two images, or features that are not finite.
        """
        lengths = {len(f) for f in features.values()} | {len(labels), len(rows)}
        if len(lengths) != 1 or not features or len(labels) < 2:
            raise ClassifierError(
                "A reference needs features, labels and rows of the same two or more images; "
                f"found lengths {sorted(lengths)}."
            )
        kept = evenly_spaced(len(labels), MAX_IMAGES)
        parts = {name: f[kept].astype(np.float64) for name, f in features.items()}
        for name, part in parts.items():
            if not np.isfinite(part).all():
                raise ClassifierError(f"The network '{name}' gives features that are not finite.")
        scale = np.concatenate([_scale(part) for part in parts.values()])
        joined = np.hstack(list(parts.values()))
        mean = joined.mean(axis=0)
        x = (joined - mean) * scale
        width = x.shape[1]
        kept_dimensions = min(MAX_DIMENSIONS, width)
        _, vectors = scipy.linalg.eigh(
            x.T @ x, subset_by_index=(width - kept_dimensions, width - 1)
        )
        # the first dimension is the one of the largest variance
        components = (scale[:, None] * vectors[:, ::-1]).astype(np.float32)
        return cls(
            embedded=((joined - mean) @ components).astype(np.float16),
            labels=np.asarray(labels, dtype=np.int64)[kept],
            rows=np.asarray(rows, dtype=np.int64)[kept],
            networks={name: part.shape[1] for name, part in parts.items()},
            mean=mean.astype(np.float32),
            components=components,
            about=dict(about),
            seen=None if seen is None else seen[kept],
            marks=None if marks is None else np.asarray(marks, dtype=np.int64)[kept],
        )

    def embed(self, features: Mapping[str, FeatureArray]) -> FeatureArray:
        """Features of other images, by network (M, F), to (M, D) float32.

        Raises EvaluationError where networks or numbers of features differ.
        """
        found = {name: f.shape[1] for name, f in features.items()}
        if found != self.networks:
            raise EvaluationError(
                f"The reference was fitted on features {self.networks}; found {found}."
            )
        joined = np.hstack([features[name] for name in self.networks])
        embedded: FeatureArray = ((joined - self.mean) @ self.components).astype(np.float32)
        return embedded

    def neighbours(self, embedded: FeatureArray, k: int) -> tuple[IntArray, FloatArray]:
        """The k nearest remembered images of each of M embedded ones, the nearest first.

        Returns (M, k) indices into embedded, labels and rows, and (M, k) Euclidean distances;
        of equally near ones the earlier comes first. An image that was itself remembered is its
        own neighbour, at about 0. Raises EvaluationError unless 1 <= k <= N.
        """
        if not 1 <= k <= len(self):
            raise EvaluationError(f"There are {len(self)} images to be near to; asked for {k}.")
        own = self.embedded.astype(np.float64)
        indices = np.empty((len(embedded), k), dtype=np.int64)
        distances = np.empty((len(embedded), k))
        for start in range(0, len(embedded), _CHUNK):
            apart = scipy.spatial.distance.cdist(
                embedded[start : start + _CHUNK].astype(np.float64), own
            )
            order = np.argsort(apart, axis=1, kind="stable")[:, :k]
            indices[start : start + _CHUNK] = order
            distances[start : start + _CHUNK] = np.take_along_axis(apart, order, axis=1)
        return indices, distances

    def to_bytes(self) -> bytes:
        """One safetensors file."""
        # pairs, because JSON objects with sorted keys would lose the networks' order
        facts = {"networks": list(self.networks.items()), "about": self.about}
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        known = {"seen": self.seen, "marks": self.marks}
        arrays |= {name: own for name, own in known.items() if own is not None}
        return pack_arrays("reference", facts, arrays)

    @classmethod
    def from_bytes(cls, data: bytes, source: str) -> "Reference":
        """The inverse of to_bytes. Raises ClassifierError, naming source, for other content."""
        with unpacked("reference", data, source) as (facts, arrays):
            networks = {str(name): int(width) for name, width in facts["networks"]}
            return cls(
                **{n: arrays[n] for n in _ARRAYS},
                networks=networks,
                about=facts["about"],
                seen=arrays.get("seen"),
                marks=arrays.get("marks"),
            )


_ARRAYS = ("embedded", "labels", "rows", "mean", "components")


def _scale(features: FloatArray) -> FloatArray:
    """(F,) the same factor for all features of a network: to total variance 1, if any vary."""
    total = features.var(axis=0).sum()
    return np.full(features.shape[1], 1 / np.sqrt(total) if total > 0 else 1.0)
