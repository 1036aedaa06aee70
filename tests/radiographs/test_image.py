"""Reading one radiograph: every kind of pixel, every orientation, every damaged or hostile file."""

import io
import os
import struct
import tracemalloc
import warnings
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from hilum.errors import DataError
from hilum.phantoms.negatives import draw_colour_photograph
from hilum.phantoms.phantom import render_phantom
from hilum.radiographs.arrays import scale_to_8_bit
from hilum.radiographs.image import (
    Header,
    has_colour,
    read_header,
    read_picture,
    read_radiograph,
)
from hilum.records import MAX_PIXELS, PixelArray

GREY = np.array([[0, 50, 100], [150, 200, 255]], dtype=np.uint8)

# ---- files made by hand ----------------------------------------------------------------------


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG of a colour type (0 grey, 2 RGB, 4 grey and alpha, 6 RGBA) with unfiltered rows."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra
        + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )  # fmt: skip


def png_16(samples: np.ndarray, colour: int, extra: bytes = b"") -> bytes:
    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    return png(width, height, 16, colour, rows, extra)


def tiff(
    samples: np.ndarray, photometric: int, *, order: Literal["<", ">"] = "<", deflate: bool = False,
    bits: int | None = None, sample_format: int = 1, size: tuple[int, int] | None = None,
    extra_samples: int | None = None,
) -> bytes:  # fmt: skip
    """A TIFF with one strip. size: the width and height it claims, if not its own."""
    height, width = samples.shape[:2]
    if size:
        width, height = size
    channels = samples.shape[2] if samples.ndim == 3 else 1
    data = samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    data = zlib.compress(data) if deflate else data
    bits = bits or samples.dtype.itemsize * 8
    tags: list[tuple[int, int, list[int]]] = [
        (256, 4, [width]), (257, 4, [height]), (258, 3, [bits] * channels),
        (259, 3, [8 if deflate else 1]), (262, 3, [photometric]), (273, 4, [0]),
        (277, 3, [channels]), (278, 4, [height]), (279, 4, [len(data)]),
        (339, 3, [sample_format] * channels),
    ]  # fmt: skip
    if extra_samples is not None:
        tags.insert(-1, (338, 3, [extra_samples]))
    end = 8 + 2 + 12 * len(tags) + 4
    overflow, entries = b"", b""
    for tag, kind, values in tags:
        packed = struct.pack(f"{order}{len(values)}{'H' if kind == 3 else 'I'}", *values)
        if len(packed) > 4:
            field = struct.pack(f"{order}I", end + len(overflow))
            overflow += packed
        else:
            field = packed.ljust(4, b"\0")
        entries += struct.pack(f"{order}HHI", tag, kind, len(values)) + field
    strip = struct.pack(f"{order}I", end + len(overflow))
    place = 12 * [t[0] for t in tags].index(273) + 8
    entries = entries[:place] + strip + entries[place + 4 :]
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    return head + struct.pack(f"{order}H", len(tags)) + entries + b"\0" * 4 + overflow + data


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def save(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)  # type: ignore[arg-type]
    return path


# ---- every kind of pixel ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.tiff", "a.bmp", "A.PNG"])
def test_eight_bit_grey_is_read_as_it_stands(tmp_path: Path, name: str) -> None:
    pixels = read_radiograph(save(tmp_path / name, Image.fromarray(GREY)))
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, GREY)
    assert pixels.flags.writeable


def test_jpeg_is_read_to_within_its_loss(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(64, dtype=np.uint8) * 3, (48, 1))
    pixels = read_radiograph(save(tmp_path / "a.jpg", Image.fromarray(ramp), quality=95))
    assert pixels.shape == (48, 64)
    assert np.abs(pixels.astype(int) - ramp).max() <= 4


def test_the_content_decides_not_the_suffix(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", Image.fromarray(GREY), format="BMP")
    assert np.array_equal(read_radiograph(path), GREY)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_colour_becomes_luma(tmp_path: Path, suffix: str) -> None:
    # BT.601: 0.299 · 255 = 76.2, 0.587 · 255 = 149.7, 0.114 · 255 = 29.1
    image = Image.new("RGB", (4, 1))
    for x, colour in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 9, 9)]):
        image.putpixel((x, 0), colour)
    assert read_radiograph(save(tmp_path / f"a.{suffix}", image)).tolist() == [[76, 150, 29, 9]]


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_over_black(tmp_path: Path, mode: str, suffix: str) -> None:
    image = Image.new(mode, (3, 1))
    for x, (value, alpha) in enumerate([(200, 255), (200, 0), (200, 128)]):
        image.putpixel((x, 0), (value,) * (len(mode) - 1) + (alpha,))
    # 200 · 128 / 255 = 100.4
    assert read_radiograph(save(tmp_path / f"a.{suffix}", image)).tolist() == [[200, 0, 100]]


