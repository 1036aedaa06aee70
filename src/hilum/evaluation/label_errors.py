"""Possible label errors, by confident learning from predictions of images that were held out.

An image whose label a classifier rejects with confidence may be labelled wrongly, or may only be
hard. So what is found is called possible, and stands beside the number that would be found if
every label were right.
Source: Northcutt, Jiang and Chuang 2021, doi:10.1613/jair.1.12125
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from hilum.errors import EvaluationError
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.records import Estimate, FloatArray, IntArray
from hilum.statistics.checks import check_predictions
from hilum.statistics.confident import class_thresholds, confident_class, contradicted

#: How often labels are drawn from the probabilities, to say how many chance would find.
DRAWS = 200


@dataclass(frozen=True, slots=True)
class PossibleError:
    """An image whose label may be wrong.

    name: of the image. given, suggested: classes. margin: the probability of the given class less
    that of the most probable other one, in [-1, 0); the lower, the surer. probs: of each class.
    """

    name: str
    given: str
    suggested: str
    margin: float
    probs: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class LabelErrors:
    """What find_label_errors found among n images.

    thresholds: for each class the mean probability of it among the images that bear it; None
    where none does. confident_joint: (C, C) images by the given (rows) and the confidently
    predicted class; images that reach no threshold are not in it. errors: the possible ones, the
    surest first. expected: how many would be found if the probabilities were calibrated and every
    label were right, with the range of 95 % of the draws. about: where the predictions are from.
    """

    n: int
    classes: tuple[str, ...]
    thresholds: tuple[float | None, ...]
    confident_joint: tuple[tuple[int, ...], ...]
    errors: tuple[PossibleError, ...]
    expected: Estimate
    about: dict[str, Any] = field(default_factory=dict)

    DERIVED: ClassVar[tuple[str, ...]] = ("sentence",)

    @property
    def sentence(self) -> str:
        """The finding in words."""
        found, expected = len(self.errors), self.expected
        head = (
            f"{found} of {self.n} labels are possibly wrong: held out, the classifier prefers "
            "another class with confidence."
        )
        if expected.value is None or expected.low is None or expected.high is None:
            return head
        chance = (
            f"about {expected.value:.0f} ({expected.low:.0f} to {expected.high:.0f}) would be "
            "found among labels that are all right, if the probabilities were calibrated"
        )
        if found > expected.high:
            return (
                f"{head} That is more than chance gives: {chance}. Either labels are wrong or the "
                "classifier is too sure; look at the images."
            )
        return f"{head} That is no more than chance gives: {chance}."


def find_label_errors(
    tree: LabelTree,
    truth: IntArray,
    predictions: Predictions,
    *,
    about: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> LabelErrors:
    """The images whose given label is possibly wrong, the surest first.

    predictions: by classifiers that were trained on none of these images; what a classifier has
    seen it has learnt, errors included. about: where they are from, as JSON values. seed: of the
    labels that are drawn from the probabilities, for the expected number.

    An image counts as confidently of class j where its probability reaches the mean probability of
    j among the images labelled j, and no other class that reaches its own mean is more probable. It
    is a possible error where j is not its label and its label is not the most probable class
    either. Raises EvaluationError also where about names the split train.
    """
    truth = np.asarray(truth)
    check_predictions(tree, truth, predictions)
    about = dict(about or {})
    if about.get("split") == "train":
        raise EvaluationError(
            "Label errors are found in images that the classifier was not trained on, but these "
            "are predictions of the split train; give out-of-fold predictions."
        )
    probs = np.asarray(predictions.probs, dtype=np.float64)
    thresholds = class_thresholds(probs, truth)
    confident = confident_class(probs, thresholds)
    flagged = contradicted(probs, truth, confident)
    joint = np.zeros((len(tree.classes),) * 2, dtype=np.int64)
    np.add.at(joint, (truth[confident >= 0], confident[confident >= 0]), 1)
    given = probs[np.arange(len(truth)), truth]
    others = probs.copy()
    others[np.arange(len(truth)), truth] = -1
    margins = given - others.max(axis=1)
    order = np.flatnonzero(flagged)[np.argsort(margins[flagged], kind="stable")]
    return LabelErrors(
        n=len(truth),
        classes=tree.classes,
        thresholds=tuple(None if np.isinf(t) else float(t) for t in thresholds),
        confident_joint=tuple(tuple(int(cell) for cell in row) for row in joint),
        errors=tuple(
            PossibleError(
                name=predictions.names[i],
                given=tree.classes[truth[i]],
                suggested=tree.classes[confident[i]],
                margin=float(margins[i]),
                probs=tuple(probs[i].tolist()),
            )
            for i in order
        ),
        expected=_expected(probs, seed),
        about=about,
    )


def _expected(probs: FloatArray, seed: int) -> Estimate:
    """How many images are flagged where each label is a draw from the image's own probabilities."""
    generator = np.random.default_rng(seed)
    upto = np.cumsum(probs, axis=1)
    counts = np.empty(DRAWS)
    for draw in range(DRAWS):
        at = generator.random((len(probs), 1)) * upto[:, -1:]
        labels = (at >= upto).sum(axis=1).clip(max=probs.shape[1] - 1).astype(np.int64)
        confident = confident_class(probs, class_thresholds(probs, labels))
        counts[draw] = contradicted(probs, labels, confident).sum()
    low, high = np.quantile(counts, [0.025, 0.975])
    return Estimate(float(counts.mean()), float(low), float(high), len(probs), "simulation")
