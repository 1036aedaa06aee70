"""Read one radiograph from an image file, as grey, or what the file says of it before.

PNG, JPEG, TIFF, BMP, GIF and WebP; 8 or 16 bit; grey, RGB, RGBA or palette; and DICOM. The reader
is chosen by the file's content, never by its name. Other formats plug in here.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from hilum.errors import DataError
from hilum.radiographs.arrays import array_to_8_bit, as_array, scale_to_8_bit
from hilum.radiographs.dicom import START, is_dicom
from hilum.radiographs.dicom.reading import read_dicom, read_dicom_header, read_study
from hilum.radiographs.geometry import check_jpeg, check_png, check_tiff
from hilum.radiographs.npz import item_of, read_item
from hilum.records import MAX_PIXELS, PixelArray
from hilum.stores import StoreError, as_place, as_refusal

#: Files that are images by their names, whatever they hold; others are known by their content.
IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".bmp", ".gif", ".webp"}
)
#: The kinds that are read, for messages.
KINDS = "PNG, JPEG, TIFF, BMP, GIF, WebP"

Reader = Callable[[IO[bytes]], ImageFile]
#: What a radiograph is read from: a file, or what is in memory already.
Source: TypeAlias = Path | Image.Image | npt.NDArray[Any]

#: How a file begins, and who reads it. Pillow's readers are named one by one, because Image.open
#: warns of large images before their size can be looked at.
_READERS: tuple[tuple[re.Pattern[bytes], Reader], ...] = tuple(
    (re.compile(start, re.DOTALL), reader)
    for start, reader in (
        (rb"\x89PNG\r\n\x1a\n", PngImageFile),
        (rb"\xff\xd8\xff", JpegImageFile),
        (rb"II[*+]\0|MM\0[*+]", TiffImageFile),
        (rb"GIF8[79]a", GifImageFile),
        (rb"RIFF.{4}WEBP", WebPImageFile),
        # two letters are a poor mark: the size of the header that follows is one that there is
        (rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", BmpImageFile),
    )
)
_LONGEST = 18  # bytes that the patterns look at
_CHECKS: dict[Reader, Callable[[IO[bytes], Path], None]] = {
    PngImageFile: check_png,
    JpegImageFile: check_jpeg,
    TiffImageFile: check_tiff,
}
# TIFF 6.0, section 8
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
_BITS_PER_SAMPLE = 258
_WORD = (16,)

#: Bits a sample of Pillow's modes that are not 8; 16-bit colour shows in the raw mode only.
_BITS = {"1": 1, "I;16": 16, "I;16B": 16, "I;16L": 16, "I": 32, "F": 32}

#: A pixel has a colour where its largest and smallest channel differ by more than this, of 255.
#: JPEG of quality 50 puts fewer than 1 in 1,000 pixels of a grey image beyond 30.
_COLOURED = 30

#: From this share of coloured pixels on, an image is in colour. Below are letters and markers.
_COLOURED_SHARE = 0.05

_BAND = 256  # rows that are turned to grey at a time

_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F"})
_SAMPLED = 256  # pixels looked at along an edge


@dataclass(frozen=True, slots=True)
class Facts:
    """What a DICOM file says of its picture and may be shown: nothing that names a patient.

    view, age, sex: as codes of DICOM, '' where it does not say. spacing: between pixels as stored,
    down and across, in mm. calibrated: see dicom.reading.StudyFacts.
    """

    view: str
    age: str
    sex: str
    spacing: tuple[float, float] | None
    calibrated: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """One decoded file, and what else was asked of it.

    pixels: (H, W) uint8, as read_radiograph gives them. coloured: the file is in colour
    (has_colour); False where that was not asked, and of NPZ and DICOM, which are grey or
    refused. study: DICOM's Study Instance UID; '' of other files, and where that was not asked.
    facts: of a DICOM file whose study was asked.
    """

    pixels: PixelArray
    coloured: bool = False
    study: str = field(default="", repr=False)  # leads to a patient, so it gets into no message
    facts: Facts | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Header:
    """Facts of a file, none of them about the patient.

    format: 'PNG', 'JPEG', 'TIFF', 'BMP', 'GIF', 'WEBP', 'DICOM' or 'NPZ'. mode: how colours are
    kept, by Pillow's name ('L' is grey, 'RGB' colour, 'P' a palette). bits: per sample.
    width, height: pixels as stored.
    bytes: the size of the file; of an image inside an NPZ file its number of pixels.
    quantisation: mean of the JPEG's luma quantisation table, larger the more was thrown away; 0
    where it is no JPEG.
    """

    format: str
    mode: str
    bits: int
    width: int
    height: int
    bytes: int
    quantisation: float


def read_radiograph(image: Source | str) -> PixelArray:
    """Read an image file, or an image inside an NPZ file (``FILE.npz/ARRAY/INDEX``), to grey.

    Colour is turned to luma (ITU-R BT.601); transparency is laid over black. Deeper than 8 bit is
    scaled linearly, never clipped, over the range that the file states or else its values need
    (depth.value_range). Of 16-bit colour the high byte counts. DICOM says itself how its values
    are to be seen (dicom.greyscale).

    Args:
        image: The file; or a PIL image, which is read as its file would be; or an array (H, W),
            (H, W, 3) RGB or (H, W, 4) RGBA of uint8, of uint16, of other integers in 0 to 255, or
            of floats in [0, 1].

    Returns:
        (H, W) uint8 in [0, 255], upright (EXIF orientation applied).

    Raises:
        DataError: The file, which is named, cannot be read, is damaged, holds several images or
            more than MAX_PIXELS (known from its header, before any pixel is decoded); or it is not
            known which value of an array is white.
    """
    return read_picture(image).pixels


def read_picture(source: Source | str, *, colour: bool = False, study: bool = False) -> Picture:
    """read_radiograph, and from the same decoding what else is asked.

    colour: whether to look for colours. study: whether to read the study of a DICOM file.
    Raises as read_radiograph does.
    """
    if isinstance(source, Image.Image):
        where = getattr(source, "filename", "") or "The PIL image"
        with typed_errors(where):
            return _decode(source, where, colour=colour, keep=True)
    if hasattr(source, "__array__"):
        pixels = array_to_8_bit(as_array(source), "The array")
        if pixels.ndim == 2:
            return Picture(pixels)
        return _decode(Image.fromarray(pixels), "The array", colour=colour)
    if not isinstance(source, str | os.PathLike):
        found = type(source).__name__
        raise DataError(f"An image is a file, a PIL image or an array; found a {found}.")
    path = as_place(source)
    with typed_errors(path):
        if item := item_of(path):
            return Picture(np.array(read_item(*item)))
        with path.open("rb") as file:
            return read_open_picture(file, path, colour=colour, study=study)


@contextmanager
def typed_errors(path: Path | str) -> Iterator[None]:
    """Turn whatever reading a file raises into DataError, in the file's name."""
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file.") from None
    except IsADirectoryError:
        raise DataError(f"{path}: expected an image file, found a folder.") from None
    except StoreError as error:
        raise as_refusal(error) from None
    except MemoryError:
        raise DataError(f"{path}: there is not enough memory to decode it.") from None
    except Exception as error:
        # A decoder that is fed damaged bytes may raise almost anything.
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise DataError(f"{path}: cannot be read ({reason}).") from None


