"""The keys of a recipe: of training, of augmentation, and of preprocessing.

What a key means stands below its field. docs/recipes.md and `hilum train --keys` say the same.
"""

import ast
import inspect
import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from hilum.decisions import Decision
from hilum.errors import RecipeError, nearest

Crop = Literal["none", "body", "lungs"]
Contrast = Literal[
    "none", "equalise", "clahe", "gamma", "homomorphic", "retinex", "multi-scale-retinex",
    "self-quotient", "dct", "difference-of-gaussians",
]  # fmt: skip
Resize = Literal["squash", "pad", "centre-crop"]
#: For which films what is fitted on validation images is to hold.
Promises = Literal["elsewhere", "alike"]
ClassWeights = Literal["none", "balanced"] | list[float] | dict[str, float]


def check_device(name: str) -> str:
    """The name of a device, as it is. Raises ValueError where it is none."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", str(name)):
        raise ValueError("expected auto, cpu, cuda, cuda:1 (any number) or mps")
    return name


Device = Annotated[str, AfterValidator(check_device)]


class Augmentation(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """How much training images are changed at random, anew in each epoch; 0 switches a part off.

    The words 'none', 'mirror' and 'full' stand for `AUGMENTATIONS`.
    """

    mirror: bool = Field(default=False, strict=True)
    """Exchange left and right in half of the images."""
    corner_crop: float = Field(default=0.0, ge=0, le=0.9)
    """Cut up to this share off the width and height, down to one of the four corners, and enlarge
    what is left: many findings sit towards the corners of the lungs."""
    rotate: float = Field(default=0.0, ge=0, le=180)
    """Turn by up to so many degrees either way."""
    shift: float = Field(default=0.0, ge=0, le=0.5)
    """Move by up to this share of the width and of the height."""
    scale: float = Field(default=0.0, ge=0, le=1)
    """Enlarge by a factor from 1 / (1 + dose) to 1 + dose, evenly on a logarithmic scale, as for
    the next one and for `gamma` and `contrast`."""
    aspect: float = Field(default=0.0, ge=0, le=1)
    """Stretch the width over the height by such a factor, at the same area."""
    blur: float = Field(default=0.0, ge=0, le=10)
    """Blur with a Gaussian whose standard deviation is up to so many pixels."""
    gamma: float = Field(default=0.0, ge=0, le=3)
    """Raise grey values, in [0, 1], to the power of such a factor."""
    contrast: float = Field(default=0.0, ge=0, le=3)
    """Stretch grey values about middle grey by such a factor."""
    brightness: float = Field(default=0.0, ge=0, le=1)
    """Add or subtract up to this share of the range from black to white."""
    noise: float = Field(default=0.0, ge=0, le=1)
    """Add Gaussian noise whose standard deviation is up to this share of that range."""
    erase: float = Field(default=0.0, ge=0, le=0.5)
    """Paint a rectangle of up to this share of the image with one grey (Zhong et al. 2020,
    doi:10.1609/aaai.v34i07.7000)."""
    mixup: float = Field(default=0.0, ge=0, le=10)
    """Mix every image, and its label, with another training image; the share is drawn from
    Beta(dose, dose), and the image keeps the larger part (Zhang et al. 2018,
    doi:10.48550/arXiv.1710.09412). The accuracy on the training images then counts against the
    label of the larger part."""

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
    """What is done to every radiograph, in training and ever after, in this order."""

    crop: Crop = "none"
    """`body`: without the dark margins. `lungs`: also without what lies well outside of both lungs;
    where two whole lungs do not stand out, or fill the body, the same as `body`."""
    contrast: Contrast = "none"
    """How greys are changed. `equalise`: histogram equalisation. `clahe`: the same in 8 x 8 tiles,
    with a limit. `gamma`: a power. The others remove what varies slowly across the image, which is
    illumination, the thickness of the body and also large findings; each names its source in
    `transforms/illumination.py`."""
    gamma: float = Field(default=0.5, ge=0.05, le=20, strict=True)
    """For `gamma`: the power that greys, as shares of white, are raised to; below 1 brightens."""
    clip_limit: float = Field(default=2.0, ge=1, le=100, strict=True)
    """For `clahe`: how many times as frequent as in a flat histogram a grey may be."""
    resize: Resize = "squash"
    """`squash` changes the aspect ratio; `pad` keeps it and fills with black; `centre-crop` keeps
    it and cuts both ends of the longer side."""
    standardise: Literal["none", "z-score"] = "none"
    """The numbers a network gets. `none`: pixels divided by 255. `z-score`: every image with mean 0
    and standard deviation 1."""

    @model_validator(mode="before")
    @classmethod
    def _is_a_table(cls, value: Any) -> Any:
        if not isinstance(value, PreprocessingSettings | dict):
            raise ValueError('expected a table, such as { contrast = "clahe" }')
        return value


#: Bounds of the number of epochs that image passes come to.
FEWEST_EPOCHS, MOST_EPOCHS = 3, 300


class Settings(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """How one decision is trained."""

    network: str = "covinet"
    """A registered network (`hilum models` lists them), your own as `"module:Class"`, or a
    package's, such as `"torchvision:resnet18"`: see networks."""
    weights: str = ""
    """What training starts from: a file (safetensors, or a state dict that PyTorch saved), whose
    weights have to fit but for the last layer and the number of channels of the first. `none`: at
    random. Empty: as the network's name says."""
    epochs: int = Field(default=10, ge=1, le=10_000)
    """How often the training images are gone through."""
    passes: int = Field(default=0, ge=0, le=1_000_000_000)
    """Image passes: the epochs are then `passes` divided by the decision's training images,
    rounded, at least 3 and at most 300, and `epochs` does not count. So one recipe trains about as
    long on any data. `run.json` tells the epochs. 0: `epochs` holds; so it does where `--set`, or a
    variant of a study, changes `epochs` and not `passes`."""
    batch_size: int = Field(default=32, ge=1, le=65_536)
    """Images per optimizer step; the last step of an epoch takes what is left."""
    sampling: Literal["all", "balanced"] = "all"
    """What an epoch visits. `all`: every training image once. `balanced`: as many visits, every
    option equally often; images of rare options come several times, each time changed by
    augmentation anew, and of common ones a part, which the next epoch goes on from."""
    optimizer: Literal["sgd", "adam", "adamw"] = "adamw"
    """PyTorch's optimizers of these names, with their defaults for what is not a key here."""
    learning_rate: float = Field(default=1e-3, gt=0, le=10)
    """Step size; with `one-cycle` its peak."""
    weight_decay: float = Field(default=0.0, ge=0, le=10)
    """L2 penalty for `sgd` and `adam`, decoupled decay for `adamw`."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """For `sgd` only."""
    nesterov: bool = Field(default=False, strict=True)
    """For `sgd` only: Nesterov's momentum."""
    clip_norm: float = Field(default=0.0, ge=0)
    """Gradients of a step are scaled down to this norm, over all weights together, where theirs is
    larger. 0: never."""
    scheduler: Literal["none", "step", "cosine", "one-cycle"] = "none"
    """How the learning rate changes. `step`: times `gamma` every `step_size` epochs. `cosine`: down
    to 0 over the epochs. `one-cycle`: up over the first 30 % of all steps, then down to almost 0.
    """
    warmup: float = Field(default=0.0, ge=0, lt=1)
    """The share of all steps in which the learning rate rises linearly to its value, before the
    schedule takes over. Not for `one-cycle`, which has its own."""
    step_size: int = Field(default=5, ge=1)
    """For `step`: after how many epochs."""
    gamma: float = Field(default=0.1, gt=0, le=1)
    """For `step`: the factor."""
    class_weights: ClassWeights = "none"
    """The weight of each option in the loss. `balanced`: n / (options · count), so that every
    option counts the same in sum; under `sampling = "balanced"` it does so already, and all weights
    are 1. Numbers in the order of the options, or by name: `{ normal = 2.83, infected = 1.0 }`."""
    loss: Literal["classes", "decisions"] = "classes"
    """What the one network of the flat strategy learns. `decisions`: every decision of the labels,
    each with class weights and smoothing of its own, which a cascade would learn with a head for
    each decision on one shared backbone; an option's probability is that of its classes. Without
    weights and smoothing both are the same loss. Not for cascades, whose networks learn one
    decision each."""
    findings_loss: Literal["cross-entropy", "focal", "asymmetric"] = "cross-entropy"
    """Of findings, each present or absent. `focal`: what is decided well already counts less (Lin
    et al. 2017, doi:10.1109/ICCV.2017.324). `asymmetric`: so it is for absent findings alone, and
    those below a probability of 0.05 count nothing (Ridnik et al. 2021,
    doi:10.1109/ICCV48922.2021.00015). Probabilities then need calibrating."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the target that is spread evenly over the options."""
    augmentation: Augmentation = Augmentation()
    """Random changes to training images, drawn anew each epoch: a table of doses.
    `mirror`: mirroring only. `full`: `mirror = true, corner_crop = 0.3, rotate = 10, shift = 0.05,
    scale = 0.1, aspect = 0.1, blur = 0.5, gamma = 0.3, contrast = 0.2, brightness = 0.1, noise =
    0.02, erase = 0.1, mixup = 0.2`."""
    start_size: float = Field(default=1.0, ge=0.25, le=1)
    """Progressive resizing: the share of the sides that training images have in the first epoch.
    They grow evenly over three quarters of the epochs and then have their full size, as always in
    monitoring and use. From 0.5 it takes about a third less time. For networks that pool over the
    whole image."""
    ema: float = Field(default=0.0, ge=0, lt=1)
    """An exponential moving average of the weights, which is what is monitored and what the
    classifier gets: the share that is kept of it in every step, such as 0.998; less at first, so
    that the initial weights are soon forgotten. 0: none."""
    mirror_test: bool = Field(default=False, strict=True)
    """Average the probabilities for an image and for its mirror image, wherever the classifier is
    used; that takes twice as long. It belongs to `augmentation.mirror`."""
    members: int = Field(default=1, ge=1, le=100)
    """How many networks are trained for the decision, from different seeds; their probabilities are
    averaged. Training and use take that many times as long."""
    sync_batch_norm: bool = Field(default=False, strict=True)
    """Where several processes train: normalise over the whole batch, and not over each process's
    share of it (PyTorch's SyncBatchNorm). For GPUs."""
    select: Literal["last", "best"] = "last"
    """Which epoch's weights the classifier gets: the last, or the one with the lowest monitored
    loss."""

    @field_validator("*", mode="before")
    @classmethod
    def _no_switches(cls, value: Any, info: ValidationInfo) -> Any:
        field = cls.model_fields[info.field_name or ""]
        if isinstance(value, bool) and field.annotation is not bool:  # it would pass for 1 or 0
            raise ValueError("neither true nor false is a value of this key")
        return value

    @model_validator(mode="after")
    def _weights_positive(self) -> "Settings":
        weights = self.class_weights
        values = list(weights.values() if isinstance(weights, dict) else weights)
        if not isinstance(weights, str) and not all(isinstance(w, float) and w > 0 for w in values):
            raise ValueError("class_weights must be positive")
        return self

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> "Settings":
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov = true needs a momentum above 0")
        return self

    def epochs_for(self, n: int) -> int:
        """How often n training images are gone through, n ≥ 1.

        With passes, as often as it takes to make about so many of them, but at least 3 times,
        which a schedule needs, and at most 300, beyond which few images are learnt by heart.
        """
        if not self.passes:
            return self.epochs
        return min(max(round(self.passes / n), FEWEST_EPOCHS), MOST_EPOCHS)

    def weights_for(self, decision: Decision, counts: Iterable[int]) -> list[float] | None:
        """The loss weight of each option of a decision, or None for an unweighted loss.

        counts: training images per option, all positive; 'balanced' gives n / (options · count).
        Raises RecipeError where given weights do not fit the options.
        """
        weights, options = self.class_weights, decision.options
        if weights == "none":
            return None
        if weights == "balanced":
            n = list(counts)
            return [sum(n) / (len(n) * k) for k in n]
        expected = f"the decision '{decision.name}' chooses between {', '.join(options)}"
        if isinstance(weights, dict):
            for name in weights:
                if name not in options:
                    raise RecipeError(
                        f"class_weights names '{name}', but {expected}.{nearest(name, options)}"
                    )
            missing = [o for o in options if o not in weights]
            if missing:
                raise RecipeError(f"class_weights lacks {', '.join(missing)}: {expected}.")
            return [weights[o] for o in options]
        assert isinstance(weights, list)
        if len(weights) != len(options):
            raise RecipeError(f"class_weights has {len(weights)} numbers, but {expected}.")
        return weights


def key_meanings(table: type[BaseModel]) -> dict[str, str]:
    """What each key of a table means: the text below its field, in one line of Markdown.

    Read from the source when somebody asks, which takes longer than to define the table.
    """
    (definition,) = ast.parse(inspect.getsource(table)).body
    assert isinstance(definition, ast.ClassDef)
    found: dict[str, str] = {}
    for field, below in pairwise(definition.body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=key)), ast.Expr(value=ast.Constant(value=text)):
                found[key] = " ".join(str(text).split())
    return found
