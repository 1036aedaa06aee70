"""Decoding in processes that can be ended: for files that others send, and for whole folders.

A decoder that is fed what was made for it may compute for minutes, take gigabytes, crash, or
hold the interpreter's lock, so that nothing else in its process goes on. So each file has a
deadline and a limit of memory, both kept by the kernel; a worker that goes beyond is replaced, and
its file is refused. All workers together stay within a budget of bytes.

Files that take long must not keep others waiting. Each begins in the quick lane; what is large, or
computes for longer than is usual, begins anew in the slow lane, where one file is decoded at a
time, at a lower priority.
"""

import io
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from threading import Condition, Lock
from typing import Any, Final, TypeVar

import numpy as np

from hilum.errors import DataError
from hilum.radiographs.image import (
    Facts,
    Picture,
    open_size,
    read_open_picture,
    read_picture,
    typed_errors,
)
from hilum.radiographs.nursery import nursery
from hilum.records import MAX_PIXELS
from hilum.stores import StorePath

#: What decoding takes beyond the file itself, by estimate: PNG, JPEG and TIFF were measured to
#: take at most 7.1 bytes a pixel, and any decoder some for a start.
_BYTES_A_PIXEL: Final = 16
_BYTES_AT_LEAST: Final = 32 << 20
_HEADER_BYTES: Final = 64 << 20
#: After so many files a worker is replaced, so that what a library leaks does not add up.
_FILES_A_WORKER: Final = 1000
_NICE: Final = 10
#: By so much the kernel may be late.
_LATE_SECONDS: Final = 5.0
_LONGEST: Final = 1 << 16  # bytes of what a worker says before the pixels

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DecodingLimits:
    """What decoding may take.

    seconds: the deadline of a file. bytes: the most memory of one. budget: of all that are
    decoded at a time, more than bytes. pixels: of one, known before it is decoded. patience: a
    file that computes for so many seconds goes to the slow lane; None makes one lane for all.
    wait_seconds: for the slow lane; then a file is refused. workers: of the quick lane; 0 takes
    twice the number of processors, at least 4.
    """

    seconds: float = 10.0
    bytes: int = 384 << 20
    budget: int = 640 << 20
    pixels: int = MAX_PIXELS
    patience: float | None = 0.25
    wait_seconds: float = 60.0
    workers: int = 0


#: For a user's own files.
_OWN_FILES: Final = DecodingLimits(
    seconds=30.0, bytes=2 << 30, budget=3 << 30, patience=None, workers=1
)
#: Radiographs have some bytes for 10 pixels; more of them a byte are not worth a deadline.
_USUAL_PIXELS_A_BYTE: Final = 100
_USUAL_PIXELS: Final = 20_000_000


def read_guarded(path: Path, *, colour: bool = False, study: bool = False) -> Picture:
    """read_picture, where what is unusual is decoded in a process with a deadline.

    That is what has far more pixels than bytes, or very many. All else is decoded in the thread
    that asks, because a process for every file costs a tenth of the images per second and more.
    Raises DataError as read_picture does, and for what takes too long or too much.
    """
    content = None
    if isinstance(path, StorePath):  # fetched once
        with typed_errors(path):
            content = io.BytesIO(path.read_bytes())
    if _is_unusual(path, content):
        decoders = _own_decoders(os.getpid())
        return decoders.submit(path, _same, content=content, colour=colour, study=study).result()
    if content is not None:
        with typed_errors(path):
            return read_open_picture(content, path, colour=colour, study=study)
    return read_picture(path, colour=colour, study=study)


def _is_unusual(path: Path, content: io.BytesIO | None) -> bool:
    try:
        with nullcontext(content) if content else path.open("rb") as file:
            width, height = open_size(file, path)
            pixels, size = width * height, file.seek(0, os.SEEK_END)
            file.seek(0)
    except Exception:  # read_picture says what is wrong with it
        return False
    return pixels > _USUAL_PIXELS or pixels > max(_USUAL_PIXELS_A_BYTE * size, 1 << 20)


@cache
def _own_decoders(_: int) -> "Decoders":
    """Those of this process; its number tells it from a forked one."""
    return Decoders(_OWN_FILES)


def _same(picture: Picture) -> Picture:
    return picture


