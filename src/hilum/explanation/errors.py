"""The errors of a classifier on a split, one by one, with what helps to understand them."""

from collections import Counter
from collections.abc import Iterator, Sequence
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
from hilum.explanation.questions import Question, ask_questions
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.pixels import Progress
from hilum.records import IntArray, LazyPixels, Pixels

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
    """A radiograph that was given the wrong class, or of which a finding was told wrongly.

    name: below the data root. truth, predicted: classes. decision: of the label tree, where the
    paths of the two part; true_option and chosen_option: the sides they take there. probs: by
    class. decision_probs: by decision and option. neighbours: the nearest training
    radiographs, as nearest_training finds them for the network that erred. counterpart: the rightly
    classified radiograph of the predicted class, in the same split, that is nearest to it; None
    where there is none. pictures: None beyond the first few. finding: the one that was called
    present or absent wrongly, as a decision between 'negative' and itself; '' of a wrong class.
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
    finding: str = ""


@dataclass(frozen=True, slots=True)
class ErrorGallery:
    """Every error on a split, the most confident first; after those of classes those of findings.

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
    strategy, by the one network, for the class), or what speaks for a finding and against it.
    pictured: how many errors get pictures and neighbours, and as many, or at least two of each,
    of findings; all are listed. k: neighbours of each, from the split 'train'.
    Raises EvaluationError where labels or predictions do not fit.
    """
    check_labels(classifier, dataset)
    rows = dataset.indices(split)
    names = [dataset.records[row].name for row in rows]
    pixels = dataset.pixels(classifier.preprocessing, progress)
    mine = LazyPixels.of_rows(pixels, rows)
    if predictions is None:
        predictions = classifier.predict_pixels(mine, names, progress)
    if len(predictions) != len(rows):
        raise EvaluationError(
            f"There are {len(predictions)} predictions for the {len(rows)} radiographs of "
            f"'{split}'."
        )
    asked = ask_questions(classifier, dataset.labels[rows], dataset.marks[rows], predictions)
    cases: dict[_Place, ErrorCase] = {}
    shown: dict[Decision, list[_Place]] = {}
    notes: list[str] = []
    for kind, most, places in _ordered(asked, pictured):
        cases |= {(q, i): _case(asked[q], i) for q, i in places}
        if len(places) > most:
            notes.append(
                f"Of {len(places)} {kind} the {most} most confident are shown in pictures."
            )
        for q, i in places[:most]:
            network = deciding_network(classifier, cases[q, i].decision)
            shown.setdefault(network, []).append((q, i))
    if shown and remembers(classifier, dataset):
        notes.append(
            "Nearest training radiographs are those that the classifier remembers, by the features "
            "of all its networks together."
        )
    elif shown and "train" not in dataset.splits:
        notes.append("The data have no split 'train', so there are no nearest training images.")
    for network in classifier.tree.networks(classifier.strategy):
        members = shown.get(network, [])
        if not members:
            continue
        at = np.array([asked[q].at[i] for q, i in members], dtype=np.int64)
        drawn = draw_attributions(
            classifier, mine[at], [names[k] for k in at], _given(asked, members, network),
            network=network, method=method, progress=progress,
        )  # fmt: skip
        near = nearest_training(
            classifier, dataset, mine[at], rows[at].tolist(), decision=network.name, k=k,
            progress=progress,
        )  # fmt: skip
        right = _nearest_right(classifier, asked, members, mine, network)
        for place, k_, drawing, found, away in zip(members, at, drawn, *near, strict=True):
            other = right[place]
            cases[place] = replace(
                cases[place],
                neighbours=as_neighbours(dataset, found, away),
                counterpart=None if other is None else names[other],
                pictures=ErrorPictures(
                    radiograph=thumbnail_png(mine[k_], 176),
                    overlay=drawing.png,
                    alt=drawing.alt,
                    neighbours=tuple(thumbnail_png(pixels[row]) for row in found),
                    counterpart=None if other is None else thumbnail_png(mine[other]),
                ),
            )
    return ErrorGallery(split, len(rows), method, tuple(cases.values()), tuple(notes))


#: A question by its number, and a radiograph by its position among those it is asked of.
_Place = tuple[int, int]


def _ordered(asked: Sequence[Question], pictured: int) -> Iterator[tuple[str, int, list[_Place]]]:
    """The errors of classes, then of findings: what they are called, how many have pictures.

    Those of findings come in rounds: the surest false call and the surest miss of every finding,
    then the next of each; within a round the surest first.
    """
    ordered: dict[str, list[tuple[int, float, _Place]]] = {"errors": [], "errors of findings": []}
    for q, question in enumerate(asked):
        said, seen = question.predictions.predicted, Counter[int]()
        for i in question.wrong.tolist():
            kind = "errors of findings" if question.finding else "errors"
            called = int(said[i]) if question.finding else -1
            turn = seen[called] if question.finding else 0
            seen[called] += 1
            ordered[kind].append((turn, -float(question.sureness[i]), (q, i)))
    findings = sum(bool(question.finding) for question in asked)
    for kind, found in ordered.items():
        most = min(pictured, 1) * 2 * findings if kind != "errors" else pictured
        yield kind, max(pictured, most), [place for *_, place in sorted(found)]


def _given(asked: Sequence[Question], members: Sequence[_Place], network: Decision) -> IntArray:
    """Which of a network's answers each error gave."""
    given = [asked[q].answers(network, asked[q].predictions.predicted[[i]])[0] for q, i in members]
    return np.array(given, dtype=np.int64)


def _nearest_right(
    classifier: Classifier,
    asked: Sequence[Question],
    members: Sequence[_Place],
    pixels: Pixels,
    network: Decision,
) -> dict[_Place, int | None]:
    """Of each error the position of the nearest radiograph that rightly got the same answer."""
    found: dict[_Place, int | None] = {}
    for q in dict.fromkeys(q for q, _ in members):
        question, own = asked[q], [i for which, i in members if which == q]
        right = nearest_correct(
            classifier, LazyPixels.of_rows(pixels, question.at), question.truth,
            question.predictions.predicted, own,
            decision=network.name,
        )  # fmt: skip
        found |= {
            (q, i): None if other is None else int(question.at[other])
            for i, other in zip(own, right, strict=True)
        }
    return found


def parting(tree: LabelTree, truth: int, predicted: int) -> Decision:
    """The decision at which the paths to two different classes part."""
    pair = np.array([truth, predicted], dtype=np.int64)
    for decision in tree.decisions:
        one, other = decision.targets(pair)
        if one >= 0 and other >= 0 and one != other:
            return decision
    raise EvaluationError(f"The class {tree.classes[truth]} does not part from itself.")


def _case(question: Question, i: int) -> ErrorCase:
    tree, one = question.tree, question.predictions[i]
    truth, predicted = int(question.truth[i]), int(question.predictions.predicted[i])
    decision = parting(tree, truth, predicted)
    sides = decision.targets(np.array([truth, predicted], dtype=np.int64))
    own = question.finding
    return ErrorCase(
        name=one.path,
        truth=tree.classes[truth],
        predicted=tree.classes[predicted],
        decision=own or decision.name,
        true_option=decision.options[sides[0]],
        chosen_option=decision.options[sides[1]],
        probs=one.probs,
        decision_probs={own or name: probs for name, probs in one.decisions.items()},
        finding=own,
    )
