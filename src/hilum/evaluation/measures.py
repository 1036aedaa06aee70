"""The measures of an evaluation: over all classes, and of one label against the rest.

Evaluations, reports, studies, searches, notebooks and the command line read these two tables. A
new measure over all classes is a function in statistics.metrics and an entry in OVERALL.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, NamedTuple

import numpy as np

from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.records import BoolArray, Estimate, FloatArray, IntArray
from hilum.statistics import metrics
from hilum.statistics.checks import check_predictions
from hilum.statistics.influence import (
    Influence,
    influence_of_area,
    influence_of_counts,
    interval_of,
    numbered,
)
from hilum.statistics.intervals import bootstrap, cluster_bootstrap, wilson

#: How an interval is made: of a proportion, or by resampling.
Interval = Literal["wilson", "bootstrap"]


class Sample(NamedTuple):
    """A choice between C options on N images: truth, predicted (N,) indices, and probs (N, C).

    groups: (N,) the patient of each image, which intervals draw whole; None takes the images as
    independent.
    """

    truth: IntArray
    predicted: IntArray
    probs: FloatArray
    options: tuple[str, ...] = ()
    groups: tuple[str, ...] | None = None

    def matrices(self, counts: IntArray) -> IntArray:
        """(R, C, C) confusion matrices of resamples, rows are the truth; counts: (R, N)."""
        size = self.probs.shape[1]
        return metrics.confusion_matrices(self.truth, self.predicted, size, counts)


def samples_of(
    tree: LabelTree,
    truth: IntArray,
    predictions: Predictions,
    groups: tuple[str, ...] | None = None,
) -> tuple[Sample, dict[str, Sample]]:
    """The choice between all classes, and that of each decision alone, by its name.

    A decision's is of the images whose true class lies below it, by its most probable option.
    groups: the patient of each image, for intervals that are to allow for them.
    """
    truth = np.asarray(truth)
    check_predictions(tree, truth, predictions)
    alone = {}
    for decision in tree.decisions:
        targets = decision.targets(truth)
        below = targets >= 0
        probs = predictions.decision_probs[decision.name][below]
        top = probs.argmax(axis=1).astype(np.int64)
        own = None if groups is None else tuple(np.array(groups)[below].tolist())
        alone[decision.name] = Sample(targets[below], top, probs, decision.options, own)
    return Sample(truth, predictions.predicted, predictions.probs, tree.classes, groups), alone


def _accuracies(sample: Sample, counts: IntArray) -> FloatArray:
    right = sample.predicted == sample.truth
    return metrics.ratios(counts[:, right].sum(axis=1), counts.sum(axis=1))


def _macro_aurocs(sample: Sample, counts: IntArray) -> FloatArray:
    """Mean over the classes of the AUROC of one class against the rest, unweighted."""
    areas = [
        metrics.aurocs(sample.truth == k, sample.probs[:, k], counts)
        for k in range(sample.probs.shape[1])
    ]
    return np.asarray(np.mean(areas, axis=0), dtype=np.float64)


def _no_images(matrix: IntArray, names: Sequence[str]) -> str:
    return "" if matrix.any() else "no images"


def _absent_classes(matrix: IntArray, names: Sequence[str]) -> str:
    absent = [name for name, row in zip(names, matrix, strict=True) if not row.any()]
    return f"no image of {', '.join(absent)}" if absent else ""


def _no_spread(matrix: IntArray, names: Sequence[str]) -> str:
    """Of a correlation, which also needs two classes among the predictions."""
    alone = [name for name, column in zip(names, matrix.T, strict=True) if column.any()]
    all_as_one = f"every image was predicted as {alone[0]}" if len(alone) == 1 else ""
    return _absent_classes(matrix, names) or all_as_one


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure over all classes, or over all options of a decision; higher is better.

    name: within text, and in lower case what studies and searches read; label: in the tables of
    reports. replicates: takes a sample and (R, N) counts, and returns (R,) values, NaN where
    undefined. undefined: takes the confusion matrix and the names of its classes, and returns
    why there is no value, or ''. least: the lower end of its range; the upper one is 1.
    follows_shares: whether it changes with the classes' shares alone, so that data sets whose
    shares differ are not compared by it. synonyms: other names that are read.
    """

    name: str
    label: str
    replicates: Callable[[Sample, IntArray], FloatArray]
    interval: Interval = "bootstrap"
    undefined: Callable[[IntArray, Sequence[str]], str] = _absent_classes
    least: float = 0.0
    follows_shares: bool = False
    synonyms: tuple[str, ...] = ()