class Decoders:
    """A pool of workers. stopping: asked before a file begins to wait or to be decoded anew."""

    def __init__(
        self, limits: DecodingLimits, stopping: Callable[[], bool] = lambda: False
    ) -> None:
        self._limits, self._stopping = limits, stopping
        # More than processors, so that nobody queues behind files that use up their patience.
        n = limits.workers or max(4, 2 * (os.cpu_count() or 1))
        if limits.patience is None:
            self._quick = _Lane("hilum-decode", n, 0, limits.budget)
            self._slow = None
        else:
            self._quick = _Lane("hilum-decode", n, 0, limits.budget - limits.bytes)
            self._slow = _Lane("hilum-decode-slowly", 1, _NICE, limits.bytes)
        nursery()  # imports while the caller goes on

    def submit(
        self,
        path: Path,
        then: Callable[[Picture], T],
        *,
        content: io.BytesIO | None = None,
        colour: bool = False,
        study: bool = False,
    ) -> "Future[T]":
        """Decode a file, and do something with its picture in the lane's thread.

        path: what to open, or where the content is given its name in refusals. colour, study: as
        read_picture takes them. The future raises DataError, as read_picture does and for what
        takes too long or too much, and what `then` raises.
        """
        job = _Job(path, content, colour, study)
        answer: Future[T] = Future()
        answer.set_running_or_notify_cancel()
        self._quick.put(lambda: self._run(self._quick, job, then, answer), answer)
        return answer

    def close(self) -> None:
        """End the workers, whatever they decode; what waits is refused."""
        for lane in (self._quick, self._slow):
            if lane is not None:
                lane.close()

    def _run(
        self, lane: "_Lane", job: "_Job", then: Callable[[Picture], T], answer: "Future[T]"
    ) -> None:
        limits, slow = self._limits, self._slow
        try:
            if self._stopping():
                raise job.refusal("was not decoded, because the server is stopping; send it again.")
            if time.monotonic() > job.until:
                raise job.refusal(
                    f"waited {limits.wait_seconds:g} seconds for others that take long to decode; "
                    "try it again later."
                )
            quick = slow is not None and lane is self._quick
            answer.set_result(then(lane.read(job, limits, limits.patience if quick else None)))
        except _TooMuch as error:
            if slow is None or lane is slow:
                answer.set_exception(job.refusal(str(error)))
                return
            job.until = time.monotonic() + limits.wait_seconds
            slow.put(lambda: self._run(slow, job, then, answer), answer)
        except BaseException as error:
            answer.set_exception(error)


class _TooMuch(Exception):  # noqa: N818 - it is no error in the quick lane
    """A file takes more than its lane gives; the text ends a refusal."""


@dataclass(slots=True)
class _Job:
    path: Path
    content: io.BytesIO | None
    colour: bool
    study: bool
    until: float = float("inf")

    def refusal(self, reason: str) -> DataError:
        return DataError(f"{self.path}: {reason}")


@dataclass(slots=True)
class _Lane:
    """Threads, each with a worker of its own, and the bytes that the workers share."""

    name: str
    workers: int
    nice: int
    budget: int  # bytes
    _free: int = field(init=False)
    _changed: Condition = field(init=False, default_factory=Condition)
    _idle: "SimpleQueue[_Worker]" = field(init=False, default_factory=SimpleQueue)
    _all: "list[_Worker]" = field(init=False)
    _threads: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        self._free = self.budget
        self._all = [_Worker(self.nice) for _ in range(self.workers)]
        for worker in self._all:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(self.workers, self.name)

    def put(self, work: Callable[[], None], answer: "Future[T]") -> None:
        """Do it in turn; where the lane is closed, the answer says so."""

        def cancelled(done: "Future[None]") -> None:
            if done.cancelled():
                answer.set_exception(DataError("file: was not decoded; decoding has ended."))

        try:
            self._threads.submit(work).add_done_callback(cancelled)
        except RuntimeError:  # shut down
            answer.set_exception(DataError("file: was not decoded; decoding has ended."))

    def read(self, job: _Job, limits: DecodingLimits, patience: float | None) -> Picture:
        """Decode by an idle worker. Raises DataError and _TooMuch."""
        worker = self._idle.get()
        try:
            return worker.read(job, limits, patience, self._share)
        finally:
            self._idle.put(worker)

    @contextmanager
    def _share(self, needed: int) -> Iterator[None]:
        """So many bytes of the budget, as soon as they are free."""
        with self._changed:
            self._changed.wait_for(lambda: self._free >= needed)
            self._free -= needed
        try:
            yield
        finally:
            with self._changed:
                self._free += needed
                self._changed.notify_all()

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._all:
            worker.close()
        self._threads.shutdown()


