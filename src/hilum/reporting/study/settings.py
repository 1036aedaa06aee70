"""What the variants of a study were trained with, and the commands that repeat it."""

import shlex
from typing import Any

import tomli_w

from hilum.errors import HilumError
from hilum.labels import LabelTree
from hilum.recipe import Recipe, Settings
from hilum.studies.results import StudyResult, VariantResult
from hilum.studies.study import Study, study_names

#: What a reader looks for first; the whole recipe follows on the page.
COLUMNS = (
    "network", "epochs", "batch size", "optimizer", "learning rate", "weight decay", "schedule",
    "class weights",
)  # fmt: skip


def settings_rows(result: StudyResult) -> list[dict[str, Any]]:
    """A row per variant and network: {"variant", "decision", "strategy", "cells"}.

    cells: text in the order of COLUMNS. Raises StudyError or RecipeError where study.json holds a
    recipe that this version cannot read.
    """
    tree = LabelTree.from_json(result.data["labels"])
    rows = []
    for name, variant in result.variants.items():
        recipe = recipe_of(variant)
        for decision in recipe.networks(tree):
            s = recipe.settings(decision.name)
            cells = (
                s.network, f"{s.epochs}", f"{s.batch_size}", s.optimizer, f"{s.learning_rate:g}",
                f"{s.weight_decay:g}", _schedule(s), _weights(s),
            )  # fmt: skip
            rows.append(
                {
                    "variant": name,
                    "decision": result.study["decision"] or decision.name,
                    "strategy": recipe.strategy,
                    "cells": cells,
                }
            )
    return rows


def recipe_of(variant: VariantResult) -> Recipe:
    """The recipe of a variant."""
    return Recipe.from_dict(variant.recipe, f"study.json, variant {variant.name}")


def commands_of(result: StudyResult) -> list[str]:
    """What runs the study again."""
    study = result.study
    builtin = result.name in study_names()
    words = ["hilum", "study", result.name if builtin else f"{result.name}.toml"]
    words += [str(result.data["name"]), "--seeds", str(study["seeds"])]
    if not _as_built_in(result):
        words += ["--measure", result.measure["name"]]
    return [shlex.join(words)]


def study_file(result: StudyResult) -> str:
    """The settings of the study as TOML, without those that say nothing."""
    return tomli_w.dumps({k: v for k, v in result.study.items() if v not in (None, "", [], {})})


def _schedule(settings: Settings) -> str:
    if settings.scheduler == "step":
        return f"times {settings.gamma:g} after every {settings.step_size} epochs"
    return "constant" if settings.scheduler == "none" else settings.scheduler


def _weights(settings: Settings) -> str:
    weights = settings.class_weights
    if isinstance(weights, dict):
        return ", ".join(f"{label} {weight:g}" for label, weight in weights.items())
    if isinstance(weights, list):
        return ", ".join(f"{weight:g}" for weight in weights)
    return weights


def _as_built_in(result: StudyResult) -> bool:
    try:
        return bool(Study.load(result.name).settings.measure == result.study["measure"])
    except HilumError:
        return False
