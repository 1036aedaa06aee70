"""Write a classifier as one ONNX file, which holds all that is needed to run it elsewhere."""

import copy
import json
import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from hilum.classifier.classifier import Classifier
from hilum.classifier.promised import fitted_points
from hilum.classifier.threshold import PRESETS
from hilum.codec import to_plain
from hilum.errors import ClassifierError, DataError
from hilum.exporting.card import shareable
from hilum.exporting.graph import ClassifierGraph, Input, logits_name, output_names
from hilum.exporting.session import OPSET, run_session, start_session
from hilum.files import refuse_ending, safe_name, write_atomically
from hilum.phantoms.phantom import LABELS, render_phantom
from hilum.predictions import Predictions
from hilum.radiographs.image import read_radiograph
from hilum.radiographs.layouts import list_images
from hilum.records import PixelArray, evenly_spaced
from hilum.statistics.targets import positive_labels

if TYPE_CHECKING:
    import onnx

#: The largest difference between two probabilities that is allowed.
TOLERANCE = 1e-4

_RADIOGRAPHS = 32  # of those that were given, at equal steps


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well a file agrees with its classifier.

    radiographs, random: how many images of each kind were compared.
    largest_difference: between two probabilities, of classes and of decisions' options. tolerance:
    what it had to stay below. The predicted classes are the same for all images.
    """

    radiographs: int
    random: int
    largest_difference: float
    tolerance: float = TOLERANCE


def export_onnx(
    classifier: Classifier,
    file: Path | str,
    *,
    takes: Input = "images",
    operate: Iterable[str] | None = None,
    radiographs: Sequence[PixelArray] = (),
) -> Agreement:
    """Write a classifier as one ONNX file, once it agrees with the classifier.

    takes: what the graph is given, a batch (N, H, W) of uint8: 'images', decoded grey radiographs
    of one size, whichever, or 'pixels', what the classifier's preprocessing made of them. Its
    outputs are those of graph.output_names. operate: operating points, as
    parse_operating_points reads them, whose thresholds are fitted on the validation figures and
    go into the file; None: every preset for every finding, if the classifier was calibrated.
    radiographs: grey images (H, W) uint8 to check the file with beside random ones.

    The file's metadata hold, as JSON: hilum.labels, classes, decisions, strategy, rule,
    preprocessing, temperatures, input, outputs, operating_points, provenance, version.
    Raises ClassifierError where the file's name does not end in .onnx, the preprocessing cannot be
    expressed (graph.ClassifierGraph), or the file and the classifier disagree; the file is then
    not written.
    """
    refuse_ending(Path(file), (".onnx",), ClassifierError)
    data, agreement = make_onnx(classifier, takes=takes, operate=operate, radiographs=radiographs)
    write_atomically(Path(file), data)
    return agreement


def make_onnx(
    classifier: Classifier,
    *,
    takes: Input = "images",
    operate: Iterable[str] | None = None,
    radiographs: Sequence[PixelArray] = (),
) -> tuple[bytes, Agreement]:
    """The content of the file of export_onnx, and how well it agrees; all else as there."""
    graph = ClassifierGraph(classifier, takes)
    height, width = classifier.preprocessing.image_size
    # Another size than the classifier's own, so that the example does not settle it.
    size = (height + 3, 2 * width + 1) if takes == "images" else (height, width)
    axes = ("N", "H", "W") if takes == "images" else ("N",)
    model = trace_onnx(graph, torch.zeros(2, *size, dtype=torch.uint8), takes, axes,
                       list(output_names(classifier)))  # fmt: skip
    _describe(model, _metadata(classifier, takes, operate))
    data: bytes = model.SerializeToString()
    return data, check_onnx(data, classifier, takes, radiographs)


def images_to_check(path: Path | None) -> list[PixelArray]:
    """Radiographs for check_onnx: a file's or a folder's, at equal steps, or phantoms (None).

    Raises DataError where there are none.
    """
    if path is None:
        drawn = [(label, size) for size in (150, 224, 256) for label in LABELS]
        return [render_phantom(label, seed=0, index=i, size=size)[0]
                for i, (label, size) in enumerate(drawn)]  # fmt: skip
    files = list_images(path) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path}: no images found to check the file with.")
    return [read_radiograph(files[row]) for row in evenly_spaced(len(files), _RADIOGRAPHS)]


def check_onnx(
    model: bytes,
    classifier: Classifier,
    takes: Input,
    radiographs: Sequence[PixelArray] = (),
) -> Agreement:
    """Run an exported model by ONNX Runtime and the classifier by PyTorch, and compare.

    takes: as of export_onnx. radiographs: grey images (H, W) uint8, of which 32 are used at
    most; random images, blank ones and gradients of many shapes are always compared.
    Raises ClassifierError where a probability differs by TOLERANCE or more, or a class differs.
    """
    rows = evenly_spaced(len(radiographs), _RADIOGRAPHS)
    real = [radiographs[row][None] for row in rows]
    made = list(_random_batches(classifier.preprocessing.image_size))
    reference, session = _on_cpu(classifier), start_session(model)
    largest = 0.0
    for batch in (*real, *made):
        pixels = np.stack([classifier.preprocessing.to_pixels(image) for image in batch])
        expected = reference.predict_pixels(pixels)
        found = run_session(session, batch if takes == "images" else pixels)
        outputs = dict(zip(output_names(classifier), found, strict=True))
        largest = max(largest, _difference(outputs, expected, reference))
        predicted = outputs.get("predicted", expected.predicted)
        differ = np.flatnonzero(predicted != expected.predicted)
        # not (… < …), so that a NaN does not pass
        if not largest < TOLERANCE or len(differ):
            size = "{1} x {2}".format(*batch.shape)
            what = f"{largest:.2g}" + (f", and {len(differ)} classes" if len(differ) else "")
            raise ClassifierError(
                "The ONNX model does not agree with the classifier: for images of "
                f"{size} pixels probabilities differ by {what} (allowed: less than "
                f"{TOLERANCE:g}). It was not written."
                + (" Another version of Pillow may resize otherwise: try --input pixels."
                   if takes == "images" else "")
            )  # fmt: skip
    return Agreement(len(real), sum(map(len, made)), largest)


def _on_cpu(classifier: Classifier) -> Classifier:
    """The same classifier with copies of its networks on the CPU, and no gate to judge images."""
    networks = {
        name: copy.deepcopy(network).to("cpu") for name, network in classifier.networks.items()
    }
    return replace(classifier, networks=networks, gate=None, device=torch.device("cpu"))


def _difference(
    outputs: dict[str, npt.NDArray[Any]], expected: Predictions, reference: Classifier
) -> float:
    """The largest difference of a probability: as the model gives it, and of its logits."""
    decided = reference.decide(
        {n: outputs[logits_name(n)].astype(np.float64) for n in reference.networks}
    )
    pairs = [(outputs.get("probs", decided.probs), expected.probs)]
    pairs += [(decided.probs, expected.probs)]
    if reference.tree.findings:
        wanted = expected.finding_probs
        pairs += [(outputs["findings"], wanted), (decided.finding_probs, wanted)]
    for name, probs in expected.decision_probs.items():
        pairs += [(outputs[f"decision_{safe_name(name)}"], probs)]
    return float(max(np.abs(found - wanted).max() for found, wanted in pairs))


def _random_batches(size: tuple[int, int]) -> Iterator[PixelArray]:
    """Noise, gradients and blanks: of the classifier's size, smaller, larger, flat and tall."""
    rng = np.random.default_rng(0)
    height, width = size
    sizes = [(height, width), (height // 2, width // 3), (3 * height + 1, 2 * width - 1),
             (height + 5, 4 * width), (5 * height, width + 1), (1, 1)]  # fmt: skip
    for rows, columns in sizes:
        noise = rng.integers(0, 256, (3, rows, columns))
        slope = np.add.outer(np.linspace(0, 200, rows), np.linspace(0, 55, columns))[None]
        blank = np.stack([np.full((rows, columns), grey) for grey in (0, 255)])
        yield np.concatenate([noise, slope, 255 - slope, blank]).astype(np.uint8)
        yield noise[:1].astype(np.uint8)  # a batch of one


def trace_onnx(
    module: nn.Module,
    example: torch.Tensor,
    takes: str,
    axes: Sequence[str],
    outputs: Sequence[str],
) -> "onnx.ModelProto":
    """A module in evaluation mode, on the CPU, as an ONNX model.

    example: an input (at least 2 along each of the first len(axes) axes, which stay free under
    these names). takes, outputs: the names of the input and the outputs.
    """
    import onnx

    with _without_exporter_noise():
        program = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=[takes],
            output_names=list(outputs),
            dynamic_shapes=(dict(enumerate(axes)),),
        )
    assert program is not None
    model = program.model_proto
    _forget_origin(model)
    onnx.checker.check_model(model)
    return model


