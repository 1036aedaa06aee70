"""A table of predictions → what an evaluation takes: the truth, and Predictions.

Scores are told to be probabilities, logits, other scores, or nothing but classes, since only
probabilities can be judged for what they say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.special import expit, softmax

from hilum.decisions import ROOT
from hilum.errors import EvaluationError, examples, nearest, plural
from hilum.judging.columns import Column, read_columns
from hilum.judging.roles import VAGUE, Roles, find_roles, plain
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.records import MISSING, BoolArray, FloatArray, IntArray
from hilum.wording import listed

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
_ROUNDED = 0.02


@dataclass(frozen=True)
class Cases:
    """N cases of a table.

    name: of the table. truth, predictions, marks: as evaluate_predictions takes them. kind: of the
    scores. groups: (N,) patients, None where they are not known. attributes: by name the cells
    (N,), None where empty. reading: which column is read as what. notes: what a reader must know.
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

    def __len__(self) -> int:
        return len(self.truth)

    def take(self, kept: BoolArray) -> "Cases":
        """Some of them. kept: (N,)."""
        rows = np.flatnonzero(kept).tolist()
        return Cases(
            self.name, self.tree, self.truth[kept], self.predictions.take(kept), self.marks[kept],
            self.kind, None if self.groups is None else tuple(self.groups[i] for i in rows),
            {name: [cells[i] for i in rows] for name, cells in self.attributes.items()},
            self.reading, self.notes,
        )  # fmt: skip


def read_cases(
    file: Path | str,
    *,
    columns: Mapping[str, str] | None = None,
    classes: LabelTree | None = None,
    kind: Kind | None = None,
    leave_out_missing: bool = False,
) -> Cases:
    """Read anybody's table of predictions with the truth.

    file: CSV (also with ; or tabs), Parquet, JSON Lines or NPZ. columns: by role, as parse_columns
    gives them; others are guessed. classes: the labels; None takes them from the table. kind: what
    the scores are; None looks. leave_out_missing: leave cases without scores out, instead of
    refusing them. Raises EvaluationError where the table cannot be read or means nothing.
    """
    path = Path(file)
    held = read_columns(path)
    roles = find_roles(held, dict(columns or {}), classes, str(path))
    notes: list[str] = []
    if "class" in roles.single:
        held, roles = _widened(held, roles, str(path))
    n = len(next(iter(held.values())))
    kept, scored = _kept(held, roles, n, leave_out_missing, path, notes)
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
        truth = _classes(single["truth"], tree, kept, path)
    for finding in tree.findings:
        marks[:, finding.index] = _marks(held[roles.truths[finding.name]], kept, path)
    predictions, found = _predictions(held, roles, single, kept, names, kind, path, notes)
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
    )
    return cases if unique.all() else cases.take(unique)


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
) -> tuple[BoolArray, list[str]]:
    """Which rows have a truth and all scores (N,), and the columns of scores."""
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
    lacking &= kept
    if lacking.any():
        rows = [str(i + 2) for i in np.flatnonzero(lacking)[:5].tolist()]
        if not leave_out:
            raise EvaluationError(
                f"{path}: {plural(int(lacking.sum()), 'case')} without a score (row "
                f"{', '.join(rows)}). To leave out what a model failed on flatters it; "
                "--leave-out-missing does so, and says it."
            )
        notes.append(
            f"{plural(int(lacking.sum()), 'case')} without a score left out, which may flatter."
        )
    kept &= ~lacking
    if not kept.any():
        raise EvaluationError(f"{path}: no case has a truth and scores.")
    return kept, scored


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


def _classes(column: Column, tree: LabelTree, kept: BoolArray, path: Path) -> IntArray:
    """The class of each kept row (N,)."""
    index = {_key(name): k for k, name in enumerate(tree.classes)}
    texts = column.texts
    known: dict[str, int] = {}
    for text in column.said:
        # a path such as infected/covid names its last part
        k = index.get(_key(text), index.get(_key(text.rsplit("/", 1)[-1])))
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


