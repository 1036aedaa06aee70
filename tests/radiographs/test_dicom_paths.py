"""Stored values on every way they are decoded: contradictions, and what other decoders find."""

import warnings
from collections.abc import Callable
from importlib import import_module
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.data.data_manager import DATA_ROOT
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.errors import InvalidDicomError
from pydicom.filereader import dcmread
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.encoders.base import get_encoder
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.sequence import Sequence

from hilum.errors import DataError
from hilum.radiographs.dicom import tags
from hilum.radiographs.dicom.elements import read_contents
from hilum.radiographs.dicom.header import image_header
from hilum.radiographs.dicom.reading import read_dicom
from hilum.radiographs.dicom.stored import Stored, stored_values
from hilum.records import FloatArray, PixelArray
from tests.radiographs.dicoms import as_bytes, dicom, lut, save

Words = npt.NDArray[Any]

# ---- the ways -----------------------------------------------------------------------------------


def native(words: Words, bits: int) -> Dataset:
    return dicom(words, bits=bits)


def big_endian(words: Words, bits: int) -> Dataset:
    data = None
    if words.dtype.itemsize == 1:
        data = words.tobytes() + bytes(words.size % 2)
        data = np.frombuffer(data, np.uint16).byteswap().tobytes()
    ds = dicom(words, bits=bits, syntax="1.2.840.10008.1.2.2", data=data)
    ds["PixelData"].VR = "OW"
    return ds


def by_pydicom(syntax: str) -> Callable[[Words, int], Dataset]:
    def encode(words: Words, bits: int) -> Dataset:
        frame = get_encoder(syntax).encode(dicom(words, bits=bits), index=0)
        return dicom(words, bits=bits, syntax=syntax, data=encapsulate([frame]))

    return encode


def jpeg_2000(words: Words, bits: int) -> Dataset:
    """A codestream of so many bits, and signed where the words are.

    Pillow writes 16 unsigned bits, of which the codestream keeps how far they are from the middle
    (T.800, G.1), or of signed ones the numbers themselves. So the head may say either.
    """
    signed = words.dtype.kind == "i"
    middle = 0 if signed else 1 << (bits - 1)
    frame = BytesIO()
    shifted = (words.astype(np.int32) - middle + 0x8000).astype(np.uint16)
    Image.fromarray(shifted).save(frame, "JPEG2000", no_jp2=True)
    data = bytearray(frame.getvalue())
    data[42] = bits - 1 | signed << 7
    syntax = "1.2.840.10008.1.2.4.90"
    return dicom(words, bits=bits, syntax=syntax, data=encapsulate([bytes(data)]))


def by_gdcm(name: str) -> Callable[[Words, int], Dataset]:
    """A transfer syntax by GDCM's name of it."""

    def encode(words: Words, bits: int) -> Dataset:
        gdcm = pytest.importorskip("gdcm", reason="needs python-gdcm: pip install 'hilum[gdcm]'")
        with TemporaryDirectory() as folder:
            plain, file = (
                save(Path(folder) / "plain", dicom(words, bits=bits)),
                Path(folder) / "out",
            )
            reader = gdcm.ImageReader()
            reader.SetFileName(str(plain))
            assert reader.Read()
            change = gdcm.ImageChangeTransferSyntax()
            change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, name)))
            change.SetInput(reader.GetImage())
            assert change.Change()
            writer = gdcm.ImageWriter()
            writer.SetFileName(str(file))
            writer.SetFile(reader.GetFile())
            writer.SetImage(change.GetOutput())
            assert writer.Write()
            ds = dcmread(file)
            assert ds.file_meta.TransferSyntaxUID.is_encapsulated
            return ds

    return encode


WAYS: dict[str, Callable[[Words, int], Dataset]] = {
    "native": native,
    "big-endian": big_endian,
    "RLE": by_pydicom("1.2.840.10008.1.2.5"),
    "JPEG-LS": by_pydicom("1.2.840.10008.1.2.4.80"),
    "JPEG 2000": jpeg_2000,
    "JPEG Lossless": by_gdcm("JPEGLosslessProcess14_1"),
}
every_way = pytest.mark.parametrize("way", WAYS)


def read(ds: Dataset) -> PixelArray:
    return read_dicom(BytesIO(as_bytes(ds)), Path("scan.dcm"))


def stored(data: bytes) -> Stored:
    contents = read_contents(BytesIO(data), Path("scan.dcm"), tags.OF_THE_IMAGE)
    return stored_values(contents, image_header(contents))


