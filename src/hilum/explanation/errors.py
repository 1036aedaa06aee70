"""The errors of a classifier on a split, one by one, with what helps to understand them."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hilum.classifier import Classifier
from hilum.errors import EvaluationError
from hilum.explanation.attribution import Method, attribute
from hilum.explanation.neighbours import Neighbour, find_neighbours, nearest_correct
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
    """PNG bytes of an error: its attribution drawn over it, and its neighbours.

    alt: the attribution in words. neighbours: in the order of the case's own.
    """

    overlay: bytes
    alt: str
    neighbours: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ErrorCase:
    """A radiograph that was given the wrong class.

    name: below the data root. truth, predicted: classes. decision: of the label tree, where the
    paths of the two part; true_option and chosen_option: the sides they take there. probs: by
    class. decision_probs: by decision and option. neighbours: the training radiographs that the
    network which erred takes for most alike. counterpart: the rightly classified radiograph of
    the predicted class, in the same split, that is nearest to it; None where there is none.
    pictures: None beyond the first few.
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

    def to_json(self) -> dict[str, Any]:
        """Plain values; pictures are PNG in Base64."""
        pictures = self.pictures and {
            "overlay": _text(self.pictures.overlay),
            "alt": self.pictures.alt,
            "neighbours": [_text(png) for png in self.pictures.neighbours],
        }
        return {
            "name": self.name,
            "truth": self.truth,
            "predicted": self.predicted,
            "decision": self.decision,
            "true_option": self.true_option,
            "chosen_option": self.chosen_option,
            "probs": self.probs,
            "decision_probs": self.decision_probs,
            "neighbours": [neighbour.to_json() for neighbour in self.neighbours],
            "counterpart": self.counterpart,
            "pictures": pictures,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ErrorCase":
        """The inverse of to_json."""
        pictures = data["pictures"] and ErrorPictures(
            overlay=base64.b64decode(data["pictures"]["overlay"]),
            alt=data["pictures"]["alt"],
            neighbours=tuple(base64.b64decode(png) for png in data["pictures"]["neighbours"]),
        )
        neighbours = tuple(Neighbour(**neighbour) for neighbour in data["neighbours"])
        return cls(**{**data, "neighbours": neighbours, "pictures": pictures})


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

    def to_json(self) -> dict[str, Any]:
        """Plain values, in the order of the fields."""
        return {
            "split": self.split,
            "n": self.n,
            "method": self.method,
            "cases": [case.to_json() for case in self.cases],
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ErrorGallery":
        """The inverse of to_json."""
        cases = tuple(ErrorCase.from_json(case) for case in data["cases"])
        return cls(data["split"], data["n"], data["method"], cases, tuple(data["notes"]))


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
    if dataset.tree != tree:
        raise EvaluationError(
            f"The classifier decides between '{tree}', but the labels of {dataset.root} are "
            f"'{dataset.tree}'."
        )
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
    if shown and "train" not in dataset.splits:
        notes.append("The data have no split 'train', so there are no nearest training images.")
    for network in _networks_that_erred(classifier, [cases[i] for i in shown]):
        members = [i for i in shown if _network(classifier, cases[i]) == network.name]
        found = _pictured(
            classifier, dataset, pixels, rows, truth, predictions, network, members,
            method=method, k=k, progress=progress,
        )  # fmt: skip
        for i, (neighbours, counterpart, pictures) in zip(members, found, strict=True):
            before = cases[i]
            cases[i] = ErrorCase(
                before.name, before.truth, before.predicted, before.decision, before.true_option,
                before.chosen_option, before.probs, before.decision_probs, neighbours,
                None if counterpart is None else names[counterpart], pictures,
            )  # fmt: skip
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
    near: list[list[tuple[Neighbour, bytes]]] = [[] for _ in members]
    train = dataset.indices("train") if "train" in dataset.splits else np.empty(0, np.int64)
    own = [int(np.flatnonzero(train == rows[i])[0]) if rows[i] in train else -1 for i in members]
    most = len(train) - any(row >= 0 for row in own)
    if most > 0:
        found, distances = find_neighbours(
            classifier, queries, pixels[train], decision=network.name, k=min(k, most), own=own,
            progress=progress,
        )  # fmt: skip
        for q, (nearest, away) in enumerate(zip(found, distances, strict=True)):
            for row, distance in zip(train[nearest], away, strict=True):
                record = dataset.records[row]
                neighbour = Neighbour(record.name, tree.classes[record.label], float(distance))
                near[q].append((neighbour, thumbnail_png(pixels[row])))
    counterparts = nearest_correct(
        classifier, pixels[rows], truth, predictions.predicted, members, decision=network.name
    )
    result = []
    for q, i in enumerate(members):
        overlay = draw_overlay(
            queries[q],
            maps[q],
            method=method,
            option=network.options[chosen[q]],
            decision=network.name,
            name=dataset.records[rows[i]].name,
        )
        pictures = ErrorPictures(overlay.png, overlay.alt, tuple(png for _, png in near[q]))
        result.append((tuple(n for n, _ in near[q]), counterparts[q], pictures))
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


def _text(png: bytes) -> str:
    return base64.b64encode(png).decode("ascii")
