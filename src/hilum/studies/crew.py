"""Workers for studies and searches: processes that live here, or on other machines (on_ray.py).

A worker imports PyTorch once. It leads a process group of its own, so that Ctrl-C reaches the
parent alone, which then asks each worker once to stop; and it watches its parent, so that it
ends, with a checkpoint, when that is killed.

This module is light: what starts a worker need not import what the worker does.
"""

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from typing import Any, Protocol, TypeAlias

from hilum.training.interrupt import stop_on_signal

_GRACE = 120.0  # seconds that a stopped worker has for its step and checkpoint

#: What a worker says: a kind, and what goes with it. 'refused' comes with what the command is to
#: say, and 'over', at last, with how it died, '' where it did not; other kinds are of its work.
Message: TypeAlias = tuple[str, Any]

#: What a worker does: called with a StopRequest, its end of a pipe, and the arguments that follow.
Work: TypeAlias = tuple[Callable[..., None], *tuple[Any, ...]]


class Worker(Protocol):
    """A worker, seen from where it was started."""

    @property
    def ready(self) -> bool:
        """Whether it may be given something: it has a place, and is as this process is."""

    def send(self, message: Any) -> None:
        """Give it something. Of one that has died messages() tells."""

    def messages(self) -> Iterator[Message]:
        """What it said since it was last asked."""


class Crew(Protocol):
    """Where workers come from. size: how many work at once."""

    @property
    def size(self) -> int: ...

    def start(self) -> Worker:
        """A new worker."""

    def wait(self, workers: Sequence[Any], seconds: float) -> None:
        """Wait until one of these workers of this crew has something to say, at most so long."""

    def end(self, workers: Sequence[Any]) -> None:
        """Stop these workers of this crew, what is at work with a checkpoint, and wait for it."""


class Process:
    """A worker on this machine. work: what it does, pickled. threads: that it computes with."""

    ready = True

    def __init__(self, work: bytes, threads: int) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would inherit PyTorch's threads
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_live, args=(threads, theirs, work), daemon=True)
        with _threads_of_a_child(threads):
            self._process.start()
        theirs.close()

    def send(self, message: Any) -> None:
        """As of Worker."""
        self.hand_on(pickle.dumps(message))

    def hand_on(self, message: bytes) -> None:
        """Give it something that is pickled, which need not be known here."""
        with suppress(OSError):  # it died while idle: its closed pipe tells, as of one at work
            self.pipe.send_bytes(message)

    def messages(self) -> Iterator[Message]:
        """As of Worker."""
        try:
            while self.pipe.poll():
                yield self.pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode or 0
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            why = f"its process died ({how}); often there is too little memory"
            yield "over", why if code else ""

    def stop(self) -> None:
        """Ask it to end: at work it is told by a signal, and else by its pipe."""
        self._process.terminate()
        self.pipe.close()

    def join(self, deadline: float) -> None:
        """Wait until it has ended; at a time.monotonic() it is killed."""
        self._process.join(max(0.0, deadline - time.monotonic()))
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


class Processes:
    """A crew on this machine, whose workers share the cores evenly."""

    def __init__(self, size: int, work: Work) -> None:
        self.size, self._work = size, pickle.dumps(work)

    def start(self) -> Process:
        """As of Crew."""
        return Process(self._work, max(1, (os.cpu_count() or 1) // self.size))

    def wait(self, workers: Sequence[Process], seconds: float) -> None:
        """As of Crew. A worker that dies closes its pipe, which then reads as ready."""
        wait([worker.pipe for worker in workers], timeout=seconds)

    def end(self, workers: Sequence[Process]) -> None:
        """As of Crew."""
        for worker in workers:
            worker.stop()
        deadline = time.monotonic() + _GRACE
        for worker in workers:
            worker.join(deadline)


@contextmanager
def _threads_of_a_child(threads: int) -> Iterator[None]:
    """What is started within has so many threads in its libraries, which ask as they are loaded."""
    name = "OMP_NUM_THREADS"
    before = os.environ.get(name)
    os.environ[name] = str(threads)
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


def _live(threads: int, pipe: Any, work: bytes) -> None:
    """The life of a worker process."""
    from hilum.process import own_process

    own_process()
    import torch

    if hasattr(os, "setsid"):
        os.setsid()
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with stop_on_signal() as stop:
        function, *arguments = pickle.loads(work)
        function(stop, pipe, *arguments)


def _end_with_parent() -> None:
    """Ask this process to stop when its parent is gone: training then writes a checkpoint."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE)
    os._exit(1)
