"""Doing many runs: here one after the other, or in processes that live as long as the study.

A worker imports PyTorch once and gets one run after the other through a pipe. It leads a process
group of its own, so that Ctrl-C reaches the parent alone, which then asks each worker once to
stop; and it watches its parent, so that it ends, with a checkpoint, when that is killed.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from hilum.errors import HilumError, Interrupted
from hilum.studies.folds import Folds
from hilum.studies.runs import Run, RunIsBusy, do_run
from hilum.training.checkpoint import Row
from hilum.training.interrupt import StopRequest, stop_on_signal

_BUSY_WAIT = 1.0  # seconds until a run that another study holds is tried again
GRACE = 120.0  # seconds that a stopped worker has for its step and checkpoint

OnEpoch = Callable[[Run, Row], None]


@dataclass(frozen=True)
class Outcome:
    """A run that was done. error: why it failed; empty if it did not."""

    run: Run
    error: str = ""


def do_runs(
    runs: Sequence[Run], folds: Folds, folder: Path, stop: StopRequest, on_epoch: OnEpoch
) -> Generator[Outcome, None, None]:
    """Do runs one after the other in this process; a failure leaves the others going.

    Runs that another study holds come last. Raises Interrupted after a stop.
    """
    waiting, busy = deque(runs), 0
    while waiting:
        _refuse_stopped(stop)
        run = waiting.popleft()
        try:
            do_run(run, folds, folder, partial(_tell, stop, partial(on_epoch, run)))
        except RunIsBusy:
            waiting.append(run)
            busy += 1
            if busy >= len(waiting):
                time.sleep(_BUSY_WAIT)
                busy = 0
        except Interrupted:
            raise
        except Exception as error:  # whatever it was, the other runs are none the worse
            yield Outcome(run, _describe(error))
        else:
            busy = 0
            yield Outcome(run)


def do_runs_in_processes(
    runs: Sequence[Run],
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
                    if kind == "busy":
                        waiting.append(run)
                        asleep[run.key] = time.monotonic() + _BUSY_WAIT
                    elif kind == "dead":
                        workers[workers.index(worker)] = _Worker(folds, folder, jobs)
                        yield Outcome(run, value)
                    else:
                        yield Outcome(run, value)
    finally:
        _end(workers)


def _refuse_stopped(stop: StopRequest) -> None:
    if stop.requested:
        raise Interrupted("stopped")


def _next(waiting: deque[Run], asleep: dict[str, float]) -> Run | None:
    for run in waiting:
        if asleep.get(run.key, 0.0) <= time.monotonic():
            waiting.remove(run)
            return run
    return None


class _Worker:
    """A worker process, seen from its parent. run: what it is doing, None if nothing."""

    def __init__(self, folds: Folds, folder: Path, jobs: int) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would inherit PyTorch's threads
        self.pipe, theirs = context.Pipe()
        threads = max(1, (os.cpu_count() or 1) // jobs)
        self.process: BaseProcess = context.Process(
            target=_work, args=(theirs, folds, folder, threads), daemon=True
        )
        self.process.start()
        theirs.close()
        self.run: Run | None = None

    def give(self, run: Run) -> None:
        self.run = run
        with suppress(OSError):  # it died while idle: its closed pipe tells, as of one at work
            self.pipe.send(run)

    def messages(self) -> Iterator[tuple[str, Any]]:
        """What it said since: ('epoch', row), and at last ('done', error), 'busy' or 'dead'."""
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
    deadline = time.monotonic() + GRACE
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


def _work(pipe: "Connection[Any, Any]", folds: Folds, folder: Path, threads: int) -> None:
    """The life of a worker: runs in, outcomes out, until the pipe closes."""
    import torch

    from hilum.memory import keep_freed_memory

    if hasattr(os, "setsid"):
        os.setsid()
    keep_freed_memory()
    torch.set_num_threads(threads)
    threading.Thread(target=end_with_parent, daemon=True).start()
    # A stop between trainings, too, waits until what is being written is written.
    with stop_on_signal() as stop:
        while not stop.requested:
            try:
                run: Run = pipe.recv()
                _refuse_stopped(stop)
                pipe.send(_answer(run, folds, folder, stop, pipe))
            except (EOFError, OSError, Interrupted):
                return


def _answer(
    run: Run, folds: Folds, folder: Path, stop: StopRequest, pipe: "Connection[Any, Any]"
) -> tuple[str, str]:
    """Do a run, and say what came of it. Raises Interrupted after a stop."""

    def send(row: Row) -> None:
        pipe.send(("epoch", row))

    try:
        do_run(run, folds, folder, partial(_tell, stop, send))
    except RunIsBusy:
        return "busy", ""
    except Interrupted:
        raise
    except Exception as error:  # the parent reports it, and the other runs go on
        return "done", _describe(error)
    return "done", ""


def _tell(stop: StopRequest, tell: Callable[[Row], None], row: Row) -> None:
    """After an epoch, whose checkpoint is written: tell of it, or stop if that is asked.

    Training listens to signals itself; this is for one that came just before it began.
    """
    tell(row)
    _refuse_stopped(stop)


def end_with_parent() -> None:
    """Ask this process to stop when its parent is gone: training then writes a checkpoint."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(1)


def _describe(error: Exception) -> str:
    """Why a run failed, for study.json; of what Hilum did not foresee also where."""
    if isinstance(error, HilumError):
        return str(error)
    last = sys.exc_info()[2]
    while last and last.tb_next:
        last = last.tb_next
    if last is None:
        return f"{type(error).__name__}: {error}"
    file = Path(last.tb_frame.f_code.co_filename).name
    return f"{type(error).__name__}: {error} ({file}, line {last.tb_lineno})"
