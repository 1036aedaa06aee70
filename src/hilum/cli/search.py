"""hilum search: look for better settings of a recipe."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hilum import console
from hilum.cli.options import (
    Address,
    Classes,
    Data,
    Device,
    Engine,
    Exclude,
    Json,
    Layout,
    SkipDamaged,
    Workers,
    cluster_of,
    open_data,
    recipes,
)

if TYPE_CHECKING:
    from hilum.search.results import SearchResult, TrialResult

EXAMPLE = "hilum search covinet-cascade DATA --space space.toml --trials 50"

_LISTED = 10


def search(
    recipe: Annotated[
        str, typer.Argument(help="A built-in recipe or a TOML file.", autocompletion=recipes)
    ],
    data: Data,
    space: Annotated[
        Path, typer.Option(help="TOML file: a table with low and high, or choices, for each key.")
    ],
    trials: Annotated[int, typer.Option(help="How many in all, also of earlier starts.")] = 30,
    out: Annotated[Path | None, typer.Option(help="Folder. Default: searches/NAME.")] = None,
    measure: Annotated[
        str | None,
        typer.Option(
            help="What decides: accuracy, 'recall of covid', 'macro AUROC', … [dim]Default: "
            "accuracy; of findings alone their mean AUROC.[/dim]"
        ),
    ] = None,
    folds: Annotated[
        int, typer.Option(help="On how many of the five folds of train each trial is scored.")
    ] = 1,
    block_size: Annotated[
        int, typer.Option(help="Neighbouring file numbers kept in one fold.")
    ] = 50,
    storage: Annotated[
        str | None,
        typer.Option(
            envvar="HILUM_SEARCH_STORAGE",
            help="Database URL, for many machines; better set in the environment if it holds a "
            "password. [dim]Default: a file in OUT.[/dim]",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Its name in the storage. [dim]Default: the recipe's.[/dim]")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Begin no trial after so many seconds.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of what is drawn.")] = 0,
    jobs: Annotated[int, typer.Option(help="Trials at once, here.")] = 1,
    engine: Engine = "local",
    address: Address = None,
    workers: Workers = None,
    prune: Annotated[
        bool, typer.Option(help="End trials that fall behind the median of the others.")
    ] = True,
    keep_pruned: Annotated[bool, typer.Option(help="Keep the folders of pruned trials.")] = False,
    device: Device = None,
    classes: Classes = None,
    exclude: Exclude = None,
    layout: Layout = None,
    skip_damaged: SkipDamaged = False,
    as_json: Json = False,
) -> None:
    """Search a recipe's settings; the best is a recipe file, to be confirmed by a study."""
    from hilum.files import safe_name
    from hilum.recipe import Recipe
    from hilum.reporting.search_page import PAGE_FILE, write_search_page
    from hilum.search.search import plan_search, run_search
    from hilum.search.space import Space

    cluster = cluster_of(engine, address, workers, jobs)
    base = Recipe.load(recipe).override([f"device={device}"] if device else [])
    wanted = Space.load(space)
    folder = out or Path("searches") / safe_name(name or base.name)
    with console.progress_bar() as progress:
        dataset = open_data(
            data,
            classes=classes,
            exclude=exclude,
            layout=layout,
            skip_damaged=skip_damaged,
            progress=progress,
        )
        plan = plan_search(
            base,
            dataset,
            wanted,
            measure=measure,
            held_out=folds,
            block_size=block_size,
            seed=seed,
            name=name,
        )
        result = run_search(
            plan,
            folder,
            trials=trials,
            storage=storage,
            timeout=timeout,
            jobs=jobs,
            cluster=cluster,
            prune=prune,
            keep_pruned=keep_pruned,
            progress=progress,
            on_trial=_say_trial,
        )
    page = write_search_page(result, folder / PAGE_FILE)
    if as_json:
        console.print_json(result, reading=dataset.reading())
        return
    _print(result)
    if result.best is not None:
        console.print_lines(f"Recipe: {folder / 'best.toml'}")
    console.print_lines(f"Page: {page}")


def _say_trial(trial: "TrialResult", done: int, wanted: int) -> None:
    what = trial.error or trial.state if trial.value is None else f"{trial.value:.3f}"
    console.say(f"trial {trial.number}: {what}  ({done} of {wanted})")


def _setting(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _print(result: "SearchResult") -> None:
    complete = [t for t in result.trials if t.value is not None]
    ranked = sorted(complete, key=lambda t: -(t.value or 0.0))  # of equals, the first first
    console.print_table(
        f"{result.name} on {result.data['name']}: the best of {len(result.trials)} trials",
        ["trial", result.measure["label"], *result.space],
        [
            [str(t.number), t.estimate, *(_setting(t.values[key]) for key in result.space)]
            for t in ranked[:_LISTED]
        ],
    )
    shares = result.importance.shares.items()
    console.print_lines(
        *result.sentences,
        *(f"Importance of {name}: {100 * share:.0f} %" for name, share in shares),
        *result.notes,
        *(f"FAILED: trial {t.number}: {t.error}" for t in result.with_state("failed")),
    )
