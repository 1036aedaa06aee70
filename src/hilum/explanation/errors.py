"""The errors of a classifier on a split, one by one, with what helps to understand them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from hilum.classifier.classifier import Classifier, check_labels
from hilum.errors import EvaluationError
from hilum.explanation.attribution import Method, attribute
from hilum.explanation.neighbours import (
    Neighbour,
    nearest_correct,
    nearest_training,
    remembers,
)
from hilum.explanation.overlay import draw_overlay
from hilum.explanation.pictures import thumbnail_png
from hilum.labels import FLAT, Decision, LabelTree
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.pixels import Progress
from hilum.records import IntArray, PixelArray, Predictions

#: How many errors have pictures: 25 kB and three thumbnails each, so that a report stays small.
PICTURED: Final = 12


@dataclass(frozen=True, slots=True)
class ErrorPictures:
    """PNG bytes of an error: the radiograph, its attribution drawn over it, and its neighbours.

    alt: the attribution in words. neighbours: in the order of the case's own. counterpart: as the
    case's own.
    """

    radiograph: bytes
    overlay: bytes
    alt: str
    neighbours: tuple[bytes, ...]
    counterpart: bytes | None = None


@dataclass(frozen=True, slots=True)
class ErrorCase:
    """A radiograph that was given the wrong class.

    name: below the data root. truth, predicted: classes. decision: of the label tree, where the
    paths of the two part; true_option and chosen_option: the sides they take there. probs: by
    class. decision_probs: by decision and option. neighbours: the nearest training
    radiographs, as nearest_training finds them for the network that erred. counterpart: the rightly
    classified radiograph of the predicted class, in the same split, that is nearest to it; None
    where there is none. pictures: None beyond the first few.
    """

    name: str
    truth: str
    predicted: str
    decision: str
    true_option: str
    chosen_option: str
    probs: dict[str, float]
    decision_probs: dict[str, dict[str, float]]
    neighbours: tuple[Neighbour, ...] = ()
    counterpart: str | None = None
    pictures: ErrorPictures | None = None


@dataclass(frozen=True, slots=True)
class ErrorGallery:
    """Every error on a split, the most confident first.

    n: radiographs in the split. method: of the attributions. notes: what is missing and why.
    """

    split: str
    n: int
    method: Method
    cases: tuple[ErrorCase, ...]
    notes: tuple[str, ...] = ()


def collect_errors(
    classifier: Classifier,
    dataset: Dataset,
    split: str = "val",
    *,
    predictions: Predictions | None = None,
    method: Method = "occlusion",
    pictured: int = PICTURED,
    k: int = 3,
    progress: Progress | None = None,
) -> ErrorGallery:
    """Every error on a split; the most confident ones with attributions and neighbours.

    dataset: with the classifier's own labels. predictions: of the split's radiographs in the order
    of the data set, where they are there already. method: of the attributions, which explain the
    option that was wrongly chosen, by the network of the decision that erred (under the flat
    strategy, by the one network, for the class). pictured: how many errors get pictures and
    neighbours; all are listed. k: neighbours of each, from the split 'train'.
    Raises EvaluationError where labels or predictions do not fit.
    """
    tree = classifier.tree
    check_labels(tree, dataset)
    rows = dataset.indices(split)
    names = [dataset.records[row].name for row in rows]
    truth = dataset.labels[rows]
    pixels = dataset.pixels(classifier.preprocessing, progress)
    if predictions is None:
        predictions = classifier.predict_pixels(pixels[rows], names, progress)
    if len(predictions) != len(rows):
        raise EvaluationError(
            f"There are {len(predictions)} predictions for the {len(rows)} radiographs of "
            f"'{split}'."
        )
    wrong = np.flatnonzero(truth != predictions.predicted)
    confidence = predictions.probs[wrong, predictions.predicted[wrong]]
    wrong = wrong[np.argsort(-confidence, kind="stable")]
    cases = {int(i): _case(tree, names[i], int(truth[i]), predictions, int(i)) for i in wrong}
    notes: list[str] = []
    if len(wrong) > pictured:
        notes.append(f"Of {len(wrong)} errors the {pictured} most confident are shown in pictures.")
    shown = [int(i) for i in wrong[:pictured]]
    if shown and remembers(classifier, dataset):
        notes.append(
            "Nearest training radiographs are those that the classifier remembers, by the features "
            "of all its networks together."
        )
    elif shown and "train" not in dataset.splits:
        notes.append("The data have no split 'train', so there are no nearest training images.")
    for network in _networks_that_erred(classifier, [cases[i] for i in shown]):
        members = [i for i in shown if _network(classifier, cases[i]) == network.name]
        found = _pictured(
            classifier, dataset, pixels, rows, truth, predictions, network, members,
            method=method, k=k, progress=progress,
        )  # fmt: skip
        for i, (neighbours, counterpart, pictures) in zip(members, found, strict=True):
            cases[i] = replace(
                cases[i],
                neighbours=neighbours,
                counterpart=None if counterpart is None else names[counterpart],
                pictures=pictures,
            )
    return ErrorGallery(split, len(rows), method, tuple(cases.values()), tuple(notes))


def parting(tree: LabelTree, truth: int, predicted: int) -> Decision:
    """The decision at which the paths to two different classes part."""
    pair = np.array([truth, predicted], dtype=np.int64)
    for decision in tree.decisions:
        one, other = decision.targets(pair)
        if one >= 0 and other >= 0 and one != other:
            return decision
    raise EvaluationError(f"The class {tree.classes[truth]} does not part from itself.")


def _case(tree: LabelTree, name: str, truth: int, predictions: Predictions, i: int) -> ErrorCase:
    predicted = int(predictions.predicted[i])
    decision = parting(tree, truth, predicted)
    sides = decision.targets(np.array([truth, predicted], dtype=np.int64))
    return ErrorCase(
        name=name,
        truth=tree.classes[truth],
        predicted=tree.classes[predicted],
        decision=decision.name,
        true_option=decision.options[sides[0]],
        chosen_option=decision.options[sides[1]],
        probs=_named(tree.classes, predictions.probs[i]),
        decision_probs={
            d.name: _named(d.options, predictions.decision_probs[d.name][i]) for d in tree.decisions
        },
    )


def _pictured(
    classifier: Classifier,
    dataset: Dataset,
    pixels: PixelArray,
    rows: IntArray,
    truth: IntArray,
    predictions: Predictions,
    network: Decision,
    members: Sequence[int],
    *,
    method: Method,
    k: int,
    progress: Progress | None,
) -> list[tuple[tuple[Neighbour, ...], int | None, ErrorPictures]]:
    """Neighbours, counterpart and pictures of the errors (positions in the split) of a network."""
    tree = classifier.tree
    chosen = network.targets(predictions.predicted[members])
    queries = pixels[rows[members]]
    maps = attribute(
        classifier, queries, method=method, options=chosen, decision=network.name, progress=progress
    )
    own = rows[members]
    found, distances = nearest_training(
        classifier, dataset, queries, own.tolist(), decision=network.name, k=k, progress=progress
    )
    counterparts = nearest_correct(
        classifier, pixels[rows], truth, predictions.predicted, members, decision=network.name
    )
    result = []
    for q, counterpart in enumerate(counterparts):
        overlay = draw_overlay(
            queries[q],
            maps[q],
            method=method,
            option=network.options[chosen[q]],
            decision=network.name,
            name=dataset.records[own[q]].name,
        )
        near = [
            Neighbour(record.name, tree.classes[record.label], float(distance))
            for record, distance in zip(
                (dataset.records[row] for row in found[q]), distances[q], strict=True
            )
        ]
        pictures = ErrorPictures(
            radiograph=thumbnail_png(queries[q], 176),
            overlay=overlay.png,
            alt=overlay.alt,
            neighbours=tuple(thumbnail_png(pixels[row]) for row in found[q]),
            counterpart=None if counterpart is None else thumbnail_png(pixels[rows[counterpart]]),
        )
        result.append((tuple(near), counterpart, pictures))
    return result


def _network(classifier: Classifier, case: ErrorCase) -> str:
    return FLAT if classifier.strategy == "flat" else case.decision


def _networks_that_erred(
    classifier: Classifier, cases: Sequence[ErrorCase]
) -> tuple[Decision, ...]:
    erred = {_network(classifier, case) for case in cases}
    return tuple(d for d in classifier.tree.networks(classifier.strategy) if d.name in erred)


def _named(names: Sequence[str], values: Any) -> dict[str, float]:
    return {name: float(value) for name, value in zip(names, values, strict=True)}
