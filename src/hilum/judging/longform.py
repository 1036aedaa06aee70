"""A table with a row for each case and class, as one with a row for each case."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hilum.errors import EvaluationError
from hilum.judging.columns import Column
from hilum.judging.roles import Roles
from hilum.judging.scores import read_classes


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
