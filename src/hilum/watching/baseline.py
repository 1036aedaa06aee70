"""What a classifier keeps of its validation images, as that which new images are held against."""

from dataclasses import dataclass, replace

import numpy as np

from hilum.classifier.arrivals import Tally
from hilum.classifier.decider import Decider
from hilum.classifier.gate import Gate
from hilum.decisions import Finding
from hilum.errors import ClassifierError, plural
from hilum.prediction.journal import classifier_digest
from hilum.predictions import Predictions
from hilum.records import FloatArray, IntArray
from hilum.statistics.drift import Moments, learn_moments, ranks
from hilum.statistics.findings import as_choice, predicted_choice
from hilum.statistics.label_shift import Known, learn

#: Fewest validation images, in all and of each class.
LEAST_IMAGES, LEAST_OF_CLASS = 30, 5

#: What is seen of images: how odd the gate finds them, where networks place them, what they say.
GATE, FEATURES, OUTPUTS = "gate", "features", "outputs"

#: Most directions of the features that are looked at, and how many images there are for each.
_DIRECTIONS, _IMAGES_PER_DIRECTION = 16, 10

_AGAIN = "hilum calibrate CLASSIFIER DATA --split val"


@dataclass(frozen=True, slots=True)
class Seen:
    """What is seen of N images. embedded: (N, D), as of Classifier.look; None without."""

    predictions: Predictions
    embedded: FloatArray | None


@dataclass(frozen=True, slots=True)
class Question:
    """A choice that is watched: between the classes, or a finding's between absent and present.

    name: '' of the classes, else the finding's. known: what M validation images tell of it.
    """

    name: str
    classes: tuple[str, ...]
    finding: Finding | None
    known: Known

    def said(self, predictions: Predictions) -> Predictions:
        """What predictions say of it alone."""
        return predicted_choice(self.finding, predictions) if self.finding else predictions