def read_header(path: Path) -> Header:
    """Read a file's header. Raises DataError, naming the file, where that is not possible."""
    try:
        if item := item_of(path):
            height, width = read_item(*item).shape
            return Header("NPZ", "L", 8, width, height, width * height, 0.0)
        with path.open("rb") as file:
            if begins_as_dicom(file):
                said, size = read_dicom_header(file, path), path.stat().st_size
                bits = said.bits_stored
                return Header("DICOM", "L", bits, said.columns, said.rows, size, 0.0)
            image = open_image(file, path)
            width, height = image.size
            size, kept = path.stat().st_size, _quantisation(image)
            return Header(image.format or "", image.mode, _bits(image), width, height, size, kept)
    except DataError:
        raise
    except Exception as error:  # a reader that is fed damaged bytes may raise almost anything
        raise DataError(f"{path}: its header cannot be read ({error}).") from None


def has_colour(image: PixelArray) -> bool:
    """Whether an RGB image (H, W, 3) uint8 is in colour: at least 5 % of its pixels are.

    Grey images that are stored as RGB are not; nor is a scan of a slightly tinted film.
    """
    red, green, blue = np.moveaxis(image, 2, 0)
    # channel by channel, which is many times quicker than along an axis of three
    high = np.maximum(np.maximum(red, green), blue)
    spread = high - np.minimum(np.minimum(red, green), blue)
    return bool((spread > _COLOURED).mean() >= _COLOURED_SHARE)


