"""The bytes of a DICOM file, forward only, and never more of them than an image can need."""

import os
import zlib
from pathlib import Path
from typing import IO

from hilum.errors import DataError
from hilum.records import MAX_PIXELS

#: The most that a deflated file may inflate to: the largest image at 16 bit, and its header.
_MAX_INFLATED = 2 * MAX_PIXELS + (16 << 20)
#: A header of a radiograph has some hundred elements; private ones may be thousands.
_MAX_ELEMENTS = 50_000
_CHUNK = 1 << 16


class Source:
    """Reads a file from where it stands, and refuses in the file's name.

    position: bytes read so far. Sizes that reach beyond the end are refused before anything is
    read, so a length that lies costs no memory.
    """

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file, self._path = file, path
        self._elements = 0
        self.position = file.tell()
        self._size = file.seek(0, os.SEEK_END)
        file.seek(self.position)

    def refusal(self, reason: str) -> DataError:
        """The error to raise: the file and what is wrong with it, without values of its tags."""
        return DataError(f"{self._path}: {reason}")

    def count_element(self) -> None:
        """Raises DataError where the file has more elements than a radiograph has."""
        self._elements += 1
        if self._elements > _MAX_ELEMENTS:
            raise self.refusal(
                f"has more than {_MAX_ELEMENTS:,} DICOM elements; no radiograph does."
            )

    @property
    def at_end(self) -> bool:
        """Whether nothing follows."""
        return self.position >= self._size

    def read(self, n: int) -> bytes:
        """The next n bytes. Raises DataError where the file has fewer."""
        self._check(n)
        self.position += n
        return self._file.read(n)

    def skip(self, n: int) -> None:
        """Pass over n bytes. Raises DataError where the file has fewer."""
        self._check(n)
        self.position += n
        self._file.seek(n, os.SEEK_CUR)

    def peek(self, n: int) -> bytes:
        """Up to n of the next bytes, which are read again afterwards."""
        start = self._file.read(n)
        self._file.seek(-len(start), os.SEEK_CUR)
        return start

    def inflated(self) -> "Source":
        """The rest of the file, inflated (PS3.5, A.5)."""
        return _Inflated(self._file, self._path)

    def _check(self, n: int) -> None:
        if n > self._size - self.position:
            raise self.refusal(
                "is cut off or damaged: a DICOM element reaches beyond the end of the file."
            )


class _Inflated(Source):
    """Inflates as it is read, so that a header is judged before its pixels take any memory."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        super().__init__(file, path)
        self.position = 0
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._ready = bytearray()
        self._inflated = 0

    @property
    def at_end(self) -> bool:
        return not self._fill(1)

    def read(self, n: int) -> bytes:
        if not self._fill(n):
            raise self.refusal("is cut off or damaged: its deflated data end too soon.")
        found = bytes(self._ready[:n])
        del self._ready[:n]
        self.position += n
        return found

    def skip(self, n: int) -> None:
        while n > 0:
            step = min(n, _CHUNK)
            self.read(step)
            n -= step

    def peek(self, n: int) -> bytes:
        self._fill(n)
        return bytes(self._ready[:n])

    def _fill(self, n: int) -> bool:
        """Whether n bytes are ready, after inflating until they are."""
        if n > _MAX_INFLATED:
            return False
        while len(self._ready) < n and not self._inflater.eof:
            deflated = self._inflater.unconsumed_tail or self._file.read(_CHUNK)
            try:
                piece = self._inflater.decompress(deflated, _CHUNK)
            except zlib.error:
                raise self.refusal("is damaged: its deflated data cannot be inflated.") from None
            if not piece and not deflated:
                break
            self._inflated += len(piece)
            if self._inflated > _MAX_INFLATED:
                raise self.refusal(
                    f"inflates to more than {_MAX_INFLATED >> 20} MiB; no radiograph does."
                )
            self._ready += piece
        return len(self._ready) >= n
