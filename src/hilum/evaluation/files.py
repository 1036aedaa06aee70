"""What an evaluation found, and its files: ``evaluation.json`` and ``predictions.csv``.

``predictions.csv`` is UTF-8, comma-separated, one line per radiograph:

- ``path``, ``truth``, ``predicted``, and ``correct`` (1 or 0);
- ``p(CLASS)`` for each class: its probability;
- ``DECISION/OPTION`` for each option of each decision: its probability, given that the decision
  is reached. For example ``root/normal, root/infected, infected/covid, infected/non-covid``.

Labels hold neither parentheses nor slashes, so the two kinds of column cannot be confused.
Probabilities are written in full: reading them back gives the same bits.

A spreadsheet runs a cell that begins with ``=``, ``+``, ``-``, ``@``, a tab or a line break as a
formula. A text that begins so is written with a ``'`` in front, and so is one that begins with a
``'`` itself, so that dropping one leading ``'`` always gives back the text.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from hilum.codec import read_plain, to_plain, write_plain
from hilum.display import Displayed, paragraphs
from hilum.errors import EvaluationError, plural
from hilum.evaluation.measures import OVERALL
from hilum.files import ODD_NAMES, from_cell, to_cell, write_atomically
from hilum.labels import LabelTree, Rule, Strategy
from hilum.predictions import Predictions
from hilum.records import Estimate, FloatArray, IntArray
from hilum.statistics.checks import check_predictions
from hilum.table import Row, Table

EVALUATION_FILE = "evaluation.json"
PREDICTIONS_FILE = "predictions.csv"

Matrix = tuple[tuple[int, ...], ...]


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
    seed behind the intervals. data: the data set (name, fingerprint). classifier: what it is and
    where it came from. notes: sentences a reader must know.
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

    FORMAT: ClassVar[int] = 1

    @property
    def errors(self) -> int:
        """How many images were given a wrong class."""
        return self.n - sum(row[k] for k, row in enumerate(self.confusion_matrix))

    def _in_one_line(self) -> str:
        of = f"{self.data.get('name', 'unnamed data')} ({self.split})"
        accuracy = self.accuracy.in_words()
        return f"Evaluation of {plural(self.n, 'image')} of {of}: accuracy {accuracy}"

    def _in_full(self) -> Iterator[str | Table]:
        measures: list[Row] = [[OVERALL[key].name, e] for key, e in self.overall.items()]
        yield Table("With 95 % intervals", ["measure", ""], measures)
        called = [f"called {name}" for name in self.classes]
        matrix = zip(self.classes, self.confusion_matrix, strict=True)
        rows: list[Row] = [[f"truly {name}", *row] for name, row in matrix]
        yield Table("Confusion matrix", ["", *called], rows)
        yield paragraphs(*self.notes)


_FIRST_COLUMNS = ["path", "truth", "predicted", "correct"]


def write_evaluation(
    evaluation: Evaluation, truth: IntArray, predictions: Predictions, tree: LabelTree, out: Path
) -> None:
    """Write ``predictions.csv`` and ``evaluation.json`` into the folder out, which is made.

    predictions: with the radiographs' paths below the data root. The table comes first, so that an
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
    table = predictions_csv(predictions, tree, truth=truth)
    try:
        write_atomically(out / PREDICTIONS_FILE, table.encode("utf-8", ODD_NAMES))
    except OSError as error:
        raise EvaluationError(f"Cannot write {out / PREDICTIONS_FILE}: {error.strerror}.") from None
    write_plain(
        out / EVALUATION_FILE, evaluation, error=EvaluationError, indent=2, errors=ODD_NAMES
    )


