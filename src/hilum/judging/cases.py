"""A table of predictions → what an evaluation takes: the truth, and Predictions.

Scores are told to be probabilities, logits, other scores, or nothing but classes, since only
probabilities can be judged for what they say.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hilum.errors import EvaluationError, examples, plural
from hilum.judging.columns import Column, read_columns
from hilum.judging.longform import one_of_several, widened
from hilum.judging.roles import VAGUE, Roles, find_roles, plain
from hilum.judging.scores import Kind, read_classes, read_marks, read_scores
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.records import MISSING, BoolArray, IntArray
from hilum.wording import listed


@dataclass(frozen=True)
class Cases:
    """N cases of a table.

    name: of the table. truth, predictions, marks: as evaluate_predictions takes them. kind: of the
    scores. groups: (N,) patients, None where they are not known. attributes: by name the cells
    (N,), None where empty. named: whether names are the cases' own, not numbers of rows. reading:
    which column is read as what. notes: what a reader must know.
    """

    name: str
    tree: LabelTree
    truth: IntArray
    predictions: Predictions
    marks: IntArray
    kind: Kind
    groups: tuple[str, ...] | None
    attributes: dict[str, list[str | None]]
    reading: str
    notes: tuple[str, ...]
    named: bool = True

    def __len__(self) -> int:
        return len(self.truth)

    def sampled(self, most: int) -> BoolArray:
        """All of them (N,), or of more than `most` so many drawn at random, always the same."""
        n = len(self)
        kept = np.full(n, n <= most)
        if n > most:
            kept[np.random.default_rng(0).choice(n, most, replace=False)] = True
        return kept

    def take(self, kept: BoolArray) -> "Cases":
        """Some of them. kept: (N,)."""
        rows = np.flatnonzero(kept).tolist()
        return Cases(
            self.name, self.tree, self.truth[kept], self.predictions.take(kept), self.marks[kept],
            self.kind, None if self.groups is None else tuple(self.groups[i] for i in rows),
            {name: [cells[i] for i in rows] for name, cells in self.attributes.items()},
            self.reading, self.notes, self.named,
        )  # fmt: skip


def read_cases(
    file: Path | str,
    *,
    columns: Mapping[str, str] | None = None,
    classes: LabelTree | None = None,
    kind: Kind | None = None,
    leave_out_missing: bool = False,
    numbered: bool = True,
) -> Cases:
    """Read anybody's table of predictions with the truth.

    file: CSV (also with ; or tabs), Parquet, JSON Lines or NPZ. columns: by role, as parse_columns
    gives them; others are guessed. classes: the labels; None takes them from the table. numbered:
    whether numbers of scores are the order of these, or of the alphabet. kind: what the scores are;
    None looks. leave_out_missing: leave cases without scores out, instead of
    refusing them. Raises EvaluationError where the table cannot be read or means nothing.
    """
    path = Path(file)
    held = read_columns(path)
    roles = find_roles(held, dict(columns or {}), classes, str(path), numbered)
    if classes is None or not classes.findings:
        held, roles = one_of_several(held, roles, classes)
    if classes is not None and roles.tree != classes:
        raise EvaluationError(
            f"{path}: there is no column of the truth, but one of each of "
            f"{listed(roles.truths)}; name it: --columns truth=COLUMN"
        )
    notes: list[str] = [*roles.notes]
    if "class" in roles.single:
        held, roles = widened(held, roles, str(path))
    n = len(next(iter(held.values())))
    kept = _kept(held, roles, n, leave_out_missing, path, notes)
    single = {role: held[name] for role, name in roles.single.items()}
    groups = _cells(single["patient"], kept) if "patient" in single else None
    names = [str(i + 2) for i in np.flatnonzero(kept).tolist()]
    if "case" in single:
        names = [c or "" for c in _cells(single["case"], kept)]
        groups, unique = _check_names(names, groups, roles, path, notes)
    else:
        unique = np.ones(len(names), dtype=bool)
    if groups is not None and (unknown := sum(g is None for g in groups)):
        notes.append(
            f"Of {plural(unknown, 'case')} the patient is not known: each counts as one of its own."
        )
        groups = [g if g is not None else f"\0{i}" for i, g in enumerate(groups)]
    tree = roles.tree
    truth = np.zeros(len(names), dtype=np.int64)
    marks = np.full((len(names), len(tree.findings)), MISSING, dtype=np.int64)
    if tree.decisions:
        truth = read_classes(single["truth"], tree, kept, path)
    for finding in tree.findings:
        marks[:, finding.index] = read_marks(held[roles.truths[finding.name]], kept, path)
    predictions, found = read_scores(held, roles, single, kept, names, kind, path, notes)
    cases = Cases(
        _name_of(path),
        tree,
        truth,
        predictions,
        marks,
        found,
        tuple(map(str, groups)) if groups is not None else None,
        {name: _cells(held[column], kept) for name, column in roles.attributes.items()},
        roles.in_words(),
        tuple(notes),
        "case" in single and ("case" in (columns or {}) or not _count_rows(names)),
    )
    return cases if unique.all() else cases.take(unique)


def _count_rows(names: list[str]) -> bool:
    """Whether names only count the rows, as a data frame's index."""
    return any(names == list(map(str, range(k, k + len(names)))) for k in (0, 1))


