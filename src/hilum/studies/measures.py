"""What a study compares its variants by, named in its file: ``accuracy``, ``recall of covid``.

A measure is written as a name, or as a name and a label, in either of two ways:

- ``accuracy``, ``balanced accuracy``, ``macro AUROC``: over all classes;
- ``recall of LABEL`` or ``recall(LABEL)``, and likewise ``precision``, ``specificity``, ``F1`` and
  ``AUROC``: one label against the rest.

LABEL is a class; or a label that is divided further, whose images and predictions are those of
all classes below it; or ``DECISION/OPTION``, such as ``infected/covid``: then only images that
belong to the decision count, and what it says of them alone, as in an evaluation's decisions.
Capitals, blanks, hyphens and underscores in a measure's name make no difference.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hilum.errors import EvaluationError, nearest
from hilum.labels import LabelTree
from hilum.records import BoolArray, FloatArray, IntArray, Predictions
from hilum.statistics.metrics import aurocs, confusion_matrices

#: The measures, as people read them, by the name that they are parsed to.
OVERALL = {
    "accuracy": "accuracy",
    "balanced accuracy": "balanced accuracy",
    "macro auroc": "macro AUROC",
}
OF_A_LABEL = {
    "recall": "recall",
    "precision": "precision",
    "specificity": "specificity",
    "f1": "F1",
    "auroc": "AUROC",
}
SYNONYMS = {
    "sensitivity": "recall",
    "positive predictive value": "precision",
    "auc": "auroc",
    "macro auc": "macro auroc",
}

_FORM = re.compile(r"(?P<name>[^()]+?)\s*(\((?P<inside>[^()]*)\)|\sof\s+(?P<after>[^()]+))?")


class OneAgainstRest(NamedTuple):
    """A label against the rest, on the images that count.

    rows: (N,) bool, which images count. positive, called: (n,) bool, of those the truth and what
    was predicted. scores: (n,) the label's probability.
    """

    rows: BoolArray
    positive: BoolArray
    called: BoolArray
    scores: FloatArray


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure in [0, 1], the higher the better; make one with parse.

    kind: a key of OVERALL or OF_A_LABEL. target: a label, DECISION/OPTION, or None.
    """

    kind: str
    target: str | None = None

    @classmethod
    def parse(cls, text: str, tree: LabelTree) -> "Measure":
        """Read a measure, as the head of this file says.

        Raises EvaluationError for an unknown measure or label, with the nearest, and for a label
        that is missing or too many.
        """
        form = _FORM.fullmatch(text.strip())
        name = re.sub(r"[\s_-]+", " ", (form["name"] if form else text).strip()).lower()
        kind = SYNONYMS.get(name, name)
        if form is None or kind not in {**OVERALL, **OF_A_LABEL}:
            known = [*OVERALL, *(f"{kind} of LABEL" for kind in OF_A_LABEL)]
            hint = nearest(name, [*OVERALL, *OF_A_LABEL, *SYNONYMS])
            hint = hint if "Did you mean" in hint else f" Known: {', '.join(known)}."
            raise EvaluationError(f"There is no measure '{text}'.{hint}")
        target = form["inside"] if form["inside"] is not None else form["after"]
        if kind in OVERALL:
            if target is not None:
                raise EvaluationError(
                    f"'{text}': {OVERALL[kind]} is over all classes; write '{kind}' alone, or ask "
                    f"for one of {', '.join(OF_A_LABEL)} of a label."
                )
            return cls(kind)
        if target is None or not target.strip():
            raise EvaluationError(
                f"'{text}' is measured of a label: write for example "
                f"'{kind} of {tree.classes[-1]}'."
            )
        _members(tree, target.strip())
        return cls(kind, target.strip())

    @property
    def name(self) -> str:
        """What parse reads back to an equal measure: 'recall of covid'."""
        return self.kind if self.target is None else f"{self.kind} of {self.target}"

    @property
    def label(self) -> str:
        """The same for people: 'AUROC of covid'."""
        kind = {**OVERALL, **OF_A_LABEL}[self.kind]
        return kind if self.target is None else f"{kind} of {self.target}"

    @property
    def is_auroc(self) -> bool:
        """Whether it is an area, from scores, rather than a share, from predicted classes."""
        return self.kind in ("auroc", "macro auroc")

    def of(self, tree: LabelTree, truth: IntArray, predictions: Predictions) -> float | None:
        """The measure of N images; None where they do not define it, as in statistics.metrics.

        truth: (N,) class indices of the tree, N at least 1. predictions: of the same images.
        """
        once = np.ones((1, len(truth)), dtype=np.int64)
        value = float(self.replicates(tree, truth, predictions, once)[0])
        return None if np.isnan(value) else value

    def replicates(
        self, tree: LabelTree, truth: IntArray, predictions: Predictions, counts: IntArray
    ) -> FloatArray:
        """The measure of each of R resamples, for a bootstrap.

        counts: (R, N), how often each image is drawn. Returns (R,), NaN where it is undefined: a
        class, or the positives or negatives, have no image; for precision, and for F1 if so on
        all images, none was predicted.
        """
        truth = np.asarray(truth)
        if self.kind == "accuracy":
            right = predictions.predicted == truth
            return _ratios(counts[:, right].sum(axis=1), counts.sum(axis=1))
        if self.kind == "balanced accuracy":
            size = len(tree.classes)
            matrices = confusion_matrices(truth, predictions.predicted, size, counts)
            correct = np.diagonal(matrices, axis1=1, axis2=2)
            return np.asarray(_ratios(correct, matrices.sum(axis=2)).mean(axis=1))
        if self.is_auroc:
            areas = [
                _areas(side.positive, side.scores, counts[:, side.rows])
                for side in self.sides(tree, truth, predictions).values()
            ]
            return np.asarray(np.mean(areas, axis=0), dtype=np.float64)
        (side,) = self.sides(tree, truth, predictions).values()
        return _shares(self.kind, side, counts[:, side.rows])

    def sides(
        self, tree: LabelTree, truth: IntArray, predictions: Predictions
    ) -> dict[str, OneAgainstRest]:
        """By label, what a measure of a label, or each area of the macro AUROC, is made from.

        Empty for accuracy and balanced accuracy.
        """
        targets: tuple[str, ...] = () if self.target is None else (self.target,)
        if self.kind == "macro auroc":
            targets = tree.classes
        return {t: _one_against_rest(tree, t, np.asarray(truth), predictions) for t in targets}


