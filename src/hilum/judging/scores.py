"""What the columns of a table say: classes, findings, and scores of four kinds as probabilities."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.special import expit, softmax

from hilum.decisions import ROOT
from hilum.errors import EvaluationError, nearest, plural
from hilum.judging.columns import Column
from hilum.judging.roles import Roles, as_label
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.records import MISSING, BoolArray, FloatArray, IntArray

#: What scores are. labels: there are none, only classes.
Kind = Literal["probabilities", "logits", "scores", "labels"]

KINDS: dict[Kind, str] = {
    "probabilities": "The scores look like probabilities: between 0 and 1, of each case 1 in all.",
    "logits": "The scores look like logits: they are made probabilities by the softmax, or of one "
    "column by the logistic function.",
    "scores": "The scores are no probabilities: cases are ordered by them, and nothing is said of "
    "calibration.",
    "labels": "There are no scores, only classes: no areas, no calibration, no thresholds.",
}

#: Rows whose probabilities are off 1 by no more are taken as rounded.
ROUNDED = 0.02


def read_classes(column: Column, tree: LabelTree, kept: BoolArray, path: Path) -> IntArray:
    """The class of each kept row (N,)."""
    index = {_key(name): k for k, name in enumerate(tree.classes)}
    texts = column.texts
    known: dict[str, int] = {"": -1}
    for text in sorted(column.said):
        # a path such as infected/covid names its last part
        k = index.get(_key(text), index.get(_key(text.rsplit("/", 1)[-1])))
        k = index.get(_key(as_label(text))) if k is None else k
        if k is None and text.isdigit() and int(text) < len(tree.classes):
            k = int(text) if not any(c.isdigit() for c in tree.classes) else None
        known[text] = -1 if k is None else k
    found = np.array([known[texts[i]] for i in np.flatnonzero(kept).tolist()], dtype=np.int64)
    if (found < 0).any():
        odd = next(text for text, k in known.items() if k < 0)
        raise EvaluationError(
            f"{path}: '{odd}' in the column '{column.name}' is no class of '{tree}'."
            f"{nearest(odd, tree.classes)}"
        )
    return found


def _key(name: str) -> str:
    return name.strip().casefold()


def read_marks(column: Column, kept: BoolArray, path: Path) -> IntArray:
    """Of a finding 1, 0, or MISSING where it is not known (N,)."""
    if column.numbers is None:
        raise EvaluationError(f"{path}: the column '{column.name}' should hold 0 or 1.")
    values = column.numbers[kept]
    known = ~np.isnan(values) & (values != -1)
    if odd := set(values[known].tolist()) - {0.0, 1.0}:
        raise EvaluationError(
            f"{path}: the column '{column.name}' should hold 0, 1, or -1 and nothing where it is "
            f"not known; found {min(odd):g}."
        )
    return np.where(known, values, MISSING).astype(np.int64)


def read_scores(
    held: Mapping[str, Column],
    roles: Roles,
    single: Mapping[str, Column],
    kept: BoolArray,
    names: Sequence[str],
    kind: Kind | None,
    path: Path,
    notes: list[str],
) -> tuple[Predictions, Kind]:
    tree, n = roles.tree, int(kept.sum())

    def numbers(name: str) -> FloatArray:
        found = held[name].numbers
        assert found is not None  # _kept refuses others
        return found[kept]

    probs, kinds = np.ones((n, 1)), list[Kind]()
    decisions: dict[str, FloatArray] = {}
    predicted = np.zeros(n, dtype=np.int64)
    if tree.decisions:
        own = {c: numbers(roles.scores[c]) for c in tree.classes if c in roles.scores}
        if not own and "score" in single:
            positive = tree.classes[-1]
            own = {positive: numbers(roles.single["score"])}
            notes.append(f"One column of scores: high ones are taken to mean '{positive}'.")
        if "predicted" in single:
            predicted = read_classes(single["predicted"], tree, kept, path)
        if own:
            own = dict(zip(own, _from_percent(list(own.values()), kind, notes), strict=True))
            if not roles.scores and "predicted" in single:
                own = _of_positive(own, predicted, tree, notes)
            found = _kind_of(np.column_stack(list(own.values())), one=len(own) == 1, told=kind)
            probs = _as_probs(own, tree, found, notes)
            kinds.append(found)
            if "predicted" not in single:
                predicted = probs.argmax(axis=1).astype(np.int64)
                if len(own) == 1 and found == "scores":
                    notes.append(
                        "What is predicted is not known: the class is taken at a score of 0, or in "
                        "the middle of their range where none is below it, which may mean nothing "
                        "(--columns predicted=COLUMN)."
                    )
        if not own or kinds == ["labels"]:
            kinds = ["labels"]
            probs = np.eye(len(tree.classes))[predicted]
        decisions = _decision_probs(held, tree, probs, kept)
    finding_probs = np.zeros((n, len(tree.findings)))
    present = np.zeros((n, len(tree.findings)), dtype=bool)
    marked = [numbers(roles.scores[finding.name]) for finding in tree.findings]
    marked = _from_percent(marked, kind, notes, exclusive=False)
    for finding, scores in zip(tree.findings, marked, strict=True):
        found = _kind_of(scores[:, None], one=True, told=kind)
        kinds.append(found)
        finding_probs[:, finding.index] = _as_share(scores, found)
        present[:, finding.index] = finding_probs[:, finding.index] >= 0.5
        if finding.name in roles.called:
            present[:, finding.index] = numbers(roles.called[finding.name]) > 0
    order: list[Kind] = ["labels", "scores", "logits", "probabilities"]
    return Predictions(
        tuple(names), probs, decisions, predicted,
        classes=tree.classes if tree.decisions else (ROOT,), options=tree.options,
        findings=tuple(f.name for f in tree.findings), finding_probs=finding_probs, present=present,
    ), min(kinds, key=order.index)  # fmt: skip


def _in_unit(scores: FloatArray) -> bool:
    return bool((scores >= 0).all() and (scores <= 1 + 1e-6).all())


def _from_percent(
    own: Sequence[FloatArray], told: Kind | None, notes: list[str], exclusive: bool = True
) -> list[FloatArray]:
    """Scores (N,) of each class or finding, where they are 0 to 100 as 0 to 1.

    exclusive: several are of classes, and sum to 100.
    """
    if not own or told not in (None, "probabilities"):
        return list(own)
    scores = np.column_stack(own)
    percent = 50 < scores.max() <= 100 and scores.min() >= 0
    if exclusive and len(own) > 1:
        percent = percent and bool((np.abs(scores.sum(axis=1) - 100) <= 100 * ROUNDED).all())
    if not percent:
        return list(own)
    notes.append("The scores lie between 0 and 100, and are read as percent.")
    return [column / 100 for column in own]


def _of_positive(
    own: Mapping[str, FloatArray], predicted: IntArray, tree: LabelTree, notes: list[str]
) -> dict[str, FloatArray]:
    """One column of scores, turned where it is that of whichever class was predicted."""
    ((name, scores),) = own.items()
    k = tree.classes.index(name)
    always = _in_unit(scores) and scores.min() >= 0.5 and len(set(predicted.tolist())) == 2
    if not always or (scores == 1).all():
        return dict(own)
    notes[-1] = (
        "No score is below 0.5 though both classes were predicted: it is taken for that of "
        "whichever class was predicted."
    )
    return {name: np.where(predicted == k, scores, 1 - scores)}


def _kind_of(scores: FloatArray, *, one: bool, told: Kind | None) -> Kind:
    """What scores (N, K) are. one: of a single class of two, or of a finding."""
    if told is not None:
        return told
    if not _in_unit(scores):
        merged = len(np.unique(1 - expit(scores))) < len(np.unique(scores)) if one else False
        return "scores" if one and (scores.min() >= 0 or merged) else "logits"
    if len(scores) > 1 and np.isin(scores, (0.0, 1.0)).all():
        return "labels"
    if one or (np.abs(scores.sum(axis=1) - 1) <= ROUNDED).all():
        return "probabilities"
    return "scores"


def _as_share(scores: FloatArray, kind: Kind) -> FloatArray:
    """Scores (N,) of one class or finding within 0 and 1, in the same order."""
    if _in_unit(scores):
        return np.clip(scores, 0, 1)
    if kind != "scores":
        return np.asarray(expit(scores))
    low, high = float(scores.min()), float(scores.max())
    if low < 0 < high:
        return 0.5 + scores / (2 * max(-low, high))
    return (scores - low) / max(high - low, 1e-300)


def _as_probs(
    own: Mapping[str, FloatArray], tree: LabelTree, kind: Kind, notes: list[str]
) -> FloatArray:
    """Scores of all classes, or of one of two, as rows (N, C) that sum to 1."""
    if len(own) == 1:
        ((name, scores),) = own.items()
        share = _as_share(scores, kind)
        k = tree.classes.index(name)
        return np.column_stack([1 - share, share] if k else [share, 1 - share])
    scores = np.column_stack([own[name] for name in tree.classes])
    if not _in_unit(scores):
        return np.asarray(softmax(scores, axis=1))
    total = scores.sum(axis=1, keepdims=True)
    off = np.abs(total - 1)
    if kind == "scores":
        notes.append(
            f"The scores of a case sum to {total.min():.3g} to {total.max():.3g}, and not to 1: "
            "each row is divided by its sum."
        )
    elif (off > 1e-3).any():
        notes.append(
            f"{plural(int((off > 1e-3).sum()), 'row')} of probabilities sum to {total.min():.3f} "
            f"to {total.max():.3f}; taken as rounded, and divided by their sum."
        )
    if (off <= 1e-6).all():
        return scores
    equal = np.full_like(scores, 1 / len(tree.classes))
    found: FloatArray = np.divide(scores, total, out=equal, where=total > 0)
    return found


def _decision_probs(
    held: Mapping[str, Column], tree: LabelTree, probs: FloatArray, kept: BoolArray
) -> dict[str, FloatArray]:
    """Those of the table where it has DECISION/OPTION, else those that the classes imply."""
    implied = tree.decision_probs(probs)
    for decision in tree.decisions:
        columns = [held.get(f"{decision.name}/{option}") for option in decision.options]
        own = [c.numbers[kept] for c in columns if c is not None and c.numbers is not None]
        if len(own) == len(columns):
            told = np.column_stack(own)
            if not np.isnan(told).any() and (np.abs(told.sum(axis=1) - 1) < 1e-3).all():
                implied[decision.name] = told
    return implied
