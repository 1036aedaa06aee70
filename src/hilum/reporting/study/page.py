"""The page of a study: one self-contained HTML file that answers its question, as far as it can."""

import shlex
from pathlib import Path
from typing import Any

import tomli_w

from hilum.errors import HilumError
from hilum.evaluation.evaluate import SYNTHETIC
from hilum.labels import LabelTree
from hilum.records import Estimate
from hilum.reporting.page import write_page
from hilum.reporting.sections.findings import over_findings_table
from hilum.reporting.sections.results import confusion_table, measures_table, overall_table
from hilum.reporting.study import tables
from hilum.reporting.study.figures import (
    Difference,
    Runs,
    draw_study_curves,
    forest_plot,
    runs_chart,
)
from hilum.reporting.study.published import difference, experiment_of, with_codes
from hilum.studies.published import read_published
from hilum.studies.results import StudyResult, VariantResult, unit_of
from hilum.studies.study import Study, study_names
from hilum.table import Table

PAGE_FILE = "study.html"


def write_study_page(result: StudyResult, out: Path) -> Path:
    """Write what a study found, as write_page does.

    result: as read_study gives it. Variants stand in the order of the study file, and are ranked
    nowhere. Raises HilumError, too, for a recipe that this version cannot read.
    """
    variants = result.variants
    own_val = _own_val(result)
    stressed = next((v.stressed for v in variants.values() if v.stressed), None)
    return write_page(
        out,
        "study.html.j2",
        result=result,
        title=result.question or result.name,
        label=result.measure["label"],
        notes=notes_of(result),
        found=sum(c.shown for c in result.comparisons),
        sentences=[with_codes(sentence) for sentence in result.sentences],
        charts=_charts(result),
        compared=tables.comparison_tables(result),
        published=_published(result),
        variants=[_variant(result, variant, own_val is not None) for variant in variants.values()],
        summary=tables.variants_table(result, own_val is not None),
        overall=_pooled_measures(result),
        own_val=own_val,
        curves=draw_study_curves(result),
        settings=tables.settings_table(result),
        stressed=stressed,
        stress=tables.stress_tables(result),
        images=tables.images_table(result),
        failures=tables.failures_table(result),
        machine=tables.machine_table(result),
        commands=_commands(result),
        # without the settings that say nothing
        study_file=tomli_w.dumps(
            {k: v for k, v in result.study.items() if v not in (None, "", [], {})}
        ),
        devices=sorted({f"{r.device} in {r.precision}" for v in variants.values() for r in v.runs}),
    )


def _pooled_measures(result: StudyResult) -> list[Table]:
    """The measures over all classes, and over all findings, as far as the labels have them."""
    tree = LabelTree.from_json(result.data["labels"])
    pooled = {name: variant.pooled for name, variant in result.variants.items()}
    found = []
    if tree.decisions:
        found.append(overall_table("Pooled measures of the variants", pooled))
    if tree.findings:
        found.append(over_findings_table("Pooled measures over findings", pooled))
    return found


def notes_of(result: StudyResult) -> list[str]:
    """What every reader must know: of the data, of the study, and of its runs; each once."""
    source = result.data["source"]
    notes = [source["meaning"]] if source else []
    notes += result.notes
    for variant in result.variants.values():
        notes += variant.pooled.notes if variant.pooled else ()
    return [note for note in dict.fromkeys(notes) if note != SYNTHETIC]  # the banner says it


def _commands(result: StudyResult) -> list[str]:
    """What runs the study again."""
    builtin = result.name in study_names()
    words = ["hilum", "study", result.name if builtin else f"{result.name}.toml"]
    words += [str(result.data["name"]), "--seeds", str(result.study["seeds"])]
    try:
        measure = Study.load(result.name).settings.measure
    except HilumError:
        measure = None
    if measure != result.study["measure"]:
        words += ["--measure", result.measure["name"]]
    return [shlex.join(words)]


def _published(result: StudyResult) -> dict[str, Any] | None:
    experiment = experiment_of(result)
    if experiment is None:
        return None
    return {
        "source": read_published(),
        "experiment": experiment,
        "figures": tables.figures_table(result),
        "conclusions": tables.conclusions_table(result),
        "has_test": any(v.test_accuracy is not None for v in experiment.variants.values()),
    }


def _variant(result: StudyResult, variant: VariantResult, own_val: bool) -> dict[str, Any]:
    name, pooled = variant.name, variant.pooled
    matrix = f"Pooled confusion matrix of {name}"
    return {
        "name": name,
        "runs": tables.runs_table(result, variant, own_val),
        "toml": tables.recipe_of(variant).to_toml(),
        "matrix": confusion_table(matrix, pooled.classes, pooled.confusion_matrix)
        if pooled and pooled.chooses
        else None,
        "measures": measures_table(f"Measures of {name}", pooled.per_class)
        if pooled and pooled.chooses
        else None,
        "findings": pooled.findings_table() if pooled and pooled.findings else None,
        "decisions": tables.decisions_table(variant),
        "errors": pooled.errors if pooled else 0,
    }


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
            alt=f"Paired {quantity}, mean over runs with 95 % interval:",
        )
    if any(variant.runs for variant in result.variants.values()):
        charts["runs"] = runs_chart(
            [
                Runs(name, tuple(_point(run.value) for run in variant.runs), variant.mean)
                for name, variant in result.variants.items()
            ],
            quantity=f"{_kind(label)} on held-out images",
            alt="Every run of each variant, and the mean over runs with its 95 % interval:",
        )
    return charts


def _point(value: float | None) -> Estimate:
    return Estimate.undefined("undefined on these images") if value is None else Estimate(value)


def _kind(label: str) -> str:
    """A measure without its label, which may hold what matplotlib takes for mathematics."""
    return label.split(" of ")[0]


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
        quantity=f"{result.headline} on the data's own val",
        intervals=True,
        alt=f"The {result.headline} of every run on the data's own val, with its interval:",
    )
    return {"n": max(run.n for row in rows for run in row.runs), "chart": chart}
