"""What notebooks show of data, training and results: tables, charts and radiographs.

Each function returns what Jupyter draws when it is the last line of a cell.
"""

from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from hilum.auditing.audit import Audit
from hilum.classifier.classifier import Classifier
from hilum.display import cards, heading, paragraphs, png_card
from hilum.errors import DataError, HilumError, nearest
from hilum.evaluation.assess import Assessment
from hilum.evaluation.files import Evaluation
from hilum.evaluation.measures import OF_A_LABEL
from hilum.explanation.attribution import METHOD_NAMES
from hilum.explanation.errors import ErrorGallery
from hilum.explanation.explained import Explanation
from hilum.explanation.feature_maps import (
    compute_feature_maps,
    describe_feature_maps,
    draw_feature_maps,
)
from hilum.explanation.network import deciding_network
from hilum.networks.summary import summarise
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.image import image_source
from hilum.recipe import Recipe
from hilum.records import IntArray
from hilum.reporting.charts import (
    class_bars,
    curve_scales,
    interval_chart,
    learning_curves,
    make_series,
)
from hilum.reporting.notebook_html import (
    Shown,
    charts,
    legend,
    radiograph_card,
    sentence,
    show,
    table,
)
from hilum.reporting.svg import shorten
from hilum.training.folder import read_history
from hilum.wording import PLAIN


def show_counts(dataset: Dataset) -> Shown:
    """How many radiographs each split holds of each class: a table, and shares as bars."""
    classes, counts = dataset.tree.classes, dataset.counts()
    alt = "; ".join(
        f"{split}: " + ", ".join(f"{n:,} {name}" for name, n in of.items())
        for split, of in counts.items()
    )
    rows = [[split, *of.values(), sum(of.values())] for split, of in counts.items()]
    shares = [(split, list(of.values())) for split, of in counts.items()]
    return show(
        f"{dataset.name}: {alt}.",
        table(f"Radiographs of {dataset.name}", ["split", *classes, "all"], rows),
        paragraphs(*dataset.notes),
        legend(dataset.splits),
        charts(class_bars(classes, shares, title=dataset.name)),
    )


def show_findings(audit: Audit) -> Shown:
    """What an audit found, the gravest first, with what it means and what to do."""
    found = [f for f in audit.findings if f.severity != "passed"]
    tally = f"{len(found)} findings; {len(audit.findings) - len(found)} checks found nothing."
    listed = table(
        f"Audit of {audit.data['name']}",
        ["", "finding", "what it means"],
        [[f.severity, f.title, f"{f.meaning} {f.advice}".strip()] for f in found],
        text=["finding", "what it means"],
    )
    said = [*(f"{f.severity.upper()}: {f.title}." for f in found), tally]
    return show(" ".join(said), listed, paragraphs(tally))


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
    title = f"{classifier.network_names[name]}, decision {name}"
    totals = (
        f"{made.total_parameters:,} parameters, {made.multiply_adds:,} multiply-adds for an image, "
        f"an estimated {made.total_mb:.1f} MB to train on one."
    )
    layers = table(
        title,
        ["layer", "name", "output", "parameters"],
        [
            [row.layer, row.name, " × ".join(map(str, row.output_shape[1:])), row.parameters]
            for row in made.rows
        ],
        text=["name"],
    )
    return show(f"{title}: {len(made.rows)} layers, {totals}", layers, paragraphs(totals))


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
        drawn = make_series(rows, watched)
        of = f"{decision} over {len(rows)} epochs"
        for what, series in drawn.items():
            ends = "; ".join(f"{s.name} {s.values[0]:.3f} to {s.values[-1]:.3f}" for s in series)
            alts += [f"{what.capitalize()} of {of}: {ends}."] * bool(series)
        scales = {**curve_scales([drawn]), "accuracy": (0.0, 1.0)}
        parts.append(heading(f"{decision}: epoch {rows[-1]['epoch']} of {rows[-1]['epochs']}"))
        parts.append(legend(["train (dashed)", watched]))
        parts.append(charts(*learning_curves(drawn, scales, of)))
    return show(" ".join(alts), *parts)


