"""Arguments and options that several verbs share."""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from hilum import console
from hilum.errors import ClassifierError

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


if TYPE_CHECKING:
    from hilum.classifier.classifier import Classifier
    from hilum.exporting.runtime import Runtime as RuntimeName
    from hilum.labels import LabelTree
    from hilum.radiographs.dataset import Dataset
    from hilum.radiographs.pixels import Progress


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
    progress: "Progress | None" = None,
) -> "Dataset":
    """Open a data set as the options say, and tell what its layout left out or decided.

    label_map: the text of --map. every_class, keep_identifiers: as of open_dataset.
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
        progress=progress,
    )
    for note in dataset.notes:
        console.say(f"{dataset.name}: {note}")
    return dataset


T = TypeVar("T")

#: Of the extra hilum[onnx]: what runs networks, and what translates them.
_NEEDED = ("onnxruntime", "onnx", "onnxscript")


def load_to_run(
    path: Path,
    runtime: str,
    device: str | None,
    make: "Callable[[Classifier, RuntimeName], T]",
    *,
    many: bool,
) -> "tuple[Classifier, T, RuntimeName]":
    """A classifier, what is made of it to run by a runtime, and which runtime that is.

    make: called with 'onnx' it raises ClassifierError where that cannot be. runtime: 'torch',
    'onnx' or 'auto', which takes ONNX Runtime where it is faster: on the CPU, for many images,
    since networks are translated first. many: whether there will be. Where 'auto' cannot take it,
    it says why if it is installed. Raises ClassifierError.
    """
    from hilum.classifier.classifier import Classifier
    from hilum.exporting.runtime import parse_runtime

    asked = None if runtime == "auto" else parse_runtime(runtime)
    on_cpu = device in (None, "auto", "cpu")
    if asked == "onnx" and not on_cpu:
        raise ClassifierError(
            f"ONNX Runtime computes on the CPU here: leave out --device {device}, or use "
            "--runtime torch."
        )
    model = Classifier.load(path, device="cpu" if asked == "onnx" else device or "auto")
    fitting = many and model.device.type == "cpu" and all(map(find_spec, _NEEDED))
    if asked == "torch" or (asked is None and not fitting):
        return model, make(model, "torch"), "torch"
    try:
        with without_exporter_noise():
            return model, make(model, "onnx"), "onnx"
    except ClassifierError as error:
        if asked == "onnx":
            raise
        console.say(f"PyTorch runs the networks: {error}")
        return model, make(model, "torch"), "torch"


@contextmanager
def without_exporter_noise() -> Iterator[None]:
    """Keep from the terminal what PyTorch's exporter says of its own insides.

    It logs that torchvision is not installed, which Hilum does without, and warns of a
    deprecation within PyTorch. Other warnings are given again.
    """
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(record=True) as raised:
            yield
    finally:
        logger.setLevel(before)
    for warning in raised:
        if "LeafSpec" not in str(warning.message):
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
