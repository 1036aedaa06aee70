"""The same classifier with its networks run by ONNX Runtime: everything else stays as it is.

What comes before the networks (preprocessing) and after them (temperatures, the tree, the rule,
the gate) is the classifier's own code, so that the two runtimes can differ by the rounding of
logits only.

A batch is not computed layer by layer, as PyTorch does it, but image by image, each in one thread
and one network: what a small network keeps between two layers then stays in the processor's cache,
and threads never wait for each other (benchmarks/bench_inference.py).
"""

import copy
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, fields
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args

import numpy as np
import torch
from torch import nn

from hilum.classifier.classifier import Classifier
from hilum.classifier.files import pack_weights
from hilum.errors import ClassifierError, nearest
from hilum.exporting.onnx import OPSET, run_session, start_session, trace_onnx
from hilum.files import sha256
from hilum.radiographs.cache import cache_folder
from hilum.radiographs.kept import new_kept, read_kept
from hilum.radiographs.pixels import Progress
from hilum.records import FloatArray, PixelArray

Runtime = Literal["torch", "onnx"]

#: How far logits of the two runtimes may lie apart, as a share of the largest and absolutely.
_TOLERANCE = 1e-4

_BATCH = 64  # images whose input is in memory at a time

#: Of the extra hilum[onnx]: what runs networks, and what translates them.
_NEEDED = ("onnxruntime", "onnx", "onnxscript")

T = TypeVar("T")


def parse_runtime(text: str) -> Runtime:
    """A runtime by its name. Raises ClassifierError for another text."""
    if text not in get_args(Runtime):
        raise ClassifierError(f"There is no runtime '{text}'.{nearest(text, get_args(Runtime))}")
    return text  # type: ignore[return-value]


def load_to_run(
    path: Path,
    runtime: str,
    device: str | None,
    make: Callable[[Classifier, Runtime], T],
    *,
    many: bool,
    say: Callable[[str], None],
) -> tuple[Classifier, T, Runtime]:
    """A classifier, what is made of it to run by a runtime, and which runtime that is.

    make: called with 'onnx' it raises ClassifierError where that cannot be. runtime: 'torch',
    'onnx' or 'auto', which takes ONNX Runtime where it is faster: on the CPU, for many images,
    since networks are translated first. many: whether there will be. say: told why 'auto' cannot
    take it although it is installed. Raises ClassifierError.
    """
    asked = None if runtime == "auto" else parse_runtime(runtime)
    if asked == "onnx" and device not in (None, "auto", "cpu"):
        raise ClassifierError(
            f"ONNX Runtime computes on the CPU here: leave out --device {device}, or use "
            "--runtime torch."
        )
    model = Classifier.load(path, device="cpu" if asked == "onnx" else device or "auto")
    pays = many and model.device.type == "cpu" and all(map(find_spec, _NEEDED))
    if asked == "onnx" or (asked is None and pays):
        try:
            return model, make(model, "onnx"), "onnx"
        except ClassifierError as error:
            if asked == "onnx":
                raise
            say(f"PyTorch runs the networks: {error}")
    return model, make(model, "torch"), "torch"


def run_by(classifier: Classifier, runtime: Runtime) -> Classifier:
    """The same classifier, its networks run by a runtime. Raises as run_by_onnx does."""
    return run_by_onnx(classifier) if runtime == "onnx" else classifier


def run_by_onnx(classifier: Classifier, *, threads: int | None = None) -> Classifier:
    """The same classifier on the CPU, its networks run by ONNX Runtime.

    threads: how many compute, at least 1; None: as many as PyTorch uses. Its methods are those of
    any classifier, but it cannot be saved or explained: it has no weights at hand.
    A network is translated once, which takes seconds, and kept in the cache folder, by a digest
    of its weights. Raises ClassifierError where ONNX Runtime (or, for a network that was not
    translated yet, onnx and onnxscript) is not installed, or a network then says something else.
    """
    count = torch.get_num_threads() if threads is None else threads
    networks: dict[str, nn.Module] = {}
    for name, network in classifier.networks.items():
        model = _translated(classifier.network_names[name], network, classifier)
        networks[name] = OnnxNetwork(model, count)
    own = {field.name: getattr(classifier, field.name) for field in fields(Classifier)}
    own |= {"networks": networks, "device": torch.device("cpu")}
    return OnnxClassifier(**own, threads=count)


