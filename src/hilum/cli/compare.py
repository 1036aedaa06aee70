"""hilum compare: runs on the same images, from the predictions that are there."""

from pathlib import Path
from typing import Annotated

import typer

from hilum import console
from hilum.cli.options import Json

EXAMPLE = "hilum compare runs/first runs/second"


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Two or more that were evaluated; each is compared with the first."),
    ],
    split: Annotated[
        str | None,
        typer.Option(
            help="The evaluation: a folder's name below RUN/evaluation. [dim]Default: test, or "
            "else val, or what all have.[/dim]"
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare runs image by image: paired differences, tests, one sentence.

    It takes the predictions that are there, and so is no look at a test set.
    """
    from hilum.evaluation.compare import CAVEAT
    from hilum.evaluation.compare import compare as run_comparison

    pairs = run_comparison(*runs, split=split)
    if as_json:
        console.print_json({"comparisons": pairs, "note": CAVEAT})
        return
    for pair in pairs:
        table = pair.table()
        console.print_table(f"{pair.split}, {pair.n:,} images", table.columns, table.rows)
    for pair in pairs:
        console.print_lines(pair.sentence)
    console.print_lines(CAVEAT)
