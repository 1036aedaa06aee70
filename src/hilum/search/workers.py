"""Doing trials by a crew of workers, which meet in the storage alone, as other machines do."""

import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from hilum.cluster import TRIES
from hilum.errors import StudyError
from hilum.search.storage import open_storage, quiet_optuna
from hilum.search.trials import POLL, Task, open_study, work
from hilum.studies.crew import Crew, Worker
from hilum.training.interrupt import StopRequest


def work_by(crew: Crew, task: Task, stop: StopRequest, look: Callable[[], None]) -> None:
    """Do trials by a crew whose work is work_alone; else as trials.work.

    A worker that dies leaves the others going, and another takes its place, if it had begun and
    not too many died. Raises StudyError for what a worker refuses, at once where it has not begun,
    and where all are gone too early.
    """
    workers: list[Worker] = []
    begun: set[Worker] = set()
    refusals: list[str] = []
    deaths: list[str] = []
    done = False
    try:
        workers += [crew.start() for _ in range(crew.size)]
        while workers and not stop.requested:
            crew.wait(workers, POLL)
            for worker in list(workers):
                for kind, value in worker.messages():
                    if kind == "begun":
                        begun.add(worker)
                        continue
                    if kind == "refused":
                        if worker not in begun:
                            raise StudyError(value)
                        refusals.append(value)
                        continue
                    workers.remove(worker)
                    done = done or not value
                    deaths += [value] if value else []
                    if value and worker in begun and len(deaths) < TRIES * crew.size:
                        workers.append(crew.start())
            look()
    finally:
        crew.end(workers)
    if refusals:
        raise StudyError(refusals[0])
    late = task.deadline is not None and time.time() >= task.deadline
    if not (done or late or stop.requested):
        raise StudyError(
            f"All workers of the search are gone, of the last {deaths[-1]}. Go on with the same "
            "command, with fewer workers."
        )


def work_alone(stop: StopRequest, pipe: "Connection[Any, Any]", task: Task) -> None:
    """What a worker of work_by does: it opens the storage itself, and says so."""
    try:
        with quiet_optuna(), open_storage(task.url) as storage:
            study = open_study(task, storage)
            pipe.send(("begun", None))
            work(task, study, stop, lambda: None)
    except StudyError as error:
        with suppress(OSError):
            pipe.send(("refused", str(error)))
