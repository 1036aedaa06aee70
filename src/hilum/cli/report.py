"""hilum report: write the report about runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hilum import console
from hilum.cli.options import Device

if TYPE_CHECKING:
    from hilum.evaluation.label_errors import LabelErrors

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
    device: Device = None,
) -> None:
    """Write one HTML file about runs and their evaluations; it opens offline."""
    from hilum.errors import HilumError
    from hilum.explanation.split import explain_run
    from hilum.radiographs.image import image_source
    from hilum.reporting.report import write_report
    from hilum.training.folder import data_root

    if bool(runs) == bool(compare):
        raise HilumError("Name the runs to report on, or two with --compare, and not both.")
    runs = runs or list(compare or ())
    if explanations:
        for run in runs:
            where = data or data_root(run)
            if where is None:
                continue  # the report says what is not made, and how to make it
            with console.progress_bar() as progress:
                refused = explain_run(run, where, device=device or "auto", progress=progress)
            for name, reason in refused.items():
                console.say(f"No explanations of {run}, {name}: {reason}")
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
        label_errors=_label_errors(runs[0], out_of_fold) if out_of_fold else None,
        compare=compare is not None,
    )
    console.print_line(f"Report: {out}")


def _label_errors(run: Path, tables: list[Path]) -> "LabelErrors":
    """The possible label errors in held-out predictions over a run's classes."""
    from hilum.evaluation.files import read_held_out
    from hilum.evaluation.label_errors import find_label_errors
    from hilum.reporting.runs import read_runs

    (read,) = read_runs([run])
    truth, predictions = read_held_out(tables, read.tree)
    files = [f"{table.resolve().parent.name}/{table.name}" for table in tables]
    return find_label_errors(read.tree, truth, predictions, about={"files": files})
