"""Parts of predictions by the workers of a Ray cluster, or of one that is started here.

Each worker is an actor with a classifier of its own, which reads, classifies and writes whole parts
(parts.py); what goes between machines are paths and a line about each part. Workers read the
classifier and the radiographs, and write the parts, under the same paths as the command: a shared
file system is assumed. A worker that dies is started anew, and so is its part.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

from hilum.cluster import TRIES, Cluster, Machines
from hilum.errors import DataError
from hilum.prediction.journal import refuse_changes
from hilum.prediction.parts import PART, Chunk, Part, make_part, predict_parts
from hilum.prediction.predict import Summary, made_by
from hilum.prediction.table import StudyNames, Table
from hilum.radiographs.cache import salt_of
from hilum.radiographs.pixels import Progress


@dataclass(frozen=True)
class Job:
    """What every worker is told: of which classifier, how it runs, and what rows hold.

    classifier: its folder, or that of its run. made: as of made_by on the machine that asks; a
    worker that would make something else refuses. salt: by which studies are named.
    """

    classifier: Path
    runtime: str
    device: str | None
    operate: tuple[str, ...]
    coverage: float | None
    out: Path
    keep_identifiers: bool
    salt: bytes | None
    made: dict[str, Any]


class Worker:
    """One classifier, in a process of its own."""

    def __init__(self, job: Job, threads: int) -> None:
        self.job, self.threads = job, threads

    @cached_property
    def _ready(self) -> tuple[Any, Table]:
        from hilum.exporting.runtime import load_to_predict

        job = self.job
        os.environ["OMP_NUM_THREADS"] = str(self.threads)
        model, kind = load_to_predict(job.classifier, job.runtime, job.device, say=lambda _: None)
        names = StudyNames(job.out, job.keep_identifiers, job.salt)
        table = Table.of(model, job.operate, job.coverage, names)
        mine = {**made_by(model, table, kind), "hilum": version("hilum")}
        refuse_changes("A worker would classify otherwise than this machine:", job.made, mine)
        return model, table

    def make(self, chunk: Chunk) -> Part:
        """Make a part."""
        model, table = self._ready
        return make_part(model, table, chunk, self.job.out, threads=self.threads)


def predict_on_ray(
    folder: Path,
    inputs: Sequence[str],
    out: Path,
    *,
    runtime: str = "auto",
    device: str | None = None,
    operate: Sequence[str] = (),
    coverage: float | None = None,
    restart: bool = False,
    keep_identifiers: bool = False,
    stdin: Iterable[bytes] = (),
    cluster: Cluster | None = None,
    size: int = PART,
    say: Callable[[str], None] = lambda _: None,
    progress: Progress | None = None,
) -> Summary:
    """Classify radiographs into a folder of Parquet files by workers of a Ray cluster.

    folder: of the classifier, or of its run. inputs, stdin: see sources.list_sources. out: the
    folder of parts. runtime, device, operate, coverage: as of `hilum predict`. restart, size: as of
    predict_parts. cluster: as of ray_engine; None starts one here. say: gets sentences for the
    user. Rows are those of predict_files to the bit where both compute on a CPU by one runtime.
    Raises as predict_parts and ray_engine do, and as a classifier that is loaded.
    """
    from hilum.exporting.runtime import load_to_predict

    model, kind = load_to_predict(folder, runtime, device, say=say)
    names = StudyNames(out, keep_identifiers, None if keep_identifiers else salt_of(out))
    table = Table.of(model, operate, coverage, names)
    made = made_by(model, table, kind)
    job = Job(
        folder.resolve(), kind, device, tuple(operate), coverage, out.resolve(), keep_identifiers,
        names.salt, {**made, "hilum": version("hilum")},
    )  # fmt: skip
    engine = partial(ray_engine, job, cluster=cluster or Cluster())
    return predict_parts(
        model, inputs, out, engine, made=made, size=size, restart=restart, stdin=stdin,
        progress=progress,
    )  # fmt: skip


def ray_engine(job: Job, chunks: Iterator[Chunk], *, cluster: Cluster) -> Iterator[Part]:
    """Make the parts of some chunks, in the order in which they are done.

    cluster: without a number of workers, one for each of its processors, or for each GPU where the
    job names one. Raises ClusterError where it cannot be used, and DataError where a worker would
    make other rows, or a part kills its worker again and again.
    """
    coming = iter(chunks)
    first = next(coming, None)
    if first is None:  # nothing is missing: no cluster is started
        return
    coming = chain([first], coming)
    gpu = bool(job.device and job.device.startswith("cuda"))
    with cluster.open(cluster.workers) as ray:
        share = Machines(ray.nodes()).one_each(cluster.workers, gpu=gpu)
        actor = ray.remote(max_restarts=-1, max_task_retries=TRIES - 1)(Worker)
        place = actor.options(**share.resources)
        free = [place.remote(job, share.cpus) for _ in range(share.workers)]
        busy: dict[Any, tuple[Any, int]] = {}
        while True:
            while free and (chunk := next(coming, None)):
                worker = free.pop()
                task = worker.make.remote(chunk)
                busy[task] = worker, chunk.number
            if not busy:
                return
            (task, *_), _ = ray.wait(list(busy), num_returns=1)
            worker, part = busy.pop(task)
            try:
                found = ray.get(task)
            except ray.exceptions.RayTaskError as error:
                cause = error.cause
                raise (
                    cause
                    if isinstance(cause, DataError)
                    else DataError(f"Part {part}: a worker failed: {type(cause).__name__}: {cause}")
                ) from error
            except ray.exceptions.RayError as error:
                raise DataError(
                    f"Part {part}: its worker died {TRIES} times over; the parts that are "
                    "done stay. Is there enough memory for so many workers?"
                ) from error
            free.append(worker)
            yield found
