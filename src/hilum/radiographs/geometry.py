"""What the parts of a PNG, JPEG or TIFF file may be, checked before a reader looks at the file.

Readers believe what a file says of its tiles, directories and chunks, and take time and memory for
each. Everything here is read in bounded time and memory, whatever the file holds.
"""

import os
import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from hilum.errors import DataError

#: Encoders divide the pixels of a PNG into chunks of 8 KiB or more, so this is 512 MiB at least.
_MAX_CHUNKS: Final = 65_536
#: Beside the pixels a file holds some dozen chunks, mostly texts.
_MAX_OTHERS: Final = 1_000
_MAX_OTHER_BYTES: Final = 16 << 20
#: A directory that a camera or a scanner writes has some dozen entries, of private tags hundreds.
_MAX_ENTRIES: Final = 1_000
_MAX_DIRECTORIES: Final = 1_000
#: Strips of a row each and tiles of 64 x 64 stay below this.
_MAX_PIECES: Final = 65_536
#: A tile may be larger than a small picture, but not than this and the picture.
_MAX_TILE: Final = 1 << 22  # pixels
#: Each scan of a JPEG goes through all pixels. Encoders write 6 to some 20 of a progressive one,
#: and cjpeg takes a script of 100 at most (libjpeg, rdswitch.c). 100 that hold nothing take 7 s at
#: 80 million pixels.
_MAX_SCANS: Final = 100
#: Tables and what programs add, of up to 64 KiB each: a colour profile has 255 at most.
_MAX_SEGMENTS: Final = 10_000
#: A marker of a JPEG (ITU-T T.81, B.1.1): stuffed and filling bytes are none, and those that stand
#: alone within a scan (RST, TEM) divide nothing.
_MARKER: Final = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])", re.DOTALL)
_SCAN, _SOI, _EOI = 0xDA, 0xD8, 0xD9
_READ: Final = 1 << 16
_WIDTH, _LENGTH, _ROWS_PER_STRIP = 256, 257, 278  # TIFF 6.0, sections 8 and 15
_STRIPS, _TILE_WIDTH, _TILE_LENGTH, _TILES = 273, 322, 323, 324
#: Bytes of a value by its type (TIFF 6.0, section 2, and BigTIFF).
_SIZES: Final = dict(
    zip(range(1, 19), (1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 2, 8, 8, 8, 8), strict=True)
)


def check_png(file: IO[bytes], path: Path) -> None:
    """Raises DataError for more chunks than a picture needs. Leaves the file at its start."""
    size = file.seek(0, os.SEEK_END)
    at, chunks, others, other_bytes = 8, 0, 0, 0
    while at + 12 <= size:
        file.seek(at)
        length, kind = struct.unpack(">L4s", file.read(8))
        at += 12 + length
        chunks += 1
        if kind == b"IEND":
            break
        if kind not in (b"IDAT", b"PLTE"):
            others += 1
            other_bytes += length
        if chunks > _MAX_CHUNKS or others > _MAX_OTHERS or other_bytes > _MAX_OTHER_BYTES:
            raise DataError(
                f"{path}: has more chunks than a PNG of one picture needs (at most "
                f"{_MAX_OTHERS:,} and {_MAX_OTHER_BYTES >> 20} MiB beside its pixels); save it "
                "anew with an image editor."
            )
    file.seek(0)


def check_jpeg(file: IO[bytes], path: Path) -> None:
    """Raises DataError for more scans or segments than a picture needs. Leaves the file at its
    start.
    """
    if excess := excess_of_jpeg(file):
        raise DataError(f"{path}: has {excess}; save it anew with an image editor.")


def excess_of_jpeg(file: IO[bytes]) -> str:
    """What a JPEG has more of than a picture needs, in words; '' where nothing.

    Leaves the file at its start. What is merely damaged is left to the reader, which passes over
    whatever stands between two segments, as is done here.
    """
    scans = 0
    for segments, kind in enumerate(_segments(file), start=1):
        scans += kind == _SCAN
        if scans > _MAX_SCANS or segments > _MAX_SEGMENTS:
            file.seek(0)
            return (
                f"more scans or segments than a JPEG of one picture needs (at most {_MAX_SCANS:,} "
                f"and {_MAX_SEGMENTS:,})"
            )
    file.seek(0)
    return ""