def test_palette_is_looked_up(tmp_path: Path) -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([10, 10, 10, 200, 200, 200, 255, 0, 0])
    image.putdata([0, 1, 2])
    assert read_radiograph(save(tmp_path / "a.bmp", image)).tolist() == [[10, 200, 76]]
    assert read_radiograph(save(tmp_path / "a.png", image)).tolist() == [[10, 200, 76]]
    transparent = save(tmp_path / "b.png", image, transparency=1)
    assert read_radiograph(transparent).tolist() == [[10, 0, 76]]
    by_entry = save(tmp_path / "c.png", image, transparency=bytes([255, 128, 255]))
    assert read_radiograph(by_entry).tolist() == [[10, 100, 76]]


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_one_bit_is_black_and_white(tmp_path: Path, suffix: str) -> None:
    image = Image.fromarray(np.array([[0, 255, 0, 255]], dtype=np.uint8)).convert("1")
    assert read_radiograph(save(tmp_path / f"a.{suffix}", image)).tolist() == [[0, 255, 0, 255]]


@pytest.mark.parametrize(("depth", "sample"), [(8, np.uint8), (16, np.dtype(">u2"))])
def test_a_grey_that_is_declared_transparent_becomes_black(
    tmp_path: Path, depth: int, sample: np.dtype
) -> None:
    values = np.array([[0, 90, 255]], dtype=sample)
    transparent = chunk(b"tRNS", struct.pack(">H", 90))
    path = write(tmp_path / "a.png", png(3, 1, depth, 0, b"\0" + values.tobytes(), transparent))
    assert read_radiograph(path).tolist() == [[0, 0, 255]]


