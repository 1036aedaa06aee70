"""Which images are meant, where people give files, folders, pictures and arrays."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy.typing as npt
from PIL import Image

from hilum.errors import DataError
from hilum.radiographs.arrays import as_array, one_by_one
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.image import Source
from hilum.radiographs.layouts import list_images
from hilum.stores import as_place


class _HasArray(Protocol):
    """What NumPy makes an array of, such as a tensor on the CPU."""

    def __array__(self) -> npt.NDArray[Any]: ...


#: One image, or what holds several: see gather_images.
ImageLike: TypeAlias = str | os.PathLike[str] | Image.Image | _HasArray
Images: TypeAlias = ImageLike | Dataset | Iterable[ImageLike]

_EXPECTED = "Images are files, folders, PIL images or arrays, one or a list of them, or a data set"


def gather_images(given: Images) -> list[Source]:
    """The images that are meant, one by one, in the order given.

    given: a file, a folder (every image below it, in natural order), a PIL image, an array of one
    image or a batch (arrays.one_by_one), a data set, or a list of such. In a list an array is one
    image. Nothing is read yet.
    Raises DataError where it is something else, or there is no image.
    """
    found = list(_gather(given, within=False))
    if not found:
        what = given if isinstance(given, str | os.PathLike) else "What was given"
        raise DataError(f"{what}: no images found.")
    return found


def image_name(source: Source) -> str:
    """What an image is called: its path as given, that of a PIL image's file; '' of an array."""
    if isinstance(source, Path):
        return str(source)
    return str(getattr(source, "filename", "") or "")


def _gather(given: Any, *, within: bool) -> Iterable[Source]:
    """within: whether it is an item of a list."""
    if isinstance(given, str | os.PathLike):
        path = as_place(given)
        return list_images(path) if path.is_dir() else [path]
    if isinstance(given, Image.Image):
        return [given]
    if isinstance(given, Dataset):
        return [record.path for record in given.records]
    if hasattr(given, "__array__"):
        array = as_array(given)
        if array.dtype.kind not in "OUS":  # of objects or texts: a list of them
            return [array] if within else one_by_one(array, "The array")
        given = list(array)
    if not isinstance(given, Iterable) or isinstance(given, Mapping | bytes):
        raise DataError(f"{_EXPECTED}; found a value of type {type(given).__name__}.")
    return [source for item in given for source in _gather(item, within=True)]
