"""Write a classifier as one ONNX file, which holds all that is needed to run it elsewhere."""

import json
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from hilum.calibration.demands import PRESETS
from hilum.calibration.operating_points import fit_operating_point, parse_operating_points
from hilum.classifier import Classifier
from hilum.exporting.check import Agreement, check_onnx
from hilum.exporting.graph import ClassifierGraph, Input, output_names
from hilum.exporting.provenance import shareable
from hilum.exporting.sessions import missing_onnx
from hilum.files import write_atomically
from hilum.records import PixelArray
from hilum.statistics.targets import findings

if TYPE_CHECKING:
    import onnx

#: The version of ONNX's operators: what PyTorch's exporter makes without converting it further,
#: and what ONNX Runtime reads since 1.14 (2023).
OPSET = 18


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
    Raises ClassifierError where the preprocessing cannot be expressed (graph.ClassifierGraph),
    ONNX is not installed, or the file and the classifier disagree; the file is then not written.
    """
    graph = ClassifierGraph(classifier, takes)
    height, width = classifier.preprocessing.image_size
    # Another size than the classifier's own, so that the example does not settle it.
    size = (height + 3, 2 * width + 1) if takes == "images" else (height, width)
    axes = ("N", "H", "W") if takes == "images" else ("N",)
    model = trace_onnx(graph, torch.zeros(2, *size, dtype=torch.uint8), takes, axes,
                       list(output_names(classifier)))  # fmt: skip
    _describe(model, _metadata(classifier, takes, operate))
    data: bytes = model.SerializeToString()
    agreement = check_onnx(data, classifier, takes, radiographs)
    write_atomically(Path(file), data)
    return agreement


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
    Raises ClassifierError where onnx and onnxscript are not installed.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401 - PyTorch's exporter needs it and says so less clearly
    except ImportError as error:
        raise missing_onnx(error) from None
    # PyTorch's exporter prints its progress; verbose=False keeps it quiet.
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
        "operating_points": _operating_points(classifier, operate),
        "provenance": shareable(classifier.provenance),
    }


def _operating_points(
    classifier: Classifier, operate: Iterable[str] | None
) -> list[dict[str, Any]]:
    tree = classifier.tree
    if operate is None:
        told = classifier.validation is not None and findings(tree)
        operate = PRESETS if told else ()
    points = parse_operating_points(operate, tree)
    if not points:
        return []
    truth, predictions = classifier.validation_predictions()
    return [fit_operating_point(point, tree, truth, predictions).to_json() for point in points]
