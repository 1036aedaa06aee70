"""DICOM files against hand-computed greys."""

import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders.base import get_encoder
from pydicom.sequence import Sequence
from pydicom.uid import UID

from hilum.radiographs.dicom.reading import read_dicom
from hilum.radiographs.image import Header, read_header, read_radiograph
from hilum.records import PixelArray
from tests.radiographs.dicoms import RAMP, as_bytes, dicom, lut, save


def read(folder: Path, ds: Dataset) -> PixelArray:
    return read_radiograph(save(folder / "image", ds))  # by its content: it has no suffix


def greys(folder: Path, values: list[int], bits: int = 8, **tags: Any) -> list[int]:
    kind = np.int16 if min(values) < 0 else np.uint16
    row = read(folder, dicom(np.array([values], kind), bits=bits, **tags))[0]
    return [int(grey) for grey in row]


def test_white_is_the_largest_value_that_can_be_stored(tmp_path: Path) -> None:
    assert greys(tmp_path, [0, 51, 204], bits=8) == [0, 51, 204], "not stretched to the brightest"
    assert greys(tmp_path, [0, 1365, 4095], bits=12) == [0, 85, 255]
    assert greys(tmp_path, [0, 341, 1023], bits=10) == [0, 85, 255]
    assert greys(tmp_path, [0, 5461, 16383], bits=14) == [0, 85, 255]
    assert greys(tmp_path, [0, 21845, 65535], bits=16) == [0, 85, 255]