# ---- 16 bit ----------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("kind", ["png", "tiff", "tiff-big-endian", "tiff-deflate"])
def test_sixteen_bit_is_scaled_by_its_significant_bits(
    tmp_path: Path, kind: str, bits: int
) -> None:
    white = 2**bits - 1
    values = np.array([[0, white // 4, white // 2], [1, white - 1, white]], dtype=np.uint16)
    content = {
        "png": png_16(values, 0),
        "tiff": tiff(values, 1),
        "tiff-big-endian": tiff(values, 1, order=">"),
        "tiff-deflate": tiff(values, 1, deflate=True),
    }[kind]
    pixels = read_radiograph(write(tmp_path / "a", content))
    assert pixels.dtype == np.uint8
    assert np.abs(pixels - values.astype(float) * 255 / white).max() <= 0.5
    assert pixels[1, 2] == 255


def test_sixteen_bit_keeps_order_and_uses_the_whole_range() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    scaled = scale_to_8_bit(values, "ramp")
    assert np.array_equal(scaled.ravel(), np.sort(scaled.ravel()))
    assert np.array_equal(np.unique(scaled), np.arange(256))


def test_white_is_the_least_depth_that_holds_the_brightest() -> None:
    # 1023 is the white of 10 bits, 1024 needs 12: 1024 · 255 / 4095 = 63.8
    assert scale_to_8_bit(np.array([[1023]], dtype=np.uint16), "a").tolist() == [[255]]
    assert scale_to_8_bit(np.array([[1024]], dtype=np.uint16), "a").tolist() == [[64]]
    assert scale_to_8_bit(np.zeros((2, 2), dtype=np.uint16), "a").max() == 0


@pytest.mark.parametrize("values", [[-1, 5], [0, 65536]])
def test_more_than_sixteen_bits_and_negative_values_are_refused(values: list[int]) -> None:
    with pytest.raises(DataError, match=r"a\.tif: pixel values from .* expected 0 to 65535"):
        scale_to_8_bit(np.array([values], dtype=np.int32), "a.tif")


@pytest.mark.parametrize("order", ["<", ">"])
def test_thirty_two_bit_and_signed_integers_hold_sixteen(
    tmp_path: Path, order: Literal["<", ">"]
) -> None:
    values = np.array([[0, 30000, 16383]], dtype=np.int16)
    path = write(tmp_path / "s.tif", tiff(values, 1, order=order, sample_format=2))
    assert read_radiograph(path).tolist() == [[0, 117, 64]]  # 30000 · 255 / 65535 = 116.7
    path = write(tmp_path / "n.tif", tiff(values - 1, 1, order=order, sample_format=2))
    with pytest.raises(DataError, match="from -1 to 29999"):
        read_radiograph(path)


def test_white_is_zero_is_turned_round(tmp_path: Path) -> None:
    eight = write(tmp_path / "8.tif", tiff(GREY, 0))
    assert np.array_equal(read_radiograph(eight), 255 - GREY)
    deep = np.array([[0, 1024, 4095]], dtype=np.uint16)
    for deflate in (False, True):
        sixteen = write(tmp_path / "16.tif", tiff(deep, 0, deflate=deflate))
        assert read_radiograph(sixteen).tolist() == [[255, 255 - 64, 0]]


def test_of_sixteen_bit_colour_the_high_byte_counts(tmp_path: Path) -> None:
    samples = np.repeat(np.array([[0, 1, 128, 255]])[..., None] * 257, 3, axis=2)
    path = write(tmp_path / "a.png", png_16(samples, 2))
    assert read_radiograph(path).tolist() == [[0, 1, 128, 255]]


def test_floating_point_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", Image.fromarray(np.ones((2, 3), dtype=np.float32)))
    with pytest.raises(DataError, match="floating-point pixels have no defined white"):
        read_radiograph(path)


def test_several_images_in_one_file_are_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    stack = save(tmp_path / "a.tif", frames[0], save_all=True, append_images=frames[1:])
    animation = save(tmp_path / "a.png", frames[0], save_all=True, append_images=frames[1:])
    for path in (stack, animation):
        with pytest.raises(DataError, match="holds several images; a radiograph is one"):
            read_radiograph(path)


# ---- orientation -----------------------------------------------------------------------------

#: What each EXIF orientation asks for, by its definition: where row 0 and column 0 are seen.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.T,
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].T,
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["L-png", "L-jpg", "L-tif", "I;16-png", "I;16-tif", "RGB-png"])
def test_orientation_is_applied_once(tmp_path: Path, kind: str, orientation: int) -> None:
    mode, suffix = kind.split("-")
    stored = np.array([[0, 40, 80], [120, 160, 255]], dtype=np.uint8)
    if suffix == "jpg":  # blocks of 8 survive compression
        stored = np.kron(stored, np.ones((8, 8), dtype=np.uint8))
    image = Image.fromarray(stored.astype(np.uint16) * 257 if mode == "I;16" else stored)
    image = image.convert("RGB") if mode == "RGB" else image
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = read_radiograph(save(tmp_path / f"a.{suffix}", image, exif=exif))
    expected = UPRIGHT[orientation](stored)
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).max() <= (4 if suffix == "jpg" else 0)


# ---- damaged and hostile files ---------------------------------------------------------------


def encoded(suffix: str, **options: object) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (64, 48), dtype=np.uint8)
    buffer = io.BytesIO()
    kind = {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper())
    Image.fromarray(noise).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "bmp"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_truncated_files_are_refused_by_name(tmp_path: Path, suffix: str, share: float) -> None:
    content = encoded(suffix)
    path = write(tmp_path / f"cut.{suffix}", content[: int(len(content) * share)])
    # Pillow warns of some of these before it fails; the error is what counts here
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(DataError, match=rf"cut\.{suffix}: "):
            read_radiograph(path)