def _marks(column: Column, kept: BoolArray, path: Path) -> IntArray:
    """Of a finding 1, 0, or -1 where it is not known (N,)."""
    if column.numbers is None:
        raise EvaluationError(f"{path}: the column '{column.name}' should hold 0 or 1.")
    values = column.numbers[kept]
    known = ~np.isnan(values) & (values != MISSING)
    if odd := set(values[known].tolist()) - {0.0, 1.0}:
        raise EvaluationError(
            f"{path}: the column '{column.name}' should hold 0, 1, or -1 and nothing where it is "
            f"not known; found {min(odd):g}."
        )
    return np.where(known, values, MISSING).astype(np.int64)


# ---- scores ---------------------------------------------------------------------------------


def _predictions(
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
        if own:
            found = _kind_of(np.column_stack(list(own.values())), one=len(own) == 1, told=kind)
            probs = _as_probs(own, tree, found, notes)
            kinds.append(found)
            if found != "labels":
                predicted = probs.argmax(axis=1).astype(np.int64)
        if "predicted" in single:
            predicted = _classes(single["predicted"], tree, kept, path)
        if not own or kinds == ["labels"]:
            kinds = ["labels"]
            if own and "predicted" not in single:
                predicted = probs.argmax(axis=1).astype(np.int64)
            probs = np.eye(len(tree.classes))[predicted]
        decisions = _decision_probs(held, tree, probs, kept)
    finding_probs = np.zeros((n, len(tree.findings)))
    present = np.zeros((n, len(tree.findings)), dtype=bool)
    for finding in tree.findings:
        scores = numbers(roles.scores[finding.name])
        found = _kind_of(scores[:, None], one=True, told=kind)
        kinds.append(found)
        finding_probs[:, finding.index] = scores if _in_unit(scores) else expit(scores)
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


def _kind_of(scores: FloatArray, *, one: bool, told: Kind | None) -> Kind:
    """What scores (N, K) are. one: of a single class of two, or of a finding."""
    if told is not None:
        return told
    if not _in_unit(scores):
        return "logits"
    if len(scores) > 1 and np.isin(scores, (0.0, 1.0)).all():
        return "labels"
    if one or (np.abs(scores.sum(axis=1) - 1) <= _ROUNDED).all():
        return "probabilities"
    return "scores"


def _as_probs(
    own: Mapping[str, FloatArray], tree: LabelTree, kind: Kind, notes: list[str]
) -> FloatArray:
    """Scores of all classes, or of one of two, as rows (N, C) that sum to 1."""
    if len(own) == 1:
        ((name, scores),) = own.items()
        if kind == "scores" and not _in_unit(scores):
            scores = (scores - scores.min()) / max(float(np.ptp(scores)), 1e-300)
        share = np.clip(scores, 0, 1) if _in_unit(scores) else expit(scores)
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
            f"{plural(int((off > 1e-3).sum()), 'row')} of probabilities sum to {total.min():.3f} to "
            f"{total.max():.3f}; taken as rounded, and divided by their sum."
        )
    if (off <= 1e-6).all():
        return scores
    equal = np.full_like(scores, 1 / len(tree.classes))
    return np.divide(scores, total, out=equal, where=total > 0)


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


# ---- long form ------------------------------------------------------------------------------


def _widened(
    held: Mapping[str, Column], roles: Roles, where: str
) -> tuple[dict[str, Column], Roles]:
    """A table with a row for each case and class, as one with a row for each case."""
    single = roles.single
    if "case" not in single or "score" not in single:
        raise EvaluationError(
            f"{where}: a row for each case and class ('{single['class']}') needs a column that "
            "names the case and one of scores: --columns case=COLUMN,score=COLUMN"
        )
    tree, cases = roles.tree, held[single["case"]].texts
    names = {name: i for i, name in enumerate(dict.fromkeys(cases))}
    row = np.array([names[name] for name in cases])
    k = _classes(held[single["class"]], tree, np.ones(len(cases), dtype=bool), Path(where))
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


def describe_cases(cases: Cases) -> str:
    """What is judged, in a sentence: cases, patients, classes."""
    found = plural(len(cases), "case")
    if cases.groups is not None:
        found += f" of {plural(len(set(cases.groups)), 'patient')}"
    if not cases.tree.decisions:
        return f"{found}, findings {listed(f.name for f in cases.tree.findings)}"
    counts = np.bincount(cases.truth, minlength=len(cases.tree.classes)).tolist()
    named = zip(cases.tree.classes, counts, strict=True)
    return f"{found}: {listed(f'{n:,} {name}' for name, n in named)}"
