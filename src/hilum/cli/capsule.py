"""hilum capsule: validate at another hospital, from which only aggregates come back."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hilum import console
from hilum.cli.options import (
    Data,
    Device,
    Exclude,
    Json,
    Layout,
    Map,
    SkipDamaged,
    Trained,
    open_data,
)

if TYPE_CHECKING:
    from hilum.capsule.read import Reading

EXAMPLE = (
    "hilum capsule make runs/first --out capsule.zip · hilum capsule run capsule.zip DATA · "
    "hilum capsule read result-*.json"
)

capsule = typer.Typer(
    help="Measure a classifier at another hospital: it gets a file, and only aggregates come back.",
    no_args_is_help=True,
)

_File = Annotated[Path, typer.Argument(metavar="CAPSULE", help="The file that was made.")]


@capsule.command("make", epilog=f"[bold]Example[/bold]: {EXAMPLE.split(' · ')[0]}")
def make(
    run: Trained,
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("capsule.zip"),
    operate: Annotated[
        list[str] | None,
        typer.Option(
            help="An operating point whose threshold travels, beside the presets: "
            "'LABEL: MEASURE>=VALUE'. Repeatable."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make one file of a classifier and its evaluation, to be run at another hospital.

    It holds no picture, no file name, and nothing of single patients but what weights may hold.
    """
    from hilum.capsule.make import make_capsule

    made = make_capsule(run, out, operate=operate or ())
    if as_json:
        console.print_json(made)
        return
    size = sum(made.files.values())
    home = made.home.aggregates
    console.print_lines(
        f"Written: {out} ({size / 1e6:.1f} MB: {', '.join(made.files)})",
        f"Home's figures: {home.n:,} images of {made.split}, with "
        f"{len(made.home.points)} operating points.",
        f"Capsule: {made.hash}",
        "Tell the other hospital this hash by another way than the file goes.",
    )


@capsule.command("run", epilog=f"[bold]Example[/bold]: {EXAMPLE.split(' · ')[1]}")
def run(
    capsule: _File,
    data: Data,
    split: Annotated[str, typer.Option(help="train, val, test, or all.")] = "all",
    site: Annotated[
        str,
        typer.Option(help="What you want to be called by. [dim]Default: the key's name.[/dim]"),
    ] = "",
    out: Annotated[
        Path, typer.Option(help="The folder that the result and its page are written to.")
    ] = Path(),
    exclude: Exclude = None,
    layout: Layout = None,
    label_map: Map = None,
    skip_damaged: SkipDamaged = False,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Run a capsule on your own images, without network, and sign what comes out.

    The result is one file of aggregates. A page beside it shows all that would leave; nothing is
    sent.
    """
    from hilum.capsule.archive import opened
    from hilum.capsule.run import result_name, run_capsule, write_result
    from hilum.capsule.signing import sign
    from hilum.reporting.capsule_page import result_sentences, result_tables, write_capsule_page

    with opened(capsule, device or "auto") as inside, console.progress_bar() as progress:
        dataset = open_data(
            data,
            tree=inside.classifier.tree,
            exclude=exclude,
            layout=layout,
            label_map=label_map,
            every_class=False,
            skip_damaged=skip_damaged,
            progress=progress,
        )
        found = run_capsule(inside, dataset, split, site=site, progress=progress)
    signed = sign(found)
    result = out / result_name(signed)
    page = write_capsule_page(signed, result.with_suffix(".html"), result.name)
    write_result(signed, result)
    if as_json:
        console.print_json({"result": str(result), "page": str(page), "signed": signed})
        return
    for table in result_tables(signed):
        console.print_table(table.caption, table.columns, table.rows)
    console.print_lines(
        *result_sentences(signed),
        f"Nothing has been sent. All that {result.name} says is shown in {page}: read it first.",
        f"Written: {result}",
    )


@capsule.command("read", epilog=f"[bold]Example[/bold]: {EXAMPLE.split(' · ')[2]}")
def read(
    results: Annotated[list[Path], typer.Argument(help="What hospitals sent, of one capsule.")],
    capsule: Annotated[
        Path | None,
        typer.Option(help="The capsule that was sent, to see that it is what was run."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check signatures, and show what hospitals found beside home and, of several, pooled."""
    from hilum.capsule.read import read_results, site_names

    found = read_results(results, capsule)
    if as_json:
        console.print_json(found)
        return
    names = site_names(found.sites)
    for name, one in zip(names, found.sites, strict=True):
        console.print_lines(
            f"{name}: {one.path}, {one.result.there.n:,} images, {one.result.day}; signed by "
            f"{one.signer}"
        )
    seen = f"is that of {capsule}" if capsule else "was not compared: name it with --capsule"
    console.print_lines(f"Capsule: {found.capsule}, which {seen}", "")
    _print_shift(found, names)
    _print_compared(found, names)
    if len(names) > 1:
        _print_together(found)
    console.print_lines(
        "Images are taken as independent. A fingerprint says who signed only where it was compared "
        "with them by another way."
    )


def _print_shift(found: "Reading", names: list[str]) -> None:
    from hilum.table import Column
    from hilum.wording import PERCENT

    home = found.sites[0].result.home
    sides = [home, *(one.result.there for one in found.sites)]
    rows = [
        [label, *(s.classes[label].n / s.n if label in s.classes else None for s in sides)]
        for label in home.classes
    ]
    heads = [Column(name, style=PERCENT) for name in ("home", *names)]
    console.print_table("How common each class is", ["class", *heads], rows)


def _print_compared(found: "Reading", names: list[str]) -> None:
    from hilum.table import Column
    from hilum.wording import NARROW, Style

    for at, name in enumerate(names):
        heads = [Column(n, style=NARROW) for n in ("home", "there")]
        signed = Column("there − home", style=Style(2, plus=True))
        rows = [[c.name, c.home, c.sites[at], c.differences[at]] for c in found.compared]
        console.print_table(f"{name} beside home", ["measure", *heads, signed], rows)


def _print_together(found: "Reading") -> None:
    from hilum.table import Column
    from hilum.wording import NARROW, PERCENT

    rows = [
        [t.name, t.estimate,
         f"{t.prediction[0]:.2f}–{t.prediction[1]:.2f}" if t.prediction else None,
         t.tau2, t.i2]
        for t in found.together
    ]  # fmt: skip
    heads = [
        Column("pooled", style=NARROW), Column("one more site"), Column("tau²", style=NARROW),
        Column("I²", style=PERCENT),
    ]  # fmt: skip
    console.print_table("Sites pooled, without home", ["measure", *heads], rows)
    left = sorted({site for t in found.together for site in t.left_out})
    if left:
        console.print_lines(f"Left out where a measure has no interval: {', '.join(left)}.")
