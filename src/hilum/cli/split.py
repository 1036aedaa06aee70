"""hilum split: divide data so that no patient stands on both sides."""

from pathlib import Path
from typing import Annotated

import typer

from hilum import console
from hilum.cli.options import (
    Classes,
    Data,
    Exclude,
    Json,
    KeepIdentifiers,
    Layout,
    SkipDamaged,
    data_again,
    open_data,
)

EXAMPLE = "hilum split DATA --out split.csv · hilum split DATA --folds 5 --out folds.csv"


def split(
    data: Data,
    out: Annotated[Path, typer.Option(help="The table to write: path, part or fold, group.")],
    parts: Annotated[
        str | None,
        typer.Option(help="Shares, e.g. 'train=0.7, val=0.15, test=0.15' (the default)."),
    ] = None,
    folds: Annotated[int | None, typer.Option(help="Make so many folds instead.")] = None,
    seed: Annotated[int, typer.Option(help="Another seed gives another split.")] = 0,
    group_by: Annotated[
        str, typer.Option(help="patient, blocks (of file numbers), or auto: patient where known.")
    ] = "auto",
    block_size: Annotated[
        int | None,
        typer.Option(
            help="File numbers in a block. [dim]Default: 50, or fewer where a class is small.[/dim]"
        ),
    ] = None,
    keep_test: Annotated[
        bool, typer.Option(help="Leave the images of the split 'test' where they are.")
    ] = False,
    classes: Classes = None,
    exclude: Exclude = None,
    layout: Layout = None,
    keep_identifiers: KeepIdentifiers = False,
    skip_damaged: SkipDamaged = False,
    as_json: Json = False,
) -> None:
    """Divide a data set by patients or blocks of file numbers; copies stay together."""
    from hilum.auditing.duplicates import find_together
    from hilum.auditing.split_table import write_split
    from hilum.auditing.splits import count_findings, count_parts, make_split, parse_shares

    with console.progress_bar() as progress:
        dataset = open_data(
            data,
            classes=classes,
            exclude=exclude,
            layout=layout,
            keep_identifiers=keep_identifiers,
            skip_damaged=skip_damaged,
            progress=progress,
        )
        together = find_together(dataset, progress=progress)
    made = make_split(
        dataset,
        proportions=parse_shares(parts) if parts else None,
        folds=folds,
        seed=seed,
        group_by=group_by,
        block_size=block_size,
        keep_together=together,
        keep_test=keep_test,
    )
    write_split(made, out)
    counts, present = count_parts(dataset, made), count_findings(dataset, made)
    largest, size = made.largest_group()
    groups = len(set(made.groups.values()))
    findings = [finding.name for finding in dataset.tree.findings]
    if as_json:
        console.print_json(
            {
                "split": str(out),
                "counts": counts,
                **({"findings": present} if dataset.tree.findings else {}),
                "groups": groups,
                "largest_group": {"name": largest, "images": size},
                "reading": dataset.reading(),
            }
        )
        return
    console.print_table(
        f"{dataset.name}: {groups:,} groups, the largest of {size:,} images ({largest})",
        ["part", *(dataset.tree.classes if dataset.tree.decisions else ["images"]), *findings],
        [
            [
                f"fold {part}" if folds and part != "test" else part,
                *row.values(),
                *present[part].values(),
            ]
            for part, row in counts.items()
        ],
    )
    fold = ("--fold", 0) if folds else ()
    opened = data_again(data, classes, exclude, layout, skip_damaged)
    again = console.command("hilum", "train", *opened, "--split", out, *fold)
    console.print_lines(f"Written: {out}", f"Train with it: {again} --out RUN")
