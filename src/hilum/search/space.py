"""What a search may try: a range or a choice for each of some keys of a recipe.

A space is a TOML file with one table per key; keys inside tables are reached by dots::

    [learning_rate]
    low = 1e-5
    high = 1e-2
    log = true                     # drawn evenly over powers, for what spans several

    [decision.root.batch_size]
    low = 16
    high = 64
    step = 16
    int = true                     # whole numbers

    [class_weights]
    choices = ["none", "balanced"]
"""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import BaseModel, Field, ValidationError

from hilum.errors import HilumError, RecipeError, StudyError, nearest
from hilum.parsing import read_toml
from hilum.radiographs.dataset import Dataset
from hilum.recipe import Recipe, let_epochs_hold
from hilum.studies.study import explain, refuse_choice_on_evaluated
from hilum.training.plan import make_plan

#: Keys that change no training, or what trials are compared by, and why they cannot be searched.
_NOT_SEARCHED = {
    "name": "it names the recipe",
    "description": "it is for people",
    "device": "it is the machine's",
    "compile": "it is for the machine",
    "keep_checkpoints": "it changes no training",
    "keep_thumbnails": "it changes no training",
    "seed": "the luckiest seed is no better than another",
    "monitor": "pruning compares what is monitored",
    "holdout": "pruning compares what is monitored",
    "uncertain": "trials are compared by what is measured",
    "unmentioned": "trials are compared by what is measured",
}

#: Besides its bounds a range is tried at this share of its width, where small ranges hold no whole
#: number, so that a key of whole numbers refuses a range without int = true.
_BETWEEN = 0.382


_TABLE_KEYS = ("low", "high", "log", "step", "int", "choices")
_REFUSED = {
    "extra_forbidden": "{key} does not belong here.{hint}",
    "missing": "{key} is missing; give low and high, or choices.",
}