@pytest.mark.parametrize("high", [0, 200, 1000, 1024, 4095, 16000, 65535])
def test_one_rule_whatever_the_container(tmp_path: Path, high: int) -> None:
    """Words that are full by their header say as little of the detector as a PNG does."""
    values = np.linspace(0, high, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(values).save(tmp_path / "a.png")
    Image.fromarray(values).save(tmp_path / "a.tif")
    expected = read_radiograph(tmp_path / "a.png")

    assert np.array_equal(read_radiograph(tmp_path / "a.tif"), expected)
    assert np.array_equal(read(tmp_path, dicom(values, bits=16)), expected)
    if high < 1 << 15:
        assert np.array_equal(read(tmp_path, dicom(values.astype(np.int16), bits=16)), expected)


def test_signed_values(tmp_path: Path) -> None:
    assert greys(tmp_path, [-2048, -683, 2047], bits=12) == [0, 85, 255]
    assert greys(tmp_path, [-32768, 32767], bits=16) == [0, 255]
    assert greys(tmp_path, [-2048, -683, 2047], bits=16) == [0, 85, 255], "12 bits are in use"


def test_what_lies_in_unused_bits_is_cut_off(tmp_path: Path) -> None:
    overlay = np.array([[0xF000, 0xF555, 0x0FFF]], np.uint16)
    assert read(tmp_path, dicom(overlay, bits=12))[0].tolist() == [0, 85, 255]

    high = dicom(np.array([[0x000F, 0x555F, 0xFFF0]], np.uint16), bits=12, HighBit=15)
    assert read(tmp_path, high)[0].tolist() == [0, 85, 255], "12 bits at the top of 16"


@pytest.mark.parametrize(
    ("function", "center", "width", "expected"),
    [
        # C.11.2.1.2.1: y = ((x - 99.5) / 100 + 0.5), from 49.5 to 149.5
        ("LINEAR", 100, 101, [0, 1, 129, 254, 255]),
        (None, 100, 101, [0, 1, 129, 254, 255]),
        # C.11.2.1.3.2: y = ((x - 100) / 100 + 0.5), from 50 to 150
        ("LINEAR_EXACT", 100, 100, [0, 0, 128, 252, 255]),
        # C.11.2.1.3.1: 255 / (1 + exp(-4 (x - 100) / 100))
        ("SIGMOID", 100, 100, [29, 30, 128, 224, 225]),
        ("LINEAR", 100, 1, [0, 0, 255, 255, 255]),
    ],
)
def test_windows(
    tmp_path: Path, function: str | None, center: float, width: float, expected: list[int]
) -> None:
    tags: dict[str, Any] = {"VOILUTFunction": function} if function else {}

    found = greys(tmp_path, [49, 50, 100, 149, 150], WindowCenter=center, WindowWidth=width, **tags)

    assert found == expected


def test_the_first_of_several_windows_counts(tmp_path: Path) -> None:
    window: dict[str, Any] = {"WindowCenter": [100, 5], "WindowWidth": [101, 2]}

    assert greys(tmp_path, [49, 100, 150], **window) == [0, 129, 255]


def test_rescaling_comes_before_the_window(tmp_path: Path) -> None:
    # 2 x - 100 is -100, 100, 300: y = (x - 99.5) / 400 + 0.5
    tags = {"RescaleSlope": 2, "RescaleIntercept": -100, "WindowCenter": 100, "WindowWidth": 401}

    assert greys(tmp_path, [0, 100, 200], **tags) == [0, 128, 255]


def test_a_negative_slope_makes_the_largest_black(tmp_path: Path) -> None:
    tags = {"RescaleSlope": -1, "RescaleIntercept": 255}
    window = {"WindowCenter": 128, "WindowWidth": 256}

    assert greys(tmp_path, [0, 85, 255], **tags) == [255, 170, 0]
    assert greys(tmp_path, [0, 85, 255], **tags, **window) == [255, 170, 0]


def test_luts(tmp_path: Path) -> None:
    voi = Sequence([lut([0, 100, 255], first=10, bits=8), lut([0, 0], first=0, bits=8)])

    assert greys(tmp_path, [0, 10, 11, 12, 99], VOILUTSequence=voi) == [0, 0, 100, 255, 255]
    for bits in (12, 16):  # its own largest entry is white, whatever it declares
        table = Sequence([lut([0, 2048, 4095], first=1, bits=bits)])
        for tag in ("ModalityLUTSequence", "VOILUTSequence"):
            tags: dict[str, Any] = {tag: table}
            found = greys(tmp_path, [0, 1, 2, 3, 4], **tags)

            assert found == [0, 0, 128, 255, 255]


def test_a_voi_lut_comes_before_a_window(tmp_path: Path) -> None:
    tags: dict[str, Any] = {
        "WindowCenter": 5,
        "WindowWidth": 2,
        "VOILUTSequence": Sequence([lut([51, 255], 0, 8)]),
    }

    assert greys(tmp_path, [0, 1], **tags) == [51, 255]


def test_a_voi_lut_may_begin_below_zero(tmp_path: Path) -> None:
    voi = lut([10, 20, 255], first=-1, bits=8)
    for vr, first in (("SS", -1), ("US", 65535)):  # as some write it, who know of no SS
        voi.add_new("LUTDescriptor", vr, [3, first, 8])
        found = greys(tmp_path, [-9, -1, 0, 1, 9], bits=12, VOILUTSequence=Sequence([voi]))

        assert found == [10, 10, 20, 255, 255]


@pytest.mark.parametrize(
    ("tags", "twin"),
    [
        ({}, {}),
        # 4095 - x - (c' - 0.5) = -(x - (c - 0.5)) gives c' = 4095 - c + 1
        ({"WindowCenter": 2000, "WindowWidth": 1000}, {"WindowCenter": 2096, "WindowWidth": 1000}),
        ({"WindowCenter": 2000, "WindowWidth": 511}, {"WindowCenter": 2096, "WindowWidth": 511}),
    ],
)
def test_monochrome1_equals_its_twin(
    tmp_path: Path, tags: dict[str, Any], twin: dict[str, Any]
) -> None:
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    for shape in ({}, {"PresentationLUTShape": "INVERSE"}):
        one = dicom(4095 - values, PhotometricInterpretation="MONOCHROME1", **(twin | shape))

        assert np.array_equal(read(tmp_path, one), read(tmp_path, dicom(values, **tags)))


def test_a_presentation_lut_that_inverts(tmp_path: Path) -> None:
    assert greys(tmp_path, [0, 255], PresentationLUTShape="INVERSE") == [255, 0]
    assert greys(tmp_path, [0, 255], PresentationLUTShape="IDENTITY") == [0, 255]


@pytest.mark.parametrize(
    "syntax",
    ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"],
)
@pytest.mark.parametrize("depth", [8, 12])
def test_how_elements_are_stored_makes_no_difference(
    tmp_path: Path, syntax: str, depth: int
) -> None:
    pixels = RAMP if depth == 12 else (RAMP // 16).astype(np.uint8)
    ds = dicom(pixels, bits=depth, VOILUTSequence=Sequence([lut([0, 50, 4095], first=9, bits=12)]))
    plain = read(tmp_path, ds)
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    if syntax == "1.2.840.10008.1.2.2":
        swapped = pixels.byteswap() if depth == 12 else pixels.view(np.uint16).byteswap()
        ds.PixelData = swapped.tobytes()
        ds["PixelData"].VR = "OW"
    file = tmp_path / "image"
    file.write_bytes(as_bytes(ds))

    assert np.array_equal(read_radiograph(file), plain)


@pytest.mark.parametrize(
    "syntax", ["1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"]
)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_rle_and_jpeg_ls(tmp_path: Path, syntax: str, signed: bool, bits: int) -> None:
    rng = np.random.default_rng(0)
    low = -(1 << (bits - 1)) if signed else 0
    kind = ("int" if signed else "uint") + str(8 if bits == 8 else 16)
    pixels = rng.integers(low, low + (1 << bits), (40, 30)).astype(kind)
    plain = dicom(pixels, bits=bits)
    encoder = get_encoder(syntax)
    frame = encoder.encode(plain, index=0)

    found = read(tmp_path, dicom(pixels, bits=bits, syntax=syntax, data=encapsulate([frame])))

    assert np.array_equal(found, read(tmp_path, plain))


@pytest.mark.parametrize("bits", [8, 16])
def test_jpeg_2000(tmp_path: Path, bits: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 1 << bits, (40, 30)).astype(f"uint{bits}")
    frame = BytesIO()
    Image.fromarray(pixels).save(frame, "JPEG2000", no_jp2=True)
    data = encapsulate([frame.getvalue()])

    found = read(tmp_path, dicom(pixels, bits=bits, syntax="1.2.840.10008.1.2.4.90", data=data))

    assert np.array_equal(found, read(tmp_path, dicom(pixels, bits=bits)))


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"])
def test_jpeg(tmp_path: Path, syntax: str) -> None:
    pixels = (RAMP // 16).astype(np.uint8)
    frame = BytesIO()
    Image.fromarray(pixels).save(frame, "JPEG")
    halves = frame.getvalue()[:200], frame.getvalue()[200:]
    data = encapsulate([b"".join(halves)], fragments_per_frame=2)

    found = read(tmp_path, dicom(pixels, bits=8, syntax=syntax, data=data))

    assert np.array_equal(found, np.array(Image.open(frame)))


def test_the_header(tmp_path: Path) -> None:
    path = save(tmp_path / "a.dcm", dicom(RAMP[:4], WindowCenter=5, WindowWidth=3))

    assert read_header(path) == Header("DICOM", "L", 12, 16, 4, path.stat().st_size, 0.0)


@pytest.mark.parametrize(
    ("modality", "sop_class", "media"),
    [
        ("DR", "1.2.3", "1.2.3"), ("RG", "1.2.3", "1.2.3"), ("RF", "1.2.3", "1.2.3"),
        (None, "1.2.840.10008.5.1.4.1.1.7", "1.2.3"),  # a secondary capture
        (None, "1.2.840.10008.5.1.4.1.1.1", "1.2.3"),
        (None, None, "1.2.840.10008.5.1.4.1.1.1.1"),  # in the meta information alone
    ],
)  # fmt: skip
def test_what_shows_a_radiograph(
    tmp_path: Path, modality: str | None, sop_class: str | None, media: str
) -> None:
    ds = dicom(Modality=modality, SOPClassUID=sop_class)
    ds.file_meta.MediaStorageSOPClassUID = UID(media)

    assert np.array_equal(read(tmp_path, ds), read(tmp_path, dicom()))


def test_no_preamble(tmp_path: Path) -> None:
    whole = as_bytes(dicom())
    bare = whole[132:]  # from the meta information on
    body = whole[whole.index(b"\x08\x00\x16\x00UI") :]
    for data in (bare, body):
        (tmp_path / "old").write_bytes(data)

        assert np.array_equal(read_radiograph(tmp_path / "old"), read(tmp_path, dicom()))


def test_elements_that_are_not_needed_are_passed_over(tmp_path: Path) -> None:
    nested = Dataset()
    nested.IconImageSequence = Sequence([dicom(RAMP[:2])])
    ds = dicom(RequestAttributesSequence=Sequence([nested, nested]))
    ds.add_new(0x00091001, "UN", b"x" * 3000)
    for undefined in (False, True):
        ds["RequestAttributesSequence"].is_undefined_length = undefined
        for item in ds.RequestAttributesSequence:
            item.is_undefined_length_sequence_item = undefined

        assert np.array_equal(read(tmp_path, ds), read(tmp_path, dicom()))


@given(
    st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
    st.integers(0, 1023),
    st.one_of(st.integers(1, 4000), st.sampled_from([34, 102, 170, 306, 510, 850, 1530, 2550])),
)
def test_a_window_of_any_kind_has_a_twin(function: str, center: int, width: int) -> None:
    assume(function != "LINEAR" or width > 1)  # a threshold: its bound belongs to one side
    values = np.arange(1024, dtype=np.uint16).reshape(32, 32)
    window: dict[str, Any] = {"WindowWidth": width, "VOILUTFunction": function}
    other = 1023 - center + (function == "LINEAR")

    two = dicom(values, bits=10, WindowCenter=center, **window)
    one = dicom(
        1023 - values, bits=10, PhotometricInterpretation="MONOCHROME1", WindowCenter=other,
        **window,
    )  # fmt: skip
    first, second = (read_dicom(BytesIO(as_bytes(ds)), Path("scan.dcm")) for ds in (one, two))

    assert np.array_equal(first, second)


SEQUENCE, ITEM = b"\x28\x00\x10\x30", b"\xfe\xff\x00\xe0"
ENTRIES = struct.pack("<3H", 0, 50, 4095)
DESCRIPTOR = struct.pack("<3H", 3, 9, 12)
IMPLICIT = b"\x28\x00\x02\x30\x06\0\0\0" + DESCRIPTOR + b"\x28\x00\x06\x30\x06\0\0\0" + ENTRIES
EXPLICIT = b"\x28\x00\x02\x30US\x06\0" + DESCRIPTOR + b"\x28\x00\x06\x30US\x06\0" + ENTRIES


@pytest.mark.parametrize("content", [IMPLICIT, EXPLICIT])
@pytest.mark.parametrize("vr", [b"UN", b"OB"])
@pytest.mark.parametrize("endless", [False, True])
def test_a_sequence_is_known_by_its_structure(
    tmp_path: Path, content: bytes, vr: bytes, endless: bool
) -> None:
    """Those who know no VR write UN (PS3.5, 6.2.2), and not all change what is inside (CP-246)."""
    item = ITEM + struct.pack("<L", len(content)) + content
    if endless:
        item += b"\xfe\xff\xdd\xe0" + bytes(4)
    length = struct.pack("<L", 0xFFFFFFFF if endless else len(item))
    plain = as_bytes(dicom())
    at = plain.index(b"\xe0\x7f\x10\x00OW")
    path = tmp_path / "scan"
    path.write_bytes(plain[:at] + SEQUENCE + vr + bytes(2) + length + item + plain[at:])
    table = Sequence([lut([0, 50, 4095], first=9, bits=12)])

    assert np.array_equal(read_radiograph(path), read(tmp_path, dicom(VOILUTSequence=table)))


def test_unknown_values_of_undefined_length(tmp_path: Path) -> None:
    """They are implicit VR, whatever the file is (PS3.5, 6.2.2)."""
    plain = as_bytes(dicom())
    implicit = b"\x08\x00\x60\x00\x02\x00\x00\x00CT"
    item = b"\xfe\xff\x00\xe0" + len(implicit).to_bytes(4, "little") + implicit
    private = b"\x09\x00\x10\x10UN\0\0\xff\xff\xff\xff"
    endless = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + implicit + b"\xfe\xff\x0d\xe0" + bytes(4)
    at = plain.index(b"\x10\x00\x10\x00PN")
    data = plain[:at] + private + item + endless + b"\xfe\xff\xdd\xe0" + bytes(4) + plain[at:]
    (tmp_path / "scan").write_bytes(data)

    assert np.array_equal(read_radiograph(tmp_path / "scan"), read(tmp_path, dicom()))
