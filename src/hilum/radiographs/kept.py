"""Files in the cache: checked when they are opened, and the oldest removed when they are too many.

A file that is kept ends with checksums of its blocks (CRC-32 of each MiB), which are compared
once in each process that opens it. One that does not match is as good as none: it is made anew,
and a warning is logged. Readers hold a shared lock for as long as they map a file, and writers
one of their own, so that nothing is removed that is in use, and what a kill left can be told.
"""

import logging
import math
import os
import re
import struct
import tempfile
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from hilum.errors import DataError
from hilum.files import new_file
from hilum.radiographs.cache import cache_folder, cache_refusal

#: What each folder of the cache holds. The files of PRUNED take the space.
FOLDERS = {
    "pixels": "decoded radiographs",
    "arrays": "arrays unpacked from NPZ files",
    "onnx": "networks translated for ONNX Runtime",
    "copies": "which radiographs of a data set are copies of each other",
    "drawings": "drawn pictures that are no radiographs, which gates are tried on",
    "index": "what each file of a data set held",
    "salts": "keys of the names of patients and studies",
}
PRUNED = ("pixels", "arrays", "onnx", "copies", "drawings")
SALTS = "salts"

_BLOCK = 1 << 20
_FOOT = struct.Struct("<QI8s")  # bytes of content, CRC-32 of the checksums, and the name of this
_MAGIC = b"HilumCRC"
_PARTIAL = ".partial"
_HOUR_NS = 3_600_000_000_000

#: Files that this process has compared with their checksums.
_sound: set[tuple[int, ...]] = set()


@contextmanager
def new_kept(target: Path) -> Iterator[IO[bytes]]:
    """A file to be kept in the cache, as files.new_file gives it; then prune.

    Raises DataError where it cannot be written, and where $HILUM_CACHE_LIMIT is no size.
    """
    limit = cache_limit()
    try:
        with ExitStack() as guard, new_file(target, mode=0o600) as file:
            # Locked until the file has its name, by a second handle of the same opening.
            guard.callback(os.close, handle := os.dup(file.fileno()))
            _lock(handle, "exclusive")
            yield file
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            blocks = iter(lambda: file.read(_BLOCK), b"")
            sums = b"".join(struct.pack("<I", zlib.crc32(block)) for block in blocks)
            file.write(sums + _FOOT.pack(size, zlib.crc32(sums), _MAGIC))
    except OSError as error:
        raise cache_refusal(target.parent, error) from None
    prune(limit, spare=target)


@contextmanager
def scratch_file() -> Iterator[IO[bytes]]:
    """A file without a name in the cache, for what is too much for memory and soon forgotten.

    A memory map of it outlives it; the system frees its space with the map, also after a kill.
    Raises DataError where it cannot be written.
    """
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            yield file
    except OSError as error:
        raise cache_refusal(folder, error) from None


@contextmanager
def _opened(target: Path) -> Iterator[tuple[IO[bytes], int] | None]:
    """A kept file and the size of its content; None where it is missing or damaged."""
    try:
        file = target.open("rb")
    except OSError:
        yield None
        return
    with file:
        _lock(file.fileno(), "shared")
        _note_use(file)
        status = os.fstat(file.fileno())
        mark = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        try:
            size = _content(file, check=mark not in _sound)
        except (ValueError, struct.error, OSError):
            logging.getLogger(__name__).warning(
                "%s: the cached file is damaged (its checksums do not match); made anew.", target
            )
            yield None
            return
        _sound.add(mark)
        yield file, size


def map_kept(target: Path) -> npt.NDArray[Any] | None:
    """A kept NPY file as a read-only memory map; None where it is missing or damaged.

    Nobody prunes it while the map is in use.
    """
    with _opened(target) as found:
        if found is None:
            return None
        file, _ = found
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        if 0 in shape:
            return np.empty(shape, dtype)
        # The map duplicates the file's handle, and with it keeps the lock.
        return np.memmap(file, dtype, "r", file.tell(), shape)


def read_kept(target: Path) -> bytes | None:
    """The content of a kept file; None where it is missing or damaged."""
    with _opened(target) as found:
        return found and found[0].read(found[1])


def _content(file: IO[bytes], *, check: bool) -> int:
    """The size of the content, without the checksums. Leaves the file at its beginning.

    check: compare the content with them. Raises ValueError where they do not match.
    """
    whole = file.seek(0, os.SEEK_END)
    file.seek(max(0, whole - _FOOT.size))
    size, own, magic = _FOOT.unpack(file.read())
    blocks = math.ceil(size / _BLOCK)
    if magic != _MAGIC or whole != size + 4 * blocks + _FOOT.size:
        raise ValueError("cut, or of another program")
    if check:
        content = np.memmap(file, np.uint8, "r").data
        sums = content[size : size + 4 * blocks]
        spans = [content[start : start + _BLOCK] for start in range(0, size, _BLOCK)]
        if blocks:
            spans[-1] = content[(blocks - 1) * _BLOCK : size]
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            found = struct.pack(f"<{blocks}I", *pool.map(zlib.crc32, spans))
        if zlib.crc32(sums) != own or found != sums:
            raise ValueError("not as it was written")
    file.seek(0)
    return int(size)


