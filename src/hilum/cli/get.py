"""hilum get: fetch a public data set."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hilum import console
from hilum.cli.options import Json, names_from

if TYPE_CHECKING:
    from hilum.fetching.catalogue import DataSet

EXAMPLE = "hilum get chest-xray-150 · hilum get pneumoniamnist --size 64 --out small · hilum get"


def get(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A data set. [dim]Default: list them.[/dim]",
            autocompletion=names_from("hilum.fetching.catalogue", "known_sets"),
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="A new folder. [dim]Default: the data set's name.[/dim]")
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="Image size in pixels, where there is a choice.")
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="List the data sets.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Fetch a public data set; its licence, and what its labels mean, come first."""
    from hilum.fetching.catalogue import find_set
    from hilum.fetching.get import check_target, get_data

    if name is None or listing:
        _show_list(as_json)
        return
    data_set = find_set(name)
    data_set.check_size(size)
    chosen = out or Path(name)
    check_target(chosen)
    _tell(data_set, chosen)
    _ask(yes)
    with console.progress_bar() as progress:
        fetched = get_data(data_set, chosen, size=size, progress=progress)
    if as_json:
        console.print_json(fetched)
        return
    classes = sorted({c for counts in fetched.images.values() for c in counts})
    rows = [[s, *(counts.get(c, 0) for c in classes)] for s, counts in fetched.images.items()]
    console.print_table(data_set.source.title, ["split", *classes], rows)
    origin = fetched.origin
    console.print_lines(
        *([f"SHA-256: {origin.sha256}"] if origin.sha256 else []),
        *([f"Commit: {origin.commit}"] if origin.commit else []),
        origin.checked,
        *(f"Note: {note}" for note in fetched.notes),
        f"Written: {chosen}",
        f"Look at it with: hilum audit {chosen}",
    )


def _show_list(as_json: bool) -> None:
    from hilum.fetching.catalogue import known_sets

    if as_json:
        keys = ("title", "licence", "meaning")
        console.print_json(
            [
                {"name": s.name, **{key: getattr(s.source, key) for key in keys}, "page": s.page,
                 "sizes": s.sizes}
                for s in known_sets()
            ]
        )  # fmt: skip
        return
    rows = [[s.name, s.page.split("/")[2], s.source.title] for s in known_sets()]
    console.print_table("Public data sets to get", ["name", "from", "about"], rows)


def _tell(data_set: "DataSet", out: Path) -> None:
    source = data_set.source
    console.say(
        source.title,
        f"  From: {data_set.page}, into {out}",
        f"  Source: {source.source}",
        f"  Licence: {source.licence}",
        f"  What the labels mean: {source.meaning}",
        f"  {source.advice}",
        *(f"  Note: {trap}" for trap in source.traps),
    )


def _ask(yes: bool) -> None:
    from hilum.errors import DataError, Interrupted

    if yes:
        return
    if not sys.stdin.isatty():
        raise DataError(
            "Nobody can be asked whether to fetch this: read the licence and what the labels mean "
            "above, and add --yes."
        )
    if not typer.confirm("Fetch it?", err=True):
        raise Interrupted("Nothing was fetched.")