def says(ds: Dataset, bits: int, high: int | None = None, signed: bool = False) -> Dataset:
    ds.BitsStored, ds.HighBit = bits, bits - 1 if high is None else high
    ds.PixelRepresentation = int(signed)
    return ds


# ---- contradictions -----------------------------------------------------------------------------


def hills(low: int, high: int) -> npt.NDArray[np.int64]:
    """A smooth picture with a little noise, from low to high."""
    y, x = np.mgrid[:48, :40] / 8
    heights = np.sin(x) + np.cos(y + x / 3) + np.random.default_rng(0).normal(0, 0.02, x.shape)
    heights = (heights - heights.min()) / np.ptp(heights)
    values: npt.NDArray[np.int64] = np.round(low + heights * (high - low)).astype(np.int64)
    return values


@every_way
@pytest.mark.parametrize(
    ("low", "high", "header", "said"),
    [
        (0, 16383, (12, None, False), "unsigned numbers of 12 bits, the highest at 11, but they "
         "are unsigned numbers of 14 bits, the highest at 13; correct its tags"),
        (0, 4095, (10, None, False), "of 10 bits, the highest at 9, but they are unsigned numbers "
         "of 12 bits"),
        (0, 4095, (12, 15, False), "the highest at 15, but they are unsigned numbers of 12 bits, "
         "the highest at 11"),
        (-2000, 2000, (12, None, False), "unsigned numbers of 12 bits, the highest at 11, but they "
         "are signed numbers of 12 bits"),
        (0, 4095, (12, None, True), "signed numbers of 12 bits, the highest at 11, but they are "
         "unsigned numbers of 12 bits"),
    ],
)  # fmt: skip
def test_what_header_and_values_say_is_compared(
    way: str, low: int, high: int, header: tuple[int, int | None, bool], said: str
) -> None:
    values = hills(low, high).astype(np.int16 if low < 0 else np.uint16)
    words = values.view(np.int16 if header[2] else np.uint16)  # the codestream says it with it

    with pytest.raises(DataError, match=said):
        read(says(WAYS[way](words, 16), *header))


@every_way
@pytest.mark.parametrize("above", [0x1000, 0x8000, 0xF000])
def test_overlays_in_unused_bits_are_cut_off(way: str, above: int) -> None:
    plain = hills(0, 4095).astype(np.uint16)
    words = plain.copy()
    words[10:20:3, 5:30] |= np.uint16(above)  # strokes of letters

    assert np.array_equal(read(says(WAYS[way](words, 16), 12)), read(dicom(plain)))


@every_way
def test_signed_values_need_no_copies_of_their_sign(way: str) -> None:
    plain = hills(-2048, 2047).astype(np.int16)
    for words in (plain, plain & 0xFFF):
        found = read(says(WAYS[way](words.view(np.uint16), 16), 12, signed=True))

        assert np.array_equal(found, read(dicom(plain)))


def test_a_codestream_of_fewer_bits_than_are_stored_says_how_many() -> None:
    words = hills(0, 900).astype(np.uint16)  # which alone would need 10

    assert np.array_equal(read(says(WAYS["JPEG-LS"](words, 12), 16)), read(dicom(words)))


@pytest.mark.parametrize("low", [0, -2048])
def test_of_a_sign_the_codestream_is_believed(low: int) -> None:
    """A sign that header and codestream do not share is there only if a value is negative."""
    values = hills(low, 2047).astype(np.int16)
    plain = dicom(values if low else values.astype(np.uint16))

    assert np.array_equal(read(says(WAYS["JPEG 2000"](values, 12), 12)), read(plain))
    assert np.array_equal(read(says(WAYS["JPEG 2000"](values, 16), 12)), read(plain))


@pytest.mark.parametrize("signed", [False, True])
def test_of_a_sign_header_and_values_are_believed_together(signed: bool) -> None:
    """An encoder took words for the other kind of number."""
    values = hills(-2000, 2000) if signed else hills(20_000, 50_000)
    words = values.astype(np.int16 if signed else np.uint16)
    other = words.view(np.uint16 if signed else np.int16)

    found = read(says(WAYS["JPEG 2000"](other, 16), 16, signed=signed))
    assert np.array_equal(found, read(dicom(words, bits=16)))
    unsigned = hills(0, 4095).astype(np.uint16)  # of these the codestream is right
    if signed:
        found = read(says(WAYS["JPEG 2000"](unsigned, 12), 12, signed=True))
        assert np.array_equal(found, read(dicom(unsigned)))


