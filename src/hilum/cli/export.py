"""hilum export: a classifier as one ONNX file, or as one folder to give away."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hilum import console
from hilum.cli.options import Json, Trained
from hilum.errors import ClassifierError, nearest

if TYPE_CHECKING:
    from hilum.classifier.classifier import Classifier
    from hilum.exporting.onnx import Agreement

EXAMPLE = "hilum export runs/first --to onnx --out first.onnx --check DATA/val"

_FORMATS = ("onnx", "safetensors", "huggingface")


def export(
    classifier: Trained,
    to: Annotated[
        str,
        typer.Option(
            help="onnx (one file), safetensors (one folder) or huggingface (the folder of a model "
            "repository, with both)."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="The file or folder. [dim]Default: by the classifier's name.[/dim]"),
    ] = None,
    takes: Annotated[
        str,
        typer.Option(
            "--input",
            help="What the ONNX graph takes: images (decoded, of any size) or pixels (after the "
            "classifier's preprocessing).",
        ),
    ] = "images",
    operate: Annotated[
        list[str] | None,
        typer.Option(
            help="Operating points whose thresholds go into the ONNX file, e.g. "
            "'covid: recall>=0.95'. Repeatable. [dim]Default: the presets.[/dim]"
        ),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(
            help="Radiographs to compare the ONNX file with the classifier on, beside random "
            "images. [dim]Default: phantoms.[/dim]"
        ),
    ] = None,
    thumbnails: Annotated[
        bool,
        typer.Option(
            help="Into a folder: also the small pictures of training images, where the "
            "classifier keeps them (the recipe's keep_thumbnails)."
        ),
    ] = True,
    as_json: Json = False,
) -> None:
    """Export a classifier, and check it before saying that it is done.

    An ONNX file holds preprocessing, all networks, temperatures, probabilities and the predicted
    class; labels, thresholds and provenance are in its metadata. A folder holds the classifier
    with a model card, and no path of this machine. Nothing is uploaded.
    """
    from hilum.classifier.classifier import Classifier

    if to not in _FORMATS:
        raise ClassifierError(f"There is no format '{to}'.{nearest(to, _FORMATS)}")
    given = {"--input": takes != "images", "--operate": operate, "--check": check}
    foreign = [option for option, is_given in given.items() if is_given]
    if to == "safetensors" and foreign:
        raise ClassifierError(f"{', '.join(foreign)}: only with --to onnx or huggingface.")
    model = Classifier.load(classifier, device="cpu")
    if not thumbnails:
        model = replace(model, thumbnails=None)
    name = classifier.resolve().name
    if to == "onnx":
        _onnx(model, out or Path(f"{name}.onnx"), takes, operate, check, as_json)
    else:
        graph = None if to == "safetensors" else (takes, operate, check)
        _folder(model, classifier, out or Path(f"{name}-shared"), graph, as_json)


#: What goes into an ONNX graph: --input, --operate, --check.
Graph = tuple[str, Sequence[str] | None, Path | None]


def _onnx(
    model: "Classifier",
    file: Path,
    takes: str,
    operate: Sequence[str] | None,
    check: Path | None,
    as_json: bool,
) -> None:
    from hilum.codec import to_plain
    from hilum.exporting.graph import parse_input
    from hilum.exporting.onnx import export_onnx, images_to_check
    from hilum.exporting.session import OPSET

    kind, images = parse_input(takes), images_to_check(check)
    agreement = export_onnx(model, file, takes=kind, operate=operate, radiographs=images)
    if as_json:
        console.print_json({"file": str(file), "opset": OPSET, **to_plain(agreement)})
        return
    console.print_lines(_agreed(agreement, check))
    console.print_lines(f"Written: {file} ({file.stat().st_size / 1e6:.1f} MB, opset {OPSET})")


def _agreed(agreement: "Agreement", check: Path | None) -> str:
    what = "radiographs" if check else "phantoms"
    return (
        f"Checked by ONNX Runtime: on {agreement.radiographs} {what} and {agreement.random} "
        "random images the same classes as by PyTorch; probabilities differ by "
        f"{agreement.largest_difference:.1g} at most."
    )


def _folder(
    model: "Classifier", source: Path, folder: Path, graph: Graph | None, as_json: bool
) -> None:
    from hilum.codec import to_plain
    from hilum.evaluation.for_card import read_for_card
    from hilum.exporting.card import CARD, export_folder
    from hilum.exporting.graph import parse_input
    from hilum.exporting.huggingface import export_repository
    from hilum.exporting.onnx import images_to_check

    found, agreement = read_for_card(source, model), None
    if graph is None:
        written = export_folder(model, folder, found)
    else:
        takes, operate, check = graph
        written, agreement = export_repository(
            model,
            folder,
            found,
            takes=parse_input(takes),
            operate=operate,
            radiographs=images_to_check(check),
        )
    files = [file.name for file in written]
    if as_json:
        agreed = {"agreement": to_plain(agreement)} if agreement else {}
        console.print_json({"folder": str(folder), "files": files, **agreed})
        return
    if agreement and graph:
        console.print_lines(_agreed(agreement, graph[2]))
    console.print_lines(f"Written: {folder} ({', '.join(files)})")
    if model.thumbnails:
        console.say(
            f"{folder}: holds small pictures of {len(model.thumbnails):,} training images; leave "
            "them out by --no-thumbnails where not all may see them."
        )
    if not found:
        console.say(f"{source}: holds no evaluation, so the card has no figures (hilum evaluate).")
    console.print_lines(f"Before you give it away, write what only you know into {folder / CARD}.")
    if graph:
        console.print_lines(
            f"Upload it: {console.command('hf', 'upload', 'OWNER/NAME', folder)}",
            "Then it is a classifier everywhere: hilum predict hf://OWNER/NAME radiographs/",
        )
