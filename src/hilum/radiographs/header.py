"""What an image file says of itself before any pixel is decoded."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from PIL.ImageFile import ImageFile

from hilum.errors import DataError
from hilum.radiographs.dicom.reading import read_dicom_header
from hilum.radiographs.image import begins_as_dicom, open_image
from hilum.radiographs.npz import item_of, read_item

#: Bits a sample of Pillow's modes that are not 8; 16-bit colour shows in the raw mode only.
_BITS = {"1": 1, "I;16": 16, "I;16B": 16, "I;16L": 16, "I": 32, "F": 32}


@dataclass(frozen=True, slots=True)
class Header:
    """Facts of a file, none of them about the patient.

    format: 'PNG', 'JPEG', 'TIFF', 'BMP', 'DICOM' or 'NPZ'. mode: how colours are kept, by Pillow's
    name ('L' is grey, 'RGB' colour, 'P' a palette). bits: per sample. width, height: pixels as
    stored.
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
            return Header(
                image.format or "",
                image.mode,
                _bits(image),
                width,
                height,
                path.stat().st_size,
                _quantisation(image),
            )
    except DataError:
        raise
    except Exception as error:  # a reader that is fed damaged bytes may raise almost anything
        raise DataError(f"{path}: its header cannot be read ({error}).") from None


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
