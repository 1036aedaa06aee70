"""Runs in a table: what was trained on what, how good it is, how often a test set was looked at."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hilum.errors import EvaluationError, HilumError, nearest
from hilum.evaluation.files import EVALUATION_FILE, most_telling, read_evaluation
from hilum.evaluation.ledger import read_ledger
from hilum.records import Estimate
from hilum.training.folder import FACTS_FILE, read_facts
from hilum.wording import listed


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run below some folder.

    run: its path. recipe, data: their names. split: the evaluation that is told: test, or else
    val, or the first of others; None without one. accuracy, n: of it. looks: how often a test set
    or data from elsewhere were looked at. seconds: of training. finished: UTC, ISO 8601; None
    while it trains or where it was stopped. note: what is damaged.
    """

    run: str
    recipe: str = ""
    data: str = ""
    split: str | None = None
    accuracy: Estimate | None = None
    n: int = 0
    looks: int = 0
    seconds: float | None = None
    finished: str | None = None
    note: str = ""


FILTERS = ("run", "recipe", "data", "split")
#: What rows can be sorted by, those last that begin with the largest or the newest.
SORTS = ("run", "recipe", "data", "seconds", "accuracy", "looks", "finished")
_FALLING = SORTS[-3:]


def list_runs(folder: Path, *, where: Sequence[str] = (), sort: str = "run") -> tuple[RunRow, ...]:
    """The runs in a folder and below it.

    where: 'recipe=default' and the like, all of which must hold; a part of the name is enough.
    sort: by one of SORTS; accuracies and looks begin with the largest, times with the newest.
    A damaged run has a row that says so. Raises EvaluationError where there is no such folder, or
    what is asked for cannot be filtered or sorted by.
    """
    if not folder.is_dir():
        raise EvaluationError(f"{folder}: there is no such folder.")
    if sort not in SORTS:
        raise EvaluationError(f"Runs cannot be sorted by '{sort}'.{nearest(sort, SORTS)}")
    wanted = [_filter(text) for text in where]
    rows = [_row(path) for path in _run_folders(folder)]
    rows = [
        row
        for row in rows
        if all(text in str(getattr(row, name) or "").casefold() for name, text in wanted)
    ]
    known = [row for row in rows if _value(row, sort) is not None]
    unknown = [row for row in rows if _value(row, sort) is None]
    known.sort(key=lambda row: _value(row, sort), reverse=sort in _FALLING)
    return (*known, *unknown)


def _filter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or name not in FILTERS:
        raise EvaluationError(
            f"'{text}' is no filter; write recipe=default, or the same of {listed(FILTERS)}."
        )
    return name, value.casefold()


def _run_folders(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        if FACTS_FILE in files:
            folders.clear()  # nothing in a run is another run
            yield Path(place)
        folders.sort()


def _row(run: Path) -> RunRow:
    try:
        facts = read_facts(run) or {}
        found = {f.parent.name: f for f in sorted(run.glob(f"evaluation/*/{EVALUATION_FILE}"))}
        split = most_telling(found)
        evaluation = read_evaluation(found[split]) if split else None
        finished = facts.get("finished")
        return RunRow(
            str(run),
            str(facts.get("name") or ""),
            str((facts.get("data") or {}).get("name") or ""),
            split,
            evaluation.accuracy if evaluation else None,
            evaluation.n if evaluation else 0,
            len(read_ledger(run)) if finished else 0,
            facts.get("seconds"),
            finished,
        )
    except HilumError as error:
        return RunRow(str(run), note=str(error))


def _value(row: RunRow, sort: str) -> Any:
    """What a row is sorted by; None where it is not known."""
    return row.accuracy and row.accuracy.value if sort == "accuracy" else getattr(row, sort)
