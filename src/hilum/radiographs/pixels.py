"""Decoded pixels at rest: one memory-mapped uint8 array per data set and size.

Every file is decoded once, in parallel. The array's name is a digest of the files' contents and
of what was done to them, so a changed, added or removed file gives another array and a stale one
is never used. What each file held is remembered by its mark (files.FileMark), so that a second
start reads no image at all. The array itself is checked when it is opened (radiographs/kept.py).
"""

import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Protocol, TypeAlias, TypeVar

import numpy as np
from PIL import Image

from hilum.errors import DataError, in_lines, plural
from hilum.files import FileMark, file_mark, file_sha256, new_file, sha256
from hilum.radiographs.cache import cache_folder, cache_refusal
from hilum.radiographs.image import read_radiograph
from hilum.radiographs.kept import map_kept, new_kept
from hilum.radiographs.npz import file_of, item_of, read_item
from hilum.records import PixelArray
from hilum.records import Progress as Progress
from hilum.stores import (
    FETCHED_AT_ONCE,
    StoreError,
    StorePath,
    UnansweredError,
    answering,
    as_refusal,
)


class PixelTransform(Protocol):
    """What is done to a decoded image before it is stored (transforms.Preprocessing is one).

    storage_key: names what to_pixels does. image_size: (H, W) of its result.
    """

    @property
    def storage_key(self) -> str: ...
    @property
    def image_size(self) -> tuple[int, int]: ...
    def to_pixels(self, image: PixelArray) -> PixelArray: ...


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A PixelTransform that squashes an image to side x side pixels."""

    side: int

    @property
    def storage_key(self) -> str:
        """Names what is stored."""
        return f"small-{self.side}x{self.side}"

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.side, self.side

    def to_pixels(self, image: PixelArray) -> PixelArray:
        """Resize a grey image (H, W) uint8: bilinear, antialiased when shrinking."""
        resized = Image.fromarray(image).resize((self.side, self.side), Image.Resampling.BILINEAR)
        return np.asarray(resized, dtype=np.uint8)


#: So many items are given to a thread before it has done the first of them.
_AHEAD = 32

T = TypeVar("T")
R = TypeVar("R")


class DamagedFilesError(DataError):
    """Files that cannot be read or decoded. failures: what is wrong, by path, or by the
    position of what has none.
    """

    def __init__(self, failures: Mapping[Path | int, str]) -> None:
        self.failures = failures
        lines = list(dict.fromkeys(failures.values()))  # an NPZ file fails for each image in it
        super().__init__(
            f"{plural(len(lines), 'file')} cannot be used; repair or remove them (hilum audit "
            "lists all), or train and evaluate without them, by --skip-damaged:"
            f"{in_lines(lines)}"
        )


#: Changes whenever decoding gives other pixels than before, so that old arrays are not used.
DECODER_VERSION = 2


def content_digests(root: Path, paths: Sequence[Path], progress: Progress | None) -> list[str]:
    """SHA-256 of each file's content, read anew only where its mark may hide a change.

    root: names the data set, under which the digests are remembered.
    Raises DataError listing every file that cannot be read, or where the cache cannot be written.
    """
    index_file = cache_folder() / "index" / f"{sha256(os.fsencode(root.resolve()))[:32]}.json"
    known = _read_index(index_file)
    at_once = at_once_of(paths)

    def recall(path: Path) -> Entry | None:
        entry = known.get(str(path))
        return entry if entry and _mark_in(entry).still_holds(image_mark(path)) else None

    recalled: Iterable[Entry | None]
    if at_once is None:
        recalled = map(recall, paths)
    else:  # a request for each, where it was not listed
        recalled = in_parallel(recall, paths, "Looking", progress)
    entries = {str(path): entry for path, entry in zip(paths, recalled, strict=True) if entry}
    known.clear()
    todo = [path for path in paths if str(path) not in entries]
    try:
        if at_once and todo:
            with answering():
                todo[0].exists()  # a store that does not answer is told once, not for each object
        fresh = in_parallel(_digest, todo, "Reading", progress)
    except DataError:
        if at_once:
            raise  # all would be fetched once more
        # Name the damaged files too, which decoding would find only after these are repaired.
        in_parallel(_check_readable, paths, "Checking", progress)
        raise
    entries.update({str(path): entry for path, entry in zip(todo, fresh, strict=True)})
    if fresh:
        try:
            _write_index(index_file, entries)
        except OSError as error:
            raise cache_refusal(index_file.parent, error) from None
    return [str(entries[str(path)][-1]) for path in paths]


def at_once_of(items: Sequence[object]) -> int | None:
    """How many threads fetch things, where these are places in a store; None otherwise."""
    return FETCHED_AT_ONCE if items and isinstance(items[0], StorePath) else None


def image_mark(path: Path) -> FileMark | None:
    """The mark of the file that holds an image; None where there is no ordinary file."""
    return file_mark(file_of(path))


def image_digest(path: Path) -> str:
    """SHA-256 of an image file's content, or of the pixels of an image in an NPZ file.

    Raises DataError where it cannot be read.
    """
    try:
        if item := item_of(path):
            pixels = read_item(*item)
            return sha256(f"{pixels.shape}\n".encode() + pixels.tobytes())
        return file_sha256(path)
    except StoreError as error:
        raise as_refusal(error) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None


#: What the index says of a file: its mark and the digest of its content.
Entry: TypeAlias = list[int | str]


def _mark_in(entry: Entry) -> FileMark:
    return FileMark(*map(int, entry[:-1]))


def _digest(path: Path) -> Entry:
    mark = image_mark(path)  # before the content: a change in between is then seen the next time
    if mark is None:
        if isinstance(path, StorePath):
            image_digest(path)  # says why
        raise DataError(f"{path}: expected an image file, found a broken link or a device.")
    return [*mark, image_digest(path)]


def _check_readable(path: Path) -> None:
    if image_mark(path) is None:
        raise DataError(f"{path}: expected an image file, found a broken link or a device.")
    read_radiograph(path)


def _read_index(index_file: Path) -> dict[str, Entry]:
    """What each file held at the last start. A missing or damaged index costs time only."""
    try:
        found = json.loads(index_file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    for name in [name for name, entry in found.items() if not _is_entry(entry)]:
        del found[name]
    return found


def _write_index(index_file: Path, entries: Mapping[str, Entry]) -> None:
    """Write the index as one JSON object, entry by entry: as one text it takes much memory."""
    with new_file(index_file) as file:
        before = "{"
        for name, entry in entries.items():
            file.write(f"{before}{json.dumps(name)}: {json.dumps(entry)}".encode())
            before = ",\n"
        file.write(b"}")


def _is_entry(entry: object) -> bool:
    if not isinstance(entry, list) or len(entry) != len(FileMark._fields) + 1:
        return False
    *mark, digest = entry
    return all(isinstance(number, int) for number in mark) and isinstance(digest, str)


def open_pixels(
    paths: Sequence[Path],
    digests: Sequence[str],
    transform: PixelTransform,
    progress: Progress | None = None,
) -> PixelArray:
    """Open the decoded pixels of a list of files, decoding them if that was not done before.

    digests: content digest per file. transform: what is done to each decoded image.
    Returns a read-only memory map (N, H, W) uint8 in the order of paths.
    Raises DataError listing every file that cannot be decoded, or where the cache cannot be
    written.
    """
    key = transform.storage_key
    # "summed": arrays of earlier versions have no checksums, and are not looked at.
    name = sha256("\n".join([f"decoder {DECODER_VERSION}, summed", key, *digests]).encode())[:32]
    target = cache_folder() / "pixels" / f"{name}-{key}.npy"
    shape = (len(paths), *transform.image_size)
    pixels = _map(target, shape)
    if pixels is None:
        _build(target, shape, paths, transform, progress)
        pixels = _map(target, shape)
    if pixels is None:
        raise DataError(f"{target}: changed while it was opened; try again.")
    return pixels


def _map(target: Path, shape: tuple[int, ...]) -> PixelArray | None:
    """The array in a file as a read-only memory map; None if it is missing or damaged."""
    pixels = map_kept(target)
    if pixels is None or pixels.shape != shape or pixels.dtype != np.uint8:
        return None
    return pixels


def _build(
    target: Path,
    shape: tuple[int, ...],
    paths: Sequence[Path],
    transform: PixelTransform,
    progress: Progress | None,
) -> None:
    """Decode every file into a new array file, which gets its name when it is whole.

    Each image is written, not mapped: on a full disk a write fails with an error, a memory map
    with a signal that ends the process.
    """
    with new_kept(target) as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        start, size, lock = file.tell(), int(np.prod(shape[1:])), Lock()

        def decode(i: int) -> None:
            pixels = transform.to_pixels(read_radiograph(paths[i])).tobytes()
            with lock:
                file.seek(start + i * size)
                file.write(pixels)

        in_parallel(decode, range(len(paths)), "Decoding", progress, at_once=at_once_of(paths))


def in_parallel(
    function: Callable[[T], R],
    items: Sequence[T],
    what: str,
    progress: Progress | None,
    *,
    at_once: int | None = None,
) -> list[R]:
    """Map in threads (Pillow decodes outside the interpreter lock), collecting every failure.

    at_once: how many threads; None takes as many as processors, or more for places in a store.
    Raises DamagedFilesError, and UnansweredError at once where a store does not answer.
    """
    results: list[R] = []
    failures: dict[Path | int, str] = {}
    at_once = at_once or at_once_of(items) or os.cpu_count() or 1
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        begun: deque[Future[R]] = deque()  # some ahead: one for every item would take much memory
        try:
            for number, item in enumerate(items):
                while len(begun) < min(_AHEAD * at_once, len(items) - number):
                    begun.append(pool.submit(function, items[number + len(begun)]))
                try:
                    results.append(begun.popleft().result())
                except UnansweredError:
                    raise  # it is the store, not this file
                except DataError as error:
                    failures[item if isinstance(item, Path) else number] = str(error)
                done = number + 1
                if progress and (done % 32 == 0 or done == len(items)):
                    progress(what, done, len(items))
        except BaseException:  # Ctrl-C and a full disk end it now, not after the last file
            pool.shutdown(cancel_futures=True)
            raise
    if failures:
        raise DamagedFilesError(failures)
    return results