# ---- what others find ---------------------------------------------------------------------------


def bundled_files() -> list[Path]:
    """Files of pydicom with one grey picture of up to 16 bits."""
    found = []
    for path in sorted(Path(DATA_ROOT).glob("test_files/**/*")):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ds = dcmread(path, stop_before_pixels=True)
        except (InvalidDicomError, IsADirectoryError):
            continue
        is_grey = ds.get("PhotometricInterpretation", "").startswith("MONOCHROME")
        if is_grey and ds.get("BitsAllocated") in (8, 16) and path.name not in REFUSED:
            found.append(path)
    return found


#: Cut off; and two codestreams in one, which is said to be smaller than the first.
REFUSED = {"MR_truncated.dcm", "JPEG2000-embedded-sequence-delimiter.dcm"}


def by_plugins(ds: Dataset) -> dict[str, Words]:
    """What each decoder of pydicom (itself, Pillow, pyjpegls, pylibjpeg, GDCM) finds.

    Those that are not installed or refuse a file are left out.
    """
    syntax = ds.file_meta.TransferSyntaxUID
    compressed = syntax.is_encapsulated
    found = {}
    for plugin in get_decoder(syntax).available_plugins if compressed else ("pydicom",):
        try:
            ds.pixel_array_options(decoding_plugin=plugin if compressed else "")
            found[plugin] = ds.pixel_array
        except (AttributeError, NotImplementedError, RuntimeError, ValueError):
            continue
    return found


def by_gdcm_itself(data: bytes) -> Words | None:
    """What GDCM finds; None where it is not installed, or cannot read the file."""
    try:
        gdcm = import_module("gdcm")
    except ImportError:
        return None
    with TemporaryDirectory() as folder:
        (Path(folder) / "scan").write_bytes(data)
        reader = gdcm.ImageReader()
        reader.SetFileName(str(Path(folder) / "scan"))
        if not reader.Read():
            return None
    image, kinds = reader.GetImage(), {"UINT8": "u1", "INT8": "i1", "UINT16": "u2", "INT16": "i2"}
    kind = kinds[image.GetPixelFormat().GetScalarTypeAsString()]
    text = image.GetBuffer()
    if text is None:
        return None
    pixels = np.frombuffer(text.encode("utf-8", "surrogateescape"), kind)
    return pixels.reshape(image.GetDimension(1), image.GetDimension(0))