def predictions_csv(
    predictions: Predictions, tree: LabelTree, *, truth: IntArray | None = None
) -> str:
    """The text of a ``predictions.csv``; see the head of this file for its columns.

    truth: (N,) class indices; where they are not known, the columns truth and correct are left
    out.
    """
    first = _FIRST_COLUMNS if truth is not None else ["path", "predicted"]
    header = [
        *first,
        *(f"p({name})" for name in tree.classes),
        *(f"{d.name}/{option}" for d in tree.decisions for option in d.options),
    ]
    probs = np.hstack(
        [predictions.probs, *(predictions.decision_probs[d.name] for d in tree.decisions)]
    ).astype(np.float64)
    buffer = io.StringIO(newline="")
    # Texts are always quoted: a carriage return within a path would end the line otherwise.
    writer = csv.writer(buffer, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow([to_cell(name) for name in header])
    for i, name in enumerate(predictions.names):
        predicted = to_cell(tree.classes[predictions.predicted[i]])
        row: list[str | int | float] = [to_cell(name), predicted]
        if truth is not None:
            correct = int(truth[i] == predictions.predicted[i])
            row = [to_cell(name), to_cell(tree.classes[truth[i]]), predicted, correct]
        writer.writerow([*row, *probs[i].tolist()])
    return buffer.getvalue()


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


def read_predictions(path: Path, tree: LabelTree | None = None) -> tuple[IntArray, Predictions]:
    """Read a ``predictions.csv``: the true classes (N,) and the predictions of N images.

    Class indices follow the order of the ``p(…)`` columns, which is that of the label tree.
    tree: whose classes it must have. Raises EvaluationError, with the line, if it is missing,
    damaged or foreign.
    """
    try:
        # A spreadsheet that saved the table may have put a byte order mark in front.
        with path.open(encoding="utf-8-sig", errors=ODD_NAMES, newline="") as file:
            rows = list(csv.reader(file, strict=True))
    except OSError as error:
        raise EvaluationError(f"Cannot read {path}: {error.strerror}.") from None
    except csv.Error as error:
        raise EvaluationError(
            f"{path} is not a table of comma-separated values: {error}."
        ) from None
    header = [from_cell(cell) for cell in rows[0]] if rows else []
    classes = [c[2:-1] for c in header if c.startswith("p(") and c.endswith(")")]
    if tree and tuple(classes) != tree.classes:
        raise EvaluationError(
            f"{path}: its classes are {', '.join(classes) or 'none'}; expected "
            f"{', '.join(tree.classes)}."
        )
    options = [c for c in header[4 + len(classes) :] if c.count("/") == 1]
    expected = [*_FIRST_COLUMNS, *(f"p({c})" for c in classes), *options]
    if header != expected or not classes or not options:
        raise EvaluationError(
            f"{path} is not a table of predictions: expected the columns "
            f"{', '.join(_FIRST_COLUMNS)}, then p(CLASS) and DECISION/OPTION; "
            f"found {', '.join(header) or 'none'}."
        )
    index = {name: k for k, name in enumerate(classes)}
    names: list[str] = []
    labels = np.empty((len(rows) - 1, 2), dtype=np.int64)
    probs = np.empty((len(rows) - 1, len(header) - 4), dtype=np.float64)
    for i, row in enumerate(rows[1:]):
        try:
            if len(row) != len(header):
                raise ValueError
            names.append(from_cell(row[0]))
            labels[i] = [index[from_cell(cell)] for cell in row[1:3]]
            probs[i] = [float(cell) for cell in row[4:]]
            if not np.isfinite(probs[i]).all():
                raise ValueError
        except (ValueError, KeyError):
            raise EvaluationError(
                f"{path}, row {i + 2}: expected {len(header)} cells, labels among "
                f"{', '.join(classes)} and finite numbers; found: "
                f"{', '.join(row)}"
            ) from None
    decisions: dict[str, FloatArray] = {}
    named: dict[str, tuple[str, ...]] = {}
    for decision in dict.fromkeys(option.split("/")[0] for option in options):
        columns = [j for j, o in enumerate(options) if o.split("/")[0] == decision]
        decisions[decision] = probs[:, len(classes) :][:, columns]
        named[decision] = tuple(options[j].split("/")[1] for j in columns)
    predictions = Predictions(
        tuple(names),
        probs[:, : len(classes)],
        decisions,
        labels[:, 1],
        classes=tuple(classes),
        options=named,
    )
    return labels[:, 0], predictions


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
