"""Whether cases that are judged were trained on, and what the figures are without them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hilum.errors import EvaluationError
from hilum.judging.cases import Cases
from hilum.judging.columns import read_columns
from hilum.judging.roles import NAMES, plain
from hilum.records import BoolArray, Estimate
from hilum.statistics.intervals import wilson


@dataclass(frozen=True, slots=True)
class Leak:
    """Cases, and patients, of a table that the training table holds too.

    table: the training table. cases, patients: how many of both; None where they are not known on
    both sides. n: cases that remain without them. accuracy, without: share of cases that are
    right in all, of all and of those; undefined of findings alone. looked: whether images were
    compared, and not names alone.
    """

    table: str
    cases: int | None
    patients: int | None
    n: int
    accuracy: Estimate
    without: Estimate
    looked: bool = False


def find_leak(cases: Cases, train: Path, told: Mapping[str, str]) -> Leak:
    """Which cases the training table names too. told: columns by role, where they are there.

    Raises EvaluationError where it names neither cases nor patients.
    """
    columns = read_columns(train)

    def of(role: str) -> set[str] | None:
        name = told.get(role)
        if name not in columns:
            found = [n for s in NAMES[role] for n in columns if plain(n) == s]
            name = found[0] if found else None
        return None if name is None else columns[name].said

    names, patients = of("case"), of("patient")
    if names is None and patients is None:
        raise EvaluationError(
            f"{train}: names neither cases nor patients (columns: {', '.join(columns)}); name "
            "them: --columns case=COLUMN,patient=COLUMN"
        )
    if not cases.named:  # numbers of rows in two tables say nothing of each other
        names = None
    if names is None and (patients is None or cases.groups is None):
        raise EvaluationError(
            f"{cases.name} and {train.name} do not both name cases (numbers of rows are no names) "
            "or patients, so that they cannot be looked for: --columns case=COLUMN,patient=COLUMN"
        )
    here = np.array([name in (names or ()) for name in cases.predictions.names], dtype=bool)
    shared = here.copy()
    both = None
    if patients is not None and cases.groups is not None:
        own = np.array([group in patients for group in cases.groups], dtype=bool)
        both = len({g for g in cases.groups if g in patients})
        shared |= own
    return leak_of(cases, train.name, None if names is None else here, shared, both)


def leak_of(
    cases: Cases,
    table: str,
    here: BoolArray | None,
    shared: BoolArray,
    patients: int | None,
    *,
    looked: bool = False,
) -> Leak:
    """What is shared, and the accuracy without it.

    here: (N,) cases that were trained on, None where it is not known. shared: (N,) those, and all
    of patients who were. patients: how many these are. looked: as of Leak.
    """
    right = cases.predictions.predicted == cases.truth

    def share(kept: BoolArray) -> Estimate:
        if not cases.tree.decisions:
            return Estimate.undefined("there are findings alone")
        return wilson(int(right[kept].sum()), int(kept.sum()))

    return Leak(
        table, None if here is None else int(here.sum()), patients, int((~shared).sum()),
        share(np.ones(len(cases), dtype=bool)), share(~shared), looked,
    )  # fmt: skip
