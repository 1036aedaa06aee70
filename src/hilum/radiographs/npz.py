"""Arrays inside an NPZ file, read without unpickling and in bounded memory.

An image inside such a file goes by the path ``FILE.npz/ARRAY/INDEX``, so that it can stand
wherever the path of an image file can. An array is unpacked once, into the cache, and mapped.

Source: NEP 1, the NPY format; an NPZ file is a ZIP archive of NPY files.
"""

import math
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from tokenize import TokenError
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from hilum.errors import DataError
from hilum.files import file_mark, sha256
from hilum.radiographs.cache import cache_folder, cache_refusal
from hilum.radiographs.kept import map_kept, new_kept
from hilum.records import IntArray, PixelArray
from hilum.stores import answering, seekable

#: The most that an array may take, as a multiple of its bytes in the file. Radiographs compress to
#: a half or a quarter, zeros a thousandfold; small arrays may do as they like.
_MAX_RATIO = 200
_SMALL = 64 << 20

#: What a damaged or hostile archive makes the standard library raise.
_ZIP_ERRORS = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError,
    OverflowError, ValueError, OSError,
)  # fmt: skip
#: NumPy reads a header as Python's own compiler would.
_HEADER_ERRORS = (
    ValueError, TypeError, OverflowError, SyntaxError, TokenError, RecursionError, MemoryError,
)  # fmt: skip
_unpacking = Lock()


