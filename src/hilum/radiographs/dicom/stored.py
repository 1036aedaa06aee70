"""The stored values of an image: taken from the file, decompressed where they are compressed."""

import io
import struct
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from PIL.JpegImagePlugin import JpegImageFile

from hilum.radiographs.depth import value_range
from hilum.radiographs.dicom.codestream import Codestream, codestream_shape, without_boxes
from hilum.radiographs.dicom.elements import ITEM, SEQUENCE_END, UNDEFINED, Contents
from hilum.radiographs.dicom.header import ImageHeader
from hilum.radiographs.dicom.numbers import Values, numbers
from hilum.radiographs.dicom.tags import TransferSyntax
from hilum.radiographs.geometry import excess_of_jpeg

#: Compressed data that are larger than this multiple of the pixels, and a little, are not theirs.
_MAX_EXPANSION = 2
_LITTLE = 1 << 16
#: No radiograph has more pixels than this multiple of its compressed bytes; a black one may.
_MAX_RATIO = 2_000
#: Encoders write no byte that stands for nothing (PS3.5, G.3.2), or a few.
_MAX_NOTHING = 1_000
#: More bytes than pixels are padding, up to this many; beyond, rows and columns are in doubt.
_MAX_PADDING = 1 << 10


@dataclass(frozen=True, slots=True)
class Stored:
    """The values of an image's pixels, before any look-up table.

    values: (rows, columns) of an integer type. range: of black and white (depth.value_range).
    """

    values: Values
    range: tuple[int, int]


def stored_values(contents: Contents, header: ImageHeader) -> Stored:
    """Decode the pixels, and compare what header, codestream and values say of their bits.

    Raises DataError where they contradict each other, or where the data are shorter or longer
    than rows and columns say, damaged, or need a decoder that is not installed.
    """
    syntax, refusal = contents.transfer_syntax, contents.source.refusal
    bits, unused = header.bits_stored, header.high_bit + 1 - header.bits_stored
    found = Codestream(header.rows, header.columns, 1, header.bits_allocated)
    if not syntax.codec:
        words = _words(_native_bytes(contents, header), header, syntax.big_endian)
    else:
        frame = _frame(contents, header)
        if syntax.codec == "RLE":
            planes = _run_lengths(frame, header)
            if planes is None:
                raise refusal("cannot be decoded: its RLE data are damaged.")
            words = _words(planes, header, big_endian=False)
        else:
            found, words = _decoded(frame, contents, header)
    if bits < found.bits <= header.high_bit:
        raise refusal(
            f"holds {found.bits}-bit {syntax.codec} data with bit {header.high_bit} used."
        )
    if found.bits <= bits:  # the codestream holds values and no words, of as many bits as it says
        bits, unused = found.bits, 0
    values, signed = numbers(words, bits, unused, header.signed, found, refusal)
    stated = bits if bits < header.bits_allocated else None
    low, high = int(values.min()), int(values.max())
    return Stored(values, value_range(low, high, stated, signed=signed))


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


def _words(data: bytes, header: ImageHeader, big_endian: bool) -> Values:
    """(rows, columns) unsigned words, as they are stored, from their bytes."""
    size = header.bits_allocated // 8
    n = header.rows * header.columns
    if size == 1 and big_endian and len(data) % 2 == 0:
        # PS3.5, annex D: 8-bit pixels in words of 16, of which the bytes are swapped
        data = np.frombuffer(data, "<u2").byteswap().tobytes()
    words = np.frombuffer(data, f"{'>' if big_endian else '<'}u{size}", count=n)
    return words.astype(f"=u{size}", copy=False).reshape(header.rows, header.columns)


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


