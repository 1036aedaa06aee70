"""Classifiers on the same images, from the predictions that are there: paired, image by image.

Nothing is classified, so a comparison is no look at a test set.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from hilum.display import Displayed
from hilum.errors import EvaluationError, plural
from hilum.evaluation.files import EVALUATION_FILE, PREDICTIONS_FILE, most_telling, read_evaluation
from hilum.evaluation.findings import OVER_FINDINGS, Known
from hilum.evaluation.measures import OVERALL, Measure, Sample
from hilum.evaluation.predictions_file import Told, read_told
from hilum.given import Place
from hilum.records import BoolArray, Estimate, FloatArray, IntArray
from hilum.statistics.comparison import McNemar, delong, holm, mcnemar_exact
from hilum.statistics.intervals import bootstrap
from hilum.stores import on_disk
from hilum.table import Column, Row, Table
from hilum.wording import SIGNED, listed, p_value

_CHANCE = 0.05

CAVEAT = (
    "These are single trainings, on images taken as independent: another seed may turn a "
    "difference round, and several images of one patient make intervals and p too small."
)


@dataclass(frozen=True, slots=True)
class Difference:
    """A measure of two classifiers on the same images.

    name: of the measure, for people. a, b: its values; None where undefined. difference: b less a,
    with its paired 95 % interval. p: two-sided, of no difference; None of measures without a test.
    """

    name: str
    a: float | None
    b: float | None
    difference: Estimate
    p: float | None = None


@dataclass(frozen=True, repr=False)
class PairedComparison(Displayed):
    """Two classifiers on the same images; every difference is b less a.

    a, b: their names. split: the evaluation that both have, as its folder is called. n: images.
    differences: accuracy first, whose p is McNemar's; the p of an AUROC is DeLong's. mcnemar: of
    being right. p_adjusted: its p after Holm's correction for all comparisons made together.
    both, neither: how many images both got right, and neither. every_finding: labels are findings
    alone, and an image is right where each of its findings is.
    """

    DERIVED: ClassVar = ("sentence",)

    a: str
    b: str
    split: str
    n: int
    differences: tuple[Difference, ...]
    mcnemar: McNemar
    p_adjusted: float
    both: int
    neither: int
    every_finding: bool = False

    @property
    def sentence(self) -> str:
        """What can be said of the accuracies, and what cannot."""
        found = self._main.difference
        images = f"{self.split} ({plural(self.n, 'image')})"
        figures = f"{SIGNED.words(found)}, McNemar's {p_value(self.p_adjusted, 'p')}"
        if not found.excludes_zero or found.value is None or self.p_adjusted >= _CHANCE:
            both = f"{self.a} and {self.b}"
            what = "every finding of an image" if self.every_finding else "accuracy"
            return f"That {both} differ in {what} is not shown on {images}: {figures}."
        better, worse = (self.b, self.a) if found.value > 0 else (self.a, self.b)
        what = f"is more accurate than {worse}"
        if self.every_finding:
            what = f"has every finding of more images right than {worse}"
        return f"{better} {what} on {images}: {figures}."

    @property
    def _main(self) -> Difference:
        """The difference that McNemar's test is of."""
        label = OVER_FINDINGS["exact_match"].label
        if not self.every_finding:
            return self.differences[0]
        return next(d for d in self.differences if d.name == label)

    def table(self) -> Table:
        """The measures of both, and their differences."""
        rows: list[Row] = [
            [d.name, d.a, d.b, d.difference, "" if d.p is None else p_value(d.p)]
            for d in self.differences
        ]
        columns: list[str | Column] = [
            Column("measure", wrap=True),
            Column(self.a, wrap=True),
            Column(self.b, wrap=True),
            Column("difference", style=SIGNED),
            "p",
        ]
        return Table(f"Comparison of {self.a} and {self.b} on {self.split}", columns, rows)

    def _in_one_line(self) -> str:
        return self.sentence

    def _in_full(self) -> Iterator[str | Table]:
        yield self.table()


