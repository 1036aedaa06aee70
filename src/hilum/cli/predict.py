"""hilum predict: classify radiographs."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from hilum import console
from hilum.cli.options import Device, Json, Trained

EXAMPLE = "hilum predict runs/first image.png folder/ --out predictions.csv"


def predict(
    classifier: Trained,
    images: Annotated[list[Path], typer.Argument(help="Image files and folders of them.")],
    out: Annotated[Path | None, typer.Option(help="Write a CSV file instead of printing.")] = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Classify radiographs: the probability of every class and decision."""
    from hilum.classifier import Classifier
    from hilum.evaluation.files import predictions_csv
    from hilum.files import write_atomically
    from hilum.radiographs.layouts import list_images

    model = Classifier.load(classifier, device=device or "auto")
    files = [f for path in images for f in (list_images(path) if path.is_dir() else [path])]
    with console.progress_bar() as progress:
        found = model.predict(files, progress)
    classes = [model.tree.classes[k] for k in found.predicted]
    if out:
        write_atomically(out, predictions_csv(found, model.tree).encode("utf-8", "surrogateescape"))
        console.say(f"Written: {out} ({len(found)} images)")
    elif as_json:
        console.print_json(
            [
                {
                    "path": name,
                    "predicted": classes[i],
                    "probs": _rounded(model.tree.classes, found.probs[i]),
                    "decisions": {
                        d.name: _rounded(d.options, found.decision_probs[d.name][i])
                        for d in model.tree.decisions
                    },
                }
                for i, name in enumerate(found.names)
            ]
        )
    else:
        console.print_table(
            "Predictions: research software, not a diagnosis",
            ["image", "predicted", *model.tree.classes],
            [
                [name, classes[i], *(f"{p:.3f}" for p in found.probs[i])]
                for i, name in enumerate(found.names)
            ],
        )


def _rounded(names: Sequence[str], probs: Iterable[float]) -> dict[str, float]:
    return {name: round(float(p), 6) for name, p in zip(names, probs, strict=True)}