def _decoded(frame: bytes, contents: Contents, header: ImageHeader) -> tuple[Codestream, Values]:
    """A frame that is compressed as JPEG, JPEG-LS or JPEG 2000: what it says, and its words.

    The words are unsigned; of a codestream that is signed they are two's complement.
    """
    refusal, syntax = contents.source.refusal, contents.transfer_syntax
    frame = without_boxes(frame)
    found = codestream_shape(frame)
    if found is None:
        raise refusal(f"cannot be decoded: its {syntax.codec} data are damaged.")
    height, width, components, bits, signed = found
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
    jpeg = syntax.codec in ("JPEG", "JPEG Lossless")
    if jpeg and (excess := excess_of_jpeg(io.BytesIO(frame))):
        raise refusal(f"has {excess}.")
    if not 1 <= bits <= header.bits_allocated:
        raise refusal(f"holds {bits}-bit {syntax.codec} data in {header.bits_allocated} bits.")
    try:
        if syntax.codec == "JPEG" and bits == 8:
            with JpegImageFile(io.BytesIO(frame)) as image:
                words: Values = np.array(image)
        else:
            words = _by_pydicom(frame, syntax, found)
    except Exception as error:
        # a decoder fed damaged bytes may raise anything, and pydicom's texts may quote tags
        if isinstance(error, ImportError):
            raise refusal(
                f"is compressed as {syntax.codec} of {bits} bits, which needs GDCM: pip install "
                "'hilum[gdcm]'."
            ) from None
        raise refusal(f"cannot be decoded: its {syntax.codec} data are damaged.") from None
    if signed:  # Pillow adds what makes them positive
        words = words - words.dtype.type(1 << (bits - 1))
    return found, words


def _by_pydicom(frame: bytes, syntax: TransferSyntax, found: Codestream) -> Values:
    """Decode by one of pydicom's plugins. Raises ImportError where it is not installed.

    The plugins are told what the codestream says, and no sign: then they give its samples as they
    are, whatever the header says.
    """
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder

    decoder = get_decoder(syntax.uid)
    if syntax.plugin not in decoder.available_plugins:
        raise ImportError(syntax.plugin)
    if syntax.plugin == "gdcm":
        return _by_gdcm(frame, syntax, found)
    options: dict[str, Any] = {
        "rows": found.height,
        "columns": found.width,
        "samples_per_pixel": 1,
        "number_of_frames": 1,
        "bits_allocated": 8 if found.bits <= 8 else 16,
        "bits_stored": found.bits,
        "photometric_interpretation": "MONOCHROME2",
        "pixel_representation": 0,
        "pixel_keyword": "PixelData",
        "apply_j2k_sign_correction": False,
        "apply_jls_sign_correction": False,
        "correct_unused_bits": False,
    }
    # Not validated by pydicom, which would warn; image_header and the codestream were checked.
    words, _ = decoder.as_array(
        encapsulate([frame]),
        index=0,
        validate=False,
        raw=True,
        decoding_plugin=syntax.plugin,
        **options,
    )
    unsigned: Values = words
    return unsigned


def _by_gdcm(frame: bytes, syntax: TransferSyntax, found: Codestream) -> Values:
    """Decode by GDCM itself: pydicom's plugin for it refuses JPEG of 12 bits, which it can read."""
    gdcm = import_module("gdcm")
    gdcm.Trace.ErrorOff()  # what is damaged is told by its length
    bits = max(8, found.bits)  # with fewer in a byte GDCM ends the process by an assertion
    allocated = 8 if bits == 8 else 16
    fragment, fragments = gdcm.Fragment(), gdcm.SequenceOfFragments.New()
    fragment.SetByteStringValue(frame)
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((found.width, found.height, 1))
    image.SetDataElement(element)
    grey = gdcm.PhotometricInterpretation.MONOCHROME2
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(grey))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax.uid)))
    image.SetPixelFormat(gdcm.PixelFormat(1, allocated, bits, bits - 1, 0))
    data = image.GetBuffer().encode("utf-8", "surrogateescape")  # it returns char* as str
    return np.frombuffer(data, f"u{allocated // 8}").reshape(found.height, found.width)


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