def show_confusion(evaluation: Evaluation) -> Shown:
    """The confusion matrix, and of each decision alone how often it was right."""
    classes, matrix = evaluation.classes, evaluation.confusion_matrix
    title = f"{evaluation.n:,} radiographs of {evaluation.split}"
    said = [f"{title}: accuracy {PLAIN.words(evaluation.accuracy)}.", *evaluation.notes]
    return show(
        " ".join(said),
        table(
            title,
            ["", *(f"called {name}" for name in classes), "all"],
            [[f"truly {c}", *row, sum(row)] for c, row in zip(classes, matrix, strict=True)],
        ),
        table(
            "Each decision alone, on the radiographs that belong to it",
            ["decision", "radiographs", "accuracy", "errors it caused"],
            [
                [name, d.n, d.accuracy, f"{d.errors_caused} of {evaluation.errors}"]
                for name, d in evaluation.decisions.items()
            ],
        ),
        paragraphs(*said),
    )


def show_measures(evaluation: Evaluation) -> Shown:
    """Every measure of every class with its 95 % interval, and the sensitivities as a chart."""
    per_class = evaluation.per_class
    columns = ["class", "radiographs", *(measure.name for measure in OF_A_LABEL.values())]
    rows = [
        [name, m.support, *(getattr(m, key) for key in OF_A_LABEL)] for name, m in per_class.items()
    ]
    alt = "; ".join(f"recall of {name} {PLAIN.words(m.recall)}" for name, m in per_class.items())
    chart = interval_chart(
        {name: m.recall for name, m in per_class.items()},
        quantity="recall (sensitivity), with its 95 % interval",
        alt=alt,
    )
    listed = table("Per class, with 95 % intervals", columns, rows)
    return show(f"{evaluation.split}: {alt}.", listed, charts(chart))


def show_operating_points(assessment: Assessment) -> Shown:
    """The thresholds that were chosen on validation images, and what they do on these.

    Where no thresholds could be chosen, it says why.
    """
    operating = assessment.operating
    if operating is None:
        return sentence(f"No operating points: {assessment.missing['operating']}.")
    rows: list[list[Any]] = []
    for row in operating.rows:
        chosen, result, at = row.point.chosen, row.result, row.at_prevalence
        if result is None or chosen is None or chosen.threshold is None:
            rows.append([str(row.point), f"none: {chosen.reason}" if chosen else "", *[""] * 5])
            continue
        m = result.measured
        ppv = f"{PLAIN.words(at.ppv)} at {at.prevalence:g}" if at else ""
        rows.append(
            [str(row.point), f"{chosen.threshold:.3g}", m.sensitivity, m.specificity, m.ppv, m.npv,
             ppv]
        )  # fmt: skip
    columns = ["operating point", "from a probability of", "sensitivity", "specificity", "PPV",
               "NPV", "PPV at another prevalence"]  # fmt: skip
    return show(
        " ".join([*(row.summary() for row in operating.rows), *operating.notes]),
        table(f"Operating points, on {assessment.n:,} radiographs", columns, rows),
        paragraphs(*operating.notes),
    )


def show_samples(dataset: Dataset, split: str = "train", each: int = 6) -> Shown:
    """Radiographs of every class, at even steps through the split, so that none is picked by hand.

    each: how many of a class. Raises DataError where there is no such split.
    """
    rows, parts, counts = dataset.indices(split), [], []
    for label, name in enumerate(dataset.tree.classes):
        chosen = _spread(rows[dataset.labels[rows] == label], each)
        parts.append(heading(name) + cards(_radiographs(dataset, chosen)))
        counts.append(f"{len(chosen)} of {name}")
    return show(f"Radiographs of {split}: {', '.join(counts)}.", *parts)


def show_predictions(
    classifier: Classifier, dataset: Dataset, split: str = "val", most: int = 24
) -> Shown:
    """Radiographs of a split at even steps, with the truth, the prediction and its probability.

    most: how many are shown. Raises DataError where there is no such split.
    """
    rows = _spread(dataset.indices(split), most)
    said = classifier.predict_pixels(dataset.pixels(classifier.preprocessing)[rows])
    classes, truth = classifier.tree.classes, dataset.labels[rows]
    captions = []
    for true, predicted, probs in zip(truth, said.predicted, said.probs, strict=True):
        verdict = f"{classes[predicted]} ({probs[predicted]:.0%})"
        right = predicted == true
        captions.append(f"✓ {verdict}" if right else f"✗ {verdict}, truly {classes[true]}")
    wrong = int((said.predicted != truth).sum())
    alt = f"{len(rows)} radiographs of {split}, {wrong} of them misclassified."
    return show(alt, cards(_radiographs(dataset, rows, captions)), paragraphs(alt))