@pytest.mark.parametrize("level", [0, 6])
def test_a_single_wrong_bit_in_a_png_is_noticed(tmp_path: Path, level: int) -> None:
    content = bytearray(encoded("png", compress_level=level))
    for place in range(60, len(content) - 24, 97):
        damaged = content.copy()
        damaged[place] ^= 4
        with pytest.raises(DataError, match="cannot be read"):
            read_radiograph(write(tmp_path / "a.png", bytes(damaged)))


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "bmp"])
def test_whatever_the_bytes_the_answer_is_pixels_or_a_data_error(
    tmp_path: Path, suffix: str
) -> None:
    rng = np.random.default_rng(1)
    content = np.frombuffer(encoded(suffix), dtype=np.uint8)
    path = tmp_path / f"a.{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(60):
            damaged = content.copy()
            places = rng.integers(0, min(200, len(content)), 4)  # headers are the hard part
            damaged[places] = rng.integers(0, 256, 4)
            path.write_bytes(damaged.tobytes())
            with suppress(DataError):
                pixels = read_radiograph(path)
                assert pixels.ndim == 2
                assert pixels.size > 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (
            b"Thank you for downloading this data set.",
            "not a PNG, JPEG, TIFF, BMP, GIF, WebP or DICOM",
        ),
        (b"\x89PNG\r\n\x1a\n", "cannot be read"),
        (b"BM", "not a PNG"),
        (b"GIF89a" + bytes(20), "cannot be read"),
    ],
    ids=["empty", "text", "png-magic-only", "bmp-magic-only", "gif"],
)
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(DataError, match=rf"x\.png: .*{said}"):
        read_radiograph(write(tmp_path / "x.png", content))


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.png").mkdir()
    with pytest.raises(DataError, match=r"x\.png: expected an image file, found a folder"):
        read_radiograph(tmp_path / "x.png")
    with pytest.raises(DataError, match=r"y\.png: there is no such file"):
        read_radiograph(str(tmp_path / "y.png"))


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is forbidden to root"
)
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "x.png", Image.fromarray(GREY))
    path.chmod(0)
    with pytest.raises(DataError, match="Permission denied"):
        read_radiograph(path)


def hostile(kind: str, width: int, height: int) -> bytes:
    if kind == "png":
        return png(width, height, 8, 0, bytes(1000))
    if kind == "bmp":
        info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
        return b"BM" + struct.pack("<IHHI", 54 + 100, 0, 0, 54) + info + bytes(100)
    if kind == "jpg":
        content = bytearray(encoded("jpg"))
        frame = content.index(b"\xff\xc0") + 5
        content[frame : frame + 4] = struct.pack(">HH", height, width)
        return bytes(content)
    return tiff(np.zeros((1, 100), dtype=np.uint8), 1, size=(width, height))


@pytest.mark.parametrize("kind", ["png", "tif", "bmp", "jpg"])
@pytest.mark.parametrize(
    ("width", "height"),
    [(65_000, 65_000), (8_001, 10_000), (10_000, 10_000), (13_000, 13_000)],
    ids=["4225-million", "just-too-many", "pillow-would-warn", "pillow-would-warn-2"],
)
def test_too_many_pixels_are_refused_from_the_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, width: int, height: int
) -> None:
    def load(image: ImageFile) -> None:
        raise AssertionError("pixels were decoded")

    for plugin in (PngImageFile, JpegImageFile, TiffImageFile, BmpImageFile):
        monkeypatch.setattr(plugin, "load", load)
    path = write(tmp_path / f"bomb.{kind}", hostile(kind, width, height))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=rf"{width} x {height} pixels are too many .at most 80"):
            read_radiograph(path)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_a_header_that_promises_more_than_the_file_holds_is_refused(tmp_path: Path) -> None:
    assert MAX_PIXELS > 8_000 * 9_000
    path = write(tmp_path / "a.png", hostile("png", 8_000, 9_000))
    with pytest.raises(DataError, match="cannot be read"):
        read_radiograph(path)


@pytest.mark.parametrize(("width", "height"), [(0, 4), (4, 0)])
@pytest.mark.parametrize("kind", ["png", "tif", "bmp"])
def test_an_image_without_pixels_is_refused(
    tmp_path: Path, kind: str, width: int, height: int
) -> None:
    with pytest.raises(DataError, match=rf"none\.{kind}: "):
        read_radiograph(write(tmp_path / f"none.{kind}", hostile(kind, width, height)))


# ---- colour ------------------------------------------------------------------------------------


def file_has_colour(path: Path) -> bool:
    return read_picture(path, colour=True).coloured


@pytest.fixture
def grey() -> PixelArray:
    return render_phantom("normal", seed=0, index=0, size=128)[0]


def test_the_share_of_coloured_pixels_decides() -> None:
    image = np.full((10, 10, 3), 100, dtype=np.uint8)
    image[0, :4, 0] = 131  # 31 apart: coloured
    assert not has_colour(image)  # 4 of 100
    image[0, 4, 0] = 131
    assert has_colour(image)  # 5 of 100
    image[image == 131] = 130  # 30 apart is what compression may do
    assert not has_colour(image)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK", "I;16", "1", "LA"])
def test_grey_radiographs_are_grey_however_they_are_stored(
    mode: str, grey: PixelArray, tmp_path: Path
) -> None:
    image = Image.fromarray(grey)
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    image = deep if mode == "I;16" else image.convert(mode)
    path = tmp_path / ("a.tif" if mode in ("CMYK", "I;16") else "a.png")
    image.save(path)

    assert not file_has_colour(path)


