"""hilum calibrate: give a classifier what images that did not train it tell."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hilum import console
from hilum.cli.options import (
    Device,
    Exclude,
    Json,
    Layout,
    Map,
    SkipDamaged,
    Trained,
    open_data,
)


class Promises(StrEnum):
    """For which films what is fitted is to hold."""

    elsewhere = "elsewhere"
    alike = "alike"


EXAMPLE = "hilum calibrate imported DATA --split val"


def calibrate(
    classifier: Trained,
    data: Annotated[Path, typer.Argument(help="Radiographs with the classifier's labels.")],
    split: Annotated[
        str, typer.Option(help="Images that trained none of its networks: val, or test.")
    ] = "val",
    train: Annotated[
        str,
        typer.Option(
            help="The split whose images it is to remember, to find neighbours and to know what "
            "is no such radiograph; none to leave that as it is."
        ),
    ] = "train",
    promises: Annotated[
        Promises,
        typer.Option(
            help="For which films temperatures, thresholds and prediction sets are to hold: such "
            "as differ from these as shifted copies do (elsewhere), or films taken as these were "
            "(alike)."
        ),
    ] = Promises.elsewhere,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the calibrated classifier. [dim]Default: its own.[/dim]"),
    ] = None,
    exclude: Exclude = None,
    layout: Layout = None,
    label_map: Map = None,
    skip_damaged: SkipDamaged = False,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Fit temperatures on validation images, and keep what thresholds are chosen by.

    `hilum train` does this by itself with the images that it monitors. Use it for an imported
    classifier, or to calibrate one for another hospital.
    """
    from hilum.classifier.calibrate import calibrate_on
    from hilum.classifier.classifier import Classifier
    from hilum.classifier.files import classifier_folder, refuse_other_files
    from hilum.classifier.hub import refuse_to_write
    from hilum.classifier.validation import HOLDS
    from hilum.training.folder import as_divided

    if out is None:
        refuse_to_write(classifier)
    else:
        refuse_other_files(out)
    model = Classifier.load(classifier, device=device or "auto")
    with console.progress_bar() as progress:
        dataset = open_data(
            data,
            tree=model.tree,
            exclude=exclude,
            layout=layout,
            label_map=label_map,
            every_class=False,
            skip_damaged=skip_damaged,
            progress=progress,
        )
        dataset = as_divided(dataset, classifier)
        calibrated = calibrate_on(
            model,
            dataset,
            split,
            remembered=None if train == "none" else train,
            promises=promises.value,
            progress=progress,
        )
    folder = out or classifier_folder(classifier)
    calibrated.save(folder)
    facts = calibrated.provenance["calibration"]
    if as_json:
        reading = {"reading": dataset.reading()}
        console.print_json({"classifier": str(folder), **facts, **reading})
        return
    shown = ("n", "value", "nll_before", "nll_after", "reason")
    console.print_table(
        f"Temperatures, from {facts['n']} images of {dataset.name}, {split}",
        ["decision", "images", "temperature", "loss before", "after", "note"],
        [[name, *(fit[k] for k in shown)] for name, fit in facts["temperatures"].items()],
    )
    if calibrated.holds:
        console.print_lines(HOLDS[calibrated.holds])
    if "reason" in facts:
        console.print_lines(f"No shifted copies: {facts['reason']}")
    if "reason" in calibrated.provenance.get("gate", {}):
        console.print_lines(f"No gate: {calibrated.provenance['gate']['reason']}")
    console.print_lines(f"Classifier: {folder}")
