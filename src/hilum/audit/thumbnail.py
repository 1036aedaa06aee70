"""Small versions of all images, decoded once: enough for what an audit measures."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from hilum.records import PixelArray


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A PixelTransform that squashes an image to side x side pixels."""

    side: int

    @property
    def storage_key(self) -> str:
        """Names what is stored."""
        return f"small-{self.side}x{self.side}"

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.side, self.side

    def to_pixels(self, image: PixelArray) -> PixelArray:
        """Resize a grey image (H, W) uint8: bilinear, antialiased when shrinking."""
        size = (self.side, self.side)
        resized = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)
        return np.asarray(resized, dtype=np.uint8)
