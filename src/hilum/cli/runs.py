"""hilum runs: what was trained, and how good it is."""

from pathlib import Path
from typing import Annotated

import typer

from hilum import console
from hilum.cli.options import Json

EXAMPLE = "hilum runs · hilum runs studies --where recipe=default --sort accuracy"


def runs(
    folder: Annotated[Path, typer.Argument(help="Runs are looked for in it and below.")] = Path(
        "runs"
    ),
    where: Annotated[
        list[str] | None,
        typer.Option(help="Only those of which run, recipe, data or split has it. Repeatable."),
    ] = None,
    sort: Annotated[
        str, typer.Option(help="By run, recipe, data, accuracy, looks, seconds or finished.")
    ] = "run",
    as_json: Json = False,
) -> None:
    """List runs: recipe, data, accuracy with its interval, looks at test sets, time."""
    from hilum.errors import plural
    from hilum.evaluation.overview import list_runs
    from hilum.wording import duration

    rows = list_runs(folder, where=where or (), sort=sort)
    if as_json:
        console.print_json(rows)
        return
    if not rows:
        console.say(f"{folder}: no such runs.")
        return
    console.print_table(
        f"{folder}: {plural(len(rows), 'run')}",
        ["run", "recipe", "data", "on", "images", "accuracy", "looks", "training"],
        [
            [
                str(Path(row.run).relative_to(folder)),
                row.recipe,
                row.data,
                row.split or "",
                row.n,
                row.accuracy,
                row.looks,
                duration(row.seconds) if row.finished else "not finished",
            ]
            for row in rows
        ],
    )
    console.say(*(f"Note: {row.note}" for row in rows if row.note))