@contextmanager
def _without_exporter_noise() -> Iterator[None]:
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


def _forget_origin(model: "onnx.ModelProto") -> None:
    """Take out what the exporter noted of the code that made each node: paths of this machine."""

    def clean(graph: Any) -> None:
        for part in (*graph.node, *graph.value_info, *graph.input, *graph.output,
                     *graph.initializer, graph):  # fmt: skip
            del part.metadata_props[:]
            part.doc_string = ""
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    clean(attribute.g)

    clean(model.graph)
    del model.metadata_props[:]
    for function in model.functions:
        del function.metadata_props[:]
        function.doc_string = ""
        for node in function.node:
            del node.metadata_props[:]
            node.doc_string = ""


def _describe(model: "onnx.ModelProto", metadata: dict[str, Any]) -> None:
    import onnx

    model.producer_name, model.producer_version = "hilum", version("hilum")
    model.doc_string = "A classifier of chest radiographs. Research software: no medical device."
    texts = {f"hilum.{key}": json.dumps(value) for key, value in metadata.items()}
    onnx.helper.set_model_props(model, texts)


def _metadata(
    classifier: Classifier, takes: Input, operate: Iterable[str] | None
) -> dict[str, Any]:
    tree = classifier.tree
    return {
        "format": 1,
        "version": version("hilum"),
        "labels": tree.to_json(),
        "classes": list(tree.classes),
        "decisions": {d.name: list(d.options) for d in tree.decisions},
        "strategy": classifier.strategy,
        "rule": classifier.rule,
        "input": takes,
        "preprocessing": classifier.preprocessing.model_dump(mode="json"),
        "outputs": output_names(classifier),
        "networks": classifier.network_names,
        "temperatures": {n: classifier.temperatures.get(n, 1.0) for n in classifier.networks},
        "findings": {
            f.name: {
                "temperature": classifier.temperatures.get(f.name, 1.0),
                "threshold": classifier.thresholds.get(f.name, 0.5),
            }
            for f in tree.findings
        },
        "operating_points": _operating_points(classifier, operate),
        "provenance": shareable(classifier.provenance),
    }


def _operating_points(
    classifier: Classifier, operate: Iterable[str] | None
) -> list[dict[str, Any]]:
    if operate is None:
        tree = classifier.tree
        any_of = bool(tree.findings) or bool(positive_labels(tree))
        operate = PRESETS if classifier.validation is not None and any_of else ()
    return [to_plain(point) for point in fitted_points(classifier, operate)]
