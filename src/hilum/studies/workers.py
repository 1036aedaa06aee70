"""Worker processes, for studies and searches; and doing the runs of a study, here or in workers.

A worker imports PyTorch once. It leads a process group of its own, so that Ctrl-C reaches the
parent alone, which then asks each worker once to stop; and it watches its parent, so that it
ends, with a checkpoint, when that is killed.
"""

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from hilum.errors import HilumError, Interrupted
from hilum.studies.folds import Folds
from hilum.studies.study_run import RunIsBusy, StudyRun, do_run
from hilum.training.checkpoint import Row
from hilum.training.interrupt import StopRequest, stop_on_signal

BUSY_WAIT = 1.0  # seconds until a run that another process holds is tried again
_GRACE = 120.0  # seconds that a stopped worker has for its step and checkpoint

OnEpoch = Callable[[StudyRun, Row], None]


def start_worker(work: Callable[..., None], *arguments: Any, jobs: int) -> BaseProcess:
    """Start a process that calls work(stop, *arguments). jobs: how many share the cores evenly."""
    context = multiprocessing.get_context("spawn")  # a fork would inherit PyTorch's threads
    threads = max(1, (os.cpu_count() or 1) // jobs)
    process = context.Process(target=_live, args=(threads, work, arguments), daemon=True)
    process.start()
    return process


def end_workers(workers: Sequence[BaseProcess]) -> None:
    """Wait until all have ended; what does not within a grace is killed."""
    deadline = time.monotonic() + _GRACE
    for worker in workers:
        worker.join(max(0.0, deadline - time.monotonic()))
        if worker.is_alive():
            worker.kill()
            worker.join()


def _live(threads: int, work: Callable[..., None], arguments: Sequence[Any]) -> None:
    """The life of a worker process."""
    import torch

    from hilum.memory import keep_freed_memory

    if hasattr(os, "setsid"):
        os.setsid()
    keep_freed_memory()
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with stop_on_signal() as stop:
        work(stop, *arguments)


def _end_with_parent() -> None:
    """Ask this process to stop when its parent is gone: training then writes a checkpoint."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE)
    os._exit(1)


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


def do_runs_in_processes(
    runs: Sequence[StudyRun],
    folds: Folds,
    folder: Path,
    stop: StopRequest,
    on_epoch: OnEpoch,
    *,
    jobs: int,
) -> Generator[Outcome, None, None]:
    """Do runs in so many processes at once, which share the cores evenly; else as do_runs."""
    waiting = deque(runs)
    asleep: dict[str, float] = {}  # keys of busy runs, and when they may be tried again
    workers = [_Worker(folds, folder, jobs) for _ in range(min(jobs, len(runs)))]
    try:
        while waiting or any(w.run for w in workers):
            _refuse_stopped(stop)
            for worker in workers:
                if worker.run is None and (run := _next(waiting, asleep)):
                    worker.give(run)
            active = [w for w in workers if w.run]
            # A worker that dies closes its pipe, which then reads as ready.
            wait([w.pipe for w in active], timeout=0.2)
            for worker in active:
                for kind, value in worker.messages():
                    run = worker.run
                    assert run is not None
                    if kind == "epoch":
                        on_epoch(run, value)
                        continue
                    worker.run = None
                    if value is None:
                        waiting.append(run)
                        asleep[run.key] = time.monotonic() + BUSY_WAIT
                        continue
                    if kind == "dead":
                        workers[workers.index(worker)] = _Worker(folds, folder, jobs)
                    yield run, value
    finally:
        _end(workers)


def _refuse_stopped(stop: StopRequest) -> None:
    if stop.requested:
        raise Interrupted("stopped")


def _next(waiting: deque[StudyRun], asleep: dict[str, float]) -> StudyRun | None:
    for run in waiting:
        if asleep.get(run.key, 0.0) <= time.monotonic():
            waiting.remove(run)
            return run
    return None


class _Worker:
    """A worker process, seen from its parent. run: what it is doing, None if nothing."""

    def __init__(self, folds: Folds, folder: Path, jobs: int) -> None:
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = start_worker(_work, theirs, folds, folder, jobs=jobs)
        theirs.close()
        self.run: StudyRun | None = None

    def give(self, run: StudyRun) -> None:
        self.run = run
        with suppress(OSError):  # it died while idle: its closed pipe tells, as of one at work
            self.pipe.send(run)

    def messages(self) -> Iterator[tuple[str, Any]]:
        """What it said since: ('epoch', row), and at last 'done', as _try says it, or 'dead'."""
        try:
            while self.run and self.pipe.poll():
                yield self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode or 0
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            yield "dead", f"its process died ({how}); often there is too little memory"


def _end(workers: Sequence[_Worker]) -> None:
    """Stop what still runs, each with a checkpoint, and let the idle ones go."""
    for worker in workers:
        if worker.run and worker.process.is_alive():
            worker.process.terminate()
        worker.pipe.close()  # who waits for a run sees that there is none
    end_workers([worker.process for worker in workers])


def _work(stop: StopRequest, pipe: "Connection[Any, Any]", folds: Folds, folder: Path) -> None:
    """What a worker does: runs in, outcomes out, until the pipe closes."""
    while not stop.requested:
        try:
            run: StudyRun = pipe.recv()
            _refuse_stopped(stop)
            error = _try(run, folds, folder, stop, lambda row: pipe.send(("epoch", row)))
            pipe.send(("done", error))
        except (EOFError, OSError, Interrupted):
            return
