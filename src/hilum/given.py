"""Data, classifiers and recipes as people give them: by a path, by a name, or as they are."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from hilum.classifier.classifier import Classifier
from hilum.errors import ClassifierError, DataError, HilumError, RecipeError
from hilum.labels import LabelTree
from hilum.radiographs.dataset import Dataset, open_dataset
from hilum.recipe import Recipe
from hilum.records import Progress
from hilum.stores import as_place

#: The path of a file or folder, or what stands for one, such as a Run.
Place: TypeAlias = str | os.PathLike[str]
Data: TypeAlias = Dataset | Place
Trained: TypeAlias = Classifier | Place
RecipeLike: TypeAlias = Recipe | Mapping[str, Any] | Place


def as_dataset(
    given: Data,
    *,
    tree: LabelTree | None = None,
    every_class: bool = True,
    skip_damaged: bool = False,
    progress: Progress | None = None,
) -> Dataset:
    """A data set: as it is, or opened where it lies.

    tree, every_class, skip_damaged, progress: as of open_dataset; they count where it is opened.
    Raises as open_dataset does, and DataError where it is neither.
    """
    if isinstance(given, Dataset):
        return given
    _check(
        given, "Data are a folder, a table or an NPZ file, or what open_dataset gives", DataError
    )
    return open_dataset(
        as_place(given),
        tree=tree,
        every_class=every_class,
        skip_damaged=skip_damaged,
        progress=progress,
    )


def as_classifier(given: Trained, *, device: str = "auto") -> Classifier:
    """A classifier: as it is, or loaded from its folder or that of its run, onto a device.

    Raises as Classifier.load does, and ClassifierError where it is neither.
    """
    if isinstance(given, Classifier):
        return given
    expected = "A classifier is its folder, that of its run, or what Classifier.load gives"
    _check(given, expected, ClassifierError)
    return Classifier.load(Path(given), device=device)


def as_text(given: Place) -> str:
    """A path, pattern or URL, as it was given. Raises DataError for what is none of them."""
    _check(given, "A path is a text that is not empty, or a Path", DataError)
    return os.fspath(given)


def as_recipe(given: RecipeLike | None) -> Recipe:
    """A recipe: as it is, by its name or file, of a mapping of its keys; 'default' of None.

    Raises RecipeError where there is no such recipe, and where keys or values are wrong.
    """
    if isinstance(given, Recipe):
        return given
    if isinstance(given, Mapping):
        return Recipe.from_dict(given)
    if given is None:
        return Recipe.load("default")
    _check(given, "A recipe is a name, a TOML file, a mapping of keys, or a Recipe", RecipeError)
    return Recipe.load(os.fspath(given))


def _check(given: object, expected: str, error: type[HilumError]) -> None:
    if not isinstance(given, str | os.PathLike):
        raise error(f"{expected}; found a value of type {type(given).__name__}.")
    if not os.fspath(given):
        raise error(f"{expected}; found an empty text.")
