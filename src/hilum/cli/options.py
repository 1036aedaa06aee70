"""Arguments and options that several verbs share, and the data set that they name."""

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hilum import console

if TYPE_CHECKING:
    from hilum.cluster import Cluster
    from hilum.labels import LabelTree
    from hilum.radiographs.dataset import Dataset
    from hilum.radiographs.pixels import Progress


def names_from(module: str, function: str) -> Callable[[str], list[str]]:
    """What a shell completes a name with: those that a function gives, loaded when it asks."""

    def begin_with(incomplete: str) -> list[str]:
        known = getattr(import_module(module), function)()
        names = [getattr(thing, "name", thing) for thing in known]
        return [name for name in names if name.startswith(incomplete)]

    return begin_with


recipes = names_from("hilum.recipe", "recipe_names")


Data = Annotated[
    Path,
    typer.Argument(
        help="Folder of radiographs (SPLIT/label…/, label…/ or a public set's own layout), "
        "or a table or NPZ file; also by a URL, such as s3://bucket/films (docs/data.md)."
    ),
]
Trained = Annotated[
    Path,
    typer.Argument(
        help="Folder of a classifier, or of a training run; or hf://OWNER/NAME@REVISION on a hub."
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(help="Leave out files that match, e.g. 'val/infected/covid/8.jpg'. Repeatable."),
]
Classes = Annotated[
    str | None,
    typer.Option(
        help="The labels and their order, e.g. 'normal, infected(covid, non-covid)', or findings, "
        "'{effusion, mass}' (docs/findings.md). [dim]Default: as the data have them.[/dim]"
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
        "there is no GPU."
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        help="Of the Ray cluster: HOST:PORT or auto. [dim]Default: one is started here.[/dim]"
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        help="local, or ray: workers of a Ray cluster, which share a file system; pip install "
        r"'hilum\[ray]'."
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1, help="Of Ray. [dim]Default: one for each GPU, or machine where there are none.[/dim]"
    ),
]
Split = Annotated[
    Path | None,
    typer.Option(help="A table of `hilum split`, instead of the data's own splits."),
]
Fold = Annotated[int | None, typer.Option(help="Of a table of folds: the one that is monitored.")]
KeepIdentifiers = Annotated[
    bool,
    typer.Option(
        "--keep-identifiers",
        help="Name patients and studies of DICOM files as the files do, not by salted hashes.",
    ),
]
SkipDamaged = Annotated[
    bool,
    typer.Option(
        "--skip-damaged",
        help="Leave out files that cannot be decoded, and record it, instead of refusing.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


def open_data(
    data: Path,
    *,
    classes: str | None = None,
    tree: "LabelTree | None" = None,
    exclude: Sequence[str] | None = None,
    layout: str | None = None,
    label_map: str | None = None,
    every_class: bool = True,
    keep_identifiers: bool = False,
    skip_damaged: bool = False,
    progress: "Progress | None" = None,
) -> "Dataset":
    """Open a data set as the options say, and tell what its layout left out or decided.

    label_map: the text of --map. every_class, keep_identifiers, skip_damaged: as of open_dataset.
    """
    from hilum.errors import LabelError
    from hilum.labels import LabelTree
    from hilum.radiographs.dataset import open_dataset
    from hilum.radiographs.label_map import parse_label_map

    if classes:
        tree = LabelTree.from_text(classes)
    if label_map and tree is None:
        raise LabelError("--map gives labels the names of classes: name these with --classes.")
    dataset = open_dataset(
        data,
        tree=tree,
        exclude=exclude or (),
        layout=layout,
        rename=parse_label_map(label_map, tree) if label_map and tree else {},
        every_class=every_class,
        keep_identifiers=keep_identifiers,
        skip_damaged=skip_damaged,
        progress=progress,
    )
    words = {left.note: left.in_words() for left in dataset.left_out}
    for note in dataset.notes:
        console.say(f"{dataset.name}: {words.get(note, note)}")
    return dataset


def data_again(
    data: Path,
    classes: str | None,
    exclude: Sequence[str] | None,
    layout: str | None,
    skip_damaged: bool,
) -> list[object]:
    """Words of a command that opens the same data in the same way, as open_data took them."""
    from hilum.stores import as_place

    words: list[object] = [as_place(data)]
    for option, value in (("--classes", classes), ("--layout", layout)):
        words += [option, value] if value else []
    for pattern in exclude or ():
        words += ["--exclude", pattern]
    return [*words, "--skip-damaged"] if skip_damaged else words


def cluster_of(
    engine: str, address: str | None, workers: int | None, jobs: int = 1
) -> "Cluster | None":
    """The Ray cluster that --engine, --address and --workers name; None for this machine alone.

    jobs: processes here, which go with the engine local. Raises ClusterError for what makes none,
    and as Cluster.check does.
    """
    from hilum.cluster import Cluster
    from hilum.errors import ClusterError, nearest

    if engine not in (engines := ("local", "ray")):
        raise ClusterError(f"There is no engine '{engine}'.{nearest(engine, engines)}")
    if engine == "local":
        if address or workers:
            raise ClusterError("--address and --workers are of the engine ray: add --engine ray.")
        return None
    if jobs != 1:
        raise ClusterError("--jobs is of the engine local: name --workers instead.")
    cluster = Cluster(address, workers)
    cluster.check()  # also where nothing is left to do, and so no cluster is asked
    return cluster
