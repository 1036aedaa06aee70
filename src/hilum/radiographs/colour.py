"""Is an image in colour? Decided before it is turned to grey.

Radiographs are grey, but many are stored as RGB, with a colour marker or two, or with the faint
colours that JPEG compression adds.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from hilum.errors import DataError
from hilum.radiographs.image import begins_as_dicom, open_image
from hilum.radiographs.npz import item_of
from hilum.records import PixelArray

#: A pixel has a colour where its largest and smallest channel differ by more than this, of 255.
#: JPEG of quality 50 puts fewer than 1 in 1,000 pixels of a grey image beyond 30.
_COLOURED = 30

#: From this share of coloured pixels on, an image is in colour. Below are letters and markers.
_SHARE = 0.05

_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F"})
_SAMPLED = 256  # pixels looked at along an edge


def has_colour(image: PixelArray) -> bool:
    """Whether an RGB image (H, W, 3) uint8 is in colour: at least 5 % of its pixels are.

    Grey images that are stored as RGB are not; nor is a scan of a slightly tinted film.
    """
    channels = image.astype(np.int16)
    spread = channels.max(axis=2) - channels.min(axis=2)
    return bool((spread > _COLOURED).mean() >= _SHARE)


def image_has_colour(image: Image.Image) -> bool:
    """has_colour of an opened image, whose pixels are read only if it can hold colour."""
    if image.mode in _GREY_MODES:
        return False
    step = max(1, min(image.size) // _SAMPLED)
    return has_colour(np.asarray(image.convert("RGB"))[::step, ::step])


def file_has_colour(path: Path | str) -> bool:
    """Whether an image file is in colour; of a grey one only the header is read.

    An image in an NPZ file is grey; DICOM in colour is refused where it is read. Raises
    DataError, naming the file, where it cannot be read.
    """
    path = Path(path)
    if item_of(path):
        return False
    try:
        with path.open("rb") as file:
            if begins_as_dicom(file):
                return False
            return image_has_colour(open_image(file, path))
    except DataError:
        raise
    except Exception as error:  # a decoder that is fed damaged bytes may raise almost anything
        raise DataError(f"{path}: cannot be read ({error}).") from None
