"""Predictions of images that were held out, read back from the tables that studies write."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hilum.errors import EvaluationError
from hilum.evaluation.files import (
    EVALUATION_FILE,
    PREDICTIONS_FILE,
    read_evaluation,
    read_predictions,
)
from hilum.files import ODD_NAMES, from_cell
from hilum.labels import LabelTree
from hilum.records import IntArray, Predictions


def read_held_out(paths: Sequence[Path], tree: LabelTree) -> tuple[IntArray, Predictions]:
    """The predictions of one or more ``predictions.csv``, an image once.

    paths: tables of the same label tree, such as the out-of-fold predictions of a study's
    variants or of several seeds. An image in several of them gets the mean of its probabilities;
    its predicted class is then the most probable one. The order is that of the first occurrence.
    Returns the true classes (N,) and the predictions.

    Raises EvaluationError where there is no table, one cannot be read or has other classes, an
    image has two true classes, or an ``evaluation.json`` beside a table says that the classifier
    was trained on its images. A table alone does not tell; that these are held out is then the
    caller's word.
    """
    if not paths:
        raise EvaluationError("Give at least one table of held-out predictions.")
    truths: dict[str, tuple[int, Path]] = {}
    rows: dict[str, list[tuple[Predictions, int]]] = {}
    for path in paths:
        _refuse_other_classes(path, tree)
        _refuse_trained_on(path)
        truth, predictions = read_predictions(path)
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
    return labels, Predictions(tuple(rows), probs, tree.decision_probs(probs), predicted)


def _refuse_other_classes(path: Path, tree: LabelTree) -> None:
    try:
        with path.open(encoding="utf-8-sig", errors=ODD_NAMES, newline="") as file:
            header = [from_cell(cell) for cell in next(csv.reader(file), [])]
    except OSError as error:
        raise EvaluationError(f"Cannot read {path}: {error.strerror}.") from None
    found = [c[2:-1] for c in header if c.startswith("p(") and c.endswith(")")]
    if tuple(found) != tree.classes:
        raise EvaluationError(
            f"{path}: its classes are {', '.join(found) or 'none'}; expected "
            f"{', '.join(tree.classes)}."
        )


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
