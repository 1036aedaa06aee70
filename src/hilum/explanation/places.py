"""Where the findings of radiographs lie, where data tell: masks of phantoms, boxes of people."""

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from hilum.decisions import Finding
from hilum.errors import DataError
from hilum.phantoms.phantom import mask_file
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.image import read_radiograph
from hilum.radiographs.layouts import Box, read_boxes
from hilum.records import PRESENT, BoolArray, PixelArray
from hilum.transforms.cropping import body_box, lungs_box, resize_image
from hilum.transforms.preprocess import Preprocessing


class Places:
    """Where what the images of a data set show lies, in the pixels of their files.

    A place is of a finding that is present, or of the image's class: a box of one of the labels
    that lead to it, or the mask of a phantom. Raises DataError where boxes cannot be read.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._boxes = {} if dataset.synthetic else read_boxes(dataset.root)

    def known(self, row: int, finding: Finding | None) -> bool:
        """Whether it is told where the image in a row has a finding, or shows its class (None)."""
        return bool(self._masks(row, finding) or self._drawn(row, finding))

    def draw(self, row: int, finding: Finding | None, image: PixelArray) -> PixelArray | None:
        """The place in the pixels of the image: (H, W) uint8, 255 inside.

        image: of the row, (H, W) uint8. None where a box reaches beyond it: then the file is not
        the image on which boxes were drawn. Raises DataError where a mask has another size.
        """
        drawn = draw_boxes(self._drawn(row, finding), image.shape)
        for file in self._masks(row, finding):
            mask = read_radiograph(file)
            if mask.shape != image.shape:
                raise DataError(
                    f"{file}: the mask is {mask.shape}, its image {image.shape}: write the "
                    "phantoms again."
                )
            drawn = np.maximum(drawn, mask) if drawn is not None else mask
        return drawn

    def _masks(self, row: int, finding: Finding | None) -> list[Path]:
        root, name = self._dataset.root, self._dataset.records[row].name
        if not self._dataset.synthetic or not self._shows(row, finding):
            return []
        told = self._names([finding.name]) if finding else {""}
        files = (mask_file(root, name, own) for own in sorted(told))
        return [file for file in files if file.is_file()]

    def _drawn(self, row: int, finding: Finding | None) -> list[Box]:
        record = self._dataset.records[row]
        boxes = self._boxes.get(record.path.stem, {})
        if not boxes or not self._shows(row, finding):
            return []
        told = self._names([finding.name] if finding else self._dataset.tree.paths[record.label])
        return [box for name in sorted(told & set(boxes)) for box in boxes[name]]

    def _shows(self, row: int, finding: Finding | None) -> bool:
        """Whether the image is known to have the finding; it has a class always."""
        labels, marks = self._dataset.labels[[row]], self._dataset.marks[[row]]
        return finding is None or int(finding.truth(labels, marks)[0]) == PRESENT

    def _names(self, labels: Iterable[str]) -> set[str]:
        """What the data call labels of the tree."""
        meant = {way.rpartition("/")[2]: label for way, label in self._dataset.rename.items()}
        own = {label for label in labels if meant.get(label, label) == label}
        return own | {name for name, label in meant.items() if label in labels}


def draw_boxes(boxes: Iterable[Box], shape: tuple[int, ...]) -> PixelArray | None:
    """Boxes in an image of a shape (H, W), uint8, 255 inside; None where one reaches beyond it.

    Where the size of the image as published is known they are scaled with it. What a box touches
    is inside; a pixel of it may lie outside of the image, where it was rounded.
    """
    drawn = np.zeros(shape, dtype=np.uint8)
    height, width = shape
    for box in boxes:
        across, down = (width / box.image[0], height / box.image[1]) if box.image else (1.0, 1.0)
        left, right = box.left * across, (box.left + box.width) * across
        top, bottom = box.top * down, (box.top + box.height) * down
        if min(left, top) < -1 or right > width + 1 or bottom > height + 1:
            return None
        rows = slice(max(0, math.floor(top)), math.ceil(bottom))
        drawn[rows, max(0, math.floor(left)) : math.ceil(right)] = 255
    return drawn


def mask_pixels(preprocessing: Preprocessing, image: PixelArray, mask: PixelArray) -> BoolArray:
    """Where a mask lies in the pixels that preprocessing makes of its image.

    image, mask: (H, W) uint8, the mask 255 inside. Returns image_size bool, true where at least
    half of a pixel is inside.
    """
    if preprocessing.crop != "none":
        box = body_box(image) if preprocessing.crop == "body" else lungs_box(image)
        mask = np.ascontiguousarray(box.cut(mask))
    resized = resize_image(mask, preprocessing.image_size, preprocessing.resize)
    inside: BoolArray = resized >= 128
    return inside
