"""hilum report: write the report about runs."""

from pathlib import Path
from typing import Annotated

import typer

from hilum import console
from hilum.cli.options import Device

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
            help="An audit.json, to show its findings. [dim]Default: that of the first run, or of "
            "`hilum audit` in audit-NAME of its data.[/dim]"
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="The radiographs, for pictures and explanations. [dim]Default: those of each "
            "run.[/dim]"
        ),
    ] = None,
    out_of_fold: Annotated[
        list[Path] | None,
        typer.Option(
            help="A predictions.csv of radiographs that were held out, to look for label errors. "
            "Repeatable."
        ),
    ] = None,
    explanations: Annotated[
        bool,
        typer.Option(help="Explain evaluated splits that have no explanations yet; takes minutes."),
    ] = True,
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="Leave the appendix open, so that it is printed too, but for the tables of every "
            "epoch and folded pictures.",
        ),
    ] = False,
    device: Device = None,
) -> None:
    """Write one HTML file about runs and their evaluations; it opens offline."""
    from hilum.errors import HilumError
    from hilum.reporting.report import report_on

    if bool(runs) == bool(compare):
        raise HilumError("Name the runs to report on, or two with --compare, and not both.")
    with console.progress_bar() as progress:
        written = report_on(
            runs or list(compare or ()),
            out,
            data=data,
            audit=audit,
            out_of_fold=out_of_fold or (),
            explain=explanations,
            compare=compare is not None,
            full=full,
            device=device or "auto",
            progress=progress,
            say=console.say,
        )
    console.print_lines(f"Report: {written}")
