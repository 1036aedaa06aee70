"""Tables of other shapes: a row for each case and class, and a column of 0 and 1 for each class."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from hilum.errors import EvaluationError
from hilum.judging.columns import Column
from hilum.judging.roles import Roles
from hilum.judging.scores import ROUNDED, read_classes
from hilum.labels import LabelTree
from hilum.records import FloatArray


def widened(
    held: Mapping[str, Column], roles: Roles, where: str
) -> tuple[dict[str, Column], Roles]:
    """The columns and their roles. Raises EvaluationError where a row is missing or twice."""
    single = roles.single
    if "case" not in single or "score" not in single:
        raise EvaluationError(
            f"{where}: a row for each case and class ('{single['class']}') needs a column that "
            "names the case and one of scores: --columns case=COLUMN,score=COLUMN"
        )
    tree, cases = roles.tree, held[single["case"]].texts
    names = {name: i for i, name in enumerate(dict.fromkeys(cases))}
    row = np.array([names[name] for name in cases])
    k = read_classes(held[single["class"]], tree, np.ones(len(cases), dtype=bool), Path(where))
    times = np.zeros((len(names), len(tree.classes)), dtype=np.int64)
    np.add.at(times, (row, k), 1)
    if (times != 1).any():
        at, of = np.argwhere(times != 1)[0].tolist()
        raise EvaluationError(
            f"{where}: expected one row for each case and class; there are {times[at, of]} of "
            f"{list(names)[at]} and {tree.classes[of]}."
        )
    scores = held[single["score"]].numbers
    if scores is None:
        raise EvaluationError(f"{where}: the column '{single['score']}' should hold numbers.")
    wide = np.full(times.shape, np.nan)
    wide[row, k] = scores
    first = np.zeros(len(names), dtype=np.int64)
    first[row[::-1]] = np.arange(len(cases))[::-1]
    found: dict[str, Column] = {}
    kept = [c for role, c in single.items() if role not in ("class", "score")]
    for name in [*kept, *roles.attributes.values()]:
        texts = held[name].texts
        found[name] = Column(name, None, [texts[i] for i in first.tolist()])
    by_class = {name: f"score of {name}" for name in tree.classes}
    found |= {
        column: Column(column, wide[:, tree.classes.index(name)])
        for name, column in by_class.items()
    }
    rest = {role: c for role, c in single.items() if role not in ("class", "score")}
    used = {*rest.values(), single["class"], single["score"], *roles.attributes.values()}
    unread = tuple(name for name in held if name not in used)
    return found, Roles(rest, by_class, tree, {}, {}, roles.attributes, unread)


def one_of_several(
    held: dict[str, Column], roles: Roles, classes: LabelTree | None
) -> tuple[dict[str, Column], Roles]:
    """What reads like findings, of which each case has exactly one, as classes (one-hot)."""
    names = list(roles.truths)
    if len(names) < 2 or roles.tree.decisions:
        return held, roles
    empty = np.full(len(held[roles.truths[names[0]]]), np.nan)

    def stacked(of: Mapping[str, str]) -> FloatArray:
        found = (held[of[name]].numbers for name in names)
        return np.column_stack([empty if numbers is None else numbers for numbers in found])

    truth, scores = stacked(roles.truths), stacked(roles.scores)
    one = np.isin(truth, (0, 1)).all() and (truth.sum(axis=1) == 1).all()
    if not one or not (np.abs(scores.sum(axis=1) - 1) <= ROUNDED).all():
        return held, roles
    texts = [names[k] for k in truth.argmax(axis=1).tolist()]
    column = ", ".join(roles.truths.values())
    note = "Each case has exactly one of these, and its scores sum to 1: they are read as classes."
    return {**held, column: Column(column, None, texts)}, replace(
        roles, single={**roles.single, "truth": column}, truths={}, called={},
        tree=classes or LabelTree.from_text(", ".join(names)), notes=(*roles.notes, note),
    )  # fmt: skip