#: In the order of tables, by the key that evaluation.json gives them.
OVERALL: dict[str, Measure] = {
    "accuracy": Measure(
        "accuracy", "Accuracy", _accuracies, "wilson", _no_images, follows_shares=True
    ),
    "balanced_accuracy": Measure(
        "balanced accuracy",
        "Balanced accuracy",
        lambda sample, counts: metrics.balanced_accuracies(sample.matrices(counts)),
    ),
    "macro_auroc": Measure(
        "macro AUROC", "AUROC, mean over classes", _macro_aurocs, synonyms=("macro auc",)
    ),
    "matthews_correlation": Measure(
        "Matthews correlation",
        "Correlation coefficient (Matthews)",
        lambda sample, counts: metrics.matthews_correlations(sample.matrices(counts)),
        undefined=_no_spread,
        least=-1.0,
        follows_shares=True,
        synonyms=("mcc", "matthews correlation coefficient"),
    ),
}


class OneAgainstRest(NamedTuple):
    """positive, called: (N,) bool, truly of a label, predicted so; scores: (N,) its probability."""

    positive: BoolArray
    called: BoolArray
    scores: FloatArray


class _Counts(NamedTuple):
    """True and false positives and negatives of R resamples, each (R,)."""

    tp: IntArray
    fp: IntArray
    tn: IntArray
    fn: IntArray


@dataclass(frozen=True, slots=True)
class LabelMeasure:
    """A measure of one label against the rest, in [0, 1]; higher is better.

    name: within text, and in lower case what studies and searches read; label: in the tables of
    reports. needs: what must be among the images: of 'positives', 'negatives' and 'predictions'
    of the label. ratio: from counts its part and whole; None of the area, which is from scores.
    """

    name: str
    label: str
    needs: tuple[str, ...]
    interval: Interval
    ratio: Callable[[_Counts], tuple[IntArray, IntArray]] | None = None
    synonyms: tuple[str, ...] = ()

    def replicates(self, side: OneAgainstRest, counts: IntArray) -> FloatArray:
        """The measure of each of R resamples. counts: (R, N). Returns (R,), NaN where undefined.

        A resample that predicts the label of no image has an F1 of 0, the limit of its formula,
        as to leave it out would flatter; a classifier that never predicts it has none.
        """
        if self.ratio is None:
            return metrics.aurocs(side.positive, side.scores, counts)
        values = metrics.ratios(*self.ratio(_count(side, counts)))
        if "positives" in self.needs:
            values[counts[:, side.positive].sum(axis=1) == 0] = np.nan
        if "predictions" in self.needs and not side.called.any():
            values[:] = np.nan
        return values


def _count(side: OneAgainstRest, counts: IntArray) -> _Counts:
    positive, called = side.positive, side.called
    cells = (positive & called, ~positive & called, ~positive & ~called, positive & ~called)
    return _Counts(*(counts[:, cell].sum(axis=1) for cell in cells))


#: In the order of tables, by the key that evaluation.json gives them. Recall is the sensitivity,
#: precision the positive predictive value at the data's own prevalence.
OF_A_LABEL: dict[str, LabelMeasure] = {
    "precision": LabelMeasure(
        "precision",
        "Precision (PPV)",
        ("predictions",),
        "wilson",
        lambda n: (n.tp, n.tp + n.fp),
        ("positive predictive value",),
    ),
    "recall": LabelMeasure(
        "recall",
        "Recall (sensitivity)",
        ("positives",),
        "wilson",
        lambda n: (n.tp, n.tp + n.fn),
        ("sensitivity",),
    ),
    "specificity": LabelMeasure(
        "specificity", "Specificity", ("negatives",), "wilson", lambda n: (n.tn, n.tn + n.fp)
    ),
    # Source: van Rijsbergen 1979, Information Retrieval, chapter 7
    "f1": LabelMeasure(
        "F1",
        "F1",
        ("positives", "predictions"),
        "bootstrap",
        lambda n: (2 * n.tp, 2 * n.tp + n.fp + n.fn),
    ),
    "auroc": LabelMeasure(
        "AUROC", "AUROC", ("positives", "negatives"), "bootstrap", synonyms=("auc",)
    ),
}


#: Of more images than this intervals come from influence values: a bootstrap would take minutes.
MANY = 100_000


