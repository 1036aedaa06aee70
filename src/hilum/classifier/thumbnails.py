"""Small pictures of training images: what a reader compares a radiograph with.

Only a recipe with keep_thumbnails keeps them, because they are pictures of patients.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from hilum.classifier.files import pack_arrays, unpacked
from hilum.records import PixelArray

#: The longer side in pixels, at most: it shows where a finding lies, and says no fine detail.
LONGEST = 128


@dataclass(frozen=True)
class Thumbnails:
    """Pictures of the N training images of a Reference, in its order.

    pictures: (N, h, w) uint8, as the networks see them (cropped, resized), at most LONGEST pixels
    along the longer side. about: the data set ('name', 'fingerprint'), as JSON values.
    """

    pictures: PixelArray
    about: dict[str, Any]

    def __len__(self) -> int:
        return len(self.pictures)

    @classmethod
    def shrink(cls, pixels: PixelArray, about: dict[str, Any]) -> "Thumbnails":
        """Of stored pixels (N, H, W) uint8, N ≥ 1; smaller ones stay as they are."""
        height, width = pixels.shape[1:]
        scale = min(1.0, LONGEST / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = [
            np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
            for picture in pixels
        ]
        return cls(np.stack(small), dict(about))

    def to_bytes(self) -> bytes:
        """One safetensors file."""
        return pack_arrays("thumbnails", {"about": self.about}, {"pictures": self.pictures})

    @classmethod
    def from_bytes(cls, data: bytes, source: str) -> "Thumbnails":
        """The inverse of to_bytes. Raises ClassifierError, naming source, for other content."""
        with unpacked("thumbnails", data, source) as (facts, arrays):
            pictures = arrays["pictures"]
            if pictures.ndim != 3 or pictures.dtype != np.uint8 or 0 in pictures.shape:
                raise ValueError(f"pictures are {pictures.dtype} {pictures.shape}")
            return cls(pictures, dict(facts["about"]))
