"""Tables and charts for notebooks: the data, the training, and how good the classifier is.

Each function returns what Jupyter draws when it is the last line of a cell.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from hilum.audit.audit import Audit
from hilum.classifier.classifier import Classifier
from hilum.errors import HilumError, nearest
from hilum.evaluation.assess import Assessment
from hilum.evaluation.files import Evaluation
from hilum.evaluation.measures import OF_A_LABEL
from hilum.networks.summary import summarise
from hilum.radiographs.dataset import Dataset
from hilum.recipe import Recipe
from hilum.records import Estimate
from hilum.reporting.figures.charts import (
    Interval,
    Series,
    class_bars,
    interval_chart,
    learning_curve,
)
from hilum.reporting.notebook.parts import (
    Shown,
    charts,
    heading,
    key_of,
    legend,
    paragraph,
    sentence,
    show,
    table,
    words,
)
from hilum.training.checkpoint import Row
from hilum.training.folder import read_history


def show_counts(dataset: Dataset) -> Shown:
    """How many radiographs each split holds of each class: a table, and shares as bars."""
    classes, counts = dataset.tree.classes, dataset.counts()
    rows = [
        [split, *(f"{n:,}" for n in of.values()), f"{sum(of.values()):,}"]
        for split, of in counts.items()
    ]
    alt = "; ".join(
        f"{split}: " + ", ".join(f"{n:,} {name}" for name, n in of.items())
        for split, of in counts.items()
    )
    bars = class_bars(
        classes, [(s, list(of.values())) for s, of in counts.items()], key=key_of(alt), alt=alt
    )
    listed = table(f"Radiographs of {dataset.name}", ["split", *classes, "all"], rows)
    notes = "".join(paragraph(note) for note in dataset.notes)
    return show(listed + notes + legend(dataset.splits) + charts(bars), f"{dataset.name}: {alt}.")


def show_findings(audit: Audit) -> Shown:
    """What an audit found, the gravest first, with what it means and what to do."""
    found = [f for f in audit.findings if f.severity != "passed"]
    passed = len(audit.findings) - len(found)
    rows = [[f.severity, f.title, f"{f.meaning} {f.advice}".strip()] for f in found]
    listed = table(
        f"Audit of {audit.data['name']}", ["", "finding", "what it means"], rows, text=(1, 2)
    )
    tally = f"{len(found)} findings; {passed} checks found nothing."
    alt = " ".join([*(f"{f.severity.upper()}: {f.title}." for f in found), tally])
    return show(listed + paragraph(tally), alt)


def show_layers(classifier: Classifier, decision: str | None = None) -> Shown:
    """The layers of a network: what each gives for one radiograph, and its parameters.

    decision: whose network; None takes the first. Raises HilumError with the nearest name.
    """
    name = decision or next(iter(classifier.networks))
    if name not in classifier.networks:
        raise HilumError(
            f"The classifier has no network for '{name}'.{nearest(name, classifier.networks)}"
        )
    made = summarise(classifier.networks[name], classifier.preprocessing.image_size)
    rows = [
        [row.layer, row.name, " × ".join(map(str, row.output_shape[1:])), f"{row.parameters:,}"]
        for row in made.rows
    ]
    title = f"{classifier.network_names[name]}, decision {name}"
    totals = (
        f"{made.total_parameters:,} parameters, {made.multiply_adds:,} multiply-adds for an image, "
        f"an estimated {made.total_mb:.1f} MB to train on one."
    )
    listed = table(title, ["layer", "name", "output", "parameters"], rows, text=(1,))
    return show(listed + paragraph(totals), f"{title}: {len(rows)} layers, {totals}")


def show_learning_curves(run: Path | str) -> Shown:
    """Loss and accuracy over the epochs of a run, decision by decision, as far as it has come.

    run: the folder of a run. Where nothing was trained yet, it says so.
    """
    run = Path(run)
    file = run / "history.jsonl"
    history = read_history(file) if file.is_file() else []
    if not history:
        return sentence(f"Nothing has been trained in {run} yet.")
    watched = Recipe.load(run / "recipe.toml").monitor
    parts, alts = [], []
    for decision in dict.fromkeys(row["decision"] for row in history):
        rows = [row for row in history if row["decision"] == decision]
        drawn = []
        for what in ("loss", "accuracy"):
            series = [s for s in (_series(rows, "train", "train", what),
                                  _series(rows, watched, "monitor", what)) if s.epochs]  # fmt: skip
            if not series:
                continue
            told = "; ".join(f"{s.name} {s.values[0]:.3f} to {s.values[-1]:.3f}" for s in series)
            alt = f"{what.capitalize()} of {decision} over {len(rows)} epochs: {told}."
            top = 1.06 * max(v for s in series for v in s.values) if what == "loss" else 1.0
            drawn.append(
                learning_curve(series, quantity=what, ylim=(0, top), key=key_of(alt), alt=alt)
            )
            alts.append(alt)
        title = f"{decision}: epoch {rows[-1]['epoch']} of {rows[-1]['epochs']}"
        parts.append(heading(title) + legend(["train (dashed)", watched]) + charts(*drawn))
    return show("".join(parts), " ".join(alts))


def _series(rows: Sequence[Row], name: str, prefix: str, what: str) -> Series:
    values = [(row["epoch"], row[f"{prefix}_{what}"]) for row in rows]
    points = [(x, y) for x, y in values if y is not None and math.isfinite(y)]
    return Series(name, tuple(x for x, _ in points), tuple(y for _, y in points))


def show_confusion(evaluation: Evaluation) -> Shown:
    """The confusion matrix, and of each decision alone how often it was right."""
    classes, matrix = evaluation.classes, evaluation.confusion_matrix
    rows = [
        [f"truly {name}", *(f"{n:,}" for n in row), f"{sum(row):,}"]
        for name, row in zip(classes, matrix, strict=True)
    ]
    title = f"{evaluation.n:,} radiographs of {evaluation.split}"
    listed = table(title, ["", *(f"called {name}" for name in classes), "all"], rows)
    decided = table(
        "Each decision alone, on the radiographs that belong to it",
        ["decision", "radiographs", "accuracy", "errors it caused"],
        [
            [name, f"{d.n:,}", d.accuracy, f"{d.errors_caused} of {evaluation.errors}"]
            for name, d in evaluation.decisions.items()
        ],
    )
    alt = f"{title}: accuracy {words(evaluation.accuracy)}."
    told = [alt, *evaluation.notes]
    return show(listed + decided + "".join(map(paragraph, told)), " ".join(told))


def show_measures(evaluation: Evaluation) -> Shown:
    """Every measure of every class with its 95 % interval, and the sensitivities as a chart."""
    per_class = evaluation.per_class
    rows = [
        [name, f"{m.support:,}", *(getattr(m, key) for key in OF_A_LABEL)]
        for name, m in per_class.items()
    ]
    columns = ["class", "radiographs", *(measure.name for measure in OF_A_LABEL.values())]
    listed = table("Per class, with 95 % intervals", columns, rows)
    alt = "; ".join(f"recall of {name} {words(m.recall)}" for name, m in per_class.items())
    chart = interval_chart(
        [
            Interval(name, m.recall.value, m.recall.low, m.recall.high)
            for name, m in per_class.items()
            if m.recall.value is not None
        ],
        quantity="recall (sensitivity), with its 95 % interval",
        key=key_of(alt),
        alt=alt,
    )
    return show(listed + charts(chart), f"{evaluation.split}: {alt}.")


def show_operating_points(assessment: Assessment) -> Shown:
    """The thresholds that were chosen on validation images, and what they do on these.

    Where no thresholds could be chosen, it says why.
    """
    if assessment.operating is None:
        return sentence(f"No operating points: {assessment.missing['operating']}.")
    rows: list[list[str | Estimate]] = []
    for row in assessment.operating.rows:
        chosen, result, at = row.point.chosen, row.result, row.at_prevalence
        if result is None or chosen is None or chosen.threshold is None:
            rows.append([str(row.point), f"none: {chosen.reason}" if chosen else "", *[""] * 5])
            continue
        m = result.measured
        ppv = f"{words(at.ppv)} at {at.prevalence:g}" if at else ""
        rows.append(
            [str(row.point), f"{chosen.threshold:.3g}", m.sensitivity, m.specificity, m.ppv, m.npv,
             ppv]
        )  # fmt: skip
    columns = ["operating point", "from a probability of", "sensitivity", "specificity", "PPV",
               "NPV", "PPV at another prevalence"]  # fmt: skip
    listed = table(f"Operating points, on {assessment.n:,} radiographs", columns, rows)
    told = [row.summary() for row in assessment.operating.rows]
    notes = assessment.operating.notes
    return show(listed + "".join(map(paragraph, notes)), " ".join([*told, *notes]))