def compare(*runs: Place, split: str | None = None) -> tuple[PairedComparison, ...]:
    """Compare runs with the first of them, on images that all were evaluated on.

    Args:
        runs: Two or more: a run, the folder of a classifier, or one of an evaluation.
        split: The evaluation to compare, as its folder below RUN/evaluation is called; None takes
            test, or else val, or the first that all have.

    Returns:
        Each of the others against the first.

    Raises:
        EvaluationError: There are fewer than two, they have no evaluation in common, or it is of
            other images or classes.
    """
    if len(runs) < 2:
        raise EvaluationError("A comparison takes two runs or more.")
    folders = [on_disk(run) for run in runs]
    found = [_evaluations(folder) for folder in folders]
    name = _common(folders, found, split)
    names = _told_apart(folders)
    first = read_told(found[0][name] / PREDICTIONS_FILE)
    pairs = [
        compare_predictions(
            first, read_told(other[name] / PREDICTIONS_FILE), (names[0], theirs), name
        )
        for other, theirs in zip(found[1:], names[1:], strict=True)
    ]
    adjusted = holm([pair.mcnemar.p for pair in pairs])
    return tuple(
        replace(pair, p_adjusted=p) if p is not None else pair
        for pair, p in zip(pairs, adjusted, strict=True)
    )


def compare_predictions(a: Told, b: Told, names: tuple[str, str], split: str) -> PairedComparison:
    """Compare two evaluations. names: of the two, for refusals. Raises EvaluationError."""
    truth, one, other_truth, two = a.truth, a.predictions, b.truth, b.predictions
    classes = one.classes
    of_one, of_two = ((*p.classes, *p.findings) for p in (one, two))
    if sorted(of_two) != sorted(of_one):
        raise EvaluationError(
            f"{names[0]} tells {listed(of_one)} apart, and {names[1]} {listed(of_two)}."
        )
    to_a = np.array([classes.index(name) for name in two.classes])
    rows = {name: row for row, name in enumerate(two.names)}
    if rows.keys() != set(one.names):
        both = len(rows.keys() & set(one.names))
        raise EvaluationError(
            f"{names[0]} and {names[1]} were evaluated on other images ({len(one.names):,} and "
            f"{len(rows):,}, of which {both:,} are the same): evaluate both on the same."
        )
    order = np.array([rows[name] for name in one.names])
    if (to_a[other_truth[order]] != truth).any():
        raise EvaluationError(f"{names[0]} and {names[1]} were told other labels of one image.")
    columns = np.argsort(to_a)
    samples = (
        Sample(truth, one.predicted, one.probs, classes),
        Sample(truth, to_a[two.predicted[order]], two.probs[order][:, columns], classes),
    )
    if not one.findings:
        return _compare(samples, names, split)
    to_one = [two.findings.index(name) for name in one.findings]
    moved = replace(two.take(order), findings=one.findings)
    moved = replace(
        moved,
        finding_probs=moved.finding_probs[:, to_one],
        present=moved.present[:, to_one],
    )
    if (b.marks[order][:, to_one] != a.marks).any():
        raise EvaluationError(f"{names[0]} and {names[1]} were told other findings of one image.")
    known = (Known.said(a.marks, one), Known.said(a.marks, moved))
    of_findings = _of_findings(known, one.findings)
    if len(classes) > 1:
        found = _compare(samples, names, split)
        return replace(found, differences=(*found.differences, *of_findings))
    right_a, right_b = ((~of.known | (of.present == of.called)).all(axis=1) for of in known)
    return _paired(names, split, of_findings, right_a, right_b, every_finding=True)


def _of_findings(known: tuple[Known, Known], names: Sequence[str]) -> list[Difference]:
    """What is measured of findings; the p of an AUROC is DeLong's, by Holm over the findings."""
    a, b = known
    n = len(a.known)
    once = np.ones((1, n), dtype=np.int64)
    found = []
    for label, measure, *_ in OVER_FINDINGS.values():
        if a.reason:
            found.append(Difference(label, None, None, Estimate.undefined(a.reason, n)))
            continue
        values = float(measure(a, once)[0]), float(measure(b, once)[0])
        less = partial(_less, measure, a, b)
        found.append(Difference(label, *values, bootstrap(less, n)))
    areas = {}
    for at, k in enumerate(a.columns):
        own = a.known[:, at]
        areas[names[k]] = delong(a.present[own, at], b.scores[own, at], a.scores[own, at])
    adjusted = holm([area.p for area in areas.values()])
    for (name, area), p in zip(areas.items(), adjusted, strict=True):
        both = area.auc_b.value, area.auc_a.value
        found.append(Difference(f"AUROC of {name}", *both, area.difference, p))
    return found


