"""DICOM files that are damaged, hostile, or no radiographs: one clear sentence, and little else."""

import struct
import tracemalloc
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

from hilum.errors import DataError
from hilum.radiographs.dicom import is_dicom, source
from hilum.radiographs.dicom.reading import read_dicom, read_dicom_header, read_study
from hilum.radiographs.image import read_radiograph
from tests.radiographs.dicoms import RAMP, as_bytes, bundled, dicom, lut, save

CT, RAW = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.1.1.1"
EXPLICIT = b"1.2.840.10008.1.2.1\0"
RLE, JPEG, JPEG_2000 = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90"


def refusal(data: bytes) -> str:
    """What is said of a file, beside its name; also that it took little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(DataError) as caught:
            read_dicom(BytesIO(data), Path("scan.dcm"))
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
    text = str(caught.value)
    assert text.startswith("scan.dcm: ")
    assert text.count("\n") == 0
    assert "zzyzx" not in text.casefold()
    assert "4711" not in text
    return text.removeprefix("scan.dcm: ")


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"Modality": "CT"}, "is no radiograph: its modality is CT; expected CR or DX"),
        ({"Modality": "ZZYZX"}, "its modality is none that is known"),
        ({"Modality": None, "SOPClassUID": CT}, "its modality is none that is known"),
        ({"Modality": None, "SOPClassUID": RAW}, "holds raw values of the detector"),
        ({"Modality": "MR"}, "its modality is MR; expected CR or DX (DR, RG, RF, and a second"),
        ({"PixelData": None}, "holds no pixel data"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "holds raw values of the detector"),
        ({"NumberOfFrames": 2}, "holds several frames or none"),
        ({"NumberOfFrames": 0}, "holds several frames or none"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "is in colour"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "is in colour"),
        ({"PhotometricInterpretation": None}, "is in colour, or does not say that it is grey"),
        ({"Rows": 0}, "does not say its number of rows"),
        ({"Columns": None}, "does not say its number of columns"),
        ({"Rows": 65535, "Columns": 65535}, "65535 x 65535 pixels are too many"),
        ({"Rows": 17}, "512 bytes of pixels where 17 rows and 16 columns of 16 bits take 544"),
        ({"Rows": 3, "Columns": 3}, None),
        ({"BitsAllocated": 32}, "stores 12 of 32 bits, the highest at 11"),
        ({"BitsStored": 17}, "stores 17 of 16 bits"),
        ({"BitsStored": 0}, "stores 0 of 16 bits"),
        ({"HighBit": 16}, "the highest at 16"),
        ({"HighBit": 10}, "the highest at 10"),
        ({"PixelRepresentation": 2}, "stores 12 of 16 bits"),
        ({"WindowCenter": 5, "WindowWidth": 0}, "has a window 0 wide; expected a width of at leas"),
        ({"WindowCenter": 5, "WindowWidth": 0, "VOILUTFunction": "SIGMOID"}, "a width above 0"),
        ({"WindowCenter": 5, "WindowWidth": 9, "VOILUTFunction": "ODD"}, "an unknown function"),
        ({"RescaleSlope": 0, "RescaleIntercept": 1}, "has a rescale slope of 0"),
        ({"VOILUTSequence": Sequence([lut([1, 2], 0, 9)])}, "has a VOI LUT of 9 bits"),
        ({"VOILUTSequence": Sequence([lut([1, 256], 0, 8)])}, "values beyond its 8 bits"),
        ({"VOILUTSequence": Sequence([lut([0, 0], 0, 8)])}, "a VOI LUT that makes everything bl"),
        ({"ModalityLUTSequence": Sequence([Dataset()])}, "has a modality LUT without its data"),
    ],
)
def test_what_is_refused(tags: dict[str, Any], said: str | None) -> None:
    data = as_bytes(dicom(**tags))
    if said is None:  # padding of up to 1 KiB is none that lies
        assert read_dicom(BytesIO(data), Path("scan.dcm")).shape == (3, 3)
    else:
        assert said in refusal(data)


def test_pixels_that_are_longer_than_they_say() -> None:
    assert "32,768 bytes of pixels where 16 rows" in refusal(as_bytes(dicom(data=bytes(32768))))


def test_a_lut_shorter_than_it_says() -> None:
    table = lut([1, 2, 3], 0, 16)
    table.LUTDescriptor = [0, 0, 16]  # 0 means 65,536

    assert "has a VOI LUT of 6 bytes; expected 65,536 entries" in refusal(
        as_bytes(dicom(VOILUTSequence=Sequence([table])))
    )


@pytest.mark.parametrize("text", [b"nan ", b"inf ", b"x\\y ", b"1e99", b"\xff\xff\xff\xff"])
def test_numbers_that_are_none(text: bytes) -> None:
    data = as_bytes(dicom(WindowCenter="1234", WindowWidth=9)).replace(b"1234", text)

    assert refusal(data) == "its window center is no number."


def test_every_cut_off_file() -> None:
    data = as_bytes(dicom())
    for end in range(132, len(data)):
        with pytest.raises(DataError, match=r"cut off|holds no pixel data|is no radiograph|holds"):
            read_dicom(BytesIO(data[:end]), Path("scan.dcm"))


def element(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    """A data element, explicit and little-endian, of which the length may lie."""
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr
    n = len(value) if length is None else length
    long = vr in (b"SQ", b"UN", b"OB", b"OW")
    return head + (struct.pack("<HL", 0, n) if long else struct.pack("<H", n)) + value


ITEM, ITEM_END, SEQUENCE_END = (struct.pack("<HH", 0xFFFE, e) for e in (0xE000, 0xE00D, 0xE0DD))
ENDLESS = b"\xff\xff\xff\xff"
START = bytes(128) + b"DICM" + element(0x00020010, b"UI", EXPLICIT)


def test_deep_sequences() -> None:
    level = element(0x00081140, b"SQ", b"", 0xFFFFFFFF) + ITEM + ENDLESS

    assert "nested more than 32 deep" in refusal(START + level * 100_000)


def test_endless_elements_and_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "_MAX_ELEMENTS", 500)
    many = element(0x00080060, b"CS", b"DX") * 600
    items = element(0x00081140, b"SQ", b"", 0xFFFFFFFF) + (ITEM + bytes(4)) * 600

    assert "more than 500 DICOM elements" in refusal(START + many)
    assert "more than 500 DICOM elements" in refusal(START + items)


@pytest.mark.parametrize(
    "body",
    [
        element(0x00080060, b"UN", b"DX", 0xFFFFFFF0),
        element(0x00080060, b"OB", b"DX", 0x7FFFFFFF),
        element(0x00080060, b"??", b"DX"),
        element(0x00283010, b"SQ", ITEM + struct.pack("<L", 0xFFFFFFF0)),
        element(0x00081140, b"SQ", element(0x00080060, b"CS", b"DX"), 0xFFFFFFFF),
        element(0x00283010, b"SQ", ITEM + struct.pack("<L", 4) + bytes(12), 24),
        ITEM + bytes(4),
        SEQUENCE_END + bytes(4),
    ],
)
def test_lengths_that_lie(body: bytes) -> None:
    assert "damaged" in refusal(START + body)


def test_a_value_longer_than_it_can_be() -> None:
    body = element(0x00080060, b"UN", b"DX" * 200_000)

    assert "longer than it can be" in refusal(START + body)


def test_a_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "_MAX_INFLATED", 4 << 20)
    ds = as_bytes(dicom(syntax="1.2.840.10008.1.2.1.99", data=bytes(1 << 20)))
    assert "1,048,576 bytes of pixels where 16 rows" in refusal(ds), "judged by its header"

    start = bytes(128) + b"DICM" + element(0x00020010, b"UI", b"1.2.840.10008.1.2.1.99")
    squeezer = zlib.compressobj(9, wbits=-15)
    body = squeezer.compress(element(0x00091001, b"OB", b"", 0x20000000))
    body += b"".join(squeezer.compress(bytes(1 << 20)) for _ in range(5)) + squeezer.flush()
    assert "inflates to more than 4 MiB" in refusal(start + body)
    assert "cannot be inflated" in refusal(start + b"\xff" * 99)


def compressed(syntax: str, frame: bytes, **tags: Any) -> bytes:
    return as_bytes(dicom(syntax=syntax, data=encapsulate([frame]), **tags))


def test_compressed_data_that_lie() -> None:
    assert "RLE data are damaged" in refusal(compressed(RLE, bytes(80)))
    assert "JPEG data are damaged" in refusal(compressed(JPEG, b"\xff\xd8\xff\xd9"))
    assert "JPEG 2000 data are damaged" in refusal(compressed(JPEG_2000, b"no codestream at all"))
    # the SIZ marker of T.800, A.5.1: 60,000 x 60,000, one component of 16 bits
    siz = struct.pack(">HHH8LHBBB", 0xFF51, 41, 0, 60000, 60000, *[0] * 2, 60000, 60000,
                      0, 0, 1, 15, 1, 1)  # fmt: skip
    assert "60000 rows, 60000 columns and 1 components, but says 16, 16" in refusal(
        compressed(JPEG_2000, b"\xff\x4f" + siz)
    )
    assert "more compressed data than 16 rows and 16 columns" in refusal(
        compressed(RLE, bytes(100_000))
    )
    assert "compressed data where 16 rows" in refusal(
        as_bytes(dicom(syntax=RLE, data=encapsulate([bytes(80)]))).replace(
            RLE.encode() + b"\0", EXPLICIT
        )
    )
    assert "columns and 1 components, but says" in refusal(
        as_bytes(bundled("JPEG2000-embedded-sequence-delimiter.dcm"))
    )


@pytest.mark.parametrize("name", ["JPGExtended.dcm", "JPEG-lossy.dcm"])
def test_what_needs_gdcm(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from pydicom.pixels.decoders.base import Decoder

    monkeypatch.setattr(Decoder, "available_plugins", ())

    assert "needs GDCM: pip install 'hilum[gdcm]'" in refusal(as_bytes(bundled(name)))


def test_an_unknown_transfer_syntax() -> None:
    data = as_bytes(dicom()).replace(EXPLICIT, b"1.2.840.10008.1.2.99")

    assert refusal(data).startswith("its transfer syntax is none that Hilum reads")


@pytest.mark.parametrize(
    "start",
    [
        b"", b"\x08\x00", b"path,label\n" * 20, b"{" + b" " * 200, b"\x08\x00\x05\x00CSV files are",
        b"\x89PNG\r\n\x1a\n" + bytes(124), bytes(132), b"\x02\x00\x00\x00\xff\xff\xff\xff" * 9,
    ],
)  # fmt: skip
def test_what_is_no_dicom(start: bytes) -> None:
    assert not is_dicom(start) or start.startswith(b"\x08\x00\x05\x00CS")


WHOLE = [
    as_bytes(dicom(VOILUTSequence=Sequence([lut([0, 9, 4095], 5, 12)]), RescaleSlope=1,
                   RescaleIntercept=0, PatientAge="058Y")),
    as_bytes(dicom(WindowCenter=9, WindowWidth=99, syntax="1.2.840.10008.1.2.1.99")),
    as_bytes(dicom(syntax="1.2.840.10008.1.2")),
    *(as_bytes(bundled(name)) for name in ("MR_small_RLE.dcm", "MR_small_jpeg_ls_lossless.dcm",
                                           "MR_small_jp2klossless.dcm")),
]  # fmt: skip


def read_all(data: bytes) -> None:
    """Only a typed error may come out, whatever goes in."""
    for read in (read_dicom, read_dicom_header, read_study):
        try:
            found = read(BytesIO(data), Path("scan.dcm"))
        except DataError:
            continue
        if isinstance(found, np.ndarray):
            assert (found.dtype, found.ndim) == (np.uint8, 2)


@given(st.sampled_from(WHOLE), st.data())
def test_files_with_flipped_bytes_and_cuts(whole: bytes, data: st.DataObject) -> None:
    changed = bytearray(whole)
    most = min(len(whole), 1500) if data.draw(st.booleans()) else len(whole)
    for _ in range(data.draw(st.integers(1, 8))):
        changed[data.draw(st.integers(132, most - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.one_of(st.just(len(changed)), st.integers(132, len(changed))))

    read_all(bytes(changed[:end]))


TAGS = st.sampled_from([0x00080060, 0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280102,
                        0x00280103, 0x00281050, 0x00281051, 0x00281052, 0x00281053, 0x00283000,
                        0x00283010, 0x00283002, 0x00283006, 0x00280004, 0x7FE00010])  # fmt: skip
VRS = st.sampled_from([b"US", b"SS", b"DS", b"IS", b"CS", b"SQ", b"UN", b"OW", b"OB", b"LO"])
ELEMENTS = st.builds(
    element, TAGS, VRS, st.binary(max_size=24),
    st.one_of(st.none(), st.sampled_from([0, 1, 0xFFFF]), st.integers(0, 64)),
)  # fmt: skip


@given(st.lists(ELEMENTS, max_size=12))
def test_headers_of_any_elements(elements: list[bytes]) -> None:
    body = b"".join(elements)

    read_all(START + body)
    read_all(START + element(0x00080060, b"CS", b"DX") + body + as_bytes(dicom(RAMP))[300:])


def test_read_radiograph_names_the_file(tmp_path: Path) -> None:
    path = save(tmp_path / "ct.dcm", dicom(Modality="CT"))

    with pytest.raises(DataError, match=r"ct\.dcm: is no radiograph: its modality is CT"):
        read_radiograph(path)