def reference(values: Words, ds: Dataset) -> FloatArray:
    """What pydicom makes of stored values, scaled to 8 bit over the range that it can give."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of padding, which is meant
        wide = values.astype(np.int32)  # pydicom fails where a table begins beyond 8 bits
        shown = apply_modality_lut(wide, ds)
        if "VOILUTSequence" in ds:
            # Two more: pydicom cuts fractions off, and counts entries of 8 bits in 8 bits.
            n, first, _ = ds.VOILUTSequence[0].LUTDescriptor
            shown = np.clip(np.round(shown), first, first + n - 1)
        shown = apply_voi_lut(shown, ds).astype(np.float64)
    bits, signed = ds.BitsStored, bool(ds.PixelRepresentation)
    is_windowed = "WindowWidth" in ds and "VOILUTSequence" not in ds
    if bits == ds.BitsAllocated and not is_windowed:
        # A reason for other greys than pydicom's: words that are full say nothing of the detector,
        # so the values themselves do, as in a PNG.
        low, high = int(values.min()), int(values.max())
        signed = low < 0
        bits = next(b for b in (8, 10, 12, 14, 16) if -low <= 1 << b - 1 and high < 1 << b - signed)
    ends = [-(1 << bits - 1), (1 << bits - 1) - 1] if signed else [0, (1 << bits) - 1]
    ends = [end * ds.get("RescaleSlope", 1) + ds.get("RescaleIntercept", 0) for end in ends]
    if not is_windowed:
        ends.sort()  # after a negative slope pydicom's windows go from the largest to the least
    for sequence in ("ModalityLUTSequence", "VOILUTSequence"):
        if sequence in ds:
            # Another reason: the largest entry of a table is white, not what its words could hold.
            table = ds[sequence].value[0]
            ends = [0, 2 ** table.LUTDescriptor[2] - 1 if is_windowed else max(table.LUTData)]
    scaled: FloatArray = (shown - ends[0]) / (ends[1] - ends[0]) * 255
    turned = ds.PhotometricInterpretation == "MONOCHROME1"
    return 255 - scaled if turned != (ds.get("PresentationLUTShape") == "INVERSE") else scaled


@pytest.mark.parametrize("path", bundled_files(), ids=lambda path: path.name)
def test_others_find_the_same_in_the_files_of_pydicom(path: Path) -> None:
    window = {"WindowCenter": 300, "WindowWidth": 700}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = dcmread(path)
        ds.Modality = "DX"
        data = as_bytes(ds)
        ours = stored(data).values
        theirs = {**by_plugins(ds), "gdcm itself": by_gdcm_itself(data)}
        if path.name == "J2K_pixelrep_mismatch.dcm":
            # GDCM takes the codestream's word that nothing is negative; what is -2,000 in the
            # header's reading is then 6,192 beside 0.
            del theirs["gdcm itself"]
        # A reason for another stored value: lossy JPEG of 12 bits leaves a decoder how to round.
        apart = 1 if path.name == "JPGExtended.dcm" else 0
        for name, values in theirs.items():
            assert values is None or np.abs(ours - values.astype(np.int64)).max() <= apart, name
        assert any(values is not None for values in theirs.values())
        for more in ({}, window, {**window, "VOILUTFunction": "SIGMOID"},
                     {**window, "RescaleSlope": 2, "RescaleIntercept": -50}):  # fmt: skip
            for keyword, value in more.items():
                setattr(ds, keyword, value)
            assert np.abs(read(ds) - reference(ours, ds)).max() <= 1


def test_the_files_of_pydicom_that_are_refused() -> None:
    for name in REFUSED:
        with pytest.raises(DataError):
            read(dcmread(Path(DATA_ROOT) / "test_files" / name))


def tables(*bits: int) -> st.SearchStrategy[Sequence]:
    return st.builds(
        lambda entries, first, bits: Sequence(
            [lut([e >> 16 - bits for e in entries], first, bits)]
        ),
        st.lists(st.integers(1 << 8, 65535), min_size=2, max_size=250),
        st.integers(0, 200),
        st.sampled_from(bits),
    )


WINDOWS = st.fixed_dictionaries({
    "WindowCenter": st.integers(-3000, 70_000), "WindowWidth": st.integers(2, 70_000),
    "VOILUTFunction": st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
})  # fmt: skip
RESCALES = st.fixed_dictionaries({
    "RescaleSlope": st.sampled_from([1, 2, 0.5, -1]), "RescaleIntercept": st.integers(-2000, 2000),
})  # fmt: skip
HEADERS = st.tuples(
    st.just({}) | RESCALES | st.fixed_dictionaries({"ModalityLUTSequence": tables(8, 16)}),
    st.just({}) | WINDOWS | st.fixed_dictionaries({"VOILUTSequence": tables(8, 10, 12, 16)}),
    st.fixed_dictionaries({
        "PhotometricInterpretation": st.sampled_from(["MONOCHROME1", "MONOCHROME2"])
    }),
).map(lambda parts: {k: v for part in parts for k, v in part.items()})  # fmt: skip


@settings(max_examples=60)
@given(st.sampled_from(sorted(WAYS)), st.integers(2, 16), st.booleans(), st.integers(0, 9), HEADERS)
def test_others_find_the_same_whatever_the_header(
    way: str, bits: int, signed: bool, seed: int, header: dict[str, Any]
) -> None:
    rng, low = np.random.default_rng(seed), -(1 << (bits - 1)) if signed else 0
    kind = f"{'int' if signed else 'uint'}{8 if bits <= 8 else 16}"
    words = rng.integers(low, low + rng.integers(2, (1 << bits) + 1), (12, 10))
    words = np.sort(words, axis=None).reshape(words.shape).astype(kind)  # JPEG-LS fails with noise
    ds = WAYS[way](words, bits)
    for keyword, value in header.items():
        setattr(ds, keyword, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = as_bytes(ds)
        theirs: dict[str, Words | None] = {}
        if bits >= 8:  # GDCM ends the process where fewer are in a byte
            theirs = dict(by_plugins(ds))
            if not (way == "JPEG-LS" and signed):  # of which GDCM leaves negative numbers positive
                theirs["gdcm itself"] = by_gdcm_itself(data)
        for name, values in theirs.items():
            assert values is None or np.array_equal(words, values), name
        expected = reference(words, ds)

    assert np.array_equal(stored(data).values, words)
    assert np.abs(read(ds) - expected).max() <= 1
