"""The stored values of an image: taken from the file, decompressed where they are compressed."""

import io
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL.JpegImagePlugin import JpegImageFile

from hilum.radiographs.dicom.elements import ITEM, SEQUENCE_END, UNDEFINED, Contents
from hilum.radiographs.dicom.header import ImageHeader
from hilum.radiographs.dicom.tags import TransferSyntax

#: Start-of-frame markers of JPEG (ITU-T T.81, table B.1; JPEG-LS: T.87, C.1.1).
_FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_JP2 = b"\0\0\0\x0cjP  "


def codestream_shape(data: bytes) -> tuple[int, int, int, int] | None:
    """Height, width, components and bits a sample of a JPEG, JPEG-LS or JPEG 2000 codestream.

    None where it begins like none of them or is cut off before it says so.
    """
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


def _jpeg(data: bytes) -> tuple[int, int, int, int] | None:
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # filling
            at += 1
        elif marker in _STANDALONE:
            at += 2
        elif marker in _FRAMES:
            height, width = _number(data, at + 5, 2), _number(data, at + 7, 2)
            return height, width, data[at + 9], data[at + 4]
        else:
            at += 2 + max(2, _number(data, at + 2, 2))
    return None


def _jpeg_2000(data: bytes) -> tuple[int, int, int, int] | None:
    """The SIZ marker (ITU-T T.800, A.5.1), the first of a codestream."""
    if len(data) < 43:
        return None
    x1, y1, x0, y0 = (_number(data, 8 + 4 * i, 4) for i in range(4))
    return y1 - y0, x1 - x0, _number(data, 40, 2), (data[42] & 0x7F) + 1


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big")


Values = npt.NDArray[Any]

#: Compressed data that are larger than this multiple of the pixels, and a little, are not theirs.
_MAX_EXPANSION = 2
_LITTLE = 1 << 16
#: No radiograph has more pixels than this multiple of its compressed bytes; a black one may.
_MAX_RATIO = 2_000
#: Encoders write no byte that stands for nothing (PS3.5, G.3.2), or a few.
_MAX_NOTHING = 1_000
#: More bytes than pixels are padding, up to this many; beyond, rows and columns are in doubt.
_MAX_PADDING = 1 << 10


def stored_values(contents: Contents, header: ImageHeader) -> Values:
    """The values of an image's pixels, before any look-up table.

    Returns (rows, columns) of an integer type, within header.range. Raises DataError where the
    data are shorter or longer than rows and columns say, damaged, or need a decoder that is not
    installed.
    """
    syntax, refusal = contents.transfer_syntax, contents.source.refusal
    if not syntax.codec:
        values = _native(_native_bytes(contents, header), header, syntax.big_endian)
    else:
        frame = _frame(contents, header)
        if syntax.codec == "RLE":
            planes = _run_lengths(frame, header)
            if planes is None:
                raise refusal("cannot be decoded: its RLE data are damaged.")
            values = _native(planes, header, big_endian=False)
        else:
            values = _decoded(frame, contents, header)
    low, high = header.range
    if int(values.min()) < low or int(values.max()) > high:
        raise refusal(f"holds values beyond the {header.bits_stored} bits that it says it stores.")
    return values


def _native_bytes(contents: Contents, header: ImageHeader) -> bytes:
    size = header.rows * header.columns * header.bits_allocated // 8
    length = contents.pixel_length or 0
    if length == UNDEFINED or not size <= length <= size + _MAX_PADDING:
        found = "compressed data" if length == UNDEFINED else f"{length:,} bytes of pixels"
        raise contents.source.refusal(
            f"holds {found} where {header.rows} rows and {header.columns} columns of "
            f"{header.bits_allocated} bits take {size:,} bytes; the file is damaged."
        )
    # big-endian words of two 8-bit pixels: the last of an odd number lies in the padding
    return contents.source.read(min(length, size + size % 2))


def _native(data: bytes, header: ImageHeader, big_endian: bool) -> Values:
    """Values from their bytes, with what lies in unused bits cut off (PS3.5, 8.1.1)."""
    kind = "i" if header.signed else "u"
    size = header.bits_allocated // 8
    n = header.rows * header.columns
    if size == 1 and big_endian and len(data) % 2 == 0:
        # PS3.5, annex D: 8-bit pixels in words of 16, of which the bytes are swapped
        data = np.frombuffer(data, "<u2").byteswap().tobytes()
    order = ">" if big_endian else "<"
    values = np.frombuffer(data, f"{order}{kind}{size}", count=n).astype(f"={kind}{size}")
    if above := header.bits_allocated - 1 - header.high_bit:
        np.left_shift(values, above, out=values)
    if unused := header.bits_allocated - header.bits_stored:
        np.right_shift(values, unused, out=values)  # of signed values the sign is repeated
    return values.reshape(header.rows, header.columns)