def _less(
    measure: Callable[[Known, IntArray], FloatArray], a: Known, b: Known, counts: IntArray
) -> FloatArray:
    difference: FloatArray = measure(b, counts) - measure(a, counts)
    return difference


def _compare(
    samples: tuple[Sample, Sample], names: tuple[str, str], split: str
) -> PairedComparison:
    a, b = samples
    truth, classes = a.truth, a.options
    right_a, right_b = a.predicted == truth, b.predicted == truth
    p = mcnemar_exact(right_a, right_b).p
    rows = [
        _difference(measure, samples, p if key == "accuracy" else None)
        for key, measure in OVERALL.items()
    ]
    for k, name in enumerate(classes):
        own = truth == k
        if own.any():
            rows.append(_recall(name, right_a[own].astype(float), right_b[own].astype(float)))
    for k, name in enumerate(classes):
        areas = delong(truth == k, b.probs[:, k], a.probs[:, k])
        values = areas.auc_b.value, areas.auc_a.value
        rows.append(Difference(f"AUROC of {name}", *values, areas.difference, areas.p))
    return _paired(names, split, rows, right_a, right_b)


def _paired(
    names: tuple[str, str],
    split: str,
    rows: Sequence[Difference],
    right_a: BoolArray,
    right_b: BoolArray,
    every_finding: bool = False,
) -> PairedComparison:
    test = mcnemar_exact(right_a, right_b)
    return PairedComparison(
        *names,
        split,
        len(right_a),
        tuple(rows),
        test,
        test.p,
        both=int((right_a & right_b).sum()),
        neither=int((~right_a & ~right_b).sum()),
        every_finding=every_finding,
    )


def _difference(measure: Measure, samples: tuple[Sample, Sample], p: float | None) -> Difference:
    once = np.ones((1, len(samples[0].truth)), dtype=np.int64)
    reasons = [measure.undefined(s.matrices(once)[0], s.options) for s in samples]
    a, b = (
        None if reason else float(measure.replicates(sample, once)[0])
        for sample, reason in zip(samples, reasons, strict=True)
    )
    if reason := next(filter(None, reasons), ""):
        return Difference(measure.label, a, b, Estimate.undefined(reason), p)

    def less(counts: IntArray) -> FloatArray:
        first, second = (measure.replicates(sample, counts) for sample in samples)
        return second - first

    # images are drawn within their classes, as for the intervals of single measures
    truth = samples[0].truth
    return Difference(measure.label, a, b, bootstrap(less, len(truth), strata=truth), p)


def _recall(name: str, a: FloatArray, b: FloatArray) -> Difference:
    def mean(counts: IntArray) -> FloatArray:
        means: FloatArray = counts @ (b - a) / counts.sum(axis=1)
        return means

    values = float(a.mean()), float(b.mean())
    return Difference(f"Recall of {name}", *values, bootstrap(mean, len(a)))


def _evaluations(folder: Path) -> dict[str, Path]:
    """The folders with predictions that a run has, by their names; of such a folder, its split."""
    if (folder / PREDICTIONS_FILE).is_file():
        return {read_evaluation(folder / EVALUATION_FILE).split: folder}
    tables = sorted(folder.glob(f"evaluation/*/{PREDICTIONS_FILE}"))
    if not tables:
        raise EvaluationError(
            f"{folder}: holds no predictions. Evaluate it first: hilum evaluate {folder} DATA"
        )
    return {table.parent.name: table.parent for table in tables}


def _common(folders: Sequence[Path], found: Sequence[dict[str, Path]], split: str | None) -> str:
    shared = [name for name in found[0] if all(name in other for other in found)]
    chosen = most_telling(shared) if split is None else split
    if chosen in shared:
        return chosen
    has = "; ".join(f"{f}: {listed(sorted(e))}" for f, e in zip(folders, found, strict=True))
    what = f"evaluated on '{split}'" if split else "evaluated on the same images"
    raise EvaluationError(f"Not all of them were {what}. There are: {has}.")


def _told_apart(folders: Sequence[Path]) -> list[str]:
    """The folders' own names, or their paths where two are called alike."""
    own = [folder.resolve().name for folder in folders]
    return own if len(set(own)) == len(own) else [str(folder) for folder in folders]
