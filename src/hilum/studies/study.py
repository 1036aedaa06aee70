"""A study: one question, its variants as recipes, and what they are compared by.

A study is a TOML file::

    name = "batch-size"
    question = "Which batch size?"
    recipe = "covinet-flat"        # built in, or a file beside this one
    measure = "accuracy"
    seeds = 5
    folds = 5                      # 0: the data's own train and val

    [variants.16]                  # overrides of the recipe's keys
    batch_size = 16

    [variants.32]
    batch_size = 32

The first variant is the baseline. Up to four variants are compared pair by pair, more of them
each with the baseline, unless ``comparisons = [["16", "32"], …]`` says which.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from hilum.auditing.splits import BLOCK_SIZE
from hilum.errors import RecipeError, StudyError, nearest
from hilum.files import is_file
from hilum.parsing import read_toml
from hilum.recipe import Recipe, differences, let_epochs_hold, recipe_names
from hilum.studies.published import published_names

BUILTIN = Path(__file__).parent / "builtin"

#: Up to so many variants every pair is compared; with more, the pairs outgrow the question.
ALL_PAIRS = 4

#: The study sets these itself, for every run.
_OWN_KEYS = ("name", "description", "seed")


#: What is wrong with a key, by pydantic's name for it.
_REFUSED = {
    "extra_forbidden": "{key} is not a key of a study.{hint}",
    "missing": "the key {key} is missing.",
    "string_pattern_mismatch": "{key}: expected small letters, digits, - and _ (found {input!r}): "
    "it becomes a folder's name.",
}


class StudySettings(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """What a study file holds.

    recipe: the base, a built-in name or a path relative to the file. measure: what decides, as in
    measures.py, None for what Measure.parse then takes. seeds: runs of each variant; run i has the
    seed of the recipe plus i and holds out fold i modulo folds. folds: into how many parts the
    train split is cut, 0 to take the data's own train and val. block_size: neighbouring file
    numbers that stay in one fold where no patient is known. stress: how many held-out images of
    each run are also tested under corruptions. decision: train and compare one decision of the
    labels alone. classes, exclude: how the data are opened. variants: overrides of the recipe's
    keys, or ``recipe`` to start from another. comparisons: pairs of variants. published: a table of
    published figures.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    question: str = ""
    recipe: str
    measure: str | None = None
    seeds: int = Field(default=5, ge=1, le=1000, strict=True)
    folds: int = Field(default=5, ge=0, le=100, strict=True)
    block_size: int = Field(default=BLOCK_SIZE, ge=1, strict=True)
    stress: int = Field(default=0, ge=0, strict=True)
    decision: str | None = None
    classes: str | None = None
    exclude: tuple[str, ...] = ()
    comparisons: tuple[tuple[str, str], ...] = ()
    published: str | None = None
    variants: dict[str, dict[str, Any]] = Field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """A study whose variants are checked recipes. Made by Study.load or Study.from_dict.

    settings: as in the file. base: the recipe that the variants start from. variants: the whole
    recipe of each, in the order of the file.
    """

    settings: StudySettings
    base: Recipe
    variants: Mapping[str, Recipe]

    @classmethod
    def load(cls, name_or_path: str | Path) -> "Study":
        """A built-in study by name, or any by the path of its TOML file. Raises StudyError."""
        text = str(name_or_path)
        path = BUILTIN / f"{text}.toml" if text in study_names() else Path(text)
        if not path.is_file():
            raise StudyError(
                f"There is no study '{text}', built in or as a file.{nearest(text, study_names())}"
            )
        return cls.from_dict(read_toml(path, StudyError), text, path.parent)

    @classmethod
    def from_dict(
        cls, data: Mapping[str, Any], source: str = "study", folder: Path = Path()
    ) -> "Study":
        """Check a study. source: for messages. folder: where its recipe files lie.

        Raises StudyError for what makes no study, and RecipeError for recipes with wrong keys.
        """
        try:
            settings = StudySettings.model_validate(data)
        except ValidationError as error:
            raise StudyError(explain(error, source, _REFUSED, StudySettings.model_fields)) from None
        base = _load_recipe(settings.recipe, folder, source)
        variants = {
            name: _make_variant(f"{source}: variants.{name}", base, overrides, folder)
            for name, overrides in settings.variants.items()
        }
        _check_variants(source, settings, variants)
        return cls(settings, base, variants)

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Which variants are compared: (one, other), the baseline or the earlier one first."""
        if self.settings.comparisons:
            return self.settings.comparisons
        names = list(self.variants)
        if len(names) <= ALL_PAIRS:
            return tuple(combinations(names, 2))
        return tuple((names[0], other) for other in names[1:])

    def recipe_of(self, variant: str, run: int) -> Recipe:
        """The recipe of a variant's run: its seed is the base's plus the number of the run.

        Its name tells only what is trained, since studies that share a run call it differently.
        """
        recipe = self.variants[variant]
        own = {
            "name": f"{recipe.network}-{recipe.strategy}",
            "description": "",
            "seed": self.base.seed + run,
        }
        return recipe.model_copy(update=own)

    def with_settings(
        self, *, seeds: int | None = None, measure: str | None = None, device: str | None = None
    ) -> "Study":
        """The same study with other seeds, another measure, or on another device."""
        given: dict[str, Any] = {"seeds": seeds, "measure": measure}
        changed = {k: v for k, v in given.items() if v is not None}
        try:
            data = {**self.settings.model_dump(), **changed}
            settings = StudySettings.model_validate(data)
        except ValidationError as error:
            raise StudyError(
                explain(error, self.name, _REFUSED, StudySettings.model_fields)
            ) from None
        variants = dict(self.variants)
        if device is not None:
            variants = {k: v.override([f"device={device}"]) for k, v in variants.items()}
        return replace(self, settings=settings, variants=variants)

    def differences(self, variant: str) -> list[str]:
        """In which keys a variant's recipe differs from the base, as ``key: base → variant``."""
        return differences(_plain(self.base), _plain(self.variants[variant]))


