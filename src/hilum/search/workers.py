"""Doing the trials of a search, in this process or in several, which meet in its storage alone.

So workers of other machines are no different from those beside this one.
"""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.process import BaseProcess
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from hilum.errors import StudyError
from hilum.search.storage import open_storage, quiet_optuna, revive_lost
from hilum.search.trials import Objective, Task, TrialSampler, counts
from hilum.studies.workers import GRACE, end_with_parent
from hilum.training.interrupt import StopRequest, stop_on_signal

_POLL = 0.5  # seconds between looks at the storage


def open_study(task: Task, storage: RDBStorage) -> optuna.Study:
    """Optuna's study of a search: TPE draws, the median of five or more trials prunes."""
    return optuna.create_study(
        storage=storage,
        study_name=task.name,
        direction="maximize",
        load_if_exists=True,
        sampler=TrialSampler(task.seed),
        pruner=optuna.pruners.MedianPruner(),
    )


def work(task: Task, study: optuna.Study, stop: StopRequest, look: Callable[[], None]) -> None:
    """Do trials until there are enough, the time is over, or a stop is requested.

    The last ones may be at work elsewhere; it waits for them, and takes over one whose worker
    died. look: called after every trial, and while waiting.
    """
    objective = Objective(task, study, stop)
    while not stop.requested:
        late = task.deadline is not None and time.time() >= task.deadline
        begun = [t for t in study.get_trials(deepcopy=False) if counts(t)]
        if late:
            return
        if len(begun) < task.trials:
            study.optimize(objective, n_trials=1, catch=(Exception,))
            if objective.stopped:
                # its training has swallowed the signal; the next start goes on with it
                stop.requested = True
                attempt = objective.stopped.user_attrs.get("attempt", 1)
                again = {"attempt": attempt, "again": objective.stopped.number}
                study.enqueue_trial(objective.stopped.params, user_attrs=again)
        elif any(t.state == TrialState.RUNNING for t in begun):
            time.sleep(_POLL)
            revive_lost(study)
        else:
            return
        look()


def work_in_processes(
    task: Task, study: optuna.Study, jobs: int, stop: StopRequest, look: Callable[[], None]
) -> None:
    """Do trials in so many processes, which share the cores evenly; else as work.

    A process that dies leaves the others going. Raises StudyError where all are gone too early.
    """
    context = multiprocessing.get_context("spawn")  # a fork would inherit PyTorch's threads
    refusals = context.SimpleQueue()
    threads = max(1, (os.cpu_count() or 1) // jobs)
    workers: list[BaseProcess] = [
        context.Process(target=_live, args=(task, threads, refusals), daemon=True)
        for _ in range(jobs)
    ]
    for worker in workers:
        worker.start()
    try:
        while not stop.requested and any(w.is_alive() for w in workers):
            time.sleep(_POLL)
            look()
    finally:
        _end(workers)
    if not refusals.empty():
        raise StudyError(refusals.get())
    late = task.deadline is not None and time.time() >= task.deadline
    codes = [w.exitcode for w in workers]
    if not stop.requested and not late and all(codes):
        raise StudyError(
            f"All {jobs} worker processes of the search died (exit codes "
            f"{', '.join(map(str, codes))}); often there is too little memory. Go on with the same "
            "command, with fewer --jobs."
        )


def _end(workers: list[BaseProcess]) -> None:
    """Stop what still runs, each with a checkpoint."""
    for worker in workers:
        if worker.is_alive():
            worker.terminate()
    deadline = time.monotonic() + GRACE
    for worker in workers:
        worker.join(max(0.0, deadline - time.monotonic()))
        if worker.is_alive():
            worker.kill()
            worker.join()


def _live(task: Task, threads: int, refusals: Any) -> None:
    """The life of a worker process."""
    import torch

    from hilum.memory import keep_freed_memory

    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl-C reaches the parent alone, which then asks each worker once to stop
    keep_freed_memory()
    torch.set_num_threads(threads)
    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        with quiet_optuna(), stop_on_signal() as stop, open_storage(task.url) as storage:
            work(task, open_study(task, storage), stop, lambda: None)
    except StudyError as error:
        with suppress(OSError):
            refusals.put(str(error))
