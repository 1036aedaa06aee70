"""hilum evaluate: evaluate a classifier on a split."""

from pathlib import Path
from typing import Annotated

import typer

from hilum import console
from hilum.cli.data import open_data
from hilum.cli.options import Data, Device, Exclude, Json, Layout, Trained

EXAMPLE = "hilum evaluate runs/first DATA --split val --out results"


def evaluate(
    classifier: Trained,
    data: Data,
    split: Annotated[str, typer.Option(help="train, val, test, or all.")] = "val",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where predictions.csv and evaluation.json go. "
            "[dim]Default: evaluation/SPLIT in the classifier's folder.[/dim]"
        ),
    ] = None,
    rule: Annotated[
        str | None, typer.Option(help="route or argmax. [dim]Default: the classifier's.[/dim]")
    ] = None,
    exclude: Exclude = None,
    layout: Layout = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Evaluate a classifier on a split: every measure, with its interval."""
    from hilum.classifier import Classifier
    from hilum.evaluation.evaluate import evaluate as run_evaluation
    from hilum.labels import parse_rule
    from hilum.training.division import as_divided

    model = Classifier.load(classifier, device=device or "auto")
    out = out or classifier / "evaluation" / split
    with console.progress_bar() as progress:
        dataset = open_data(
            data, tree=model.tree, exclude=exclude, layout=layout, progress=progress
        )
        dataset = as_divided(dataset, classifier)
        chosen = parse_rule(rule) if rule else None
        result = run_evaluation(model, dataset, split, rule=chosen, out=out, progress=progress)
    if as_json:
        console.print_json(result.to_json())
        return
    show = console.with_interval
    console.print_table(
        f"{dataset.name}, {split}: {result.n} images, rule {result.rule}",
        ["class", "images", "precision", "recall", "specificity", "F1", "AUROC"],
        [
            [
                name,
                str(m.support),
                *(show(v) for v in (m.precision, m.recall, m.specificity, m.f1, m.auroc)),
            ]
            for name, m in result.per_class.items()
        ],
    )
    console.print_table(
        "Confusion matrix (rows: truth, columns: prediction)",
        ["", *result.classes],
        [
            [name, *(str(k) for k in row)]
            for name, row in zip(result.classes, result.confusion_matrix, strict=True)
        ],
    )
    console.print_table(
        "Each decision alone, on the images that belong to it",
        ["decision", "images", "accuracy", "errors caused"],
        [
            [name, str(d.n), show(d.accuracy), f"{d.errors_caused} of {result.errors}"]
            for name, d in result.decisions.items()
        ],
    )
    console.print_line(f"Accuracy: {show(result.accuracy)}; in brackets the 95 % intervals.")
    for note in result.notes:
        console.print_line(f"Note: {note}")
    console.print_line(f"Written: {out / 'predictions.csv'}, {out / 'evaluation.json'}")