@dataclass(frozen=True, slots=True)
class View:
    """One way to see images, and how validation images look in it.

    name: GATE, FEATURES or OUTPUTS. question: under whose mix of classes images are compared; None
    where there are no classes, and images are compared as they are. values: (M, D) of the
    validation images. moments: of their ranks, behind what was predicted.
    """

    name: str
    question: Question | None
    values: FloatArray
    moments: Moments

    @property
    def key(self) -> str:
        """By what it is known: 'features', 'outputs effusion'."""
        name = self.question.name if self.question and self.name == OUTPUTS else ""
        return f"{self.name} {name}".strip()

    def mean(self, seen: Seen) -> FloatArray:
        """The means of its quantities over new images: as long as those of its moments."""
        own = ranks(self.values, _values(self.name, self.question, seen, self.values.shape[1]))
        behind = _behind_predicted(self.question, seen.predictions, own)
        return np.asarray(behind.mean(axis=0), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Sums:
    """What is needed of n images to judge them, also together with those of other runs.

    means: by view, of ranks and of whether a class was predicted, so all in [0, 1]. predicted: by
    question, how many were given each class. tally: of the gate's p-values, of no image where there
    is no gate.
    """

    n: int
    means: dict[str, tuple[float, ...]]
    predicted: dict[str, tuple[int, ...]]
    tally: Tally

    def is_like(self, other: "Sums") -> bool:
        """Whether they can be of images seen by the same baseline, and be added."""
        mine, theirs = (
            (
                {key: len(mean) for key, mean in sums.means.items()},
                {key: len(counts) for key, counts in sums.predicted.items()},
                sums.tally.n == sums.n if sums.tally.n else None,
            )
            for sums in (self, other)
        )
        return mine == theirs

    @property
    def is_possible(self) -> bool:
        """Whether images can have such sums."""
        n, tally = self.n, self.tally
        return (
            n > 0
            and all(-1e-9 <= mean <= 1 + 1e-9 for of in self.means.values() for mean in of)
            and all(min(of) >= 0 and sum(of) == n for of in self.predicted.values() if of)
            and tally.n in (0, n)
            and 0 <= tally.flagged <= tally.n
            and 0 <= tally.p_sum <= tally.n
        )

    def __add__(self, other: "Sums") -> "Sums":
        n = self.n + other.n
        means = {
            name: tuple(
                (self.n * a + other.n * b) / n for a, b in zip(mean, other.means[name], strict=True)
            )
            for name, mean in self.means.items()
        }
        predicted = {
            name: tuple(a + b for a, b in zip(counts, other.predicted[name], strict=True))
            for name, counts in self.predicted.items()
        }
        return Sums(n, means, predicted, self.tally + other.tally)


@dataclass(frozen=True, slots=True)
class Baseline:
    """That which new images are held against.

    digest: of the classifier and what it was calibrated on. n: validation images. missing: what
    cannot be looked at, and why, a sentence each.
    """

    digest: str
    n: int
    questions: tuple[Question, ...]
    views: tuple[View, ...]
    gate: Gate | None
    missing: tuple[str, ...]

    def sums(self, seen: Seen) -> Sums:
        """What is needed of new images, at least one."""
        p_values = seen.predictions.gate_p_values
        return Sums(
            len(seen.predictions),
            {view.key: tuple(view.mean(seen).tolist()) for view in self.views},
            {q.name: tuple(_counts(q, seen.predictions).tolist()) for q in self.questions},
            Tally() if self.gate is None or p_values is None else Tally.of(p_values, self.gate),
        )


def read_baseline(classifier: Decider) -> Baseline:
    """What a classifier keeps, ready to be compared with.

    Raises ClassifierError where it was not calibrated, by too few images or none of a class, and
    where not one of its findings has enough.
    """
    if classifier.validation is None:
        raise ClassifierError(
            "This classifier keeps nothing of validation images, so nothing can be held against "
            f"them. Give it some: {_AGAIN}"
        )
    validation, (truth, said) = classifier.validation, classifier.validation_predictions()
    if len(truth) < LEAST_IMAGES:
        raise ClassifierError(
            f"This classifier keeps {plural(len(truth), 'validation image')}; at least "
            f"{LEAST_IMAGES} are needed to hold others against. Calibrate it with more: {_AGAIN}"
        )
    p_values = validation.gate_p_values
    said = replace(said, gate_p_values=None if p_values is None else p_values.astype(np.float64))
    places = validation.embedded
    seen = Seen(said, None if places is None else places.astype(np.float64))
    questions, views, missing = [], [], []
    if classifier.tree.decisions:
        few = _too_few(truth, classifier.classes)
        if few:
            raise ClassifierError(f"{few} Calibrate it with more: {_AGAIN}")
        question = Question("", classifier.classes, None, learn(said.probs, said.predicted, truth))
        questions.append(question)
        views.append(_view(OUTPUTS, question, seen, truth))
    for finding in classifier.tree.findings:
        if validation.marks is None:
            raise ClassifierError(f"This classifier keeps no marks of findings: {_AGAIN}")
        side = as_choice(finding, truth, validation.marks, said)
        if few := _too_few(side.truth, side.tree.classes):
            missing.append(f"The finding '{finding.name}' is not watched. {few}")
            continue
        own = learn(side.predictions.probs, side.predictions.predicted, side.truth)
        question = Question(finding.name, side.tree.classes, finding, own)
        questions.append(question)
        among = Seen(said.take(side.known), None)
        views.append(_view(OUTPUTS, question, among, side.truth))
    if not questions:
        raise ClassifierError(f"None of its findings can be watched. {missing[0]}")
    chosen = questions[0] if classifier.tree.decisions else None
    for name, there in ((FEATURES, seen.embedded), (GATE, said.gate_p_values)):
        if there is not None:
            views.append(_view(name, chosen, seen, truth))
    lacking = [] if seen.embedded is not None else ["where they lie in feature space"]
    lacking += [] if said.gate_p_values is not None else ["what the gate says of them"]
    if lacking:
        missing.append(
            f"Not compared: the classifier does not keep of its validation images "
            f"{' and '.join(lacking)}. One that is calibrated anew does: {_AGAIN}"
        )
    return Baseline(
        classifier_digest(classifier), len(truth), tuple(questions), tuple(views),
        classifier.gate, tuple(missing),
    )  # fmt: skip


def _too_few(truth: IntArray, classes: tuple[str, ...]) -> str:
    counts = np.bincount(truth, minlength=len(classes)).tolist()
    k = int(np.argmin(counts))
    if counts[k] >= LEAST_OF_CLASS:
        return ""
    return (
        f"Of '{classes[k]}' there are {plural(counts[k], 'validation image')}, and at least "
        f"{LEAST_OF_CLASS} of each class are needed."
    )


def _view(name: str, question: Question | None, seen: Seen, truth: IntArray) -> View:
    k = len(question.classes) if question else 1
    room = max(1, min(_DIRECTIONS, len(truth) // _IMAGES_PER_DIRECTION - k))
    values = _values(name, question, seen, room)
    behind = _behind_predicted(question, seen.predictions, ranks(values, values))
    labels = truth if question else np.zeros_like(truth)
    return View(name, question, values, learn_moments(behind, labels, k))


def _values(name: str, question: Question | None, seen: Seen, most: int) -> FloatArray:
    """(N, D) of what a view sees. most: directions of features; the first vary most."""
    if name == GATE:
        assert seen.predictions.gate_p_values is not None, "there is a gate"
        return seen.predictions.gate_p_values[:, None]
    if name == FEATURES:
        assert seen.embedded is not None, "training images are remembered"
        return seen.embedded[:, :most].astype(np.float64)
    assert question is not None, "outputs are of a question"
    probs = question.said(seen.predictions).probs
    each = probs[:, 1:] if probs.shape[1] == 2 else probs
    return np.column_stack([each, probs.max(axis=1)])


def _behind_predicted(
    question: Question | None, predictions: Predictions, values: FloatArray
) -> FloatArray:
    """Values behind a column for each class but the first: whether it was predicted.

    By these the mix of classes is found, and so what follows has to fit a mix that is known.
    """
    if question is None:
        return values
    chosen = np.eye(len(question.classes))[question.said(predictions).predicted]
    return np.hstack([chosen[:, 1:], values])


def _counts(question: Question, predictions: Predictions) -> IntArray:
    return np.bincount(question.said(predictions).predicted, minlength=len(question.classes))
