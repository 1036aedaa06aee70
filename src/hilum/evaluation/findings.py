"""What is measured of all findings together; of each alone see statistics.findings."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.records import ABSENT, PRESENT, BoolArray, Estimate, FloatArray, IntArray
from hilum.statistics import metrics
from hilum.statistics.curves import average_precisions
from hilum.statistics.intervals import bootstrap, cluster_bootstrap


class Known(NamedTuple):
    """Findings of N images: whether known, present and called, (N, F) bool, and scores.

    Of those alone that some of the images are known to have, and some not to have: columns has
    their numbers among all.
    """

    known: BoolArray
    present: BoolArray
    called: BoolArray
    scores: FloatArray
    columns: tuple[int, ...]

    @classmethod
    def of(
        cls, tree: LabelTree, truth: IntArray, marks: IntArray, predictions: Predictions
    ) -> "Known":
        """truth: (N,) class indices. marks: (N, F) of the tree's findings."""
        return cls.said(tree.finding_truths(truth, marks), predictions)

    @classmethod
    def said(cls, own: IntArray, predictions: Predictions) -> "Known":
        """own: (N, F) whether images truly have each finding, below 0 where it is not known."""
        both = (own == PRESENT).any(axis=0) & (own == ABSENT).any(axis=0)
        own, columns = own[:, both], tuple(np.flatnonzero(both).tolist())
        called, scores = predictions.present[:, both], predictions.finding_probs[:, both]
        return cls(own >= 0, own == PRESENT, called, scores, columns)

    @property
    def reason(self) -> str:
        """Why nothing can be measured of them; '' where it can."""
        if self.known.shape[1]:
            return ""
        return "no finding is known to be present in one image and absent in another"


def _macro(
    measure: Callable[[BoolArray, FloatArray, IntArray], FloatArray],
    of: Known,
    counts: IntArray,
) -> FloatArray:
    """The mean over findings of a measure of scores, each on the images that it is known of."""
    columns = [
        measure(of.present[known, k], of.scores[known, k], counts[:, known])
        for k, known in enumerate(of.known.T)
    ]
    return np.asarray(np.mean(columns, axis=0), dtype=np.float64)


def _hits(of: Known, counts: IntArray) -> tuple[IntArray, IntArray]:
    """(R, F) TP, and 2 TP + FP + FN, of each finding."""
    hit = counts @ (of.known & of.present & of.called)
    told = counts @ (of.known & of.present) + counts @ (of.known & of.called)
    return hit, told


def _f1(hit: IntArray, told: IntArray) -> FloatArray:
    """2 TP / (2 TP + FP + FN); 0 where nothing is called and present."""
    return np.asarray(2 * hit / np.maximum(told, 1), dtype=np.float64)


def _macro_f1(of: Known, counts: IntArray) -> FloatArray:
    return np.asarray(_f1(*_hits(of, counts)).mean(axis=1), dtype=np.float64)


def _micro_f1(of: Known, counts: IntArray) -> FloatArray:
    hit, told = _hits(of, counts)
    return _f1(hit.sum(axis=1), told.sum(axis=1))


def _hamming(of: Known, counts: IntArray) -> FloatArray:
    right = (of.known & (of.present == of.called)).sum(axis=1)
    return metrics.ratios(counts @ right, counts @ of.known.sum(axis=1))


def _exact(of: Known, counts: IntArray) -> FloatArray:
    whole = of.known.all(axis=1)
    right = whole & (of.present == of.called).all(axis=1)
    return metrics.ratios(counts @ right, counts @ whole)


class OverFindings(NamedTuple):
    """A measure over all findings, in [0, 1]; higher is better.

    label: in tables. replicates: takes Known and (R, N) counts, and returns (R,) values. name:
    within text, and in lower case what studies and searches read. synonyms: other names that are
    read.
    """

    label: str
    replicates: Callable[[Known, IntArray], FloatArray]
    name: str
    synonyms: tuple[str, ...] = ()


#: Measures over all findings, in the order of tables, by the key that evaluation.json gives them.
OVER_FINDINGS: dict[str, OverFindings] = {
    "macro_auroc": OverFindings(
        "AUROC, mean over findings",
        partial(_macro, metrics.aurocs),
        "mean AUROC over findings",
        ("mean auroc", "mean auc"),
    ),
    "macro_average_precision": OverFindings(
        "Average precision, mean over findings",
        partial(_macro, average_precisions),
        "mean average precision over findings",
        ("mean average precision", "macro average precision"),
    ),
    "macro_f1": OverFindings(
        "F1, mean over findings", _macro_f1, "mean F1 over findings", ("mean f1", "macro f1")
    ),
    "micro_f1": OverFindings(
        "F1 over all findings of all images (micro)",
        _micro_f1,
        "micro F1 over findings",
        ("micro f1",),
    ),
    "right_findings": OverFindings(
        "Findings called rightly (1 - Hamming loss)",
        _hamming,
        "findings called rightly",
        ("right findings",),
    ),
    "exact_match": OverFindings(
        "Images of which every finding is called rightly",
        _exact,
        "exact match over findings",
        ("exact match",),
    ),
}


def measure_findings(
    tree: LabelTree,
    truth: IntArray,
    marks: IntArray,
    predictions: Predictions,
    *,
    groups: Sequence[str] | None,
    seed: int,
) -> dict[str, Estimate]:
    """Every measure of OVER_FINDINGS, with its bootstrap interval.

    Findings that all images have, or none has, as far as is known, are left out of the means.
    groups: (N,) the patient of each image, which are then drawn whole; None draws images.
    """
    of = Known.of(tree, truth, marks, predictions)
    if of.reason:
        return {key: Estimate.undefined(of.reason, len(truth)) for key in OVER_FINDINGS}
    estimates = {}
    for key, measure in OVER_FINDINGS.items():
        replicates = partial(measure.replicates, of)
        estimates[key] = (
            bootstrap(replicates, len(truth), seed=seed)
            if groups is None
            else cluster_bootstrap(replicates, groups, seed=seed)
        )
    return estimates


def called_together(
    tree: LabelTree, truth: IntArray, marks: IntArray, predictions: Predictions
) -> tuple[tuple[int, ...], ...]:
    """(F, F): of the images that truly have a finding (rows), how many are called each (columns).

    The last row is of images that are known to have none.
    """
    own = tree.finding_truths(truth, marks)
    called = predictions.present.astype(np.int64)
    rows = [*(own == PRESENT).T, (own == 0).all(axis=1)]
    return tuple(tuple((row.astype(np.int64) @ called).tolist()) for row in rows)
