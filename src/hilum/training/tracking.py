"""Who else is told how a training goes: TensorBoard, where it is installed, and MLflow.

MLflow is told where its own environment variables say so (mlflow_run.py). The run folder holds
everything all the same.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, Protocol

from hilum.errors import Interrupted, Pruned
from hilum.training.checkpoint import Row, numbers
from hilum.training.folder import read_facts
from hilum.training.mlflow_run import SWITCHES, MlflowRun

#: How a training ended.
Ending = Literal["finished", "interrupted", "pruned", "failed"]


class Tracker(Protocol):
    """What is told of a run. None of it raises: a training is not lost for its sake."""

    def restore(self, rows: Sequence[Row]) -> None:
        """Told once, before any epoch: the rows of the history that a resumed run has already."""

    def record(self, row: Row) -> None:
        """Told of an epoch."""

    def close(self, ending: Ending) -> None:
        """Told last. Of a finished run the classifier is in RUN/classifier."""


class TensorBoard:
    """RUN/tensorboard."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._board: Any = SummaryWriter(log_dir=str(folder))

    def restore(self, rows: Sequence[Row]) -> None:
        """Its files hold them already."""

    def record(self, row: Row) -> None:
        """Every number of the row is a scalar."""
        for name, value in numbers(row).items():
            self._board.add_scalar(name, value, row["epoch"])
        self._board.flush()

    def close(self, ending: Ending) -> None:
        """Close its file."""
        self._board.close()


@contextmanager
def track(run: Path, facts: dict[str, Any], recipe: Mapping[str, Any]) -> Iterator[list[Tracker]]:
    """The trackers of a run, told in the end how it ended.

    facts: of run.json, which get 'tracking', by which a resumed run finds what it began. recipe:
    its keys, without the places of files. Raises TrackingError where one that was asked for cannot
    be told.
    """
    trackers: list[Tracker] = []
    with suppress(ImportError):  # it is no dependency
        trackers.append(TensorBoard(run / "tensorboard"))
    ending: Ending = "failed"
    try:
        if is_mlflow_asked_for():
            trackers.append(MlflowRun.begin(run, facts, recipe))
        yield trackers
        ending = "finished"
    except (Interrupted, KeyboardInterrupt):
        ending = "interrupted"
        raise
    except Pruned:
        ending = "pruned"
        raise
    finally:
        for tracker in trackers:
            tracker.close(ending)


def track_report(run: Path, report: Path, figures: Mapping[str, float]) -> None:
    """Give trackers that keep results the report on a run, and figures of it by name."""
    if is_mlflow_asked_for() and (known := MlflowRun.of(run, read_facts(run) or {})):
        known.add_report(report, figures)


def is_mlflow_asked_for() -> bool:
    """Whether MLflow's own environment variables name a server or an experiment."""
    return any(os.environ.get(name) for name in SWITCHES)
