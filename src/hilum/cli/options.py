"""Arguments and options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    Path,
    typer.Argument(
        help="Folder of radiographs (SPLIT/label…/, label…/ or a public set's own layout), "
        "or a table or NPZ file."
    ),
]
Trained = Annotated[Path, typer.Argument(help="Folder of a classifier, or of a training run.")]
Exclude = Annotated[
    list[str] | None,
    typer.Option(help="Leave out files that match, e.g. 'val/infected/covid/8.jpg'. Repeatable."),
]
Classes = Annotated[
    str | None,
    typer.Option(
        help="The labels and their order, e.g. 'normal, infected(covid, non-covid)'. "
        "[dim]Default: the folder nesting.[/dim]"
    ),
]
Layout = Annotated[
    str | None,
    typer.Option(help="How the images lie (docs/data.md). [dim]Default: recognised.[/dim]"),
]
Map = Annotated[
    str | None,
    typer.Option(
        "--map",
        help="What the data's labels mean, where their names are not the classes: "
        "'No_findings=normal, COVID-19=covid, Effusion=-'; '-' leaves images out.",
    ),
]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]
Runtime = Annotated[
    str,
    typer.Option(
        help="What runs the networks: torch, onnx (ONNX Runtime, on the CPU), or auto: onnx where "
        "it is installed and pays."
    ),
]
KeepIdentifiers = Annotated[
    bool,
    typer.Option(
        "--keep-identifiers",
        help="Name patients and studies of DICOM files as the files do, not by salted hashes.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