def show_feature_maps(
    classifier: Classifier,
    dataset: Dataset,
    names: str | Sequence[str],
    *,
    layer: str | None = None,
    decision: str | None = None,
) -> Shown:
    """What a layer answers to a radiograph, one cell a channel; or to two, side by side.

    names: one or two, as in dataset.records. layer: of list_layers by name; None takes the last
    convolution. decision: whose network; None takes the first.
    Raises DataError for an image that is not there, EvaluationError for a layer or decision.
    """
    wanted = (names,) if isinstance(names, str) else tuple(names)
    if len(wanted) not in (1, 2):
        raise DataError(f"Feature maps are shown of one radiograph or two; found {len(wanted)}.")
    rows = _rows(dataset, wanted)
    pixels = dataset.pixels(classifier.preprocessing)[rows]
    maps = compute_feature_maps(classifier, pixels, layer=layer, decision=decision)
    short = [shorten(name, 60) for name in wanted]
    alt = describe_feature_maps(maps, tuple(short))
    picture = png_card(draw_feature_maps(maps.maps), alt, alt)
    return show(alt, cards([*_radiographs(dataset, rows, short), picture]))


def show_errors(errors: ErrorGallery, dataset: Dataset) -> Shown:
    """Misclassified radiographs, each beside the nearest that is rightly what it was taken for.

    The most confident first, as many as have pictures: what moved the decision, drawn over the
    radiograph; the counterpart; and the training radiographs that the network takes for most alike.
    dataset: the one that the errors were collected on.
    """
    if not errors.cases:
        return sentence(f"Of {errors.n} radiographs of {errors.split} none was misclassified.")
    tally = f"{len(errors.cases)} of {errors.n} radiographs of {errors.split} were misclassified."
    said = [tally, *errors.notes]
    parts = [paragraphs(*said)]
    for case in errors.cases:
        if case.pictures is None:
            continue
        title = f"{case.name}: truly {case.truth}, called {case.predicted}"
        chosen = case.decision_probs[case.decision][case.chosen_option]
        caption = (
            f"{METHOD_NAMES[errors.method]}, for {case.chosen_option} at {case.decision} "
            f"({chosen:.0%})"
        )
        shown = [png_card(case.pictures.overlay, case.pictures.alt, caption)]
        if case.counterpart is not None:
            rows = _rows(dataset, [case.counterpart])
            shown += _radiographs(dataset, rows, [f"nearest that is rightly {case.predicted}"])
        shown += [
            png_card(png, f"Training radiograph {near.name}", f"trained on as {near.label}")
            for near, png in zip(case.neighbours, case.pictures.neighbours, strict=True)
        ]
        parts.append(heading(title) + cards(shown))
        said.append(f"{title}.")
    return show(" ".join(said), *parts)


def show_counterpart(
    classifier: Classifier, dataset: Dataset, errors: ErrorGallery, *, layer: str | None = None
) -> Shown:
    """The feature maps of the most confident error beside those of its counterpart.

    They come from the network that erred. Where there is no error, or nothing was rightly given
    the class that it was given, there is nothing to compare, and it says so.
    """
    for case in errors.cases:
        if case.counterpart is not None:
            network = deciding_network(classifier, case.decision).name
            pair = (case.name, case.counterpart)
            return show_feature_maps(classifier, dataset, pair, layer=layer, decision=network)
    return sentence(f"Of the errors on {errors.split} none has a counterpart to compare with.")


def show_explanation(explanation: Explanation) -> Shown:
    """What explain drew of each radiograph, and how far to trust the maps; in words, all of it."""
    return show(explanation.in_words(), *explanation.parts())


def _radiographs(
    dataset: Dataset, rows: IntArray, captions: Sequence[str] | None = None
) -> list[str]:
    names = [dataset.records[row].name for row in rows]
    captions = captions or [shorten(PurePath(name).name, 24) for name in names]
    read = image_source(dataset.root)(names)
    return [radiograph_card(*card) for card in zip(read, names, captions, strict=True)]


def _rows(dataset: Dataset, names: Sequence[str]) -> IntArray:
    place = {record.name: row for row, record in enumerate(dataset.records)}
    for name in names:
        if name not in place:
            raise DataError(
                f"{dataset.root}: there is no radiograph '{name}'; names are as in dataset.records."
            )
    return np.array([place[name] for name in names], dtype=np.int64)


def _spread(rows: IntArray, most: int) -> IntArray:
    """So many rows at even steps, or all where there are not more."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).round().astype(np.int64)]
