"""Runs in a table: what was trained on what, how good it is, how often a test set was looked at."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hilum.errors import EvaluationError, HilumError, nearest
from hilum.evaluation.files import EVALUATION_FILE, read_evaluation
from hilum.evaluation.ledger import read_ledger
from hilum.records import Estimate
from hilum.training.folder import FACTS_FILE, read_facts

#: Which evaluation of a run is told, the most telling first.
_ORDER = ("test", "val")


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

    def words(self) -> dict[str, str]:
        """What can be filtered by."""
        return {name: str(getattr(self, name) or "") for name in FILTERS}


FILTERS = ("run", "recipe", "data", "split")
#: What rows can be sorted by.
SORTS = ("run", "recipe", "data", "accuracy", "looks", "seconds", "finished")


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
    rows = [r for r in rows if all(text in r.words()[name].casefold() for name, text in wanted)]
    return tuple(sorted(rows, key=lambda row: _rank(row, sort)))


def _filter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or name not in FILTERS:
        raise EvaluationError(f"'{text}' is no filter; write recipe=default, for {FILTERS}.")
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
        split = next((s for s in (*_ORDER, *found) if s in found), None)
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


def _rank(row: RunRow, sort: str) -> tuple[bool, object]:
    """For sorting: what is not known comes last."""
    value = getattr(row, sort)
    if sort == "accuracy":
        value = row.accuracy.value if row.accuracy else None
    if value is None:
        return True, 0
    if sort == "finished":
        return False, [-ord(c) for c in value]
    return False, -value if sort in ("accuracy", "looks") else value
