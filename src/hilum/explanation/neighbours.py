"""Which radiographs a network takes for alike: the nearest in the space of its features."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from hilum.calibration.features import compute_features
from hilum.classifier import Classifier
from hilum.errors import EvaluationError
from hilum.explanation.probe import check_pixels, open_probe
from hilum.radiographs.pixels import Progress
from hilum.records import FloatArray, IntArray, PixelArray


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A radiograph near another: its name, its label, and how far away it is.

    distance: Euclidean, between the network's penultimate features; comparable only among the
    neighbours that one network finds.
    """

    name: str
    label: str
    distance: float

    def to_json(self) -> dict[str, Any]:
        """Plain values, in the order of the fields."""
        return {"name": self.name, "label": self.label, "distance": self.distance}


def find_neighbours(
    classifier: Classifier,
    queries: PixelArray,
    candidates: PixelArray,
    *,
    decision: str | None = None,
    k: int = 3,
    own: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> tuple[IntArray, FloatArray]:
    """The nearest candidates of each query, in the feature space of a decision's network.

    queries: (Q, H, W) uint8, candidates: (M, H, W) uint8, both of the classifier's size. decision:
    None takes the first. k: how many, 1 to M (to M - 1 with own). own: for each query its own row
    among the candidates, which is passed over, or -1.
    Returns rows (Q, k), nearest first, and Euclidean distances (Q, k). Raises EvaluationError
    where k is out of range.
    """
    check_pixels(classifier, queries)
    check_pixels(classifier, candidates)
    most = len(candidates) - (own is not None and any(row >= 0 for row in own))
    if not 1 <= k <= most:
        raise EvaluationError(
            f"{k} neighbours were asked for of {most} radiographs: ask for 1 to {most}."
        )
    probe = open_probe(classifier, decision)
    given, known = (
        compute_features(
            probe.network, pixels, probe.preprocessing, probe.device, progress=progress
        ).astype(np.float64)
        for pixels in (queries, candidates)
    )
    distances: FloatArray = cdist(given, known)
    for query, row in enumerate(own or ()):
        if row >= 0:
            distances[query, row] = np.inf
    rows = np.argsort(distances, axis=1, kind="stable")[:, :k].astype(np.int64)
    return rows, np.take_along_axis(distances, rows, axis=1)


def nearest_correct(
    classifier: Classifier,
    pixels: PixelArray,
    truth: IntArray,
    predicted: IntArray,
    wrong: Sequence[int],
    *,
    decision: str | None = None,
    progress: Progress | None = None,
) -> list[int | None]:
    """For misclassified radiographs, the nearest rightly classified one of the predicted class.

    What the network saw in both is what the error can be explained by: compare their feature maps.
    pixels: (N, H, W) uint8. truth, predicted: (N,) class indices. wrong: rows of misclassified
    ones. decision: in whose network's features; None takes the first.
    Returns a row for each, or None where none of the predicted class was classified rightly.
    Raises EvaluationError where a radiograph among them was classified rightly.
    """
    right = truth == predicted
    for row in wrong:
        if right[row]:
            raise EvaluationError(f"The radiograph in row {row} was classified rightly.")
    found: dict[int, int] = {}
    for label in sorted({int(predicted[row]) for row in wrong}):
        rows = np.flatnonzero(right & (predicted == label))
        asked = [row for row in wrong if predicted[row] == label]
        if len(rows):
            nearest, _ = find_neighbours(
                classifier, pixels[asked], pixels[rows], decision=decision, k=1, progress=progress
            )
            found |= dict(zip(asked, rows[nearest[:, 0]].tolist(), strict=True))
    return [found.get(row) for row in wrong]
