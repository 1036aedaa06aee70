"""hilum study: compare variants of a recipe over several seeds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hilum import console
from hilum.cli.options import (
    Address,
    Classes,
    Device,
    Engine,
    Exclude,
    Json,
    Layout,
    SkipDamaged,
    Workers,
    cluster_of,
    names_from,
    open_data,
)

if TYPE_CHECKING:
    from hilum.studies.results import StudyResult
    from hilum.studies.runner import RunReport

EXAMPLE = "hilum study batch-size DATA --seeds 5 --jobs 2"


def study(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A built-in study (--list) or a TOML file.",
            autocompletion=names_from("hilum.studies.study", "study_names"),
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Argument(help="Folder of radiographs, or a table or NPZ file.")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for studies, which share the runs in it.")
    ] = Path("studies"),
    seeds: Annotated[
        int | None, typer.Option(help="Runs of each variant. [dim]Default: the study's.[/dim]")
    ] = None,
    measure: Annotated[
        str | None,
        typer.Option(
            help="What decides: accuracy, 'recall of covid', … [dim]Default: the study's.[/dim]"
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Runs that train at once, here.")] = 1,
    engine: Engine = "local",
    address: Address = None,
    workers: Workers = None,
    restart: Annotated[
        bool, typer.Option(help="Begin anew although the data changed since the study's runs.")
    ] = False,
    device: Device = None,
    classes: Classes = None,
    exclude: Exclude = None,
    layout: Layout = None,
    skip_damaged: SkipDamaged = False,
    list_them: Annotated[bool, typer.Option("--list", help="List the built-in studies.")] = False,
    as_json: Json = False,
) -> None:
    """Compare variants of a recipe over several seeds, with intervals and paired tests."""
    from hilum.errors import StudyError
    from hilum.studies.study import Study

    if list_them:
        _list(as_json)
        return
    if name is None or data is None:
        raise StudyError(
            "Name a study and the data: hilum study NAME_OR_FILE DATA; hilum study --list shows "
            "the built-in ones."
        )
    from hilum.reporting.study.page import PAGE_FILE, write_study_page
    from hilum.studies.runner import run_study

    cluster = cluster_of(engine, address, workers, jobs)
    chosen = Study.load(name).with_settings(seeds=seeds, measure=measure, device=device)
    settings = chosen.settings
    with console.progress_bar() as progress:
        dataset = open_data(
            data,
            classes=classes or settings.classes,
            exclude=[*settings.exclude, *(exclude or [])],
            layout=layout,
            skip_damaged=skip_damaged,
            progress=progress,
        )
        result = run_study(
            chosen, dataset, out, jobs=jobs, cluster=cluster, restart=restart, progress=progress,
            on_run=_say_run,
        )  # fmt: skip
    page = write_study_page(result, out / chosen.name / PAGE_FILE)
    if as_json:
        console.print_json(result, reading=dataset.reading())
        return
    _print(result)
    console.print_lines(f"Study: {page}")


def _list(as_json: bool) -> None:
    from hilum.studies.study import Study, study_names

    studies = [Study.load(name) for name in study_names()]
    if as_json:
        console.print_json([s.settings.model_dump(mode="json") for s in studies])
        return
    rows = [[s.name, ", ".join(s.variants), s.settings.question] for s in studies]
    console.print_table("Built-in studies", ["study", "variants", "question"], rows)


def _say_run(report: "RunReport") -> None:
    run = report.run
    left = ""
    if report.seconds_left:
        left = f", about {report.seconds_left / 60:.0f} min left"
    console.say(
        f"{run.variant}, seed {run.recipe.seed}: {report.error or 'done'}  "
        f"({report.done} of {report.total} runs{left})"
    )


def _print(result: "StudyResult") -> None:
    label, variants = result.measure["label"], result.variants.values()
    columns: dict[str, list[Any]] = {
        "variant": list(result.variants),
        "runs": [len(v.runs) for v in variants],
        label: [v.mean for v in variants],
        f"held-out {result.headline}, pooled": [
            v.pooled and v.pooled.headline[1] for v in variants
        ],
        "under stress": [v.stressed and v.stressed.stressed for v in variants],
        "own val": [v.own_val_mean for v in variants],
        "minutes a run": [
            f"{v.seconds / 60 / len(v.runs):.1f}" if v.runs else None for v in variants
        ],
    }
    measured = {name: cells for name, cells in columns.items() if any(c is not None for c in cells)}
    console.print_table(
        f"{result.name} on {result.data['name']}: {label}, mean over runs with 95 % interval",
        list(measured),
        list(zip(*measured.values(), strict=True)),
    )
    console.print_lines(
        *result.sentences,
        *(f"Published: {c['statement']} Here: {c['verdict']}." for c in result.published),
        *result.notes,
        *(f"FAILED: {f.variant}, seed {f.seed}: {f.error}" for f in result.failures),
    )