def influence_overall(measure: Measure, sample: Sample) -> Influence:
    """How much each image moves a measure over all classes."""
    size = sample.probs.shape[1]
    if measure is OVERALL["macro_auroc"]:
        areas = [influence_of_area(sample.truth == k, sample.probs[:, k]) for k in range(size)]
        value = float(np.mean([area.value for area in areas]))
        return Influence(value, np.mean([area.each for area in areas], axis=0))
    cells = np.arange(size * size)
    few = Sample(cells // size, cells % size, np.zeros((size * size, size)), sample.options)
    cell_of = sample.truth * size + sample.predicted
    return influence_of_counts(lambda n: measure.replicates(few, n), cell_of, size * size)


def influence_of_label(measure: LabelMeasure, side: OneAgainstRest) -> Influence:
    """How much each image moves a measure of a label against the rest."""
    if measure.ratio is None:
        return influence_of_area(side.positive, side.scores)
    truths, calls = np.array([False, False, True, True]), np.array([False, True, False, True])
    few = OneAgainstRest(truths, calls, np.zeros(4))
    cell_of = side.positive * 2 + side.called
    return influence_of_counts(lambda n: measure.replicates(few, n), cell_of, 4)


def measure_overall(
    sample: Sample, matrix: IntArray, names: Sequence[str], seed: int
) -> dict[str, Estimate]:
    """Every measure over all classes. matrix: of the sample. names: of the classes."""
    n = len(sample.truth)
    once = np.ones((1, n), dtype=np.int64)
    found = {}
    alone = "" if len(names) > 1 else "there is nothing to choose between"
    for key, measure in OVERALL.items():
        of_resamples = partial(measure.replicates, sample)
        reason = alone or measure.undefined(matrix, names)
        if measure.interval == "wilson" and not reason and sample.groups is None:
            found[key] = wilson(round(float(of_resamples(once)[0]) * n), n)
        else:
            influence = partial(influence_overall, measure, sample)
            found[key] = _resampled(of_resamples, influence, sample, reason, seed)
    return found


def measure_label(sample: Sample, k: int, name: str, seed: int) -> dict[str, Estimate]:
    """Every measure of class k, whose name is given, against the rest."""
    side = OneAgainstRest(sample.truth == k, sample.predicted == k, sample.probs[:, k])
    lacking: Mapping[str, str] = {
        "positives": "" if side.positive.any() else f"no image of {name}",
        "negatives": "" if not side.positive.all() else f"no image of a class other than {name}",
        "predictions": "" if side.called.any() else f"no image was predicted as {name}",
    }
    once = _count(side, np.ones((1, len(sample.truth)), dtype=np.int64))
    found = {}
    for key, measure in OF_A_LABEL.items():
        reason = next((lacking[need] for need in measure.needs if lacking[need]), "")
        if measure.ratio and measure.interval == "wilson" and not reason and not sample.groups:
            part, whole = measure.ratio(once)
            found[key] = wilson(int(part[0]), int(whole[0]))
        else:
            influence = partial(influence_of_label, measure, side)
            of_resamples = partial(measure.replicates, side)
            found[key] = _resampled(of_resamples, influence, sample, reason, seed)
            if measure.ratio and measure.interval == "wilson" and found[key].low is None:
                found[key] = _of_patients(found[key], sample.groups)
    return found


def _of_patients(share: Estimate, groups: Sequence[str] | None) -> Estimate:
    """A share that all resamples of patients agree on, with Wilson's interval for as many patients.

    As it is where it is undefined, or where images were drawn and not patients.
    """
    if share.value is None or groups is None:
        return share
    patients = len(set(groups))
    found = wilson(share.value * patients, patients)
    return replace(found, value=share.value, n=share.n, method="wilson of patients")


def _resampled(
    of_resamples: Callable[[IntArray], FloatArray],
    influence: Callable[[], Influence],
    sample: Sample,
    reason: str,
    seed: int,
) -> Estimate:
    """With its bootstrap interval, stratified by truth; undefined for a reason."""
    n = len(sample.truth)
    if reason:
        return Estimate.undefined(reason, n)
    if n > MANY:
        return interval_of(influence(), numbered(sample.groups))
    if sample.groups is not None:
        return cluster_bootstrap(of_resamples, sample.groups, strata=sample.truth, seed=seed)
    return bootstrap(of_resamples, n, strata=sample.truth, seed=seed)
