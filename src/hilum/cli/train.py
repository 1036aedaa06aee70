"""hilum train: train a classifier."""

import textwrap
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from hilum import console
from hilum.cli.options import (
    Classes,
    Data,
    Device,
    Exclude,
    Fold,
    Json,
    Layout,
    SkipDamaged,
    Split,
    data_again,
    open_data,
    recipes,
)

EXAMPLE = "hilum train DATA · hilum train DATA --recipe quick --out runs/first"


def _list_keys(wanted: bool) -> None:
    if not wanted:
        return
    from hilum.recipe import describe_keys

    for key, (default, meaning) in describe_keys().items():
        lines = textwrap.wrap(meaning, 92)
        console.print_lines(f"{key} = {default}", *(f"    {line}" for line in lines))
    raise typer.Exit


def train(
    data: Data,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The run's folder: new, or with --resume its own. [dim]Default: runs/NAME-1, "
            "-2, … of the data's name.[/dim]"
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="A built-in recipe or a TOML file. [dim]Default: default; with --resume, "
            "the run's own.[/dim]",
            autocompletion=recipes,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Change a recipe's key: key=value. Repeatable; --keys lists them."
        ),
    ] = None,
    keys: Annotated[
        bool,
        typer.Option(
            "--keys",
            help="List the keys of a recipe: defaults and meanings.",
            callback=_list_keys,
            is_eager=True,
        ),
    ] = False,
    monitor: Annotated[
        str | None,
        typer.Option(help="What is watched after every epoch: val, blocks (of train) or test."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights, order and dropout.")] = None,
    device: Device = None,
    classes: Classes = None,
    exclude: Exclude = None,
    layout: Layout = None,
    split: Split = None,
    fold: Fold = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            help="Train although a quick check finds: leakage (images or patients in two "
            "splits), label-conflicts. The report will say so."
        ),
    ] = None,
    skip_damaged: SkipDamaged = False,
    resume: Annotated[bool, typer.Option(help="Go on with the run in --out.")] = False,
    devices: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Train on so many GPUs of this machine, or with --device cpu in so many "
            "processes. On several machines: torchrun -m hilum train …",
        ),
    ] = None,
    spread: Annotated[
        bool,
        typer.Option(
            "--spread",
            help="Of several devices, let each train whole networks (decisions, members) and not "
            "a share of every batch: better for few images.",
        ),
    ] = False,
    report: Annotated[
        bool,
        typer.Option(help="Evaluate what was held out (the test part, or else val) and report."),
    ] = True,
    as_json: Json = False,
) -> None:
    """Train a classifier, evaluate what was held out, and write a report.

    Data without a part to choose by are divided first, as hilum split does.
    """
    from hilum.errors import Interrupted
    from hilum.pipeline import write_up
    from hilum.stores import as_place
    from hilum.table import Column
    from hilum.training.folder import new_run_folder, read_history
    from hilum.training.joining import joined
    from hilum.training.run import recipe_to_train
    from hilum.training.run import train as run_training
    from hilum.training.together import help_train
    from hilum.wording import Style

    chosen = {"monitor": monitor, "seed": seed, "device": device}
    assignments = [f"{key}={value}" for key, value in chosen.items() if value is not None]
    wanted = recipe_to_train(recipe, out, resume).override([*(settings or []), *assignments])
    with (
        joined(devices, wanted.device) as world,
        console.training_table(quiet=not world.first) as (progress, on_epoch),
    ):
        dataset = world.by_turns(
            lambda: open_data(
                data,
                classes=classes,
                exclude=exclude,
                layout=layout,
                skip_damaged=skip_damaged,
                progress=progress,
            )
        )
        if not world.first:
            help_train(dataset, wanted, world, spread=spread)
            return
        if out is None:
            out = new_run_folder(dataset)
            console.say(f"Run: {out}")
        run_training(
            dataset,
            wanted,
            out,
            split_file=split,
            fold=fold,
            allow=allow or (),
            resume=resume,
            progress=progress,
            on_epoch=on_epoch,
            on_copies=console.say_copies,
            on_start=lambda sentence: console.say(f"Note: {sentence}"),
            world=world,
            spread=spread,
        )
    opened = data_again(data, classes, exclude, layout, skip_damaged)
    again = console.command("hilum", "train", *opened, "--out", out, "--resume")
    written = None
    if report:
        try:
            with console.progress_bar() as progress:
                written = write_up([out], dataset, out, device=device or "auto", progress=progress)
        except KeyboardInterrupt:
            said = f"{out}: is trained; the report was not finished. Go on with: {again}"
            raise Interrupted(said) from None
    history = read_history(out / "history.jsonl")
    if as_json:
        console.print_json(
            {
                "run": str(out),
                "classifier": str(out / "classifier"),
                "history": history,
                "result": written,
                "reading": dataset.reading(),
            }
        )
        return
    figures = ("train_loss", "train_accuracy", "monitor_loss", "monitor_accuracy")
    names = ("train loss", "train accuracy", "monitored loss", "accuracy")
    seconds: Counter[str] = Counter()
    for row in history:
        seconds[row["decision"]] += row["seconds"]
    last = {row["decision"]: row for row in history}
    console.print_table(
        f"Trained: {wanted.name} on {dataset.name}",
        ["decision", "epochs", *(Column(n, style=Style(4)) for n in names), "seconds"],
        [
            [d, str(row["epoch"]), *(row[f] for f in figures), f"{seconds[d]:.1f}"]
            for d, row in last.items()
        ],
    )
    if written:
        console.print_write_up(written, as_place(data))
    else:
        console.print_lines(f"Classifier: {out / 'classifier'}")
        console.print_lines(f"Evaluate what was held out, and report: {again}")
