"""The page of a study: one self-contained HTML file that answers its question, as far as it can."""

import shlex
from pathlib import Path
from typing import Any

import tomli_w

from hilum.errors import HilumError
from hilum.evaluation.evaluate import SYNTHETIC
from hilum.evaluation.measures import OF_A_LABEL, OVERALL
from hilum.labels import LabelTree
from hilum.recipe import Recipe
from hilum.records import Estimate
from hilum.reporting.page import made_now, page_environment, write_page
from hilum.reporting.sections.results import confusion_table
from hilum.reporting.study.figures import (
    Difference,
    Runs,
    draw_study_curves,
    forest_plot,
    runs_chart,
)
from hilum.reporting.study.published import (
    difference,
    experiment_of,
    judged_conclusions,
    own_val_of,
    p_value,
    published_beside,
    with_codes,
)
from hilum.settings import Settings
from hilum.studies.published import read_published
from hilum.studies.results import StudyResult, VariantResult, unit_of
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


PAGE_FILE = "study.html"


def write_study_page(result: StudyResult, out: Path) -> Path:
    """Write what a study found as one self-contained HTML file.

    result: as read_study gives it. out: the file to write; its folder is made. The file loads
    nothing and runs no script, and every table can be downloaded from it as CSV. Variants stand
    in the order of the study file, and are ranked nowhere.
    Returns out. Raises HilumError if it cannot be written, or holds a recipe that this version
    cannot read.
    """
    page = (
        page_environment()
        .get_template("study.html.j2")
        .render(
            made=made_now(),
            result=result,
            title=result.question or result.name,
            label=result.measure["label"],
            notes=notes_of(result),
            found=sum(c.shown for c in result.comparisons),
            sentences=[with_codes(sentence) for sentence in result.sentences],
            charts=_charts(result),
            published=_published(result),
            variants=[_variant(variant) for variant in result.variants.values()],
            own_val=_own_val(result),
            curves=draw_study_curves(result),
            overall=OVERALL,
            measures=OF_A_LABEL,
            columns=COLUMNS,
            settings=settings_rows(result),
            commands=commands_of(result),
            study_file=study_file(result),
            stressed=_stressed(result),
            difference=difference,
            p_value=p_value,
            devices=sorted(
                {f"{r.device} in {r.precision}" for v in result.variants.values() for r in v.runs}
            ),
        )
    )
    return write_page(page, out)


def notes_of(result: StudyResult) -> list[str]:
    """What every reader must know: of the data, of the study, and of its runs; each once."""
    source = result.data["source"]
    notes = [source["meaning"]] if source else []
    notes += result.notes
    for variant in result.variants.values():
        notes += variant.pooled.notes if variant.pooled else ()
    return [note for note in dict.fromkeys(notes) if note != SYNTHETIC]  # the banner says it


# ---- charts --------------------------------------------------------------------------------


def _charts(result: StudyResult) -> dict[str, str]:
    """'forest' and 'runs', each where there is something to draw."""
    label = result.measure["label"]
    unit = unit_of(label)
    charts = {}
    if result.comparisons:
        quantity = f"difference in {_kind(label)}" + (f", {unit.unit}" if unit.unit else "")
        rows = [
            Difference(
                f"{c.a} minus {c.b}",
                c.difference,
                difference(c.difference, label, named=False),
                c.shown,
            )
            for c in result.comparisons
        ]
        charts["forest"] = forest_plot(
            rows,
            quantity=quantity,
            scale=unit.scale,
            key="forest",
            alt=f"Paired {quantity}, mean over runs with 95 % interval:",
        )
    if any(variant.runs for variant in result.variants.values()):
        charts["runs"] = runs_chart(
            [
                Runs(name, tuple(_point(run.value) for run in variant.runs), variant.mean)
                for name, variant in result.variants.items()
            ],
            quantity=f"{_kind(label)} on held-out images",
            key="runs",
            alt="Every run of each variant, and the mean over runs with its 95 % interval:",
        )
    return charts


def _point(value: float | None) -> Estimate:
    return Estimate.undefined("undefined on these images") if value is None else Estimate(value)


def _kind(label: str) -> str:
    """A measure without its label, which may hold what matplotlib takes for mathematics."""
    return label.split(" of ")[0]


# ---- parts ---------------------------------------------------------------------------------


def _published(result: StudyResult) -> dict[str, Any] | None:
    experiment = experiment_of(result)
    if experiment is None:
        return None
    return {
        "source": read_published(),
        "experiment": experiment,
        "beside": published_beside(result),
        "judged": judged_conclusions(result),
        "has_test": any(v.test_accuracy is not None for v in experiment.variants.values()),
    }


def _variant(variant: VariantResult) -> dict[str, Any]:
    pooled = variant.pooled
    return {
        "result": variant,
        "own_val": own_val_of(variant),
        "toml": recipe_of(variant).to_toml(),
        "matrix": confusion_table(pooled.classes, pooled.confusion_matrix) if pooled else None,
        "per_class": [
            (name, m.support, [getattr(m, measure) for measure in OF_A_LABEL])
            for name, m in (pooled.per_class.items() if pooled else ())
        ],
        "decisions": [
            (name, d, confusion_table(d.options, d.confusion_matrix))
            for name, d in (pooled.decisions.items() if pooled else ())
        ],
    }


def _stressed(result: StudyResult) -> dict[str, Any] | None:
    """The variants under stress: {"n", "families", "rows", "shown"}; None without a stress test."""
    rows = [(name, v.stressed) for name, v in result.variants.items() if v.stressed]
    if not rows:
        return None
    return {
        "n": rows[0][1].n,
        "families": list(rows[0][1].families),
        "rows": rows,
        "shown": sum(c.shown for c in result.stressed),
    }


def _own_val(result: StudyResult) -> dict[str, Any] | None:
    """The small val beside the held-out images: {"n", "chart"}; None where there is none."""
    rows = [
        Runs(name, tuple(run.own_val for run in variant.runs if run.own_val))
        for name, variant in result.variants.items()
    ]
    rows = [row for row in rows if row.runs]
    if not rows:
        return None
    chart = runs_chart(
        rows,
        quantity="accuracy on the data's own val",
        intervals=True,
        key="own-val",
        alt="Accuracy of every run on the data's own val, with Wilson intervals:",
    )
    return {"n": max(run.n for row in rows for run in row.runs), "chart": chart}
