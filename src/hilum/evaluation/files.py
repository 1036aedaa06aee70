"""What an evaluation found, and its files: ``evaluation.json`` and ``predictions.csv``."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from hilum.codec import read_plain, to_plain, write_plain
from hilum.display import Displayed, paragraphs
from hilum.errors import EvaluationError, plural
from hilum.evaluation.measures import OVERALL
from hilum.evaluation.predictions_file import predictions_csv, read_predictions
from hilum.files import ODD_NAMES, write_atomically
from hilum.labels import LabelTree, Rule, Strategy
from hilum.predictions import Predictions
from hilum.records import Estimate, IntArray
from hilum.statistics.checks import check_predictions
from hilum.table import Column, Columns, Row, Table
from hilum.wording import NARROW, bare

EVALUATION_FILE = "evaluation.json"
PREDICTIONS_FILE = "predictions.csv"

Matrix = tuple[tuple[int, ...], ...]

#: The measure that stands for all, by whether there are classes to choose from.
HEADLINES = {True: "accuracy", False: "mean AUROC"}


@dataclass(frozen=True, slots=True)
class ClassMeasures:
    """The measures of one class, or of one option of a decision, against the rest.

    support: how many images are truly of it. Recall is the sensitivity, precision the positive
    predictive value (at the data's own prevalence).
    """

    precision: Estimate
    recall: Estimate
    specificity: Estimate
    f1: Estimate
    auroc: Estimate
    support: int


#: Of a measure that a file does not hold.
_OLD = Estimate.undefined("not measured: the file was written by an earlier version")


class _Measured:
    """What holds overall measures; in a file these stand among its other keys."""

    __slots__ = ()

    if TYPE_CHECKING:
        overall: dict[str, Estimate]

    @property
    def accuracy(self) -> Estimate:
        """The share of images for which the true class, or option, was chosen."""
        return self.overall["accuracy"]

    def to_plain(self) -> dict[str, Any]:
        """The fields by name, and in the place of 'overall' what it holds."""
        plain = {"format": self.FORMAT} if isinstance(self, Evaluation) else {}
        for field_ in fields(cast(Any, self)):
            value = getattr(self, field_.name)
            plain |= value if field_.name == "overall" else {field_.name: value}
        return plain

    @classmethod
    def from_plain(cls, data: dict[str, Any]) -> dict[str, Any]:
        """The fields; a measure that is newer than the file is undefined."""
        names, matrix = data.get("classes", data.get("options")), data.get("confusion_matrix")
        if isinstance(names, list) and isinstance(matrix, list):
            n = len(names)
            if [len(row) for row in matrix] != [n] * n:
                raise EvaluationError(f"'confusion_matrix' should be {n} rows of {n} counts")
        if "accuracy" not in data:
            return data
        return {**data, "overall": {name: data.get(name, to_plain(_OLD)) for name in OVERALL}}


@dataclass(frozen=True, slots=True)
class DecisionEvaluation(_Measured):
    """One decision of the label tree, on the images whose true class lies below it.

    options: what it chooses between. n: how many images. confusion_matrix: rows are the truth.
    overall: by measures.OVERALL.
    per_option: for each option its measures. errors_caused: how many of the final errors, over
    all images, are its doing: the true and the predicted class part at this decision.
    """

    options: tuple[str, ...]
    n: int
    confusion_matrix: Matrix
    overall: dict[str, Estimate]
    per_option: dict[str, ClassMeasures]
    errors_caused: int


@dataclass(frozen=True, slots=True, repr=False)
class Evaluation(Displayed, _Measured):
    """How a classifier did on one split.

    n: number of images. classes: the leaves of the label tree, in order; labels: the tree itself
    as LabelTree.to_json gives it. confusion_matrix: rows are the truth. overall: by
    measures.OVERALL. per_class: each class against the rest. decisions: each decision alone, by
    name. rule, strategy: how probabilities became classes. intervals: confidence, resamples and
    seed behind the intervals, and how many patients they draw, where they draw these. data: the
    data set (name, fingerprint). classifier: what it is and where it came from. notes: sentences a
    reader must know. findings: of each its evaluation as a choice between 'negative' and
    itself, on the images of which it is known. over_findings: by findings.OVER_FINDINGS.
    called_together: rows are the findings that images truly have, the last of images without any;
    columns how many of them are called each.
    """

    n: int
    split: str
    classes: tuple[str, ...]
    labels: list[Any]
    confusion_matrix: Matrix
    overall: dict[str, Estimate]
    per_class: dict[str, ClassMeasures]
    decisions: dict[str, DecisionEvaluation]
    rule: Rule
    strategy: Strategy
    intervals: dict[str, int | float]
    data: dict[str, Any] = field(default_factory=dict)
    classifier: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    findings: dict[str, "Evaluation"] = field(default_factory=dict)
    over_findings: dict[str, Estimate] = field(default_factory=dict)
    called_together: Matrix = ()

    FORMAT: ClassVar[int] = 1

    @property
    def chooses(self) -> bool:
        """Whether there are classes to choose from, and not findings alone."""
        return len(self.classes) > 1

    @property
    def headline(self) -> tuple[str, Estimate]:
        """The measure that stands for all, by its name: the accuracy, or of findings the AUROC."""
        if self.chooses or not self.over_findings:
            return HEADLINES[True], self.accuracy
        return HEADLINES[False], self.over_findings["macro_auroc"]

    @property
    def errors(self) -> int:
        """How many images were given a wrong class."""
        return self.n - sum(row[k] for k, row in enumerate(self.confusion_matrix))

    def _in_one_line(self) -> str:
        of = f"{self.data.get('name', 'unnamed data')} ({self.split})"
        name, estimate = self.headline
        if not self.chooses:
            name += f" of {plural(len(self.findings), 'finding')}"
        return f"Evaluation of {plural(self.n, 'image')} of {of}: {name} {estimate.in_words()}"

    def _in_full(self) -> Iterator[str | Table]:
        if self.chooses:
            measures: list[Row] = [[OVERALL[key].name, e] for key, e in self.overall.items()]
            yield Table("With 95 % intervals", ["measure", ""], measures)
            called = [f"called {name}" for name in self.classes]
            matrix = zip(self.classes, self.confusion_matrix, strict=True)
            rows: list[Row] = [[f"truly {name}", *row] for name, row in matrix]
            yield Table("Confusion matrix", ["", *called], rows)
        if self.findings:
            yield self.findings_table()
        yield paragraphs(*self.notes)

    def findings_table(self) -> Table:
        """A row for each finding: images with it, of how many, and its main measures."""
        measured = ("AUROC", "sensitivity", "specificity", "PPV", "NPV")
        columns: Columns = [
            "finding",
            "present",
            "of",
            *(Column(n, style=NARROW) for n in measured),
        ]
        rows: list[Row] = []
        for name, own in self.findings.items():
            here, negative = own.per_class[name], own.per_class[own.classes[0]]
            measures = (here.auroc, here.recall, here.specificity, here.precision)
            cells = (bare(estimate, NARROW) for estimate in (*measures, negative.precision))
            rows.append([name, here.support, own.n, *cells])
        return Table("Findings", columns, rows)


def write_evaluation(
    evaluation: Evaluation,
    truth: IntArray,
    predictions: Predictions,
    tree: LabelTree,
    out: Path,
    marks: IntArray | None = None,
) -> None:
    """Write ``predictions.csv`` and ``evaluation.json`` into the folder out, which is made.

    predictions: with the radiographs' paths below the data root. marks: (N, F) of the tree's
    findings, where it has some. The table comes first, so that an
    ``evaluation.json`` that is there is whole. Raises EvaluationError where the parts do not fit
    together or a file cannot be written.
    """
    truth = np.asarray(truth)
    check_predictions(tree, truth, predictions)
    if evaluation.n != len(truth):
        raise EvaluationError(
            f"There are {len(truth)} true classes for an evaluation of {evaluation.n} images: give "
            "one per image."
        )
    table = predictions_csv(predictions, tree, truth=truth, marks=marks)
    try:
        write_atomically(out / PREDICTIONS_FILE, table.encode("utf-8", ODD_NAMES))
    except OSError as error:
        raise EvaluationError(f"Cannot write {out / PREDICTIONS_FILE}: {error.strerror}.") from None
    write_plain(
        out / EVALUATION_FILE, evaluation, error=EvaluationError, indent=2, errors=ODD_NAMES
    )


def read_evaluation(path: Path) -> Evaluation:
    """Read an ``evaluation.json``. Raises EvaluationError if it is missing, damaged or foreign."""
    return read_plain(
        path, Evaluation, what="an evaluation", error=EvaluationError, errors=ODD_NAMES
    )


def most_telling(names: Iterable[str]) -> str | None:
    """Of the splits or evaluations of a run, the one that says most about new images.

    It is test, or else val, or the first of the others by name; None of none.
    """
    order = ("test", "val")
    return min(names, key=lambda n: (order.index(n) if n in order else len(order), n), default=None)


def read_held_out(paths: Sequence[Path], tree: LabelTree) -> tuple[IntArray, Predictions]:
    """The predictions of one or more ``predictions.csv``, an image once, in their order.

    paths: such as the out-of-fold predictions of a study's variants or of several seeds. An image
    in several of them gets the mean of its probabilities, and its most probable class. Returns the
    true classes (N,) and the predictions.

    Raises EvaluationError where there is no table, one cannot be read or has other classes, an
    image has two true classes, or an ``evaluation.json`` beside a table says that the classifier
    was trained on its images. A table alone does not tell; that is then the caller's word.
    """
    if not paths:
        raise EvaluationError("Give at least one table of held-out predictions.")
    truths: dict[str, tuple[int, Path]] = {}
    rows: dict[str, list[tuple[Predictions, int]]] = {}
    for path in paths:
        truth, predictions = read_predictions(path, tree)
        _refuse_trained_on(path)
        for i, name in enumerate(predictions.names):
            label, before = truths.setdefault(name, (int(truth[i]), path))
            if label != truth[i]:
                raise EvaluationError(
                    f"{path}: '{name}' is of {tree.classes[truth[i]]}, but in {before} of "
                    f"{tree.classes[label]}; the tables are of different data."
                )
            rows.setdefault(name, []).append((predictions, i))
    probs = np.array([np.mean([p.probs[i] for p, i in found], axis=0) for found in rows.values()])
    predicted = np.array(
        [found[0][0].predicted[found[0][1]] if len(found) == 1 else probs[k].argmax()
         for k, found in enumerate(rows.values())],
        dtype=np.int64,
    )  # fmt: skip
    labels = np.array([label for label, _ in truths.values()], dtype=np.int64)
    predictions = Predictions(
        tuple(rows),
        probs,
        tree.decision_probs(probs),
        predicted,
        classes=tree.classes,
        options=tree.options,
    )
    return labels, predictions


def _refuse_trained_on(path: Path) -> None:
    beside = path.with_name(EVALUATION_FILE)
    if path.name != PREDICTIONS_FILE or not beside.is_file():
        return
    evaluation = read_evaluation(beside)
    trained = (evaluation.classifier.get("data") or {}).get("fingerprint")
    elsewhere = trained is not None and trained != evaluation.data.get("fingerprint")
    if evaluation.split in ("train", "all") and not elsewhere:
        raise EvaluationError(
            f"{path}: holds predictions of the split {evaluation.split}, which the classifier was "
            "trained on; give out-of-fold predictions."
        )
