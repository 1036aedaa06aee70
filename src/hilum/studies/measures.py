"""What a study compares its variants by, named in its file: ``accuracy``, ``recall of covid``.

A measure is written as a name, or as a name and a label, in either of two ways:

- ``accuracy``, ``balanced accuracy``, ``macro AUROC``, …: over all classes, as
  evaluation.measures.OVERALL lists them;
- ``mean AUROC over findings``, ``mean AUROC`` for short, …: over all findings, as
  evaluation.findings.OVER_FINDINGS lists them;
- ``recall of LABEL`` or ``recall(LABEL)``, and likewise ``precision``, ``specificity``, ``F1`` and
  ``AUROC``: one label against the rest.

LABEL is a class; or a label that is divided further, whose images and predictions are those of
all classes below it; or a finding, against its absence, on the images of which it is known; or
``DECISION/OPTION``, such as ``infected/covid``: then only images that belong to the decision
count, and what it says of them alone, as in an evaluation's decisions.
Capitals, blanks, hyphens and underscores in a measure's name make no difference.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from hilum.errors import EvaluationError, nearest
from hilum.evaluation import findings, measures
from hilum.evaluation.files import HEADLINES
from hilum.evaluation.findings import Known
from hilum.evaluation.measures import OneAgainstRest
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.records import PRESENT, BoolArray, FloatArray, IntArray
from hilum.statistics.findings import as_choice
from hilum.statistics.targets import Target, labels_of

#: By the name that a measure is parsed to, which is its name for people in lower case.
OVERALL = {measure.name.lower(): measure for measure in measures.OVERALL.values()}
OF_A_LABEL = {measure.name.lower(): measure for measure in measures.OF_A_LABEL.values()}
OVER_FINDINGS = {measure.name.lower(): measure for measure in findings.OVER_FINDINGS.values()}
KINDS: dict[str, measures.Measure | measures.LabelMeasure | findings.OverFindings] = {
    **OVERALL,
    **OVER_FINDINGS,
    **OF_A_LABEL,
}
SYNONYMS = {other: name for name, measure in KINDS.items() for other in measure.synonyms}

_FORM = re.compile(r"(?P<name>[^()]+?)\s*(\((?P<inside>[^()]*)\)|\sof\s+(?P<after>[^()]+))?")


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure, at most 1, the higher the better; make one with parse.

    kind: a key of KINDS. target: a label, a finding, DECISION/OPTION, or None.
    """

    kind: str
    target: str | None = None

    @classmethod
    def parse(cls, text: str | None, tree: LabelTree) -> "Measure":
        """Read a measure, as the head of this file says.

        None is the accuracy, or of labels without classes the mean AUROC over findings. Raises
        EvaluationError for an unknown measure or label, with the nearest, for a label that is
        missing or too many, and for a measure of classes or findings that the labels do not have.
        """
        if text is None:
            text = HEADLINES[bool(tree.decisions)]
        form = _FORM.fullmatch(text.strip())
        name = re.sub(r"[\s_-]+", " ", (form["name"] if form else text).strip()).lower()
        kind = SYNONYMS.get(name, name)
        if form is None or kind not in KINDS:
            known = [*_over_all(tree), *(f"{kind} of LABEL" for kind in OF_A_LABEL)]
            hint = nearest(name, [*KINDS, *SYNONYMS])
            hint = hint if "Did you mean" in hint else f" Known: {', '.join(known)}."
            raise EvaluationError(f"There is no measure '{text}'.{hint}")
        target = form["inside"] if form["inside"] is not None else form["after"]
        if kind not in OF_A_LABEL:
            all_of = "classes" if kind in OVERALL else "findings"
            if target is not None:
                raise EvaluationError(
                    f"'{text}': {KINDS[kind].name} is over all {all_of}; write '{kind}' alone, or "
                    f"ask for one of {', '.join(OF_A_LABEL)} of a label."
                )
            if kind not in _over_all(tree):
                raise EvaluationError(
                    f"'{text}' is over all {all_of}, and the labels '{tree}' have none. Take one "
                    f"of: {', '.join(_over_all(tree))}."
                )
            return cls(kind)
        if target is None or not target.strip():
            raise EvaluationError(
                f"'{text}' is measured of a label: write for example "
                f"'{kind} of {[*labels_of(tree), *names_of_findings(tree)][-1]}'."
            )
        target = target.strip()
        options = {f"{d.name}/{option}" for d in tree.decisions for option in d.options}
        labels = [*labels_of(tree), *names_of_findings(tree)]
        if target not in labels and target not in options:
            raise EvaluationError(
                f"A measure is asked of '{target}', which is not in '{tree}'."
                f"{nearest(target, options if '/' in target else labels)}"
            )
        return cls(kind, target)

    @property
    def name(self) -> str:
        """What parse reads back to an equal measure: 'recall of covid'."""
        return self.kind if self.target is None else f"{self.kind} of {self.target}"

    @property
    def label(self) -> str:
        """The same for people: 'AUROC of covid'."""
        kind = KINDS[self.kind].name
        return kind if self.target is None else f"{kind} of {self.target}"

    @property
    def facts(self) -> dict[str, Any]:
        """What results say of it."""
        return {"name": self.name, "label": self.label, "higher_is_better": True}

    @property
    def least(self) -> float:
        """The lower end of its range."""
        return OVERALL[self.kind].least if self.kind in OVERALL else 0.0

    @property
    def is_auroc(self) -> bool:
        """Whether it is an area, from scores, rather than a share, from predicted classes."""
        return self.kind in ("auroc", "macro auroc", "mean auroc over findings")

    def of(
        self,
        tree: LabelTree,
        truth: IntArray,
        predictions: Predictions,
        marks: IntArray | None = None,
    ) -> float | None:
        """The measure of N images; None where they do not define it, as in evaluation.measures.

        truth: (N,) class indices of the tree, N at least 1. predictions: of the same images.
        marks: (N, F) of the tree's findings, where it has some.
        """
        once = np.ones((1, len(truth)), dtype=np.int64)
        value = float(self.replicates(tree, truth, predictions, once, marks)[0])
        return None if np.isnan(value) else value

    def replicates(
        self,
        tree: LabelTree,
        truth: IntArray,
        predictions: Predictions,
        counts: IntArray,
        marks: IntArray | None = None,
    ) -> FloatArray:
        """The measure of each of R resamples, for a bootstrap.

        counts: (R, N), how often each image is drawn. Returns (R,), NaN where it is undefined: a
        class, or the positives or negatives, have no image; for precision, and for F1 if so on
        all images, none was predicted. Findings that all of the images have, or none has, are left
        out of means over findings; where that is so of each, the mean is undefined.
        """
        truth = np.asarray(truth)
        if self.kind in OVER_FINDINGS:
            known = Known.of(tree, truth, _given(tree, marks), predictions)
            if known.reason:
                return np.full(len(counts), np.nan)
            return OVER_FINDINGS[self.kind].replicates(known, counts)
        if self.target is None:
            sample = measures.Sample(truth, predictions.predicted, predictions.probs)
            return OVERALL[self.kind].replicates(sample, counts)
        rows, side = one_against_rest(tree, self.target, truth, predictions, marks)
        return OF_A_LABEL[self.kind].replicates(side, counts[:, rows])

    def sides(
        self,
        tree: LabelTree,
        truth: IntArray,
        predictions: Predictions,
        marks: IntArray | None = None,
    ) -> dict[str, OneAgainstRest]:
        """Of an area by label what it, or each area that it is the mean of, is made from."""
        over = names_of_findings(tree) if self.kind in OVER_FINDINGS else tree.classes
        targets = over if self.target is None else (self.target,)
        truth = np.asarray(truth)
        return {t: one_against_rest(tree, t, truth, predictions, marks)[1] for t in targets}

    def right(
        self,
        tree: LabelTree,
        truth: IntArray,
        predictions: Predictions,
        marks: IntArray | None = None,
    ) -> BoolArray:
        """(N,) of which images what the measure is of is right: the class, the finding, or all.

        What is not known of an image counts as right: nothing speaks against it.
        """
        findings = names_of_findings(tree)
        asked = (
            findings if self.kind in OVER_FINDINGS else [f for f in findings if f == self.target]
        )
        if not asked:
            return np.asarray(predictions.predicted == truth)
        own = tree.finding_truths(np.asarray(truth), _given(tree, marks))
        right = (own < 0) | ((own == PRESENT) == predictions.present)
        return np.asarray(right[:, [findings.index(name) for name in asked]].all(axis=1))


