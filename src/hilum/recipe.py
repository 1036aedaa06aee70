"""Recipes: everything that decides how a classifier is trained, typed and checked.

A recipe is a TOML file. Training settings are given once, and for single decisions in a table
``[decision.NAME]`` that overrides them.
"""

import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from hilum.errors import RecipeError, nearest
from hilum.image_settings import Augmentation, PreprocessingSettings
from hilum.labels import FLAT, Decision, LabelTree, Rule, Strategy

Monitor = Literal["val", "blocks", "test"]
Precision = Literal["auto", "float32", "bfloat16"]
#: What a training may be told to let through, although it makes its figures false.
Allowed = Literal["leakage", "label-conflicts"]
Device = Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")]
ClassWeights = Literal["none", "balanced"] | list[float] | dict[str, float]


#: Bounds of the number of epochs that image passes come to.
FEWEST_EPOCHS, MOST_EPOCHS = 3, 300


class Settings(BaseModel):
    """How one decision is trained.

    network: a registered name (`hilum models`), a class of the user's own as 'module:Class', or one
    of MONAI's as 'monai:Class'. passes: image passes, which decide the epochs by the number of
    training images (see epochs_for); 0: epochs holds. sampling: 'balanced' visits the options
    equally often. class_weights: 'none', 'balanced' (inverse to how often an epoch visits each), or
    positive numbers by option, in order or by name. loss: of the flat strategy's one network, over
    its 'classes', or over the 'decisions' of the label tree, each with weights and smoothing of its
    own: what heads of a cascade on one backbone would learn. clip_norm: the largest norm of a
    step's gradient, 0 for any. scheduler: 'step' multiplies the learning rate by gamma every
    step_size epochs; 'cosine' decays to 0; 'one-cycle' warms up over the first 30 % of all steps
    and decays to almost 0 (learning_rate is the peak). warmup: the share of all steps in which the
    other schedules rise linearly. momentum and nesterov serve sgd only. ema: decay per step of a
    moving average of the weights, which the classifier then gets; 0 for none. mirror_test: every
    use averages the probabilities for an image and its mirror image. members: networks that are
    trained from different seeds, and whose probabilities are averaged. select: which epoch's
    weights the classifier gets, the 'last' or the 'best' by monitored loss.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    network: str = "covinet"
    epochs: int = Field(default=10, ge=1, le=10_000)
    passes: int = Field(default=0, ge=0, le=1_000_000_000)
    batch_size: int = Field(default=32, ge=1, le=65_536)
    sampling: Literal["all", "balanced"] = "all"
    optimizer: Literal["sgd", "adam", "adamw"] = "adamw"
    learning_rate: float = Field(default=1e-3, gt=0, le=10)
    weight_decay: float = Field(default=0.0, ge=0, le=10)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = Field(default=False, strict=True)
    clip_norm: float = Field(default=0.0, ge=0)
    scheduler: Literal["none", "step", "cosine", "one-cycle"] = "none"
    warmup: float = Field(default=0.0, ge=0, lt=1)
    step_size: int = Field(default=5, ge=1)
    gamma: float = Field(default=0.1, gt=0, le=1)
    class_weights: ClassWeights = "none"
    loss: Literal["classes", "decisions"] = "classes"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    augmentation: Augmentation = Augmentation()
    start_size: float = Field(default=1.0, ge=0.25, le=1)
    ema: float = Field(default=0.0, ge=0, lt=1)
    mirror_test: bool = Field(default=False, strict=True)
    members: int = Field(default=1, ge=1, le=100)
    select: Literal["last", "best"] = "last"

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


class Recipe(Settings):
    """A whole recipe: what holds for the run, the settings, and their overrides by decision.

    strategy: 'flat' (one network) or 'cascade' (one per decision). rule: how probabilities become
    a class. image_size: (height, width) in pixels that every radiograph is resized to;
    preprocessing: what else is done to it. monitor: what is watched after every epoch: the split
    'val'; 'blocks', contiguous blocks of file numbers held out of train (the share holdout); or
    'test', as published work did, which the classifier and every report then say.
    keep_checkpoints: the newest and best, or all.
    """

    name: str = "unnamed"
    description: str = ""
    strategy: Strategy = "cascade"
    rule: Rule = "route"
    image_size: tuple[int, int] = (150, 150)
    preprocessing: PreprocessingSettings = PreprocessingSettings()
    monitor: Monitor = "val"
    holdout: float = Field(default=0.15, gt=0, lt=0.9)
    keep_checkpoints: Literal["newest-and-best", "all"] = "newest-and-best"
    device: Device = "auto"
    precision: Precision = "auto"
    compile: bool = Field(default=False, strict=True)
    seed: int = Field(default=0, ge=0, lt=2**32)
    decision: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _overrides_are_settings(self) -> "Recipe":
        for name, overrides in self.decision.items():
            for key in overrides:
                if key not in Settings.model_fields:
                    raise RecipeError(
                        f"decision.{name}.{key} is not a training setting."
                        + nearest(key, Settings.model_fields)
                    )
            self.settings(name)
        if not all(16 <= side <= 2048 for side in self.image_size):
            raise ValueError("image_size: height and width must be 16 to 2048 pixels")
        return self

    def settings(self, decision: str) -> Settings:
        """The settings of one decision: the common ones, with its own on top."""
        common = {k: getattr(self, k) for k in Settings.model_fields}
        own = self.decision.get(decision, {})
        try:
            return Settings.model_validate({**common, **own})
        except ValidationError as error:
            raise RecipeError(_explain(error, f"decision.{decision}.")) from None

    def networks(self, tree: LabelTree) -> tuple[Decision, ...]:
        """The decisions of a label tree that get a network under this recipe.

        Raises RecipeError where the recipe has settings for a decision that the tree lacks.
        """
        decisions = tree.networks(self.strategy)
        names = [d.name for d in decisions]
        if self.strategy == "cascade" and any(self.settings(n).loss == "decisions" for n in names):
            raise RecipeError(
                f"The recipe '{self.name}' has loss = 'decisions', by which one network learns all "
                "decisions of the labels together: it needs strategy = 'flat'."
            )
        for name in self.decision:
            if name not in names:
                what = "the one decision 'flat'" if names == [FLAT] else f"{', '.join(names)}"
                raise RecipeError(
                    f"The recipe '{self.name}' has settings for the decision '{name}', but the "
                    f"labels '{tree}' under strategy '{self.strategy}' have {what}."
                )
        return decisions

    def override(self, assignments: Iterable[str]) -> "Recipe":
        """Change keys by ``key=value``, as on the command line.

        Values are read as TOML (numbers, true, lists, tables), anything else as text;
        ``decision.root.epochs=3`` reaches into a table. Epochs that are given without passes
        switch the passes off. Raises RecipeError.
        """
        data = {**self.to_dict(), "augmentation": dict(self.augmentation)}
        given: dict[str, Any] = {}
        for assignment in assignments:
            key, equals, text = assignment.partition("=")
            if not equals or not key.strip():
                raise RecipeError(f"'{assignment}' is not of the form key=value.")
            *tables, last = key.strip().split(".")
            target, told = data, given
            for table in tables:
                target, told = target.setdefault(table, {}), told.setdefault(table, {})
                if not isinstance(target, dict):
                    raise RecipeError(f"'{key}' reaches into '{table}', which is not a table.")
            target[last] = told[last] = _parse_value(text.strip())
        return self.from_dict(let_epochs_hold(data, given))

    # ---- reading and writing ---------------------------------------------------------------

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], source: str = "") -> "Recipe":
        """Check settings. Raises RecipeError that names each wrong key and the nearest right one.

        source: where they came from, for the message.
        """
        prepared = dict(data)
        if isinstance(prepared.get("image_size"), int):
            prepared["image_size"] = (prepared["image_size"],) * 2
        try:
            return cls.model_validate(prepared)
        except ValidationError as error:
            raise RecipeError(_explain(error, f"{source}: " if source else "")) from None
        except RecipeError as error:
            raise RecipeError(f"{source}: {error}" if source else str(error)) from None

    @classmethod
    def load(cls, name_or_path: str | Path) -> "Recipe":
        """A built-in recipe by name, or any recipe by the path of its TOML file."""
        text = str(name_or_path)
        builtin = resources.files("hilum") / "recipes" / f"{text}.toml"
        try:
            if text in recipe_names():
                content = builtin.read_text(encoding="utf-8")
            elif Path(text).is_file():
                content = Path(text).read_text(encoding="utf-8-sig")  # editors may add a mark
            else:
                hint = nearest(text, recipe_names())
                raise RecipeError(f"There is no recipe '{text}', built in or as a file.{hint}")
            return cls.from_dict(tomllib.loads(content), text)
        except UnicodeDecodeError as error:
            raise RecipeError(f"{text}: not UTF-8 text, which TOML is ({error}).") from None
        except tomllib.TOMLDecodeError as error:
            raise RecipeError(f"{text}: not valid TOML ({error}).") from None
        except OSError as error:
            raise RecipeError(f"{text}: cannot be read ({error.strerror}).") from None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as TOML has them."""
        data = self.model_dump(mode="json")
        own = data.pop("decision")
        return {**data, "decision": own} if own else data

    def to_toml(self) -> str:
        """The recipe as TOML, every key written out."""
        return tomli_w.dumps(self.to_dict())


