"""Runs of a study are found again after keys were added to recipes."""

import pytest

from hilum.labels import LabelTree
from hilum.recipe import Recipe
from hilum.studies.study_run import run_key

TREE = LabelTree.from_text("normal, infected(covid, non-covid)")
OWN = ["augmentation=full", "scheduler=one-cycle", "decision.root.epochs=9", "label_smoothing=0.1"]


@pytest.mark.parametrize(
    ("assignments", "data", "key"),
    [
        # As they were before the keys for robust training (ema, members and so on).
        ([], "0" * 64, "covinet-cascade-0-187d8bd60b082e36"),
        (OWN, "f", "covinet-cascade-0-7c9b012cb9373ea9"),
    ],
)
def test_a_key_with_its_default_changes_no_folder(assignments, data, key):
    recipe = Recipe.load("covinet-cascade").override(assignments)
    assert run_key(recipe, TREE, data) == key
    assert run_key(recipe.override(["ema=0.9"]), TREE, data) != key
    assert run_key(recipe.override(["decision.root.members=2"]), TREE, data) != key
