"""hilum import: make a classifier from PyTorch checkpoints."""

from pathlib import Path
from typing import Annotated

import typer

from hilum import console
from hilum.cli.options import Json

EXAMPLE = (
    "hilum import --network covinet --classes 'normal, infected(covid, non-covid)' "
    "--decision root=root.pt --decision infected=infected.pt OUT"
)


def import_(
    out: Annotated[Path, typer.Argument(help="Folder of the classifier to make.")],
    network: Annotated[str, typer.Option(help="Registered network (see `hilum models`).")],
    classes: Annotated[str, typer.Option(help="The labels, as one line.")],
    decision: Annotated[
        list[str],
        typer.Option(help="NAME=FILE: a decision's checkpoint; flat=FILE for one network."),
    ],
    image_size: Annotated[int, typer.Option(help="Height and width in pixels.")] = 150,
    rule: Annotated[str, typer.Option(help="route or argmax.")] = "route",
    as_json: Json = False,
) -> None:
    """Make a classifier from PyTorch checkpoints, without unpickling them."""
    from hilum.classifier.importing import import_checkpoints
    from hilum.errors import ClassifierError
    from hilum.labels import LabelTree, parse_rule

    files: dict[str, Path] = {}
    for text in decision:
        key, _, file = text.partition("=")
        if not file or key in files:
            raise ClassifierError(f"--decision {text}: expected NAME=FILE, once per decision.")
        files[key] = Path(file)
    classifier = import_checkpoints(
        network,
        LabelTree.from_text(classes),
        files,
        image_size=(image_size, image_size),
        rule=parse_rule(rule),
    )
    classifier.save_new(out)
    if as_json:
        console.print_json({"classifier": str(out), "provenance": classifier.provenance})
        return
    console.print_lines(
        f"Classifier: {out} ({classifier.strategy}: {', '.join(classifier.networks)})"
    )