def explain(
    error: ValidationError, source: str, refused: Mapping[str, str], known: Iterable[str]
) -> str:
    """Pydantic's findings, one sentence a key. refused: what to say, by pydantic's name for it."""
    lines: list[str] = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"])
        text = refused.get(item["type"], "{key}: {msg} (found {input!r}).")
        hint = nearest(key, known)
        lines.append(f"{source}: " + text.format(key=key, hint=hint, **item))
    return "\n".join(dict.fromkeys(lines))


def study_names() -> tuple[str, ...]:
    """The built-in studies."""
    return tuple(sorted(path.stem for path in BUILTIN.glob("*.toml")))


def _load_recipe(name: str, folder: Path, source: str) -> Recipe:
    beside = folder / name
    try:
        return Recipe.load(beside if name not in recipe_names() and is_file(beside) else name)
    except RecipeError as error:
        raise RecipeError(f"{source}: {error}") from None


def _make_variant(source: str, base: Recipe, overrides: Mapping[str, Any], folder: Path) -> Recipe:
    own = dict(overrides)
    start = base
    if "recipe" in own:
        start = _load_recipe(str(own.pop("recipe")), folder, source)
    for key in _OWN_KEYS:
        if key in own:
            raise StudyError(f"{source}: '{key}' is set by the study; leave it out.")
    data = {**start.to_dict(), "augmentation": dict(start.augmentation), "seed": base.seed}
    return Recipe.from_dict(let_epochs_hold(_merged(data, own), own), source)


def _merged(data: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides on top; tables are merged key by key, but class weights are one value."""
    found = dict(data)
    for key, value in overrides.items():
        old = found.get(key)
        tables = isinstance(value, Mapping) and isinstance(old, Mapping) and key != "class_weights"
        found[key] = _merged(old, value) if tables else value  # type: ignore[arg-type]
    return found


def _check_variants(source: str, study: StudySettings, variants: Mapping[str, Recipe]) -> None:
    if study.folds == 1:
        raise StudyError(
            f"{source}: folds = 1 leaves nothing to train on; use 2 or more, or 0 for the data's "
            "own train and val."
        )
    if study.name == "runs":
        raise StudyError(f"{source}: a study cannot be called 'runs': its runs' folder is.")
    if len(variants) < 2:
        raise StudyError(
            f"{source}: a study compares at least 2 variants, found {len(variants)}; add a table "
            "[variants.NAME] for each."
        )
    for one, other in combinations(variants, 2):
        if not differences(*(_plain(variants[name]) for name in (one, other))):
            raise StudyError(
                f"{source}: the variants '{one}' and '{other}' are identical; change a key of "
                "one, or remove it."
            )
    for name, recipe in variants.items():
        refuse_choice_on_evaluated(f"{source}: variants.{name}", recipe)
    pairs = study.comparisons
    strange = next((name for pair in pairs for name in pair if name not in variants), None)
    if strange is not None:
        hint = nearest(strange, variants)
        raise StudyError(f"{source}: comparisons name '{strange}', which is no variant.{hint}")
    if len({frozenset(pair) for pair in pairs}) < len(pairs) or any(a == b for a, b in pairs):
        raise StudyError(f"{source}: comparisons hold a pair twice, or a variant with itself.")
    if study.published is not None and study.published not in published_names():
        hint = nearest(study.published, published_names())
        raise StudyError(f"{source}: there are no published figures '{study.published}'.{hint}")


def _plain(recipe: Recipe) -> Recipe:
    """Without what the study sets, or does not change the training."""
    plain = {"name": "", "description": "", "seed": 0, "device": "auto"}
    return recipe.model_copy(update=plain)


def refuse_choice_on_evaluated(source: str, recipe: Recipe) -> None:
    """Raises StudyError where a run would choose by the test split, or by what it is scored on."""
    if recipe.monitor == "test":
        raise StudyError(
            f"{source}: monitor = 'test', but studies and searches never look at the test split; "
            "use 'val', which is here what a run holds out, or 'blocks'."
        )
    choosing = [name for name in ("", *recipe.decision) if recipe.settings(name).select == "best"]
    if choosing and recipe.monitor == "val":
        raise StudyError(
            f"{source}: select = 'best' would choose the epoch on the images that score the run, "
            "and flatter it; set monitor = 'blocks', or select = 'last'."
        )