def _name_of(path: Path) -> str:
    """What a table is called: its file, or the evaluation whose predictions.csv it is."""
    split, evaluation, run = path.resolve().parts[-2:-5:-1] if len(path.resolve().parts) > 4 else (
        "", "", ""
    )  # fmt: skip
    return f"{run}, {split}" if evaluation == "evaluation" else path.name


def _cells(column: Column, kept: BoolArray) -> list[str | None]:
    texts = column.texts
    return [texts[i] or None for i in np.flatnonzero(kept).tolist()]


def _kept(
    held: Mapping[str, Column],
    roles: Roles,
    n: int,
    leave_out: bool,
    path: Path,
    notes: list[str],
) -> BoolArray:
    """Which rows have a truth and all scores (N,)."""
    kept = np.ones(n, dtype=bool)
    if "truth" in roles.single:
        column = held[roles.single["truth"]]
        told = (
            ~np.isnan(column.numbers) if column.numbers is not None
            else np.array([bool(t) for t in column.texts])
        )  # fmt: skip
        if missing := int((~told).sum()):
            notes.append(f"{plural(missing, 'case')} without a truth left out.")
        kept &= told
    scored = [*roles.scores.values()]
    if not scored and "score" in roles.single:
        scored = [roles.single["score"]]
    lacking = np.zeros(n, dtype=bool)
    for name in scored:
        numbers = held[name].numbers
        if numbers is None:
            odd = next(t for t in held[name].texts if t and not _is_number(t))
            raise EvaluationError(f"{path}: the scores of '{name}' should be numbers; found {odd}.")
        if np.isinf(numbers).any():
            raise EvaluationError(f"{path}: the scores of '{name}' hold an infinite number.")
        lacking |= np.isnan(numbers)
    if "predicted" in roles.single:
        lacking |= np.array([not text for text in held[roles.single["predicted"]].texts])
    lacking &= kept
    if lacking.any():
        rows = [str(i + 2) for i in np.flatnonzero(lacking)[:5].tolist()]
        if not leave_out:
            raise EvaluationError(
                f"{path}: {plural(int(lacking.sum()), 'case')} without a score or class (row "
                f"{', '.join(rows)}). To leave out what a model failed on flatters it; "
                "--leave-out-missing does so, and says it."
            )
        notes.append(
            f"{plural(int(lacking.sum()), 'case')} without a score or class left out, which may "
            "flatter."
        )
    kept &= ~lacking
    if not kept.any():
        raise EvaluationError(f"{path}: no case has a truth and scores.")
    return kept


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_names(
    names: list[str],
    groups: list[str | None] | None,
    roles: Roles,
    path: Path,
    notes: list[str],
) -> tuple[list[str | None] | None, BoolArray]:
    """Patients, and which cases are kept: a case that stands twice counts once."""
    unique = np.ones(len(names), dtype=bool)
    if len(set(names)) == len(names):
        return groups, unique
    column = roles.single["case"]
    if plain(column) in VAGUE and groups is None:
        notes.append(
            f"'{column}' names some cases several times, and is taken for the patient; if it is "
            "not, name the columns: --columns case=COLUMN,patient=COLUMN"
        )
        return list(names), unique
    seen: set[str] = set()
    for i, name in enumerate(names):
        unique[i] = name not in seen
        seen.add(name)
    twice = [names[i] for i in np.flatnonzero(~unique)[:5].tolist()]
    notes.append(
        f"{plural(int((~unique).sum()), 'row')} of '{column}' that stand there again left out "
        f"({examples(twice)}): the first row of each counts."
    )
    return groups, unique


#: Of more classes not every one is told.
MANY = 10


def describe_cases(cases: Cases) -> str:
    """What is judged, in a sentence: cases, patients, classes."""
    found = plural(len(cases), "case")
    if cases.groups is not None:
        found += f" of {plural(len(set(cases.groups)), 'patient')}"
    if not cases.tree.decisions:
        return f"{found}, findings {listed(f.name for f in cases.tree.findings)}"
    counts = np.bincount(cases.truth, minlength=len(cases.tree.classes)).tolist()
    if len(counts) > MANY:
        return f"{found} of {len(counts)} classes, {min(counts):,} to {max(counts):,} of each"
    named = zip(cases.tree.classes, counts, strict=True)
    return f"{found}: {listed(f'{n:,} {name}' for name, n in named)}"
