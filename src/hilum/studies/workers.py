"""Doing the runs of a study: in this process, or by a crew of workers."""

import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from hilum.cluster import TRIES
from hilum.errors import HilumError, Interrupted, StudyError
from hilum.studies.crew import Crew, Worker
from hilum.studies.folds import Folds
from hilum.studies.study_run import RunIsBusy, StudyRun, do_run
from hilum.training.checkpoint import Row
from hilum.training.interrupt import StopRequest

BUSY_WAIT = 1.0  # seconds until a run that another process holds is tried again
_LOOK = 0.2  # seconds between looks at what was asked of the command itself

OnEpoch = Callable[[StudyRun, Row], None]


def describe_failure(error: Exception) -> str:
    """Why a run or trial failed; of what Hilum did not foresee also where."""
    if isinstance(error, HilumError):
        return str(error)
    where = traceback.extract_tb(error.__traceback__)
    last = f" ({Path(where[-1].filename).name}, line {where[-1].lineno})" if where else ""
    return f"{type(error).__name__}: {error}{last}"


#: A run that was done, and why it failed; empty if it did not.
Outcome = tuple[StudyRun, str]


def _try(
    run: StudyRun, folds: Folds, folder: Path, stop: StopRequest, on_epoch: Callable[[Row], None]
) -> str | None:
    """Do a run. Returns why it failed, '' if it did not, None where another process holds it.

    Raises Interrupted after a stop.
    """

    def after_epoch(row: Row) -> None:
        # Training listens to signals itself; this is for one that came just before it began.
        on_epoch(row)
        _refuse_stopped(stop)

    try:
        do_run(run, folds, folder, after_epoch)
    except RunIsBusy:
        return None
    except Interrupted:
        raise
    except Exception as error:  # whatever it was, the other runs are none the worse
        return describe_failure(error)
    return ""


def do_runs(
    runs: Sequence[StudyRun], folds: Folds, folder: Path, stop: StopRequest, on_epoch: OnEpoch
) -> Generator[Outcome, None, None]:
    """Do runs one after the other in this process; a failure leaves the others going.

    Runs that another study holds come last. Raises Interrupted after a stop.
    """
    waiting, busy = deque(runs), 0
    while waiting:
        _refuse_stopped(stop)
        run = waiting.popleft()
        error = _try(run, folds, folder, stop, partial(on_epoch, run))
        if error is not None:
            busy = 0
            yield run, error
            continue
        waiting.append(run)
        busy += 1
        if busy >= len(waiting):
            time.sleep(BUSY_WAIT)
            busy = 0


def do_runs_by(
    crew: Crew, runs: Sequence[StudyRun], stop: StopRequest, on_epoch: OnEpoch
) -> Generator[Outcome, None, None]:
    """Do runs by a crew whose work is work_on_runs, several at once; else as do_runs.

    A run whose worker died is begun again by another, from its checkpoint, and fails when that has
    happened too often. Raises StudyError for what a worker refuses, and where none can begin.
    """
    waiting = deque(runs)
    asleep: dict[str, float] = {}  # keys of busy runs, and when they may be tried again
    deaths: Counter[str] = Counter()  # by key of the run that the worker had, "" where it had none
    doing: dict[Worker, StudyRun] = {}
    workers: list[Worker] = []
    try:
        for _ in range(min(crew.size, len(runs))):
            workers.append(crew.start())
        while waiting or doing:
            _refuse_stopped(stop)
            for worker in workers:
                if worker.ready and worker not in doing and (run := _next(waiting, asleep)):
                    worker.send(run)
                    doing[worker] = run
            active = [w for w in workers if w in doing or not w.ready]
            crew.wait(active, _LOOK)
            for worker in active:
                for kind, value in worker.messages():
                    if kind == "refused":
                        raise StudyError(value)
                    if kind == "epoch":
                        on_epoch(doing[worker], value)
                        continue
                    run = doing.pop(worker, None)
                    if kind == "over":
                        workers[workers.index(worker)] = crew.start()
                        value = value or "its process was ended"
                        deaths[run.key if run else ""] += 1
                        if deaths[""] >= TRIES * crew.size:
                            raise StudyError(f"No run can be begun: {value}.")
                        if run and deaths[run.key] < TRIES:
                            waiting.appendleft(run)
                            continue
                        value = f"{TRIES} times over, {value}"
                    if run is None:
                        continue
                    if value is None:
                        waiting.append(run)
                        asleep[run.key] = time.monotonic() + BUSY_WAIT
                        continue
                    yield run, value
    finally:
        crew.end(workers)


def _refuse_stopped(stop: StopRequest) -> None:
    if stop.requested:
        raise Interrupted("stopped")


def _next(waiting: deque[StudyRun], asleep: dict[str, float]) -> StudyRun | None:
    for run in waiting:
        if asleep.get(run.key, 0.0) <= time.monotonic():
            waiting.remove(run)
            return run
    return None


def work_on_runs(
    stop: StopRequest, pipe: "Connection[Any, Any]", folds: Folds, folder: Path
) -> None:
    """What a worker of do_runs_by does: runs in, outcomes out, until the pipe closes."""
    while not stop.requested:
        try:
            run: StudyRun = pipe.recv()
            _refuse_stopped(stop)
            error = _try(run, folds, folder, stop, lambda row: pipe.send(("epoch", row)))
            pipe.send(("done", error))
        except (EOFError, OSError, Interrupted):
            return
