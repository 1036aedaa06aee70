"""hilum watch: is it still the same?"""

from pathlib import Path
from typing import Annotated

import typer

from hilum import console
from hilum.cli.options import Device, Json, Trained

EXAMPLE = "hilum watch runs/first week-12/ --out watch"

#: The exit code of an alarm, for whatever runs this by the clock.
ALARM = 3


def watch(
    classifier: Trained,
    images: Annotated[
        list[str],
        typer.Argument(
            help="Radiographs without labels, at least 30: files, folders, 'patterns/**/*.png', "
            "@FILE (a list of paths)."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of watch.html, watch.json, label-these.csv and the history of all runs, "
            "by which slow changes are found; the same one every time. [dim]Default: only print, "
            "and look at this run alone.[/dim]"
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="label-these.csv of the same images, filled in: the accuracy by labels."),
    ] = None,
    label: Annotated[
        int, typer.Option(help="How many images to name for labelling; 0 for none.")
    ] = 40,
    level: Annotated[
        float,
        typer.Option(help="The chance of an alarm in a run in which nothing has changed."),
    ] = 0.01,
    expect: Annotated[
        str,
        typer.Option(
            help="The mix that is expected, of all classes: 'normal=0.9, covid=0.02, "
            "non-covid=0.08'. [dim]Default: that of the validation images.[/dim]"
        ),
    ] = "",
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Is it still the same? Images without labels against what the classifier was validated on.

    Tells whether they look otherwise, how common each class is, how many are named rightly as far
    as that can be known without labels, and whose labels would tell most. Images that trained or
    calibrated the classifier are left out. Exit code 3 is an alarm, 1 that files could not be read.
    """
    from hilum.classifier.classifier import Classifier
    from hilum.watching.watch import watch_images

    model = Classifier.load(classifier, device=device or "auto")
    with console.progress_bar() as progress:
        found = watch_images(
            model, images, out=out, level=level, expect=expect, label=label, labels=labels,
            progress=progress,
        )  # fmt: skip
    page = None
    if out:
        from hilum.reporting.watch_page import write_watch_page

        page = write_watch_page(found, out / "watch.html")
    if as_json:
        console.print_json(found)
    else:
        console.print_lines(*found.verdict, "")
        for table in (found.mix_table(), found.tests_table()):
            console.print_table(table.caption, table.columns, table.rows)
    console.say(*(f"Note: {text}" for text in found.missing))
    for path, reason in found.unread.items():
        console.say(f"{path}: {reason}")
    if found.labels_file:
        again = console.command(
            "hilum", "watch", classifier, *images, "--labels", found.labels_file
        )
        console.say(f"Label these: {found.labels_file}, then: {again}")
    elif out and found.to_label:
        console.say(f"{out / 'label-these.csv'} holds labels, and stays as it is.")
    if page:
        console.say(f"Written: {page}")
    if found.alarm:
        raise typer.Exit(ALARM)
    if found.unread:
        raise typer.Exit(1)
