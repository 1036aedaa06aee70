"""From an uploaded file to pixels, by the code that reads files, without a file."""

from dataclasses import dataclass
from pathlib import Path

from hilum.errors import DataError
from hilum.explanation.pictures import thumbnail_png, to_text
from hilum.prediction.stream import Reading
from hilum.radiographs.dicom.reading import read_dicom_header
from hilum.radiographs.image import begins_as_dicom, open_image, read_open_picture
from hilum.radiographs.pixels import PixelTransform
from hilum.serving.uploads import Upload

#: Stands for the file in refusals, so that no name that came from outside can reach a log.
_FILE = Path("file")
_LONGEST = 1024  # pixels of a preview's longer side


@dataclass(frozen=True, slots=True)
class Decoded:
    """One file. width, height: of the radiograph as it is seen; None where it cannot be read.

    preview: a grey PNG in Base64, at most 1024 pixels long, where it was asked for.
    """

    reading: Reading
    width: int | None = None
    height: int | None = None
    preview: str | None = None


def decode(
    upload: Upload, transform: PixelTransform, most_pixels: int, *, preview: bool = False
) -> Decoded:
    """Read and prepare an upload; where that is not possible, the reading says why.

    transform: the classifier's preprocessing. most_pixels: refused before decoding beyond that.
    """
    try:
        _refuse_large(upload, most_pixels)
        upload.file.seek(0)
        picture = read_open_picture(upload.file, _FILE, colour=True)
        image = picture.pixels
        height, width = image.shape
        reading = Reading(transform.to_pixels(image), coloured=picture.coloured)
        shown = to_text(thumbnail_png(image, _LONGEST)) if preview else None
        return Decoded(reading, width, height, shown)
    except DataError as error:
        return Decoded(Reading(None, " ".join(str(error).removeprefix(f"{_FILE}: ").split())))
    except Exception as error:  # a decoder that is fed damaged bytes may raise almost anything
        return Decoded(Reading(None, " ".join(f"cannot be read ({error}).".split())))


def _refuse_large(upload: Upload, most: int) -> None:
    """Raise DataError for too many pixels, before any is decoded."""
    file = upload.file
    if begins_as_dicom(file):
        header = read_dicom_header(file, _FILE)
        width, height = header.columns, header.rows
    else:
        width, height = open_image(file, _FILE).size
    if width * height > most:
        raise DataError(f"{width} x {height} pixels are too many (at most {most:,}).")
