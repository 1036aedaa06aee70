"""A crew of workers on the machines of a Ray cluster, for studies and searches.

On each machine an actor starts the same process as on this one (crew.Process), with as many threads
as it has processors, and hands on what goes between it and the command. A worker has to see the
folder and the images as the command does, on a file system that all share.

This module is light, because the actors import it.
"""

import os
import pickle
import secrets
import socket
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from hilum.cluster import Cluster, Machines, Share, refuse_other_versions
from hilum.errors import ClusterError, HilumError
from hilum.files import locked
from hilum.studies.crew import Crew, Message, Process, Processes, Work

if TYPE_CHECKING:
    from hilum.studies.folds import Folds

_PATIENCE: Final = 1.0  # seconds that an actor waits for its process to say something
_GRACE: Final = 150.0  # seconds for all workers to end, in which each gives its process its own


@contextmanager
def crew_of(
    jobs: int,
    cluster: Cluster | None,
    work: Work,
    *,
    out: Path,
    folds: "Folds",
    devices: Collection[str],
) -> Iterator[Crew]:
    """A crew on this machine, of so many, or on a cluster.

    out: where all is written, below it. folds: the images. devices: of the recipes; each worker of
    a cluster asks for a GPU if one of them is 'cuda', or 'auto' where the cluster has any. Raises
    ClusterError where the cluster cannot be used; workers refuse what they see otherwise.
    """
    if cluster is None:
        yield Processes(jobs, work)
        return
    cpus = max(os.cpu_count() or 1, cluster.workers or 1)
    with cluster.open(cpus) as ray, _marked(out) as mark:
        machines = Machines(ray.nodes())
        named = any(device.startswith("cuda") for device in devices)
        gpu = named or ("auto" in devices and machines.have_gpus)
        share = machines.divided(cluster.workers, gpu=gpu)
        sight = Sight.of(folds, out.resolve(), mark)
        yield _Actors(ray, share, (work_when_seen, sight, *work))


@dataclass(frozen=True)
class Sight:
    """What a worker has to see as the command does before it works.

    out: the folder. mark: a file in it. here: the folder that relative paths begin at. root, paths,
    digests: the images, and the SHA-256 of each.
    """

    out: Path
    mark: str
    here: Path
    root: Path
    paths: tuple[Path, ...]
    digests: tuple[str, ...]

    @classmethod
    def of(cls, folds: "Folds", out: Path, mark: str) -> "Sight":
        """Of the images that a study's runs train on, hold out and look at."""
        parts = [folds.parts[0], *([folds.own_val] if folds.own_val else [])]
        paths = tuple(record.path for part in parts for record in part.records)
        digests = tuple(digest for part in parts for digest in part.digests)
        return cls(out, mark, Path.cwd(), parts[0].root, paths, digests)

    def check(self) -> None:
        """Raises ClusterError where this machine sees something else, DataError for unread files.

        The images are read, by one worker of a machine after the other, where that was not done.
        """
        from hilum.radiographs.cache import cache_folder
        from hilum.radiographs.pixels import content_digests

        where = f"The machine {socket.gethostname()}"
        probe = self.out / f"{self.mark}.{secrets.token_hex(4)}"
        try:
            (self.out / self.mark).stat()
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise ClusterError(
                f"{where} does not see or cannot write {self.out} of this command "
                f"({error.strerror}): the folder has to be one on a file system that all share."
            ) from None
        with suppress(OSError):  # paths that then lead nowhere are found below
            os.chdir(self.here)
        index = cache_folder() / "index"
        index.mkdir(parents=True, exist_ok=True)
        with locked(index / "reading.lock"):
            found = content_digests(self.root, self.paths, None)
        for path, here, there in zip(self.paths, found, self.digests, strict=True):
            if here != there:
                raise ClusterError(
                    f"{path}: {where[0].lower()}{where[1:]} reads another content than this "
                    "command. Was the file changed, or is the folder another one there?"
                )


