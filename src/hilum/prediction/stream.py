"""From paths to predictions in bounded memory: threads decode while the networks compute."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hilum.errors import DataError
from hilum.predictions import Predictions
from hilum.radiographs.decoding import read_guarded
from hilum.radiographs.pixels import PixelTransform
from hilum.records import PixelArray

#: The step of inference that a runtime provides: pixels (N, H, W) uint8, as the classifier's
#: preprocessing stores them, to predictions of N images.
Classify = Callable[[PixelArray], Predictions]

#: Images that are classified together, as many as the classifier itself takes at a time.
BATCH = 64

_BATCHES_AHEAD = 2  # so many are decoded, or wait to be, while one is classified


@dataclass(frozen=True, slots=True)
class Reading:
    """One file. pixels: (H, W) uint8, or None where reason says why it cannot be read.

    coloured: whether the file is in colour; False where that was not asked. study: of a DICOM
    file its Study Instance UID, else ''.
    """

    pixels: PixelArray | None
    reason: str = ""
    coloured: bool = False
    study: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Answers:
    """What was said of B inputs that follow each other.

    paths: (B,). reasons: (B,) why a file cannot be read, '' where it was. predictions: of the R
    files that were read, in order; None if there is none. coloured, studies: (R,), as in Reading;
    studies may be left out where no table tells of them.
    """

    paths: tuple[Path, ...]
    reasons: tuple[str, ...]
    predictions: Predictions | None
    coloured: npt.NDArray[np.bool_]
    studies: tuple[str, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def failed(self) -> int:
        """How many files cannot be read."""
        return sum(1 for reason in self.reasons if reason)


def read_file(path: Path, transform: PixelTransform, *, colour: bool = False) -> Reading:
    """Read and prepare one file; where that is not possible, say why.

    transform: the classifier's preprocessing. colour: whether to look for colours, too.
    """
    try:
        picture = read_guarded(path, colour=colour, study=True)
        pixels = transform.to_pixels(picture.pixels)
        return Reading(pixels, coloured=picture.coloured, study=picture.study)
    except DataError as error:
        # The row names the file already, and a row is one line.
        return Reading(None, " ".join(str(error).removeprefix(f"{path}: ").split()))


def predict_stream(
    paths: Iterable[Path],
    read: Callable[[Path], Reading],
    classify: Classify,
    *,
    batch_size: int = BATCH,
    threads: int | None = None,
) -> Iterator[Answers]:
    """Classify files in the order of their paths, a batch of them at a time.

    read: is called in threads, at most two batches ahead of what is classified, which bounds
    memory. threads: how many; by default as many as the machine has processors. A batch holds
    batch_size consecutive inputs, whichever of them can be read, so it is the same in whatever
    run it is computed. Raises what classify and the paths raise.
    """
    coming = iter(paths)
    pending: deque[tuple[Path, Future[Reading]]] = deque()
    pool = ThreadPoolExecutor(threads or os.cpu_count() or 1, thread_name_prefix="hilum-decode")
    try:
        while True:
            wanted = (1 + _BATCHES_AHEAD) * batch_size - len(pending)
            pending.extend((path, pool.submit(read, path)) for path in islice(coming, wanted))
            if not pending:
                return
            batch = [pending.popleft() for _ in range(min(batch_size, len(pending)))]
            readings = [future.result() for _, future in batch]
            yield _answer([path for path, _ in batch], readings, classify)
    finally:  # Ctrl-C and an error end it now, not after what was to be decoded
        pool.shutdown(cancel_futures=True)


def _answer(paths: Sequence[Path], readings: Sequence[Reading], classify: Classify) -> Answers:
    read = [(r.pixels, r.coloured, r.study) for r in readings if r.pixels is not None]
    return Answers(
        tuple(paths),
        tuple(r.reason for r in readings),
        classify(np.stack([pixels for pixels, _, _ in read])) if read else None,
        np.array([coloured for _, coloured, _ in read], dtype=bool),
        tuple(study for _, _, study in read),
    )