def _frame(contents: Contents, header: ImageHeader) -> bytes:
    """The fragments of the only frame, joined (PS3.5, A.4)."""
    source = contents.source
    if contents.pixel_length != UNDEFINED:
        raise source.refusal("says that its pixels are compressed, but they are not encapsulated.")
    most = _MAX_EXPANSION * header.rows * header.columns * header.bits_allocated // 8 + _LITTLE
    fragments: list[bytes] = []
    is_offset_table, size = True, 0
    while not source.at_end:  # some writers leave the delimiter out
        source.count_element()
        group, element, length = struct.unpack("<HHL", source.read(8))
        tag = group << 16 | element
        if tag == SEQUENCE_END:
            break
        if tag != ITEM:
            raise source.refusal("is damaged: its compressed pixels are not divided as they say.")
        if is_offset_table:
            source.skip(length)
            is_offset_table = False
            continue
        size += length
        if size > most:
            raise source.refusal(
                f"holds more compressed data than {header.rows} rows and {header.columns} columns "
                "can have."
            )
        fragments.append(source.read(length))
    if not size:
        raise source.refusal("holds no pixel data; expected a radiograph.")
    return b"".join(fragments)


def _decoded(frame: bytes, contents: Contents, header: ImageHeader) -> Values:
    """The values of a frame that is compressed as JPEG, JPEG-LS or JPEG 2000."""
    refusal, syntax = contents.source.refusal, contents.transfer_syntax
    frame = without_boxes(frame)
    shape = codestream_shape(frame)
    if shape is None:
        raise refusal(f"cannot be decoded: its {syntax.codec} data are damaged.")
    height, width, components, bits = shape
    if (height, width, components) != (header.rows, header.columns, 1):
        raise refusal(
            f"holds {syntax.codec} data of {height} rows, {width} columns and {components} "
            f"components, but says {header.rows}, {header.columns} and 1."
        )
    if height * width > max(_MAX_RATIO * len(frame), 1 << 20):
        raise refusal(
            f"holds {len(frame):,} bytes of {syntax.codec} data, too few for {height} rows and "
            f"{width} columns; the file is cut off or damaged."
        )
    if bits > header.bits_allocated:
        raise refusal(f"holds {bits}-bit {syntax.codec} data in {header.bits_allocated} bits.")
    try:
        if syntax.codec == "JPEG" and bits == 8:
            with JpegImageFile(io.BytesIO(frame)) as image:
                values: Values = np.array(image)
        else:
            values = _by_pydicom(frame, syntax, header)
    except Exception as error:
        # a decoder fed damaged bytes may raise anything, and pydicom's texts may quote tags
        if isinstance(error, ImportError):
            raise refusal(
                f"is compressed as {syntax.codec} of {bits} bits, which needs GDCM: pip install "
                "'hilum[gdcm]'."
            ) from None
        raise refusal(f"cannot be decoded: its {syntax.codec} data are damaged.") from None
    if header.signed and values.dtype.kind == "u":
        values = values.view(f"i{values.dtype.itemsize}")
    return values


def _by_pydicom(frame: bytes, syntax: TransferSyntax, header: ImageHeader) -> Values:
    """Decode by one of pydicom's plugins. Raises ImportError where it is not installed."""
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder

    decoder = get_decoder(syntax.uid)
    if syntax.plugin not in decoder.available_plugins:
        raise ImportError(syntax.plugin)
    options: dict[str, Any] = {
        "rows": header.rows,
        "columns": header.columns,
        "samples_per_pixel": 1,
        "number_of_frames": 1,
        "bits_allocated": header.bits_allocated,
        "bits_stored": header.bits_stored,
        "photometric_interpretation": "MONOCHROME2",
        "pixel_representation": int(header.signed),
        "pixel_keyword": "PixelData",
    }
    # Not validated by pydicom, which would warn; image_header and the codestream were checked.
    values, _ = decoder.as_array(
        encapsulate([frame]),
        index=0,
        validate=False,
        raw=True,
        decoding_plugin=syntax.plugin,
        **options,
    )
    found: Values = values
    return found


def _run_lengths(frame: bytes, header: ImageHeader) -> bytes | None:
    """Decode RLE (PS3.5, annex G) to little-endian bytes; None where it is damaged."""
    n, size = header.rows * header.columns, header.bits_allocated // 8
    if len(frame) < 64:
        return None
    count, *offsets = struct.unpack("<16L", frame[:64])
    if count != size:
        return None
    bounds = [*offsets[:count], len(frame)]
    planes = np.zeros((n, size), np.uint8)
    for i in range(size):
        plane = _unpack_bits(frame[bounds[i] : bounds[i + 1]], n)
        if plane is None:
            return None
        planes[:, size - 1 - i] = np.frombuffer(plane, np.uint8)  # the high bytes come first
    return planes.tobytes()


def _unpack_bits(segment: bytes, n: int) -> bytes | None:
    """The first n bytes of a segment (PS3.5, G.3.2); None where it has fewer."""
    found = bytearray()
    at, end, nothing = 0, len(segment), 0
    while len(found) < n and at < end and nothing <= _MAX_NOTHING:
        head = segment[at]
        if head < 128:
            found += segment[at + 1 : at + 2 + head]
            at += 2 + head
        elif head > 128:
            found += segment[at + 1 : at + 2] * (257 - head)
            at += 2
        else:
            at, nothing = at + 1, nothing + 1
    return bytes(found[:n]) if len(found) >= n else None
