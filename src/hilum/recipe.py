"""Recipes: everything that decides how a classifier is trained, typed and checked.

A recipe is a TOML file. Training settings are given once, and for single decisions in a table
``[decision.NAME]`` that overrides them.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import (
    BaseModel,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

from hilum.decisions import FLAT, Decision, Doubt, TakenFor
from hilum.display import Displayed, paragraphs
from hilum.errors import RecipeError, nearest, plural
from hilum.files import is_file, read_packaged
from hilum.labels import LabelTree, Rule, Strategy
from hilum.parsing import DEEPEST_KEY, parse_toml, read_toml
from hilum.records import several
from hilum.settings import (
    Augmentation,
    Device,
    PreprocessingSettings,
    Promises,
    Settings,
    key_meanings,
)
from hilum.table import Column, Table

Monitor = Literal["val", "blocks", "test"]
Precision = Literal["auto", "float32", "bfloat16"]
#: What a training may let through, although it makes its figures false.
Allowed = Literal["leakage", "label-conflicts"]


class Recipe(Displayed, Settings):
    """A whole recipe: what holds for the run, the settings, and their overrides by decision."""

    name: str = "unnamed"
    """What tables, logs and reports call it."""
    description: str = ""
    """For people."""
    strategy: Strategy = "cascade"
    """`flat`: one network over all classes. `cascade`: one network for each decision of the label
    tree."""
    rule: Rule = "route"
    """How probabilities become a class. `route`: the best option at each decision, from the root
    down. `argmax`: the most probable class."""
    image_size: tuple[int, int] = (150, 150)
    """Height and width in pixels, 16 to 2048, that every radiograph is resized to; one number means
    both."""
    preprocessing: PreprocessingSettings = PreprocessingSettings()
    """What else is done to every radiograph: a table of its own keys."""
    monitor: Monitor = "val"
    """What is watched after every epoch. `val`: that split. `blocks`: contiguous blocks of file
    numbers held out of train, since neighbouring numbers are often one patient; patients that are
    known, and copies, stay whole. `test`: as published work did; the classifier and every report
    then say that the test set was used during training."""
    holdout: float = Field(default=0.15, gt=0, lt=0.9)
    """With `monitor = "blocks"`: the share of each class to hold out."""
    promises: Promises = "elsewhere"
    """For which films temperatures, thresholds and prediction sets are fitted. `elsewhere`: films
    that differ from the monitored ones as shifted copies of these do; labels that the network
    contradicts then do not count for temperatures. `alike`: films taken as these were."""
    uncertain: TakenFor = "leave-out"
    """What an image is taken for whose data call a finding uncertain (-1), in training and in every
    evaluation of the classifier. `leave-out`: it counts neither way for that finding."""
    unmentioned: TakenFor = "leave-out"
    """The same of an image whose data say nothing of a finding."""
    keep_checkpoints: Literal["newest-and-best", "all"] = "newest-and-best"
    """Which checkpoints stay on disk."""
    keep_thumbnails: bool = Field(default=False, strict=True)
    """Keep small pictures of training images (at most 5,000, of 128 pixels) in the classifier, so
    that `hilum serve` can show the nearest beside a radiograph. They are pictures of patients, and
    go wherever the classifier goes: only with the right to show them to all who will have it."""
    device: Device = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1` (any number) or `mps`. `auto` takes CUDA, then MPS, then the
    CPU; a device that is asked for by name and absent is refused."""
    precision: Precision = "auto"
    """The number format of training. `auto` takes bfloat16 where the machine computes it in
    hardware (CUDA; CPUs with AVX512-BF16 or AMX) and float32 elsewhere. Inference is always in
    float32."""
    compile: bool = Field(default=False, strict=True)
    """Compile the networks for training (`torch.compile`), for a GPU and trainings of many minutes:
    it takes a minute or more before the first step with images of the full size; smaller ones are
    not compiled. On a CPU it gains nothing, and needs a C++ compiler."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Decides initial weights, the order of samples, dropout, augmentation and which blocks are
    held out."""
    decision: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """`[decision.NAME]`: any key of the next table, for that decision only. Decisions are named
    after the label that they divide; the first is `root`, and the only one of the flat strategy is
    `flat`."""

    @model_validator(mode="wrap")
    @classmethod
    def _refused_in_words(cls, data: Any, check: ModelWrapValidatorHandler["Recipe"]) -> "Recipe":
        """One number for both sides of an image, and every refusal in sentences."""
        if isinstance(data, Mapping) and isinstance(data.get("image_size"), int):
            data = {**data, "image_size": (data["image_size"],) * 2}
        try:
            return check(data)
        except ValidationError as error:
            raise RecipeError(_explain(error)) from None

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
            raise RecipeError("image_size: height and width must be 16 to 2048 pixels.")
        return self

    @property
    def doubt(self) -> Doubt:
        """What findings that are not known are taken for."""
        return Doubt(self.uncertain, self.unmentioned)

    def settings(self, decision: str) -> Settings:
        """The settings of one decision: the common ones, with its own on top.

        Args:
            decision: Its name.

        Raises:
            RecipeError: Together they are no settings.
        """
        common = {k: getattr(self, k) for k in Settings.model_fields}
        own = self.decision.get(decision, {})
        try:
            return Settings.model_validate({**common, **own})
        except ValidationError as error:
            raise RecipeError(_explain(error, f"decision.{decision}.")) from None

    def networks(self, tree: LabelTree) -> tuple[Decision, ...]:
        """The decisions that get a network under this recipe.

        Args:
            tree: The labels.

        Raises:
            RecipeError: The recipe does not fit the tree, as with settings for a decision that
                the tree lacks.
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

    def override(self, assignments: str | Iterable[str] = (), **keys: Any) -> "Recipe":
        """Change keys by ``key=value``, as on the command line, or by keywords.

        Epochs that are given without passes switch the passes off.

        Args:
            assignments: One or several. Values are read as TOML (numbers, true, lists, tables),
                anything else as text; ``decision.root.epochs=3`` reaches into a table.
            keys: Keys of the recipe with their values; a table is replaced as a whole.

        Returns:
            Another recipe.

        Raises:
            RecipeError: An assignment cannot be read, or names a wrong key or value.
        """
        data = {**self.to_dict(), "augmentation": dict(self.augmentation)}
        data |= keys
        given = dict(keys)
        for assignment in several(assignments):
            key, equals, text = assignment.partition("=")
            if not equals or not key.strip():
                raise RecipeError(f"'{assignment}' is not of the form key=value.")
            *tables, last = key.strip().split(".")
            if len(tables) >= DEEPEST_KEY:
                raise RecipeError(f"'{key[:80]}…' has too many parts for a key of a recipe.")
            target, own = data, given
            for table in tables:
                target, own = target.setdefault(table, {}), own.setdefault(table, {})
                if not isinstance(target, dict):
                    raise RecipeError(f"'{key}' reaches into '{table}', which is not a table.")
            target[last] = own[last] = _parse_value(text.strip())
        return self.from_dict(let_epochs_hold(data, given))

    # ---- reading and writing ---------------------------------------------------------------

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], source: str = "") -> "Recipe":
        """Check settings.

        Args:
            data: Keys and tables, as TOML has them.
            source: Where they came from, for the message.

        Raises:
            RecipeError: It names each wrong key and the nearest right one.
        """
        try:
            return cls.model_validate(dict(data))
        except RecipeError as error:
            raise RecipeError(_in_each_line(error, f"{source}: " if source else "")) from None

    @classmethod
    def load(cls, name_or_path: str | Path) -> "Recipe":
        """Read a recipe.

        Args:
            name_or_path: Of a built-in recipe the name, of any the path of its TOML file.

        Raises:
            RecipeError: There is none, or it is damaged.
        """
        text = str(name_or_path)
        if text in recipe_names():
            return cls.from_dict(read_packaged("recipes", f"{text}.toml"), text)
        if not is_file(text):
            hint = nearest(text, recipe_names())
            raise RecipeError(f"There is no recipe '{text}', built in or as a file.{hint}")
        return cls.from_dict(read_toml(Path(text), RecipeError), text)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as TOML has them."""
        data = self.model_dump(mode="json")
        own = data.pop("decision")
        return {**data, "decision": own} if own else data

    def to_toml(self) -> str:
        """The recipe as TOML, every key written out."""
        return tomli_w.dumps(self.to_dict())

    # ---- in words --------------------------------------------------------------------------

    def _in_one_line(self) -> str:
        height, width = self.image_size
        changed = len(self._changes())
        length = f"{self.passes:,} image passes" if self.passes else plural(self.epochs, "epoch")
        return (
            f"Recipe '{self.name}': {self.strategy}, {self.network}, {height} x {width} pixels, "
            f"{length}, {plural(changed, 'key')} not as by default"
        )

    def _in_full(self) -> Iterator[str | Table]:
        rows = [change.partition(": ")[::2] for change in self._changes()]
        yield paragraphs(self.description)
        yield Table("", ["key", Column("by default → here", "text")], rows)

    def _changes(self) -> list[str]:
        return differences(Recipe(name=self.name, description=self.description), self)

    def __str__(self) -> str:
        return repr(self)


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