def image_has_colour(image: Image.Image) -> bool:
    """has_colour of an opened image, whose pixels are read only if it can hold colour.

    What was read stays with the image, so that nothing is decoded again.
    """
    if image.mode in _GREY_MODES:
        return False
    step = max(1, min(image.size) // _SAMPLED)
    rows = step * max(1, _BAND // step)
    bands = [
        np.asarray(band if band.mode == "RGB" else band.convert("RGB"))[::step, ::step].copy()
        for band in _bands(image, rows)
    ]
    return has_colour(np.concatenate(bands))


def image_source(root: Path) -> Callable[[Sequence[str]], list[PixelArray]]:
    """A function that reads radiographs by their names below a folder, for pictures in reports."""

    def read(names: Sequence[str]) -> list[PixelArray]:
        return [read_radiograph(root / name) for name in names]

    return read


def open_image(file: IO[bytes], path: Path) -> ImageFile:
    """Read an image's header only. path: for messages. Raises DataError for other formats."""
    start = file.read(_LONGEST)
    if not start:
        raise DataError(f"{path}: the file is empty.")
    reader = _reader_of(start)
    if reader is None:
        raise DataError(f"{path}: not a {KINDS} or DICOM image.")
    file.seek(0)
    if check := _CHECKS.get(reader):
        check(file, path)
    return reader(file)


def _reader_of(start: bytes) -> Reader | None:
    return next((reader for pattern, reader in _READERS if pattern.match(start)), None)


def begins_as_image(file: IO[bytes]) -> bool:
    """Whether a file is of a kind that is read, by its first bytes; it is then at its start."""
    start = file.read(START)
    file.seek(0)
    return is_dicom(start) or _reader_of(start) is not None


def begins_as_dicom(file: IO[bytes]) -> bool:
    """Whether a file is DICOM, by its first bytes; it is then at its start again."""
    start = file.read(START)
    file.seek(0)
    return is_dicom(start)


def open_size(file: IO[bytes], path: Path) -> tuple[int, int]:
    """Width and height of an open file's image, from its header alone; path names it in refusals.

    Raises DataError where it is no image; other errors come as they are.
    """
    if begins_as_dicom(file):
        header = read_dicom_header(file, path)
        return header.columns, header.rows
    return open_image(file, path).size


def read_open_picture(
    file: IO[bytes], path: Path, *, colour: bool = False, study: bool = False
) -> Picture:
    """read_picture of an open file; path names it in refusals. Other errors come as they are."""
    if begins_as_dicom(file):
        pixels = read_dicom(file, path)
        if not study:
            return Picture(pixels)
        said = read_study(file, path)
        facts = Facts(said.view, said.age, said.sex, said.spacing, said.calibrated)
        return Picture(pixels, study=said.study_instance, facts=facts)
    return _decode(open_image(file, path), path, colour=colour)


def _decode(
    image: Image.Image, where: Path | str, *, colour: bool = False, keep: bool = False
) -> Picture:
    """The picture of an opened image. keep: leave the image as it is, at the cost of a copy."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise DataError(
            f"{where}: {width} x {height} pixels are too many "
            f"(at most {MAX_PIXELS // 1_000_000} million)."
        )
    if getattr(image, "is_animated", False):  # counting them would read the file to its end
        raise DataError(f"{where}: holds several images; a radiograph is one.")
    coloured = colour and image_has_colour(image)
    tiff = image.tag_v2 if isinstance(image, TiffImageFile) else {}
    if keep:
        image = ImageOps.exif_transpose(image)
    else:
        ImageOps.exif_transpose(image, in_place=True)  # a copy may take 160 MB
    if not image.mode.startswith("I"):
        return Picture(_to_grey(image, where), coloured)
    white_is_zero = tiff.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    stated = min(tiff.get(_BITS_PER_SAMPLE, _WORD))
    pixels = scale_to_8_bit(_deep_grey(image), where, stated if stated < 16 else None)
    # Pillow inverts these up to 8 bit only
    return Picture(255 - pixels if white_is_zero else pixels, coloured)


def _to_grey(image: Image.Image, path: Path | str) -> PixelArray:
    """(H, W) uint8 of a decoded image of 8 bits a sample or fewer."""
    if image.mode == "F":
        raise DataError(f"{path}: floating-point pixels have no defined white; store 8 or 16 bit.")
    grey = np.empty((image.height, image.width), np.uint8)
    for i, band in enumerate(_bands(image, _BAND)):
        grey[i * _BAND : (i + 1) * _BAND] = np.asarray(_band_to_grey(band))
    return grey


def _bands(image: Image.Image, rows: int) -> Iterator[Image.Image]:
    """The image in parts of so many rows, so that what is made of it takes little memory."""
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height)))


def _band_to_grey(image: Image.Image) -> Image.Image:
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image)
    if image.mode == "P":
        image = image.convert("RGB")
    return image.convert("L")


def _deep_grey(image: Image.Image) -> npt.NDArray[Any]:
    """(H, W) integers of a decoded grey image of 16 bit, or of 32 bit that may hold it."""
    pixels = np.array(image)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        pixels[pixels == transparent] = 0
    return pixels


def _bits(image: ImageFile) -> int:
    # Pillow's name for how the samples lie in the file, such as 'RGB;16B'
    args = image.tile[0].args if image.tile else None
    raw_mode = args[0] if isinstance(args, tuple) and args else args
    deep = isinstance(raw_mode, str) and ";16" in raw_mode
    return 16 if deep else _BITS.get(image.mode, 8)


def _quantisation(image: Image.Image) -> float:
    tables = getattr(image, "quantization", None)
    if not tables:
        return 0.0
    first = tables[min(tables)]
    return float(sum(first) / len(first))