@pytest.mark.parametrize("quality", [30, 90])
def test_compression_and_a_marker_do_not_make_colour(
    quality: int, grey: PixelArray, tmp_path: Path
) -> None:
    colours = np.repeat(grey[:, :, None], 3, axis=2)
    colours[4:20, 4:20] = (255, 255, 0)  # a yellow R in the corner: 1.6 % of the film
    Image.fromarray(colours).save(tmp_path / "a.jpg", quality=quality)

    assert not file_has_colour(tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp"])
def test_photographs_in_colour_are_in_colour(suffix: str, tmp_path: Path) -> None:
    for index in range(3):
        path = tmp_path / f"{index}.{suffix}"
        Image.fromarray(draw_colour_photograph(seed=0, index=index, size=300)).save(path)

        assert file_has_colour(path)


def test_images_in_an_npz_file_are_grey(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.zeros((2, 8, 8), dtype=np.uint8))

    assert not file_has_colour(tmp_path / "a.npz" / "images" / "0")


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"b\.png: there is no such file"):
        file_has_colour(tmp_path / "b.png")
    Image.fromarray(draw_colour_photograph(seed=0, index=0)).save(tmp_path / "c.png")
    data = (tmp_path / "c.png").read_bytes()
    (tmp_path / "c.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"c\.png: cannot be read"):
        file_has_colour(tmp_path / "c.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp"])
def test_looking_for_colours_decodes_nothing_twice_and_changes_no_pixel(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = 6  # on its side
    more: dict[str, Any] = {} if suffix == "bmp" else {"exif": exif}
    photograph = draw_colour_photograph(seed=0, index=0, size=300)
    Image.fromarray(photograph[:200]).save(path, **more)
    expected = read_radiograph(path)
    decoded = []
    real = ImageFile.load_prepare

    def load_prepare(image: ImageFile) -> None:  # called before an image is decoded
        decoded.append(image)
        real(image)

    monkeypatch.setattr(ImageFile, "load_prepare", load_prepare)
    found = read_picture(path, colour=True)

    assert found.coloured
    assert found.pixels.shape == ((200, 300) if suffix == "bmp" else (300, 200))
    np.testing.assert_array_equal(found.pixels, expected)
    assert len(decoded) == 1


# ---- headers -----------------------------------------------------------------------------------


NOISE = np.random.default_rng(0).integers(0, 256, (30, 40), dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "image", "format_", "mode", "bits"),
    [
        ("a.png", Image.fromarray(NOISE), "PNG", "L", 8),
        ("a.png", Image.fromarray(NOISE.astype(np.uint16) * 16), "PNG", "I;16", 16),
        ("a.png", Image.fromarray(NOISE > 99), "PNG", "1", 1),
        ("a.bmp", Image.fromarray(NOISE).convert("RGB"), "BMP", "RGB", 8),
        ("a.tif", Image.fromarray(NOISE), "TIFF", "L", 8),
    ],
)
def test_what_a_header_tells(tmp_path: Path, name, image, format_, mode, bits):
    image.save(tmp_path / name)

    size = (tmp_path / name).stat().st_size
    assert read_header(tmp_path / name) == Header(format_, mode, bits, 40, 30, size, 0.0)


def test_a_stronger_compression_shows_in_the_quantisation(tmp_path: Path):
    for quality in (30, 90):
        Image.fromarray(NOISE).save(tmp_path / f"{quality}.jpg", quality=quality)

    weak, strong = (read_header(tmp_path / f"{q}.jpg") for q in (90, 30))

    assert strong.quantisation > 3 * weak.quantisation > 0


def test_an_image_inside_an_npz_file(tmp_path: Path):
    np.savez(tmp_path / "set.npz", train_images=NOISE[None])

    header = read_header(tmp_path / "set.npz" / "train_images" / "0")

    assert header == Header("NPZ", "L", 8, 40, 30, 1200, 0.0)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\nbroken"])
def test_what_has_no_header_is_refused_by_name(tmp_path: Path, content):
    (tmp_path / "bad.png").write_bytes(content)

    with pytest.raises(DataError, match="bad.png"):
        read_header(tmp_path / "bad.png")
    with pytest.raises(DataError, match="absent.png"):
        read_header(tmp_path / "absent.png")