def _note_use(file: IO[bytes]) -> None:
    """Set the time of access, which many file systems do not, at most once an hour."""
    status, now = os.fstat(file.fileno()), time.time_ns()
    if now - status.st_atime_ns > _HOUR_NS:
        with suppress(OSError):  # a cache that may only be read
            os.utime(file.fileno(), ns=(now, status.st_mtime_ns))


def _lock(handle: int, kind: str) -> bool:
    """Lock an open file until its last handle is closed.

    kind: 'shared', 'exclusive', or 'at once': exclusive, without waiting. Returns whether it is
    locked. Elsewhere than on POSIX a file that is open cannot be removed anyway.
    """
    if os.name != "posix":
        return True
    import fcntl

    kinds = {"shared": fcntl.LOCK_SH, "exclusive": fcntl.LOCK_EX}
    try:
        fcntl.flock(handle, kinds.get(kind, fcntl.LOCK_EX | fcntl.LOCK_NB))
    except OSError:  # taken, or a file system without locks: what may be in use stays
        return False
    return True


# ---- how much is kept ------------------------------------------------------------------------

#: How many bytes the cache may take, where $HILUM_CACHE_LIMIT does not say.
LIMIT = 20_000_000_000
_SIZE = re.compile(r"\s*(\d+(?:\.\d*)?)\s*([kmgt]?)b?\s*", re.IGNORECASE)
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def cache_limit() -> int | None:
    """How many bytes the cache may take: $HILUM_CACHE_LIMIT, or LIMIT; None where any number.

    Raises DataError where it is no size.
    """
    given = os.environ.get("HILUM_CACHE_LIMIT", "")
    if not given.strip():
        return LIMIT
    if given.strip().casefold() == "none":
        return None
    found = _SIZE.fullmatch(given)
    if not found:
        raise DataError(
            f"HILUM_CACHE_LIMIT is '{given}'; expected a size such as 20GB or 500MB, or none."
        )
    return int(float(found[1]) * _UNITS[found[2].casefold()])


@dataclass(frozen=True, slots=True)
class Kept:
    """What lies in a folder of the cache: how many files and bytes, and what it is."""

    folder: str
    holds: str
    files: int
    bytes: int


def cache_contents() -> list[Kept]:
    """What the cache holds, by folder."""
    kept = []
    for folder, holds in FOLDERS.items():
        sizes = [status.st_size for _, status in _files(folder)]
        kept.append(Kept(folder, holds, len(sizes), sum(sizes)))
    return kept


def prune(limit: int | None, spare: Path | None = None) -> None:
    """Remove what a kill left and, until the limit is kept, what was not used for longest.

    limit: in bytes, for the folders PRUNED. spare: a file that stays. Nothing that a process
    uses is removed. What cannot be removed stays.
    """
    now, found = time.time_ns(), []
    for folder in FOLDERS:
        for path, status in _files(folder):
            if path.suffix == _PARTIAL:
                # Only files of new_kept are locked; an empty one may be about to be.
                if (folder in PRUNED and status.st_size) or now - status.st_mtime_ns > _HOUR_NS:
                    _remove(path)
            elif folder in PRUNED:
                found.append((max(status.st_atime_ns, status.st_mtime_ns), path, status.st_size))
    total = sum(size for _, _, size in found)
    for _, path, size in sorted(found):
        if limit is None or total <= limit:
            break
        if path != spare and _remove(path):
            total -= size


def clear_cache(*, salts: bool = False) -> list[Path]:
    """Remove all that is in no use. salts: these too, so that patients get other names.

    Returns what stays because a process uses it. Raises DataError where a file cannot be removed.
    """
    folders = [folder for folder in FOLDERS if salts or folder != SALTS]
    paths = [path for path, _ in chain.from_iterable(map(_files, folders))]
    return [path for path in paths if not _remove(path, strict=True)]


def _files(folder: str) -> Iterator[tuple[Path, os.stat_result]]:
    """The files of a folder of the cache; other processes may remove some meanwhile."""
    with suppress(OSError):
        for entry in sorted((cache_folder() / folder).iterdir()):
            with suppress(OSError):
                if entry.is_file():
                    yield entry, entry.stat()


def _remove(path: Path, *, strict: bool = False) -> bool:
    """Remove a file that no process uses; whether it is gone. strict: raise where it cannot be."""
    try:
        with path.open("r+b") as file:
            if not _lock(file.fileno(), "at once"):
                return False
            path.unlink()
    except FileNotFoundError:
        return True
    except OSError as error:
        if strict:
            raise DataError(f"{path}: cannot be removed ({error.strerror or error}).") from None
        return False
    return True