def names_of_findings(tree: LabelTree) -> tuple[str, ...]:
    """The names of a tree's findings, in the order of their columns."""
    return tuple(finding.name for finding in tree.findings)


def _over_all(tree: LabelTree) -> list[str]:
    """The measures over all classes or all findings that a tree has."""
    return [*OVERALL] * bool(tree.decisions) + [*OVER_FINDINGS] * bool(tree.findings)


def _given(tree: LabelTree, marks: IntArray | None) -> IntArray:
    if marks is None:
        raise EvaluationError(f"'{tree}' has findings: give the marks of the images.")
    return marks


def one_against_rest(
    tree: LabelTree,
    name: str,
    truth: IntArray,
    predictions: Predictions,
    marks: IntArray | None,
) -> tuple[BoolArray, OneAgainstRest]:
    """Which images count (N,), and of those the label, or the finding, against the rest."""
    if name in names_of_findings(tree):
        choice = as_choice(tree.finding(name), truth, _given(tree, marks), predictions)
        said = choice.predictions
        return choice.known, OneAgainstRest(
            choice.truth == PRESENT, said.predicted == PRESENT, said.probs[:, 1]
        )
    target = Target.parse(name, tree)
    rows = target.judged(truth)
    called = np.isin(predictions.predicted, target.members)
    if target.decision is not None:
        called = predictions.decision_probs[target.decision].argmax(axis=1) == target.option
    side = target.positive(truth)[rows], called[rows], target.scores(predictions)[rows]
    return rows, OneAgainstRest(*side)