def let_epochs_hold(data: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Switch passes off where somebody gave epochs and no passes: they would count for nothing.

    data: a recipe's, with what was given on top; it is changed, and returned. given: keys and
    tables as in data.
    """
    places = [(data, given)]
    if isinstance(given.get("decision"), Mapping):
        places += [(data["decision"][name], own) for name, own in given["decision"].items()]
    for place, own in places:
        if not isinstance(own, Mapping) or "epochs" not in own or "passes" in own:
            continue
        if place.get("passes", data.get("passes", 0)):
            place["passes"] = 0
    return data


def recipe_names() -> tuple[str, ...]:
    """The built-in recipes."""
    folder = resources.files("hilum") / "recipes"
    return tuple(sorted(p.name[:-5] for p in folder.iterdir() if p.name.endswith(".toml")))


def differences(old: Recipe, new: Recipe) -> list[str]:
    """The keys in which two recipes differ, as ``key: old → new``; empty if they are equal.

    A table that is a word in the other recipe, such as ``augmentation``, is told in one.
    """

    def flat(data: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
        items: dict[str, Any] = {}
        for key, value in data.items():
            theirs = other.get(key, {})
            if isinstance(value, dict) and isinstance(theirs, dict):
                items |= flat(value, theirs, f"{prefix}{key}.")
            elif isinstance(value, dict):
                items[prefix + key] = ", ".join(f"{k} {v}" for k, v in value.items() if v)
            else:
                items[prefix + key] = value
        return items

    one, other = old.to_dict(), new.to_dict()
    a, b = flat(one, other), flat(other, one)
    return [
        f"{key}: {a.get(key, 'not set')} → {b.get(key, 'not set')}"
        for key in sorted(a.keys() | b.keys())
        if a.get(key) != b.get(key)
    ]


def _parse_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _explain(error: ValidationError, prefix: str) -> str:
    """Pydantic's findings, one sentence a key."""
    lines = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            *inside, last = (str(part) for part in item["loc"])
            table = type(Recipe.model_fields[inside[0]].default) if inside else Recipe
            hint = nearest(last, table.model_fields)
            lines.append(f"{prefix}{key} is not a key of a recipe.{hint}")
        elif item["loc"]:
            top = str(item["loc"][0])
            if top in ("augmentation", "preprocessing"):  # tables: the wrong key is inside
                top = key
            if top == "class_weights":  # one sentence, not one for each form that it may have
                item = next(i for i in error.errors() if i["loc"][:1] == ("class_weights",))
                message = "expected 'none', 'balanced', or a positive number for each option"
            else:
                message = item["msg"].removeprefix("Value error, ")
            lines.append(f"{prefix}{top}: {message} (found {item['input']!r}).")
        else:
            lines.append(f"{prefix}{item['msg'].removeprefix('Value error, ')}.")
    return "\n".join(dict.fromkeys(lines))
