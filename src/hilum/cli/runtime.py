"""What runs the networks of a classifier: PyTorch, or ONNX Runtime."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hilum import console
from hilum.cli.export import without_exporter_noise
from hilum.errors import ClassifierError

if TYPE_CHECKING:
    from hilum.classifier import Classifier
    from hilum.exporting.runtime import Runtime

T = TypeVar("T")

#: Of the extra hilum[onnx]: what runs networks, and what translates them.
_NEEDED = ("onnxruntime", "onnx", "onnxscript")


def load_to_run(
    path: Path,
    runtime: str,
    device: str | None,
    make: "Callable[[Classifier, Runtime], T]",
    *,
    many: bool,
) -> "tuple[Classifier, T, Runtime]":
    """A classifier, what is made of it to run by a runtime, and which runtime that is.

    make: called with 'onnx' it raises ClassifierError where that cannot be. runtime: 'torch',
    'onnx' or 'auto', which takes ONNX Runtime where it is faster: on the CPU, for many images,
    since networks are translated first. many: whether there will be. Where 'auto' cannot take it,
    it says why if it is installed. Raises ClassifierError.
    """
    from hilum.classifier import Classifier
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
