"""What is done to every radiograph before a network sees it. Deterministic.

The settings travel with the classifier, so training, evaluation and use cannot differ.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, get_args

from pydantic import field_validator

from hilum.errors import DataError
from hilum.recipe import Recipe
from hilum.records import PixelArray, Pixels
from hilum.settings import Contrast, Crop, PreprocessingSettings, Resize
from hilum.transforms.cropping import body_box, lungs_box, resize_image
from hilum.transforms.illumination import (
    clahe,
    correct_gamma,
    dct_normalise,
    difference_of_gaussians,
    equalise,
    homomorphic,
    multi_scale_retinex,
    retinex,
    self_quotient,
)

if TYPE_CHECKING:
    import torch


def check_pixels(pixels: Pixels, image_size: tuple[int, int]) -> None:
    """Raise DataError unless pixels are (N, H, W) uint8 of a size (height, width)."""
    height, width = image_size
    if pixels.ndim != 3 or pixels.shape[1:] != image_size or pixels.dtype != "uint8":
        raise DataError(
            f"Expected uint8 pixels of shape (N, {height}, {width}), "
            f"found {pixels.dtype} {pixels.shape}."
        )


#: What a name does never changes once it was released: classifiers trained with it are in use.
#: A better method gets another name.
_WITHOUT_SETTINGS: dict[Contrast, Callable[[PixelArray], PixelArray]] = {
    "equalise": equalise,
    "homomorphic": homomorphic,
    "retinex": retinex,
    "multi-scale-retinex": multi_scale_retinex,
    "self-quotient": self_quotient,
    "dct": dct_normalise,
    "difference-of-gaussians": difference_of_gaussians,
}


class Preprocessing(PreprocessingSettings):
    """From a grey image of any size to a network's input.

    The order is crop, contrast, resize (these make the stored pixels), then numbers.
    image_size: (height, width) in pixels, 16 to 2048. value_range: what pixel values 0 and 255
    become, ascending; where standardise is 'z-score', it has no effect.
    """

    image_size: tuple[int, int] = (150, 150)
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

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> "Preprocessing":
        """The preprocessing that a recipe asks for."""
        return cls(image_size=recipe.image_size, **recipe.preprocessing.model_dump())

    @property
    def storage_key(self) -> str:
        """Names what the stored uint8 pixels depend on; numbers are made of them later."""
        own = {"clahe": f"{self.clip_limit!r}", "gamma": f"{self.gamma!r}"}.get(self.contrast, "")
        parts = [
            *([f"crop-{self.crop}"] if self.crop != "none" else []),
            *([f"{self.contrast}{own}"] if self.contrast != "none" else []),
            self.resize,
            f"{self.image_size[0]}x{self.image_size[1]}",
        ]
        return "-".join(parts)

    def to_pixels(self, image: PixelArray) -> PixelArray:
        """Crop, adjust and resize a grey image (H, W) uint8, in this order, to image_size."""
        if self.crop != "none":
            box = body_box(image) if self.crop == "body" else lungs_box(image)
            image = box.cut(image)
        return resize_image(self._adjusted(image), self.image_size, self.resize)

    def _adjusted(self, image: PixelArray) -> PixelArray:
        if self.contrast == "none":
            return image
        if self.contrast == "clahe":
            return clahe(image, self.clip_limit)
        if self.contrast == "gamma":
            return correct_gamma(image, self.gamma)
        return _WITHOUT_SETTINGS[self.contrast](image)

    def to_input(self, pixels: "torch.Tensor") -> "torch.Tensor":
        """Turn stored pixels (B, H, W), 0 to 255, into network input (B, 1, H, W) float32.

        Under 'z-score' a constant image becomes 0 everywhere.
        """
        x = pixels.unsqueeze(1).float()
        if self.standardise == "z-score":
            import torch

            every = (1, 2, 3)
            variance, mean = torch.var_mean(x, dim=every, correction=0, keepdim=True)
            constant = x.amax(dim=every, keepdim=True) == x.amin(dim=every, keepdim=True)
            return (x - mean) / variance.sqrt().masked_fill(constant, torch.inf)
        low, high = self.value_range
        return x.mul_((high - low) / 255) if low == 0 else x.mul_((high - low) / 255).add_(low)


def preprocessing_grid(
    image: PixelArray, image_size: tuple[int, int] = (150, 150)
) -> dict[str, PixelArray]:
    """One radiograph under every crop, contrast and way to resize, each alone, to look at.

    image: (H, W) uint8. Returns pictures of image_size (height, width), uint8, by names such as
    'contrast: clahe'; the first is 'as it is'. 'z-score' is left out: it changes numbers, but
    not the picture.
    """
    plain = Preprocessing(image_size=image_size)
    changes: list[dict[str, str]] = [
        *({"crop": name} for name in get_args(Crop)),
        *({"contrast": name} for name in get_args(Contrast)),
        *({"resize": name} for name in get_args(Resize)),
    ]
    pictures = {"as it is": plain.to_pixels(image)}
    for change in changes:
        ((key, value),) = change.items()
        if value != getattr(plain, key):
            setting = Preprocessing.model_validate({"image_size": image_size, **change})
            pictures[f"{key}: {value}"] = setting.to_pixels(image)
    return pictures
