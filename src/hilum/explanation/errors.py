"""The errors of a classifier on a split, one by one, with what helps to understand them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from hilum.classifier.classifier import Classifier, check_labels
from hilum.decisions import Decision
from hilum.errors import EvaluationError
from hilum.explanation.attribution import Method
from hilum.explanation.neighbours import (
    Neighbour,
    as_neighbours,
    nearest_correct,
    nearest_training,
    remembers,
)
from hilum.explanation.network import deciding_network
from hilum.explanation.overlay import draw_attributions
from hilum.explanation.pictures import thumbnail_png
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.pixels import Progress
from hilum.records import FloatArray

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
    check_labels(classifier, dataset)
    rows = dataset.indices(split)
    names = [dataset.records[row].name for row in rows]
    truth = dataset.labels[rows]
    pixels = dataset.pixels(classifier.preprocessing, progress)
    mine = pixels[rows]
    if predictions is None:
        predictions = classifier.predict_pixels(mine, names, progress)
    if len(predictions) != len(rows):
        raise EvaluationError(
            f"There are {len(predictions)} predictions for the {len(rows)} radiographs of "
            f"'{split}'."
        )
    wrong = np.flatnonzero(truth != predictions.predicted)
    confidence = predictions.probs[wrong, predictions.predicted[wrong]]
    wrong = wrong[np.argsort(-confidence, kind="stable")]
    cases = {
        i: _case(classifier.tree, names[i], int(truth[i]), predictions, i) for i in wrong.tolist()
    }
    notes: list[str] = []
    if len(wrong) > pictured:
        notes.append(f"Of {len(wrong)} errors the {pictured} most confident are shown in pictures.")
    shown = wrong[:pictured].tolist()
    if shown and remembers(classifier, dataset):
        notes.append(
            "Nearest training radiographs are those that the classifier remembers, by the features "
            "of all its networks together."
        )
    elif shown and "train" not in dataset.splits:
        notes.append("The data have no split 'train', so there are no nearest training images.")
    for network in classifier.tree.networks(classifier.strategy):
        members = [i for i in shown if deciding_network(classifier, cases[i].decision) == network]
        if not members:
            continue
        drawn = draw_attributions(
            classifier, mine[members], [names[i] for i in members],
            network.targets(predictions.predicted[members]),
            network=network, method=method, progress=progress,
        )  # fmt: skip
        near = nearest_training(
            classifier, dataset, mine[members], rows[members].tolist(), decision=network.name, k=k,
            progress=progress,
        )  # fmt: skip
        right = nearest_correct(
            classifier, mine, truth, predictions.predicted, members, decision=network.name
        )
        for i, drawing, found, away, other in zip(members, drawn, *near, right, strict=True):
            cases[i] = replace(
                cases[i],
                neighbours=as_neighbours(dataset, found, away),
                counterpart=None if other is None else names[other],
                pictures=ErrorPictures(
                    radiograph=thumbnail_png(mine[i], 176),
                    overlay=drawing.png,
                    alt=drawing.alt,
                    neighbours=tuple(thumbnail_png(pixels[row]) for row in found),
                    counterpart=None if other is None else thumbnail_png(mine[other]),
                ),
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
    probs, decision_probs = name_probs(tree, predictions, i)
    return ErrorCase(
        name=name,
        truth=tree.classes[truth],
        predicted=tree.classes[predicted],
        decision=decision.name,
        true_option=decision.options[sides[0]],
        chosen_option=decision.options[sides[1]],
        probs=probs,
        decision_probs=decision_probs,
    )


def name_probs(
    tree: LabelTree, predictions: Predictions, i: int
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """The probabilities of the i-th radiograph: by class, and by decision and option."""

    def named(names: Sequence[str], values: FloatArray) -> dict[str, float]:
        return dict(zip(names, values[i].tolist(), strict=True))

    return named(tree.classes, predictions.probs), {
        d.name: named(d.options, predictions.decision_probs[d.name]) for d in tree.decisions
    }
