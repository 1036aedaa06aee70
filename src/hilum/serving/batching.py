"""One thread that runs the networks, over what several requests bring at the same time."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Thread

import numpy as np

from hilum.prediction.stream import Classify
from hilum.predictions import Predictions
from hilum.records import PixelArray
from hilum.serving.limits import Limits, Problem

_RETRY_AFTER = 1


@dataclass(frozen=True, slots=True)
class _Job:
    pixels: PixelArray
    answer: "Future[Predictions]" = field(default_factory=Future)


class Batcher:
    """A bounded queue of radiographs before the networks, and the thread that empties it.

    classify: pixels (N, H, W) uint8 to predictions of N radiographs. on_batch: told how many
    were classified together. place and submit are called by one thread, the event loop's.
    """

    def __init__(
        self, classify: Classify, limits: Limits, on_batch: Callable[[int], None] = lambda _: None
    ) -> None:
        self._classify, self._limits, self._on_batch = classify, limits, on_batch
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._next: _Job | None = None
        self.taken = 0
        self._thread = Thread(target=self._run, name="hilum-inference", daemon=True)
        self._thread.start()

    def check_room(self, n: int = 1) -> None:
        """Raises Problem 429 where n radiographs more are too many."""
        if self.taken + n > self._limits.queue:
            raise Problem(
                429,
                f"{self.taken} radiographs are waiting, of at most {self._limits.queue}; try again "
                "in a moment.",
                retry_after=_RETRY_AFTER,
                unread=True,
            )

    @contextmanager
    def place(self, n: int) -> Iterator[None]:
        """Room in the queue for n radiographs, from decoding to the answer.

        Raises Problem as check_room does.
        """
        self.check_room(n)
        self.taken += n
        try:
            yield
        finally:
            self.taken -= n

    def submit(self, pixels: PixelArray) -> "Future[Predictions]":
        """Classify pixels (N, H, W) uint8, N ≥ 1; what is more than a batch goes alone."""
        job = _Job(pixels)
        self._jobs.put(job)
        return job.answer

    def close(self) -> None:
        """Answer what was submitted, then end the thread."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (job := self._take()) is not None:
            self._answer(self._gather(job))

    def _take(self) -> _Job | None:
        job, self._next = self._next, None
        return job or self._jobs.get()

    def _gather(self, first: _Job) -> list[_Job]:
        batch, n = [first], len(first.pixels)
        deadline = time.monotonic() + self._limits.wait_seconds
        while n < self._limits.batch:
            # Nobody is waited for but those who are being decoded: a lone sender loses no time.
            left = deadline - time.monotonic() if self.taken > n else 0.0
            try:
                job = self._jobs.get(timeout=left) if left > 0 else self._jobs.get_nowait()
            except Empty:
                break
            if job is None:  # the end: nothing comes after it
                self._jobs.put(None)
                break
            if n + len(job.pixels) > self._limits.batch:
                self._next = job
                break
            batch.append(job)
            n += len(job.pixels)
        return batch

    def _answer(self, jobs: list[_Job]) -> None:
        batch = [job for job in jobs if job.answer.set_running_or_notify_cancel()]
        if not batch:
            return
        try:
            pixels = np.concatenate([job.pixels for job in batch])
            self._on_batch(len(pixels))
            found = self._classify(pixels)
        except Exception as error:
            for job in batch:
                job.answer.set_exception(error)
            return
        start = 0
        for job in batch:
            rows = slice(start, start + len(job.pixels))
            start = rows.stop
            job.answer.set_result(found.take(rows))