@dataclass(frozen=True, slots=True)
class ArrayHeader:
    """What an NPY header says of its array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def item_of(path: Path) -> tuple[Path, str, int] | None:
    """The NPZ file, array and index that a path means; None for the path of a file of its own."""
    file = path.parent.parent
    if file.suffix.casefold() != ".npz" or not path.name.isdecimal():
        return None
    with answering():
        if not file.is_file():
            return None
    return file, path.parent.name, int(path.name)


def file_of(path: Path) -> Path:
    """The file on the disk that holds an image: the path itself, or the NPZ file it is in."""
    item = item_of(path)
    return item[0] if item else path


def read_item(file: Path, array: str, index: int) -> PixelArray:
    """Read one image of an array (N, H, W) uint8: (H, W), read-only.

    Raises DataError, naming the file, where the array is missing, damaged or of another kind.
    """
    mark = file_mark(file)
    if mark is None:
        raise DataError(f"{file}: is no file any more.")
    with _unpacking:  # threads that read the first images wait for one of them to unpack
        stack = _mapped(file, array, cache_folder(), mark.identity)
    if isinstance(stack, DataError):
        raise stack
    if stack.ndim != 3 or stack.dtype != np.uint8:
        raise DataError(
            f"{file}: '{array}' has the shape {stack.shape} and the type {stack.dtype}; expected "
            "grey images, (N, height, width) uint8."
        )
    if index >= len(stack):
        raise DataError(f"{file}: '{array}' has no image {index}; it holds {len(stack)}.")
    image: PixelArray = stack[index]
    return image


def array_names(file: Path) -> set[str]:
    """The names of the arrays in an NPZ file. Raises DataError where it is not one."""
    with _opened(file) as archive:
        names = archive.namelist()
    return {name.removesuffix(".npy") for name in names if name.endswith(".npy")}


def array_header(file: Path, array: str) -> ArrayHeader:
    """Read and check the header of an array, without any of its content.

    Raises DataError where the array is missing, holds Python objects, or has a shape that the
    file cannot hold.
    """
    with _opened(file) as archive, _member(file, archive, array) as (_, header):
        return header


def read_labels(file: Path, array: str, n: int, columns: int = 1) -> IntArray:
    """Read an array of n class numbers, (n,) or (n, 1) integers from 0, as (n,).

    columns: of several numbers for each image, how many: then (n, columns) is read as it is.
    Raises DataError as array_header does, and where it has another shape or type.
    """
    with _opened(file) as archive, _member(file, archive, array) as (content, header):
        shape, dtype = header.shape, header.dtype
        if dtype.kind not in "iu" or shape not in ((n, columns), *([(n,)] if columns == 1 else [])):
            numbers = "one whole number" if columns == 1 else f"{columns} whole numbers"
            raise DataError(
                f"{file}: '{array}' has the shape {shape} and the type {dtype}; expected {numbers} "
                f"for each of the {n} images, ({n}, {columns})."
            )
        data = content.read(n * columns * dtype.itemsize)
    labels = np.frombuffer(data, dtype)
    labels = labels if columns == 1 else labels.reshape(n, columns)
    if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) < 1 << 31:
        raise DataError(f"{file}: '{array}' holds {labels.min()}; expected 0 or more.")
    found: IntArray = labels.astype(np.int64)
    return found


@lru_cache(maxsize=16)
def _mapped(
    file: Path, array: str, cache: Path, identity: tuple[int, ...]
) -> npt.NDArray[Any] | DataError:
    """An array as a read-only memory map. identity: that of the file's mark, so none is stale.

    What is wrong with a file is returned, and so remembered: it is unpacked once for all images.
    """
    try:
        # The archive's own checksum tells apart what was written within a tick of the clock.
        with _opened(file) as archive, _member(file, archive, array):
            checksum = archive.getinfo(f"{array}.npy").CRC
        facts = f"{os.fsencode(file.resolve())!r} {array} {identity} {checksum}"
        target = cache / "arrays" / f"{sha256(facts.encode())[:32]}.npy"
        mapped = map_kept(target)
        if mapped is None:
            _unpack(file, array, target)
            mapped = map_kept(target)
    except DataError as error:
        return error
    except OSError as error:
        return DataError(f"{file}: cannot be read ({error.strerror or error}).")
    if mapped is None:
        return DataError(f"{target}: changed while it was opened; try again.")
    return mapped


def _unpack(file: Path, array: str, target: Path) -> None:
    with new_kept(target) as out, _opened(file) as archive:
        with _member(file, archive, array):
            pass  # its header is sound
        with archive.open(f"{array}.npy") as content:
            while piece := content.read(1 << 20):
                _write(out, piece, target)


def _write(out: IO[bytes], piece: bytes, target: Path) -> None:
    try:
        out.write(piece)
    except OSError as error:  # the cache's, not the archive's
        raise cache_refusal(target.parent, error) from None


@contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    """An NPZ file as a ZIP archive; what a damaged one raises inside is told as a DataError."""
    try:
        with seekable(file) as content, zipfile.ZipFile(content) as archive:
            yield archive
    except _ZIP_ERRORS as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise DataError(f"{file}: cannot be read as an NPZ file ({reason}).") from None


@contextmanager
def _member(
    file: Path, archive: zipfile.ZipFile, array: str
) -> Iterator[tuple[IO[bytes], ArrayHeader]]:
    """An array's content, placed behind its header, and the header, which is sound."""
    try:
        info = archive.getinfo(f"{array}.npy")
    except KeyError:
        raise DataError(
            f"{file}: there is no array '{array}'; found "
            f"{', '.join(sorted(archive.namelist())[:8]) or 'none'}."
        ) from None
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(f"{file}: '{array}' is compressed in a way that NPZ files are not.")
    with archive.open(info) as content:
        header = _header(file, array, content)
        if header.dtype.hasobject:
            raise DataError(
                f"{file}: '{array}' holds Python objects, which could run any code and are never "
                "loaded; save it as numbers."
            )
        size = math.prod(header.shape) * header.dtype.itemsize
        if size != info.file_size - content.tell():
            raise DataError(
                f"{file}: '{array}' announces the shape {header.shape}, {size:,} bytes, but holds "
                f"{info.file_size - content.tell():,}; the file is damaged."
            )
        if size > max(_SMALL, _MAX_RATIO * info.compress_size):
            raise DataError(
                f"{file}: '{array}' would unpack to {size:,} bytes from {info.compress_size:,}; "
                "no radiographs do."
            )
        yield content, header


def _header(file: Path, array: str, content: IO[bytes]) -> ArrayHeader:
    try:
        # Later versions differ in the size of the header only, up to 4 GiB: no image needs it.
        if np.lib.format.read_magic(content) != (1, 0):
            raise DataError(f"{file}: '{array}' is not in version 1.0 of the NPY format.")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(content)
    except _HEADER_ERRORS as error:
        raise DataError(f"{file}: '{array}' has no sound NPY header ({error}).") from None
    if fortran and len(shape) > 1 and max(shape) > 1:
        raise DataError(f"{file}: '{array}' is in Fortran order; save it in C order.")
    if any(n < 0 for n in shape):
        raise DataError(f"{file}: '{array}' announces the shape {shape}.")
    return ArrayHeader(shape, dtype)
