"""hilum report: write the report about runs."""

from pathlib import Path
from typing import Annotated

import typer

from hilum import console

EXAMPLE = "hilum report runs/first --out report.html"


def report(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="One or more training runs, or classifiers.")
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            help="Two runs side by side, image by image, instead of RUNS; both evaluated on the "
            "same radiographs."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="[dim]Default: report.html in the first run.[/dim]")
    ] = None,
    audit: Annotated[
        Path | None,
        typer.Option(
            help="An audit.json, to show its findings. [dim]Default: that of `hilum audit` in "
            "audit-NAME of the first run's data, if it is here.[/dim]"
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Where the pictures are. [dim]Default: the first run's data.[/dim]"),
    ] = None,
) -> None:
    """Write one HTML file about runs and their evaluations; it opens offline."""
    from hilum.errors import HilumError
    from hilum.radiographs.image import image_source
    from hilum.reporting.report import write_report
    from hilum.training.folder import data_root

    if bool(runs) == bool(compare):
        raise HilumError("Name the runs to report on, or two with --compare, and not both.")
    runs = runs or list(compare or ())
    root = data or data_root(runs[0])
    usual = Path(f"audit-{root.name}") / "audit.json" if root else None
    if audit is None and usual and usual.is_file():
        audit = usual
        console.say(f"With the findings of {usual}")
    images = image_source(root) if root else None
    out = write_report(
        runs,
        out or runs[0] / "report.html",
        images=images,
        audit=audit,
        compare=compare is not None,
    )
    console.print_line(f"Report: {out}")