class _Worker:
    """One process that decodes; forked when it is needed, and again when it has ended."""

    def __init__(self, nice: int) -> None:
        self._nice = nice
        self._pid: int | None = None
        self._channel: Connection | None = None
        self._files = 0
        self._closed = False
        self._lock = Lock()

    def read(
        self,
        job: _Job,
        limits: DecodingLimits,
        patience: float | None,
        share: Callable[[int], AbstractContextManager[None]],
    ) -> Picture:
        """Decode one file. Raises DataError where it is refused, _TooMuch where it overruns."""
        try:
            channel = self._connected(limits.seconds + _LATE_SECONDS)
            with memoryview(b"") if job.content is None else job.content.getbuffer() as content:
                asked = {
                    "path": str(job.path), "sent": job.content is not None, "size": len(content),
                    "colour": job.colour,
                    "study": job.study, "pixels": limits.pixels, "seconds": limits.seconds,
                    "patience": patience or 0, "header_bytes": _HEADER_BYTES,
                }  # fmt: skip
                channel.send_bytes(json.dumps(asked).encode())
                channel.send_bytes(content)
            said = json.loads(channel.recv_bytes(_LONGEST))
            if "pixels" in said:
                needed = _BYTES_AT_LEAST + _BYTES_A_PIXEL * said["pixels"]
                if patience is not None and needed > limits.budget - limits.bytes:
                    channel.send_bytes(b"0")
                    raise _TooMuch("is large.")
                needed = min(needed, limits.bytes)  # nearly all take less than is estimated
                with share(needed):
                    channel.send_bytes(b"%d" % needed)
                    said = json.loads(channel.recv_bytes(_LONGEST))
                    if "shape" in said:
                        return _received(channel, said)
        except (EOFError, OSError):
            raise self._post_mortem(job, limits) from None
        if "memory" in said:
            self._end()
            raise _TooMuch(_too_large(limits))
        raise DataError(said["refusal"])

    def close(self) -> None:
        """End the process, whatever it does, for good."""
        self._closed = True
        self._end()

    def _connected(self, patience: float) -> Connection:
        """The channel to a living process."""
        self._files += 1
        if self._files % _FILES_A_WORKER == 0:
            self._end()
        with self._lock:
            if self._closed:
                raise EOFError
            if self._channel is None:
                self._pid, self._channel = nursery().fork(self._nice, patience)
            return self._channel

    def _end(self) -> int | None:
        """End the process; its exit status, negative for a signal, None where there is none."""
        with self._lock:
            pid, self._pid, self._channel = self._pid, None, None
            return None if pid is None else nursery().end(pid)

    def _post_mortem(self, job: _Job, limits: DecodingLimits) -> Exception:
        """Why a worker answers no more. It is ended, if that was not done by the kernel."""
        status = self._end()
        if self._closed:
            return job.refusal("was not decoded, because the server is stopping; send it again.")
        if status in (-signal.SIGALRM, -signal.SIGPROF):
            seconds = f"{limits.seconds:g} seconds"
            return _TooMuch(f"takes longer than {seconds} to decode; no radiograph should.")
        if status == -signal.SIGKILL:
            return _TooMuch(_too_large(limits))
        return job.refusal(f"crashes its decoder (exit status {status}); it is damaged.")


def _too_large(limits: DecodingLimits) -> str:
    return f"takes more than {limits.bytes >> 20} MiB to decode; no radiograph should."


def _received(channel: Connection, said: dict[str, Any]) -> Picture:
    height, width = said["shape"]
    pixels = np.empty((height, width), np.uint8)
    channel.recv_bytes_into(pixels.reshape(-1).data)
    facts = said["facts"]
    if facts and facts["spacing"]:
        facts["spacing"] = tuple(facts["spacing"])
    return Picture(pixels, said["coloured"], said["study"], Facts(**facts) if facts else None)