def _one_against_rest(
    tree: LabelTree, target: str, truth: IntArray, predictions: Predictions
) -> OneAgainstRest:
    members = _members(tree, target)
    if "/" not in target:
        return OneAgainstRest(
            rows=np.ones(len(truth), dtype=bool),
            positive=np.isin(truth, members),
            called=np.isin(predictions.predicted, members),
            scores=predictions.probs[:, members].sum(axis=1),
        )
    name, option = target.split("/")
    decision = next(d for d in tree.decisions if d.name == name)
    rows = decision.targets(truth) >= 0
    probs = predictions.decision_probs[name][rows]
    k = decision.options.index(option)
    return OneAgainstRest(
        rows=rows,
        positive=np.isin(truth[rows], members),
        called=probs.argmax(axis=1) == k,
        scores=probs[:, k],
    )


def _members(tree: LabelTree, target: str) -> list[int]:
    """The classes below a label or DECISION/OPTION. Raises EvaluationError with the nearest."""
    options = {
        f"{d.name}/{option}": list(members)
        for d in tree.decisions
        for option, members in zip(d.options, d.members, strict=True)
    }
    labels = {key.split("/")[1]: members for key, members in options.items()}
    if target in labels:
        return labels[target]
    if target in options:
        return options[target]
    known = options if "/" in target else labels
    raise EvaluationError(
        f"A measure is asked of '{target}', which is not in '{tree}'.{nearest(target, known)}"
    )


def _shares(kind: str, side: OneAgainstRest, counts: IntArray) -> FloatArray:
    positive, called = side.positive, side.called
    hits = counts[:, positive & called].sum(axis=1)
    positives, predicted = counts[:, positive].sum(axis=1), counts[:, called].sum(axis=1)
    if kind == "recall":
        return _ratios(hits, positives)
    if kind == "precision":
        return _ratios(hits, predicted)
    if kind == "specificity":
        negatives = counts[:, ~positive]
        return _ratios(negatives.sum(axis=1) - (predicted - hits), negatives.sum(axis=1))
    # As in statistics.metrics.f1_scores: a resample without predictions scores 0, but a
    # classifier that never predicts the label has no F1.
    scores = _ratios(2 * hits, positives + predicted)
    scores[positives == 0] = np.nan
    return scores if called.any() else np.full(len(counts), np.nan)


def _areas(positive: BoolArray, scores: FloatArray, counts: IntArray) -> FloatArray:
    drawn = counts[:, positive].sum(axis=1)
    defined = (drawn > 0) & (counts.sum(axis=1) > drawn)
    areas = np.full(len(counts), np.nan)
    if defined.any():
        areas[defined] = aurocs(positive, scores, counts[defined])
    return areas


def _ratios(parts: IntArray, wholes: IntArray) -> FloatArray:
    """Parts / wholes, NaN where a whole is 0."""
    found = np.full(np.shape(parts), np.nan)
    return np.asarray(np.divide(parts, wholes, out=found, where=wholes > 0), dtype=np.float64)
