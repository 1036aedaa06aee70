"""What is done to every radiograph before a network sees it. Deterministic.

The settings travel with the classifier, so training, evaluation and use cannot differ.
"""

from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, field_validator

from hilum.records import PixelArray

if TYPE_CHECKING:
    import torch


class Preprocessing(BaseModel):
    """From a grey image of any size to a network's input.

    image_size: (height, width) in pixels, 16 to 2048. resize: 'squash' scales both sides to fit,
    changing the aspect ratio. value_range: what pixel values 0 and 255 become, ascending.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    image_size: tuple[int, int] = (150, 150)
    resize: Literal["squash"] = "squash"
    value_range: tuple[float, float] = (0.0, 1.0)

    @field_validator("image_size")
    @classmethod
    def _size_in_range(cls, size: tuple[int, int]) -> tuple[int, int]:
        if not all(16 <= side <= 2048 for side in size):
            raise ValueError(f"height and width must be 16 to 2048 pixels, not {size}")
        return size

    @field_validator("value_range")
    @classmethod
    def _range_ascends(cls, ends: tuple[float, float]) -> tuple[float, float]:
        if not ends[0] < ends[1]:
            raise ValueError(f"black must become less than white, not {ends}")
        return ends

    @property
    def storage_key(self) -> str:
        """Names what the stored uint8 pixels depend on; the value range is applied later."""
        return f"{self.resize}-{self.image_size[0]}x{self.image_size[1]}"

    def to_pixels(self, image: PixelArray) -> PixelArray:
        """Resize a grey image (H, W) uint8 to image_size: bilinear, antialiased when shrinking."""
        height, width = self.image_size
        if image.shape == (height, width):
            return image
        resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(resized, dtype=np.uint8)

    def to_input(self, pixels: "torch.Tensor") -> "torch.Tensor":
        """Turn stored pixels (B, H, W) uint8 into network input (B, 1, H, W) float32."""
        low, high = self.value_range
        x = pixels.unsqueeze(1).float()
        return x.mul_((high - low) / 255) if low == 0 else x.mul_((high - low) / 255).add_(low)
