"""Which radiographs a network takes for alike: the nearest in the space of its features."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from hilum.classifier.classifier import Classifier
from hilum.classifier.inference import compute_features
from hilum.classifier.reference import Reference
from hilum.errors import EvaluationError
from hilum.explanation.network import check_pixels, open_network
from hilum.labels import LabelTree
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.pixels import Progress
from hilum.records import PRESENT, FloatArray, IntArray, LazyPixels, PixelArray, Pixels


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A radiograph near another: its name, its label, and how far away it is.

    distance: Euclidean, between penultimate features; comparable only among the neighbours that
    were found in one way (see nearest_training).
    """

    name: str
    label: str
    distance: float


def as_neighbours(dataset: Dataset, rows: IntArray, distances: FloatArray) -> tuple[Neighbour, ...]:
    """Radiographs of the data by their rows, with their distances."""
    near = zip((dataset.records[row] for row in rows), distances, strict=True)
    return tuple(
        Neighbour(r.name, say_truth(dataset.tree, r.label, r.marks), float(d)) for r, d in near
    )


def say_truth(tree: LabelTree, label: int, marks: Sequence[int] | None) -> str:
    """What an image is labelled: its class, and the findings that it is known to have.

    marks: of the tree's findings; None where they are not remembered, and nothing is said of them.
    """
    name = tree.classes[label] if tree.decisions else ""
    asked = marks is not None and any(label in f.classes for f in tree.findings)
    own = [f.name for f in tree.findings if marks is not None and marks[f.index] == PRESENT]
    found = (", ".join(own) or "no finding") if asked else ""
    return ": ".join(filter(None, (name, found)))


def remembers(classifier: Classifier, dataset: Dataset) -> bool:
    """Whether the classifier remembers training radiographs, and they are of these very data."""
    reference = classifier.reference
    return reference is not None and reference.about.get("fingerprint") == dataset.fingerprint


def nearest_training(
    classifier: Classifier,
    dataset: Dataset,
    queries: PixelArray,
    own: Sequence[int],
    *,
    decision: str,
    k: int = 3,
    progress: Progress | None = None,
) -> tuple[IntArray, FloatArray]:
    """The training radiographs that are nearest to each query.

    Where the classifier remembers those of these data (see remembers), they are the nearest by
    the features of all its networks together; otherwise by those of a decision's network, among
    the split 'train'. queries: (Q, H, W) uint8 of the classifier's size. own: for each its row in
    the data set, which is passed over, or -1. k: how many, fewer where there are fewer.
    Returns rows of the data set (Q, k), nearest first, and distances (Q, k).
    """
    reference = classifier.reference
    if reference is not None and remembers(classifier, dataset):
        return _nearest_remembered(classifier, reference, queries, np.asarray(own), k)
    train = dataset.indices("train") if "train" in dataset.splits else np.empty(0, np.int64)
    place = {int(row): i for i, row in enumerate(train)}
    places = [place.get(int(row), -1) for row in own]
    k = min(k, len(train) - any(i >= 0 for i in places))
    if k < 1:
        return np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0))
    known = LazyPixels.of_rows(dataset.pixels(classifier.preprocessing, progress), train)
    found, distances = find_neighbours(
        classifier, queries, known, decision=decision, k=k, own=places, progress=progress
    )
    return train[found], distances


def _nearest_remembered(
    classifier: Classifier, reference: Reference, queries: PixelArray, own: IntArray, k: int
) -> tuple[IntArray, FloatArray]:
    embedded = reference.embed(
        {
            name: compute_features(network, queries, classifier.preprocessing, classifier.device)
            for name, network in classifier.networks.items()
        }
    )
    # One more than asked for, because a query may find itself.
    found, distances = reference.neighbours(embedded, min(k + 1, len(reference)))
    rows = reference.rows[found]
    distances[rows == own[:, None]] = np.inf
    k = min(k, len(reference) - bool(np.isin(own, reference.rows).any()))
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(rows, order, axis=1), np.take_along_axis(distances, order, axis=1)


def find_neighbours(
    classifier: Classifier,
    queries: PixelArray,
    candidates: Pixels,
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
    opened = open_network(classifier, decision)
    given, known = (
        compute_features(
            opened.network, pixels, opened.preprocessing, opened.device, progress=progress
        ).astype(np.float64)
        for pixels in (queries, candidates)
    )
    distances: FloatArray = scipy.spatial.distance.cdist(given, known)
    for query, row in enumerate(own or ()):
        if row >= 0:
            distances[query, row] = np.inf
    rows = np.argsort(distances, axis=1, kind="stable")[:, :k].astype(np.int64)
    return rows, np.take_along_axis(distances, rows, axis=1)


def nearest_correct(
    classifier: Classifier,
    pixels: Pixels,
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
                classifier, pixels[asked], LazyPixels.of_rows(pixels, rows), decision=decision, k=1,
                progress=progress,
            )  # fmt: skip
            found |= dict(zip(asked, rows[nearest[:, 0]].tolist(), strict=True))
    return [found.get(row) for row in wrong]