class Range(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """From low to high, both included. step: only these values; log: evenly over powers."""

    low: float
    high: float
    log: bool = Field(default=False, strict=True)
    step: float | None = Field(default=None, gt=0)
    whole: bool = Field(default=False, alias="int", strict=True)

    def distribution(self) -> FloatDistribution | IntDistribution:
        """The same for Optuna. Raises ValueError for bounds that make no range."""
        if self.low >= self.high:
            raise ValueError(f"low = {self.low:g} is not below high = {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"log = true needs a low above 0, found {self.low:g}")
        if self.log and self.step is not None:
            raise ValueError("log and step exclude each other; leave one out")
        if self.whole and any(v is not None and v % 1 for v in (self.low, self.high, self.step)):
            raise ValueError("int = true needs whole numbers for low, high and step")
        if self.step is not None:
            low, high, step = (Decimal(str(v)) for v in (self.low, self.high, self.step))
            if (high - low) % step:
                raise ValueError(f"high is not low plus a multiple of step = {self.step:g}")
        if self.whole:
            return IntDistribution(int(self.low), int(self.high), self.log, int(self.step or 1))
        return FloatDistribution(self.low, self.high, self.log, self.step)


class Choices(BaseModel, frozen=True, extra="forbid"):
    """One of some values, of any kind that the key takes."""

    choices: list[Any] = Field(min_length=2)


@dataclass(frozen=True)
class Parameter:
    """A key that is searched.

    path: the key and the tables that it lies in. distribution: what Optuna draws from. choices:
    of a choice, the value behind each text that Optuna draws; None of a range. table: as given.
    """

    path: tuple[str, ...]
    distribution: BaseDistribution
    choices: Mapping[str, Any] | None
    table: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The key with dots, as on the command line."""
        return ".".join(self.path)

    @property
    def is_log(self) -> bool:
        """Whether it is drawn evenly over powers."""
        return bool(getattr(self.distribution, "log", False))

    def suggest(self, trial: optuna.Trial) -> Any:
        """Let a trial draw; what comes back stands for a value (see value)."""
        d = self.distribution
        if isinstance(d, IntDistribution):
            return trial.suggest_int(self.name, d.low, d.high, step=d.step, log=d.log)
        if isinstance(d, FloatDistribution):
            return trial.suggest_float(self.name, d.low, d.high, step=d.step, log=d.log)
        assert isinstance(d, CategoricalDistribution)
        return trial.suggest_categorical(self.name, d.choices)

    def value(self, drawn: Any) -> Any:
        """The recipe's value for what was drawn."""
        return drawn if self.choices is None else copy.deepcopy(self.choices[drawn])

    def draw_of(self, value: Any) -> Any:
        """The inverse of value."""
        return value if self.choices is None else _text(value)

    def examples(self) -> list[Any]:
        """What is drawn at the bounds and once between them, or every choice."""
        d = self.distribution
        if isinstance(d, FloatDistribution) and d.step is None:
            return [d.low, d.low + _BETWEEN * (d.high - d.low), d.high]
        if isinstance(d, FloatDistribution | IntDistribution):
            return [d.low, d.low + (d.step or 1), d.high]
        assert isinstance(d, CategoricalDistribution)
        return list(d.choices)


@dataclass(frozen=True)
class Space:
    """The keys that are searched, each once, in the order of the file."""

    parameters: tuple[Parameter, ...]
    source: str

    @classmethod
    def load(cls, path: Path) -> "Space":
        """Read a space's TOML file. Raises StudyError."""
        return cls.from_dict(read_toml(path, StudyError), str(path))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], source: str = "space") -> "Space":
        """Check the tables of a space; whether a recipe takes them, check tells.

        source: where they came from, for messages. Raises StudyError.
        """
        parameters = tuple(_read(data, (), source))
        if not parameters:
            raise StudyError(
                f"{source}: names no key to search; add a table such as [learning_rate] with low "
                "and high, or with choices."
            )
        names = [p.name for p in parameters]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise StudyError(f"{source}: '{twice}' is given twice.")
        for a in parameters:
            for b in parameters:
                if a is not b and b.path[: len(a.path)] == a.path:
                    raise StudyError(f"{source}: '{b.name}' lies inside '{a.name}'; search one.")
        return cls(parameters, source)

    def tables(self) -> dict[str, Any]:
        """The table of each key, by its name with dots."""
        return {p.name: copy.deepcopy(dict(p.table)) for p in self.parameters}

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """Let a trial draw every key; to be passed to apply."""
        return {p.name: p.suggest(trial) for p in self.parameters}

    def values(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """The recipe's values for what was drawn, by key; keys that were not are left out."""
        return {p.name: p.value(drawn[p.name]) for p in self.parameters if p.name in drawn}

    def drawn(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The inverse of values."""
        return {p.name: p.draw_of(values[p.name]) for p in self.parameters if p.name in values}

    def apply(self, base: Recipe, drawn: Mapping[str, Any]) -> Recipe:
        """The recipe with what was drawn. Raises RecipeError where it refuses."""
        data = copy.deepcopy({**base.to_dict(), "augmentation": dict(base.augmentation)})
        given: dict[str, Any] = {}
        for p in self.parameters:
            if p.name in drawn:
                for target in (data, given):
                    _put(target, p.path, p.value(drawn[p.name]))
        return Recipe.from_dict(let_epochs_hold(data, given))

    def check(self, base: Recipe, data: Dataset) -> None:
        """Refuse what the recipe or the data would refuse, before anything is trained.

        data: as divided, with a split 'val' that is held out. Bounds and choices are tried one
        key at a time; what only fails together fails as a trial.
        Raises RecipeError, StudyError, TrainingError and DataError that name key and value.
        """
        _check_recipe(base.name, base, data)
        for p in self.parameters:
            for drawn in p.examples():
                where = f"{self.source}: {p.name} = {json.dumps(p.value(drawn), default=str)}"
                try:
                    recipe = self.apply(base, {p.name: drawn})
                except RecipeError as error:
                    whole = "" if p.choices or not float(drawn) % 1 else " Add int = true?"
                    hint = whole if "integer" in str(error) else ""
                    raise RecipeError(f"{where}: {error}{hint}") from None
                _check_recipe(where, recipe, data)


def _check_recipe(where: str, recipe: Recipe, data: Dataset) -> None:
    refuse_choice_on_evaluated(where, recipe)
    try:
        make_plan(data, recipe)
    except HilumError as error:
        raise type(error)(f"{where}: {error}") from None


def _read(data: Mapping[str, Any], inside: tuple[str, ...], source: str) -> list[Parameter]:
    """Every table that holds a value, rather than tables alone, is a key's."""
    found: list[Parameter] = []
    for key, table in data.items():
        path = (*inside, *key.split("."))
        name = ".".join(path)
        if not isinstance(table, Mapping):
            raise StudyError(
                f"{source}: {name} = {table!r}: expected a table [{name}] with low and high, or "
                "with choices."
            )
        if table and all(isinstance(value, Mapping) for value in table.values()):
            found += _read(table, path, source)
        else:
            found.append(_parameter(path, table, source))
    return found


def _parameter(path: tuple[str, ...], table: Mapping[str, Any], source: str) -> Parameter:
    name = ".".join(path)
    if path[0] in _NOT_SEARCHED:
        raise StudyError(
            f"{source}: '{name}' cannot be searched: {_NOT_SEARCHED[path[0]]}. Set it in the "
            "recipe."
        )
    if path[0] not in Recipe.model_fields:
        hint = nearest(path[0], [k for k in Recipe.model_fields if k not in _NOT_SEARCHED])
        raise StudyError(f"{source}: '{name}' is not a key of a recipe.{hint}")
    try:
        if "choices" not in table:
            return Parameter(path, Range.model_validate(table).distribution(), None, table)
        values = Choices.model_validate(table).choices
    except ValidationError as error:
        raise StudyError(explain(error, f"{source}: {name}", _REFUSED, _TABLE_KEYS)) from None
    except ValueError as error:
        raise StudyError(f"{source}: {name}: {error}.") from None
    # Optuna's choices must be plain: a list or a table is drawn by its text.
    texts = [_text(value) for value in values]
    twice = next((text for text in texts if texts.count(text) > 1), None)
    if twice:
        raise StudyError(f"{source}: {name}: the choice {twice} is given twice.")
    known = dict(zip(texts, values, strict=True))
    return Parameter(path, CategoricalDistribution(texts), known, table)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _put(data: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Set a key inside tables; a decision's own table starts as a copy of the common one."""
    target = data
    for depth, key in enumerate(path[:-1]):
        start = data.get(key) if path[0] == "decision" and depth == 2 else None
        target = target.setdefault(key, dict(start) if isinstance(start, Mapping) else {})
        if not isinstance(target, dict):
            raise RecipeError(f"'{'.'.join(path)}' reaches into '{key}', which is not a table.")
    target[path[-1]] = value
