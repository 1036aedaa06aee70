"""What JPEG, JPEG-LS and JPEG 2000 codestreams say of their samples."""

import struct
from typing import NamedTuple

#: Start-of-frame markers of JPEG (ITU-T T.81, table B.1; JPEG-LS: T.87, C.1.1).
_FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
_LEAST, _SCAN = 0xC0, 0xDA
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_JP2 = b"\0\0\0\x0cjP  "


class Codestream(NamedTuple):
    """What a JPEG, JPEG-LS or JPEG 2000 codestream says of itself.

    bits: of a sample. signed: None where it cannot say, as all but JPEG 2000.
    """

    height: int
    width: int
    components: int
    bits: int
    signed: bool | None = None


def codestream_shape(data: bytes) -> Codestream | None:
    """What a codestream says; None where it begins like none or is cut off before it says so."""
    if data.startswith(b"\xff\x4f\xff\x51"):
        return _jpeg_2000(data)
    return _jpeg(data) if data.startswith(b"\xff\xd8") else None


def without_boxes(frame: bytes) -> bytes:
    """The codestream of a frame that some writers put into the boxes of a JP2 file.

    What the boxes say of the image is not believed, and does not reach the decoder (ITU-T T.800,
    annex I). A frame that holds no codestream stays as it is.
    """
    at = 0
    while frame.startswith(_JP2) and at + 8 <= len(frame):
        length, kind = struct.unpack(">L4s", frame[at : at + 8])
        head = 16 if length == 1 else 8
        if length == 1:
            length = _number(frame, at + 8, 8)
        end = at + length if length else len(frame)
        if kind == b"jp2c":
            return frame[at + head : end]
        if end < at + head:
            break
        at = end
    return frame


def _jpeg(data: bytes) -> Codestream | None:
    """What the frame header says, if markers lead from it to a scan: GDCM ends the process else."""
    found: Codestream | None = None
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == _SCAN:
            return found
        if marker == 0xFF:  # filling
            at += 1
        elif marker in _STANDALONE:
            at += 2
        elif marker < _LEAST:
            return None
        else:
            if marker in _FRAMES:
                height, width = _number(data, at + 5, 2), _number(data, at + 7, 2)
                found = Codestream(height, width, data[at + 9], data[at + 4])
            at += 2 + max(2, _number(data, at + 2, 2))
    return None


def _jpeg_2000(data: bytes) -> Codestream | None:
    """The SIZ marker (ITU-T T.800, A.5.1), the first of a codestream."""
    if len(data) < 43:
        return None
    x1, y1, x0, y0 = (_number(data, 8 + 4 * i, 4) for i in range(4))
    components, depth = _number(data, 40, 2), data[42]
    return Codestream(y1 - y0, x1 - x0, components, (depth & 0x7F) + 1, depth > 0x7F)


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big")