def _segments(file: IO[bytes]) -> Iterator[int]:
    """The kinds of the segments of a JPEG, in order, up to its end."""
    file.seek(0)
    base, at, data = 0, 2, file.read(_READ)
    while True:
        found = _MARKER.search(data, at - base)
        if found and found[1][0] in (_SOI, _EOI):  # nothing is read behind either
            return
        if found and found.end() + 2 <= len(data):
            yield found[1][0]
            at = base + found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")
            if at < base + len(data):
                continue
        elif len(data) < _READ:  # the file ends here
            return
        else:  # what begins at the end of this piece is in the next one
            at = base + (found.start() if found else len(data) - 1)
        file.seek(at)
        base, data = at, file.read(_READ)


def check_tiff(file: IO[bytes], path: Path) -> None:
    """Raises DataError for directories, strips or tiles that no picture needs.

    Leaves the file at its start. What is merely damaged is left to the reader.
    """
    with suppress(struct.error):  # it ends too soon
        _check_directories(_Tiff(file, path))
    file.seek(0)


class _Tiff:
    """The directories of a TIFF file. An entry is its type, its count, and where its value lies."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file, self._path = file, path
        self.size = file.seek(0, os.SEEK_END)
        file.seek(0)
        start = file.read(4)
        order = "<" if start[:2] == b"II" else ">"
        big = 43 in start[2:]
        self._long, self._number = order + ("Q" if big else "L"), order + ("Q" if big else "H")
        self._entry = struct.Struct(order + ("HHQ" if big else "HHL"))
        self._inline = 8 if big else 4
        self._order = order
        self.first = self._at(8 if big else 4, self._long)

    def refusal(self, reason: str) -> DataError:
        return DataError(f"{self._path}: {reason}; save it anew with an image editor.")

    def directory(self, at: int) -> tuple[dict[int, tuple[int, int, int]], int]:
        """A directory's entries by tag, and where the next directory lies; 0 for none."""
        entries = {}
        n = self._at(at, self._number)
        if n > _MAX_ENTRIES:
            raise self.refusal(f"has a TIFF directory of {n:,} entries (at most {_MAX_ENTRIES:,})")
        at += struct.calcsize(self._number)
        for _ in range(n):
            self._file.seek(at)
            tag, kind, count = self._entry.unpack(self._file.read(self._entry.size))
            at += self._entry.size
            fits = count * _SIZES.get(kind, 1) <= self._inline
            entries[tag] = kind, count, at if fits else self._at(at, self._long)
            at += self._inline
        return entries, self._at(at, self._long)

    def value(self, entry: tuple[int, int, int] | None) -> int:
        """The first of an entry's whole numbers; 0 where there is none."""
        if entry is None or entry[1] == 0:
            return 0
        code = {1: "B", 3: "H", 4: "L", 16: "Q"}.get(entry[0])
        return self._at(entry[2], self._order + code) if code else 0

    def next_of(self, at: int) -> int:
        """Where the directory after the one that lies there lies, without reading its entries."""
        n, head = self._at(at, self._number), struct.calcsize(self._number)
        return self._at(at + head + n * (self._entry.size + self._inline), self._long)

    def _at(self, at: int, code: str) -> int:
        if at >= self.size:
            raise struct.error
        self._file.seek(at)
        found: int = struct.unpack(code, self._file.read(struct.calcsize(code)))[0]
        return found


def _check_directories(tiff: _Tiff) -> None:
    entries, following = tiff.directory(tiff.first)
    sizes = (count * _SIZES.get(kind, 1) for kind, count, _ in entries.values())
    if sum(sizes) > tiff.size:
        raise tiff.refusal("has TIFF entries that are longer than the file")
    tag = entries.get
    width, height = tiff.value(tag(_WIDTH)), tiff.value(tag(_LENGTH))
    rows = min(tiff.value(tag(_ROWS_PER_STRIP)) or height, height)
    tile = tiff.value(tag(_TILE_WIDTH)) or width, tiff.value(tag(_TILE_LENGTH)) or rows
    if tile[0] * tile[1] > max(_MAX_TILE, 2 * width * height):
        raise tiff.refusal(f"holds {width} x {height} pixels in tiles of {tile[0]:,} x {tile[1]:,}")
    pieces = max((tag(piece) or (0, 0, 0))[1] for piece in (_STRIPS, _TILES))
    if pieces > _MAX_PIECES:
        raise tiff.refusal(f"is divided into {pieces:,} strips or tiles (at most {_MAX_PIECES:,})")
    directories = 1
    while following:
        directories += 1
        if directories > _MAX_DIRECTORIES:
            raise tiff.refusal(f"holds more than {_MAX_DIRECTORIES:,} images; a radiograph is one")
        following = tiff.next_of(following)
