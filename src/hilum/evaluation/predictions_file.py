"""``predictions.csv``: UTF-8, comma-separated, one line per radiograph.

- ``path``; and where there are classes, ``truth``, ``predicted``, and ``correct`` (1 or 0);
- ``p(CLASS)`` for each class: its probability;
- ``DECISION/OPTION`` for each option of each decision: its probability, given that the decision
  is reached. For example ``root/normal, root/infected, infected/covid, infected/non-covid``;
- for each finding ``truth(FINDING)`` (1, 0, or empty where it is not known), ``called(FINDING)``
  (1 or 0) and ``p(FINDING)``.

Labels hold no brackets and no slashes, so the kinds of column cannot be confused. Probabilities
are written in full: reading them back gives the same bits.

A spreadsheet runs a cell that begins with ``=``, ``+``, ``-``, ``@``, a tab or a line break as a
formula. A text that begins so is written with a ``'`` in front, and so is one that begins with a
``'`` itself, so that dropping one leading ``'`` always gives back the text.
"""

import csv
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hilum.decisions import ROOT
from hilum.errors import EvaluationError
from hilum.files import ODD_NAMES, from_cell, to_cell
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.records import FloatArray, IntArray

_FIRST_COLUMNS = ["path", "truth", "predicted", "correct"]


class Told(NamedTuple):
    """What a table of predictions holds.

    truth: (N,) class indices. predictions: of N images. marks: (N, F) whether they truly have each
    finding, 1, 0, or -1 where it is not known.
    """

    truth: IntArray
    predictions: Predictions
    marks: IntArray


def predictions_csv(
    predictions: Predictions,
    tree: LabelTree,
    *,
    truth: IntArray | None = None,
    marks: IntArray | None = None,
) -> str:
    """The text of a ``predictions.csv``; see the head of this file for its columns.

    truth: (N,) class indices; where they are not known, the columns truth and correct are left
    out. marks: (N, F) what is known of the tree's findings, likewise.
    """
    chooses = bool(tree.decisions)
    told = truth is not None and chooses
    present = None
    if truth is not None and marks is not None and tree.findings:
        present = tree.finding_truths(truth, marks)
    header = _FIRST_COLUMNS if told else ["path", "predicted"][: 1 + chooses]
    header = [
        *header,
        *(f"p({name})" for name in tree.classes if chooses),
        *(f"{d.name}/{option}" for d in tree.decisions for option in d.options),
    ]
    for finding in tree.findings:
        of = f"({finding.name})"
        header += [f"truth{of}"] * (present is not None) + [f"called{of}", f"p{of}"]
    probs = np.hstack(
        [
            predictions.probs[:, : len(tree.classes) * chooses],
            *(predictions.decision_probs[d.name] for d in tree.decisions),
        ]
    ).astype(np.float64)
    buffer = io.StringIO(newline="")
    # Texts are always quoted: a carriage return within a path would end the line otherwise.
    writer = csv.writer(buffer, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow([to_cell(name) for name in header])
    for i, name in enumerate(predictions.names):
        row: list[str | int | float] = [to_cell(name)]
        predicted = to_cell(tree.classes[predictions.predicted[i]])
        if told and truth is not None:
            correct = int(truth[i] == predictions.predicted[i])
            row += [to_cell(tree.classes[truth[i]]), predicted, correct]
        elif chooses:
            row.append(predicted)
        row += probs[i].tolist()
        for k in range(len(tree.findings)):
            if present is not None:
                own = int(present[i, k])
                row.append(own if own >= 0 else "")
            row += [int(predictions.present[i, k]), float(predictions.finding_probs[i, k])]
        writer.writerow(row)
    return buffer.getvalue()


def read_predictions(path: Path, tree: LabelTree | None = None) -> tuple[IntArray, Predictions]:
    """The true classes (N,) and the predictions of a ``predictions.csv``; see read_told."""
    told = read_told(path, tree)
    return told.truth, told.predictions


def read_told(path: Path, tree: LabelTree | None = None) -> Told:
    """Read a ``predictions.csv`` that tells the truth.

    Class indices follow the order of the ``p(…)`` columns, which is that of the label tree.
    tree: whose classes and findings it must have. Raises EvaluationError, with the line, if it is
    missing, damaged or foreign.
    """
    rows = _rows(path)
    header = [from_cell(cell) for cell in rows[0]] if rows else []
    findings = [c[7:-1] for c in header if c.startswith("called(") and c.endswith(")")]
    of_findings = [f"{what}({f})" for f in findings for what in ("truth", "called", "p")]
    probs_of = [c[2:-1] for c in header if c.startswith("p(") and c.endswith(")")]
    classes = probs_of[: len(probs_of) - len(findings)]
    expected_classes = list(tree.classes) if tree and tree.decisions else []
    if tree and (classes != expected_classes or findings != [f.name for f in tree.findings]):
        raise EvaluationError(
            f"{path}: its classes are {', '.join(probs_of) or 'none'}; expected "
            f"{', '.join([*expected_classes, *(f.name for f in tree.findings)])}."
        )
    first = len(_FIRST_COLUMNS) if classes else 1
    options = [c for c in header[first + len(classes) :] if c.count("/") == 1]
    expected = [
        *_FIRST_COLUMNS[:first], *(f"p({c})" for c in classes), *options, *of_findings
    ]  # fmt: skip
    if header != expected or not ((classes and options) or findings):
        raise EvaluationError(
            f"{path} is not a table of predictions: expected the columns "
            f"{', '.join(_FIRST_COLUMNS)}, then p(CLASS) and DECISION/OPTION; "
            f"found {', '.join(header) or 'none'}."
        )
    index = {name: k for k, name in enumerate(classes)}
    names: list[str] = []
    n, k, f = len(rows) - 1, len(classes) + len(options), len(findings)
    labels = np.zeros((n, 2), dtype=np.int64)
    probs = np.empty((n, k), dtype=np.float64)
    said = np.empty((n, f, 3), dtype=np.float64)
    for i, row in enumerate(rows[1:]):
        try:
            if len(row) != len(header):
                raise ValueError
            names.append(from_cell(row[0]))
            if classes:
                labels[i] = [index[from_cell(cell)] for cell in row[1:3]]
            probs[i] = [float(cell) for cell in row[first : first + k]]
            said[i] = np.reshape([float(cell or -1) for cell in row[first + k :]], (f, 3))
            if not (np.isfinite(probs[i]).all() and np.isfinite(said[i]).all()):
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
        probs[:, : len(classes)] if classes else np.ones((n, 1)),
        decisions,
        labels[:, 1],
        classes=tuple(classes) or (ROOT,),
        options=named,
        findings=tuple(findings),
        finding_probs=said[:, :, 2],
        present=said[:, :, 1] > 0,
    )
    return Told(labels[:, 0], predictions, said[:, :, 0].astype(np.int64))


def _rows(path: Path) -> list[list[str]]:
    try:
        # A spreadsheet that saved the table may have put a byte order mark in front.
        with path.open(encoding="utf-8-sig", errors=ODD_NAMES, newline="") as file:
            return list(csv.reader(file, strict=True))
    except OSError as error:
        raise EvaluationError(f"Cannot read {path}: {error.strerror}.") from None
    except csv.Error as error:
        raise EvaluationError(
            f"{path} is not a table of comma-separated values: {error}."
        ) from None
