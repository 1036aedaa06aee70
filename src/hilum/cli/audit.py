"""hilum audit: is my data sound?"""

from pathlib import Path
from typing import Annotated

import typer

from hilum import console
from hilum.cli.options import Classes, Data, Exclude, Fold, Json, Layout, Split, open_data

EXAMPLE = "hilum audit DATA --out audit"


def audit(
    data: Data,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where audit.json and audit.html go. [dim]Default: audit-NAME of the data.[/dim]"
        ),
    ] = None,
    classes: Classes = None,
    exclude: Exclude = None,
    layout: Layout = None,
    split: Split = None,
    fold: Fold = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Also say which shortcuts the augmentation of this recipe leaves: built in, or "
            "a TOML file."
        ),
    ] = None,
    croissant: Annotated[
        Path | None,
        typer.Option(
            help="Also describe the data, with what was found, as Croissant (JSON-LD) in this "
            "file, which belongs into the data's folder, e.g. DATA/croissant.json."
        ),
    ] = None,
    show_preprocessing: Annotated[
        bool, typer.Option(help="Show what every preprocessing makes of a radiograph.")
    ] = False,
    show_augmentation: Annotated[
        bool, typer.Option(help="Show what augmentation makes of a radiograph in training.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Is my data sound? Duplicates, leaks, patients, provenance and shortcuts, with pictures."""
    from hilum.auditing.audit import run_audit, write_audit
    from hilum.auditing.croissant import write_croissant
    from hilum.auditing.split_table import divide
    from hilum.radiographs.image import image_source
    from hilum.recipe import Recipe
    from hilum.reporting.audit_findings import findings_tables
    from hilum.reporting.audit_page import (
        augmentation_samples,
        preprocessing_samples,
        write_audit_page,
    )
    from hilum.transforms.augment import training_view

    chosen = Recipe.load(recipe) if recipe else None
    with console.progress_bar() as progress:
        dataset = open_data(
            data,
            classes=classes,
            exclude=exclude,
            layout=layout,
            skip_damaged=True,
            progress=progress,
        )
        dataset = divide(dataset, split, fold)
        trained = training_view(chosen, dataset.tree) if chosen else None
        found = run_audit(dataset, trained=trained, progress=progress)
    out = out or Path(f"audit-{dataset.name}")
    written = write_audit(found, out)
    page = write_audit_page(
        found,
        out / "audit.html",
        images=image_source(dataset.root),
        preprocessing=preprocessing_samples(dataset) if show_preprocessing else None,
        augmentation=augmentation_samples(dataset) if show_augmentation else None,
    )
    if croissant:
        write_croissant(dataset, found, croissant)
    if as_json:
        console.print_json(found)
        return
    console.print_lines(f"{dataset.name}: {len(dataset.records)} images")
    console.print_lines(f"{found.balance()}\n")
    for finding in found.findings:
        console.print_finding(finding)
    console.print_lines("")
    if dataset.damaged:
        console.print_lines(
            "Damaged files",
            *(f"{name}: {reason}" for name, reason in dataset.damaged.items()),
            "",
        )
    left = {s.name: s.auroc for s in found.left.shortcuts} if found.left else {}
    if found.shortcuts:
        console.print_table(
            "What tells the classes apart: AUROC, 0.5 is chance",
            [
                "seen",
                "AUROC",
                *([f"under {found.left.recipe}"] if found.left else dataset.tree.classes),
            ],
            [
                [s.name, s.auroc]
                + (
                    [left.get(s.name)]
                    if left
                    else [s.per_class.get(c) for c in dataset.tree.classes]
                )
                for s in found.shortcuts
            ],
        )
    for table in findings_tables(found):
        console.print_table(table.caption, table.columns, table.rows)
    also = f", {croissant}" if croissant else ""
    console.print_lines(f"Written: {page}, {written}{also}")