def describe_keys() -> dict[str, tuple[str, str]]:
    """Every key as ``key=value`` changes it, such as 'augmentation.rotate': default and meaning."""
    defaults, found = Recipe(), {}
    for prefix, table, values in (
        ("", Recipe, defaults),
        ("preprocessing.", PreprocessingSettings, defaults.preprocessing),
        ("", Settings, defaults),
        ("augmentation.", Augmentation, defaults.augmentation),
    ):
        for key, meaning in key_meanings(table).items():
            value = getattr(values, key)
            plain = (
                value.model_dump(exclude_defaults=True) if isinstance(value, BaseModel) else value
            )
            found[prefix + key] = (json.dumps(plain), meaning)
    return found


def recipe_names() -> tuple[str, ...]:
    """The built-in recipes."""
    folder = resources.files("hilum") / "recipes"
    return tuple(sorted(p.name[:-5] for p in folder.iterdir() if p.name.endswith(".toml")))


def differences(old: Recipe, new: Recipe) -> list[str]:
    """The keys in which two recipes differ, as ``key: old → new``; empty if they are equal.

    A table that is a word in the other recipe, such as ``augmentation``, is one line.
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
        return parse_toml(f"value = {text}", "", RecipeError)["value"]
    except RecipeError:
        return text


def _in_each_line(error: RecipeError, prefix: str) -> str:
    return "\n".join(f"{prefix}{line}" for line in str(error).splitlines())


def _explain(error: ValidationError, prefix: str = "") -> str:
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
