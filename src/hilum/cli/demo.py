"""hilum demo: the main job in one command."""

from pathlib import Path
from typing import Annotated

import typer

from hilum import console
from hilum.cli.options import Json

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
    as_json: Json = False,
) -> None:
    """Train the published cascade and another classifier, evaluate both and write a report."""
    from hilum.pipeline import run_demo

    out = out or Path("demo" if data is None else f"demo-{data.resolve().name}")
    with console.training_table() as (progress, on_epoch):
        result = run_demo(out, data, progress=progress, on_epoch=on_epoch)
    if as_json:
        console.print_json(result)
        return
    console.print_write_up(result, data or out / "phantoms")
