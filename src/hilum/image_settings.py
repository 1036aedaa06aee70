"""Settings of what is done to images: preprocessing, which travels with the classifier, and
augmentation, which is for training only. Parts of a recipe.
"""

from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

Crop = Literal["none", "body", "lungs"]
Contrast = Literal[
    "none", "equalise", "clahe", "gamma", "homomorphic", "retinex", "multi-scale-retinex",
    "self-quotient", "dct", "difference-of-gaussians",
]  # fmt: skip
Resize = Literal["squash", "pad", "centre-crop"]


class Augmentation(BaseModel):
    """How much training images are changed at random, anew in each epoch; 0 switches a part off.

    mirror exchanges left and right in half of the images, and with them the sides of the heart.
    rotate: up to so many degrees either way. shift: by up to this share of the width and height.
    scale, aspect, gamma, contrast: by a factor from 1 / (1 + dose) to 1 + dose. brightness:
    up or down by up to this share of the range from black to white. blur: a Gaussian of up to so
    many pixels; noise: Gaussian, of up to this share of that range. erase: a rectangle of up to
    this share of the image. corner_crop: cuts up to this share off both sides, down to one of
    the four corners. mixup: the alpha of Zhang et al. 2018, doi:10.48550/arXiv.1710.09412.
    The words 'none', 'mirror' and 'full' stand for `AUGMENTATIONS`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mirror: bool = Field(default=False, strict=True)
    corner_crop: float = Field(default=0.0, ge=0, le=0.9)
    rotate: float = Field(default=0.0, ge=0, le=180)
    shift: float = Field(default=0.0, ge=0, le=0.5)
    scale: float = Field(default=0.0, ge=0, le=1)
    aspect: float = Field(default=0.0, ge=0, le=1)
    blur: float = Field(default=0.0, ge=0, le=10)
    gamma: float = Field(default=0.0, ge=0, le=3)
    contrast: float = Field(default=0.0, ge=0, le=3)
    brightness: float = Field(default=0.0, ge=0, le=1)
    noise: float = Field(default=0.0, ge=0, le=1)
    erase: float = Field(default=0.0, ge=0, le=0.5)
    mixup: float = Field(default=0.0, ge=0, le=10)

    @model_validator(mode="before")
    @classmethod
    def _from_word(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return value
        if isinstance(value, str) and value in AUGMENTATIONS:
            return dict(AUGMENTATIONS[value])
        words = ", ".join(f"'{word}'" for word in AUGMENTATIONS)
        raise ValueError(f"expected {words}, or a table of doses")

    @field_validator("*", mode="before")
    @classmethod
    def _doses_are_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and info.field_name != "mirror":
            raise ValueError("a dose is a number, neither true nor false")
        return value

    @model_serializer(mode="wrap")
    def _as_word(self, handler: SerializerFunctionWrapHandler) -> Any:
        # 'full' is written out, because what it stands for may change
        return next((w for w in ("none", "mirror") if AUGMENTATIONS[w] == self), handler(self))

    @property
    def moves(self) -> bool:
        """Whether pixels change their places other than by mirroring."""
        return any((self.corner_crop, self.rotate, self.shift, self.scale, self.aspect))

    @property
    def shades(self) -> bool:
        """Whether pixels change their grey, each for itself."""
        return any((self.gamma, self.contrast, self.brightness))


#: What the words that stand for an augmentation mean.
AUGMENTATIONS = {
    "none": Augmentation(),
    "mirror": Augmentation(mirror=True),
    "full": Augmentation(
        mirror=True, corner_crop=0.3, rotate=10, shift=0.05, scale=0.1, aspect=0.1, blur=0.5,
        gamma=0.3, contrast=0.2, brightness=0.1, noise=0.02, erase=0.1, mixup=0.2,
    ),
}  # fmt: skip


class PreprocessingSettings(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """What is done to every radiograph, in training and ever after, in this order.

    crop: away with the dark margins ('body'), or also with what lies around the lungs ('lungs').
    contrast: how greys are changed, before resizing; gamma: the power for 'gamma'; clip_limit:
    for 'clahe', how much more frequent than on average a grey may be. resize: 'squash' changes
    the aspect ratio, 'pad' adds black, 'centre-crop' cuts. standardise: 'z-score' gives every
    image mean 0 and standard deviation 1; otherwise pixels are divided by 255.
    """

    crop: Crop = "none"
    contrast: Contrast = "none"
    gamma: float = Field(default=0.5, ge=0.05, le=20, strict=True)
    clip_limit: float = Field(default=2.0, ge=1, le=100, strict=True)
    resize: Resize = "squash"
    standardise: Literal["none", "z-score"] = "none"

    @model_validator(mode="before")
    @classmethod
    def _is_a_table(cls, value: Any) -> Any:
        if not isinstance(value, PreprocessingSettings | dict):
            raise ValueError('expected a table, such as { contrast = "clahe" }')
        return value