def work_when_seen(
    stop: Any, pipe: Any, sight: Sight, work: Callable[..., None], *arguments: Any
) -> None:
    """What a worker of a cluster does: look, refuse or work."""
    try:
        sight.check()
    except HilumError as error:
        pipe.send(("refused", str(error)))
        return
    work(stop, pipe, *arguments)


class Host:
    """An actor: a worker's place on a machine, which hands on what it is told and says."""

    def look(self) -> tuple[str, dict[str, str]]:
        """The machine's name, and the versions that decide what a training gives."""
        return socket.gethostname(), versions()

    def start(self, work: bytes, threads: int) -> None:
        """Start the process."""
        with _without_main():
            self.process = Process(work, threads)

    def hand_on(self, message: bytes) -> None:
        """As of Process."""
        self.process.hand_on(message)

    def messages(self) -> list[Message]:
        """As of Worker, after waiting a moment for some."""
        self.process.pipe.poll(_PATIENCE)
        return list(self.process.messages())

    def end(self, seconds: float) -> None:
        """Stop the process, and wait for it."""
        self.process.stop()
        self.process.join(time.monotonic() + seconds)


@contextmanager
def _without_main() -> Iterator[None]:
    """A process that is started within does not import what Ray has as its main module: Ray."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def versions() -> dict[str, str]:
    """What has to be equal on all machines."""
    return {name: version(name) for name in ("hilum", "torch")}


class _Actor:
    """A worker of a cluster, seen from the command."""

    def __init__(self, ray: Any, host: Any, work: Any, threads: int) -> None:
        self.ray, self.host, self.work, self.threads = ray, host, work, threads
        self.name, self.ready = "some machine", False
        self.asked = host.look.remote()

    def send(self, message: Any) -> None:
        """As of Worker."""
        self.host.hand_on.remote(pickle.dumps(message))

    def ask(self) -> Any:
        """The question that is on its way."""
        self.asked = self.asked or self.host.messages.remote()
        return self.asked

    def messages(self) -> Iterator[Message]:
        """As of Worker. Raises ClusterError where it has other versions."""
        if not self.ray.wait([self.ask()], timeout=0)[0]:
            return
        asked, self.asked = self.asked, None
        try:
            answer = self.ray.get(asked)
        except self.ray.exceptions.RayError as error:
            said = str(error).strip().splitlines()[-1].partition(". ")[0].strip()
            hint = "" if self.ready else "; is Hilum installed on every machine?"
            yield "over", f"its worker on {self.name} died ({said}{hint})"
            return
        if self.ready:
            for message in answer:
                yield message
                if message[0] == "over":
                    self.ray.kill(self.host)  # another may have its place
            return
        self.name, there = answer
        refuse_other_versions(f"The machine {self.name} would train otherwise", versions(), there)
        self.host.start.remote(self.work, self.threads)
        self.ready = True


class _Actors:
    """A crew on the machines of a cluster; each worker has the share of it that all have."""

    def __init__(self, ray: Any, share: Share, work: Work) -> None:
        self.ray, self.share, self.size = ray, share, share.workers
        self._host = ray.remote(max_restarts=0)(Host).options(**share.resources)
        self._work = ray.put(pickle.dumps(work))  # sent once to each machine

    def start(self) -> _Actor:
        """As of Crew."""
        return _Actor(self.ray, self._host.remote(), self._work, self.share.cpus)

    def wait(self, workers: Sequence[_Actor], seconds: float) -> None:
        """As of Crew."""
        if not workers:
            time.sleep(seconds)
            return
        self.ray.wait([worker.ask() for worker in workers], num_returns=1, timeout=seconds)

    def end(self, workers: Sequence[_Actor]) -> None:
        """As of Crew."""
        ends = [worker.host.end.remote(_GRACE - 30) for worker in workers if worker.ready]
        if ends:
            self.ray.wait(ends, num_returns=len(ends), timeout=_GRACE)


@contextmanager
def _marked(folder: Path) -> Iterator[str]:
    """A file in a folder by which others know it again; its name."""
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / f".seen-{secrets.token_hex(8)}"
    mark.touch()
    try:
        yield mark.name
    finally:
        mark.unlink(missing_ok=True)
