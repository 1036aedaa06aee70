"""hilum demo: the main job in one command."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hilum import console
from hilum.cli.options import Json


class Task(StrEnum):
    """What phantoms are labelled with."""

    classes = "classes"
    findings = "findings"


EXAMPLE = "hilum demo · hilum demo ~/radiographs --out demo-radiographs"


def demo(
    data: Annotated[
        Path | None,
        typer.Argument(help="Folder of radiographs. [dim]Default: synthetic phantoms.[/dim]"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Where to write. [dim]Default: demo, or demo-NAME of the data.[/dim]"),
    ] = None,
    task: Annotated[
        Task,
        typer.Option(
            help="What the phantoms are for: three classes that exclude each other, or findings, "
            "of which any number may be present."
        ),
    ] = Task.classes,
    as_json: Json = False,
) -> None:
    """Train the published cascade and another classifier, evaluate both and write a report."""
    from hilum.errors import DataError
    from hilum.pipeline import run_demo

    if data is not None and task is Task.findings:
        raise DataError("--task is for phantoms: what data are given tells which labels they have.")
    names = {Task.classes: "demo", Task.findings: "demo-findings"}
    out = out or Path(names[task] if data is None else f"demo-{data.resolve().name}")
    with console.training_table() as (progress, on_epoch):
        result = run_demo(
            out, data, findings=task is Task.findings, progress=progress, on_epoch=on_epoch
        )
    if as_json:
        console.print_json(result)
        return
    console.print_write_up(result, data or out / "phantoms")