class OnnxNetwork(nn.Module):
    """A network in ONNX Runtime that is called as any other: (B, 1, H, W) to logits.

    threads: how many compute one batch together, at least 1.
    """

    def __init__(self, model: bytes, threads: int) -> None:
        super().__init__()
        self._together = start_session(model, threads)
        self._alone = start_session(model, 1) if threads > 1 else self._together

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """images: (B, 1, H, W) float32, in the network's range. Returns logits (B, outputs)."""
        return torch.from_numpy(run_session(self._together, images.numpy())[0])

    def compute_alone(self, images: torch.Tensor) -> FloatArray:
        """Forward in the calling thread only; many may do so at the same time."""
        return run_session(self._alone, images.numpy())[0].astype(np.float64)

    def state_dict(  # type: ignore[override]
        self, *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        """Raises ClassifierError: there are no weights to save."""
        raise ClassifierError(
            "A classifier that is run by ONNX Runtime has no weights at hand: save the one that "
            "it was made from."
        )


@dataclass
class OnnxClassifier(Classifier):
    """A classifier of OnnxNetworks. threads: how many compute at the same time, at least 1."""

    threads: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        helpers = max(1, self.threads - 1)  # beside the thread that calls
        self._pool = ThreadPoolExecutor(helpers, thread_name_prefix="hilum-onnx")

    def _logits(self, pixels: PixelArray, progress: Progress | None) -> dict[str, FloatArray]:
        if len(pixels) * len(self.networks) < self.threads:  # some would have nothing to do
            return super()._logits(pixels, progress)
        parts: dict[str, list[FloatArray]] = {name: [] for name in self.networks}
        for start in range(0, len(pixels), _BATCH):
            batch = np.array(pixels[start : start + _BATCH])
            for name, logits in self._shared_out(torch.from_numpy(batch)).items():
                parts[name] += logits
            if progress:
                progress("Predicting", start + len(batch), len(pixels))
        return {name: np.concatenate(logits) for name, logits in parts.items()}

    def _shared_out(self, batch: torch.Tensor) -> dict[str, list[FloatArray]]:
        """batch: (B, H, W) uint8. Of each network, B times its logits (1, options)."""
        networks = cast(dict[str, OnnxNetwork], self.networks)
        found = {name: [np.empty(0)] * len(batch) for name in networks}
        todo = deque((row, name) for row in range(len(batch)) for name in networks)

        def work() -> None:
            for row, name in _taken_from(todo):
                image = self.preprocessing.to_input(batch[row : row + 1])
                found[name][row] = networks[name].compute_alone(image)

        helpers = [self._pool.submit(work) for _ in range(self.threads - 1)]
        work()
        for helper in helpers:
            helper.result()
        return found


def _taken_from(todo: deque[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """What is left to do, one by one; several threads may take of it."""
    with suppress(IndexError):
        while True:
            yield todo.popleft()


def _translated(kind: str, network: nn.Module, classifier: Classifier) -> bytes:
    """The network as an ONNX model, from the cache if it is there."""
    size = classifier.preprocessing.image_size
    facts = (
        kind, size, sha256(pack_weights(network.state_dict())), OPSET,
        version("hilum"), version("torch"),
    )  # fmt: skip
    file = cache_folder() / "onnx" / f"{sha256(repr(facts).encode())[:32]}.onnx"
    if (kept := read_kept(file)) is not None:
        return kept
    own = copy.deepcopy(network).to("cpu").eval()
    height, width = size
    example = torch.rand(2, 1, height, width, generator=torch.Generator().manual_seed(0))
    model: bytes = trace_onnx(own, example, "x", ("N",), ["logits"]).SerializeToString()
    with torch.inference_mode():
        expected = own(example).numpy()
    found = OnnxNetwork(model, 1)(example).numpy()
    if not np.allclose(found, expected, rtol=_TOLERANCE, atol=_TOLERANCE):
        raise ClassifierError(
            f"ONNX Runtime does not give the logits of the network '{kind}': they differ by "
            f"{np.abs(found - expected).max():.2g}. Use --runtime torch."
        )
    with new_kept(file) as out:
        out.write(model)
    return model
