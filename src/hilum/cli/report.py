"""hilum report: write the report about runs."""

from pathlib import Path
from typing import Annotated

import typer

from hilum import console

EXAMPLE = "hilum report runs/first --out report.html"


def report(
    runs: Annotated[list[Path], typer.Argument(help="One or more training runs.")],
    out: Annotated[
        Path | None, typer.Option(help="[dim]Default: report.html in the first run.[/dim]")
    ] = None,
    audit: Annotated[
        Path | None, typer.Option(help="An audit.json of `hilum audit`, to show its findings.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Where the pictures are. [dim]Default: the first run's data.[/dim]"),
    ] = None,
) -> None:
    """Write one HTML file about runs and their evaluations; it opens offline."""
    from hilum.radiographs.image import image_source
    from hilum.reporting.report import write_report
    from hilum.training.folder import data_root

    root = data or data_root(runs[0])
    images = image_source(root) if root else None
    console.print_line(
        f"Report: {write_report(runs, out or runs[0] / 'report.html', images=images, audit=audit)}"
    )
