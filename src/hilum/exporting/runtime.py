"""A classifier whose networks ONNX Runtime runs: everything else stays as it is.

What comes after the networks (temperatures, the tree, the rule, the gate) and what makes pixels of
an image is the classifier's own code, so that the two runtimes can differ by the rounding of
logits only. Networks are translated once and kept in the cache; from then on PyTorch is not even
imported.

A batch is not computed layer by layer, as PyTorch does it, but image by image, each in one thread
and one network: what a small network keeps between two layers then stays in the processor's cache,
and threads never wait for each other (benchmarks/bench_inference.py).
"""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar, get_args

import numpy as np

from hilum.classifier.decider import Decider, read_facts
from hilum.classifier.files import classifier_folder, read_classifier_file, read_part
from hilum.errors import ClassifierError, DataError, nearest
from hilum.exporting.session import OPSET, run_session, start_session
from hilum.files import sha256
from hilum.radiographs.cache import cache_folder
from hilum.radiographs.kept import new_kept, read_kept
from hilum.radiographs.pixels import Progress
from hilum.records import FloatArray, PixelArray, Pixels
from hilum.transforms.preprocess import Preprocessing

if TYPE_CHECKING:
    from hilum.classifier.classifier import Classifier

Runtime = Literal["torch", "onnx"]

_BATCH = 64  # images whose pixels are in memory at a time

#: By which files Linux shows graphics processors: NVIDIA's, also on boards, Windows', AMD's.
_GPUS = ("nvidia*", "nvhost*", "nvmap", "dxg", "kfd")

T = TypeVar("T")


def parse_runtime(text: str) -> Runtime:
    """A runtime by its name. Raises ClassifierError for another text."""
    if text not in get_args(Runtime):
        raise ClassifierError(f"There is no runtime '{text}'.{nearest(text, get_args(Runtime))}")
    return text  # type: ignore[return-value]


def load_to_predict(
    path: Path, runtime: str, device: str | None, *, say: Callable[[str], None]
) -> tuple[Decider, Runtime]:
    """A classifier that a runtime runs, and which runtime that is.

    As load_to_run, but without PyTorch where ONNX Runtime is to compute and the networks are
    translated already.
    """
    asked = _asked(runtime, device)
    on_cpu = device == "cpu" or asked == "onnx" or (device in (None, "auto") and _no_gpu())
    if asked != "torch" and on_cpu and (kept := load_kept(path)):
        return kept, "onnx"
    _, run, kind = load_to_run(path, runtime, device, run_by, say=say)
    return run, kind


def load_to_run(
    path: Path,
    runtime: str,
    device: str | None,
    make: Callable[["Classifier", Runtime], T],
    *,
    say: Callable[[str], None],
) -> tuple["Classifier", T, Runtime]:
    """A classifier, what is made of it to run by a runtime, and which runtime that is.

    make: called with 'onnx' it raises ClassifierError where that cannot be. runtime: 'torch',
    'onnx' or 'auto', which takes ONNX Runtime where it is faster: on the CPU. say: told why 'auto'
    cannot take it. Raises ClassifierError, and DataError where 'onnx' was asked for and the cache
    cannot be written.
    """
    from hilum.classifier.classifier import Classifier

    asked = _asked(runtime, device)
    model = Classifier.load(path, device="cpu" if asked == "onnx" else device or "auto")
    if asked == "onnx" or (asked is None and model.device.type == "cpu"):
        try:
            return model, make(model, "onnx"), "onnx"
        except (ClassifierError, DataError) as error:
            if asked == "onnx":
                raise
            say(f"PyTorch runs the networks: {error}")
    return model, make(model, "torch"), "torch"


def run_by(classifier: "Classifier", runtime: Runtime) -> Decider:
    """The same classifier, its networks run by a runtime. Raises as run_by_onnx does."""
    return run_by_onnx(classifier) if runtime == "onnx" else classifier


def run_by_onnx(classifier: "Classifier", *, threads: int | None = None) -> "OnnxClassifier":
    """The same classifier on the CPU, its networks run by ONNX Runtime.

    threads: how many compute, at least 1; None: as many as the process may use, or as
    $OMP_NUM_THREADS says. A network is translated once, which takes a second or two, and kept in
    the cache folder by a digest of its weights. Raises ClassifierError where a network cannot be
    translated, or then says something else; DataError where the cache cannot be written.
    """
    from hilum.exporting.translation import translate_network

    weights, networks = classifier.weights_sha256(), {}
    for name, network in classifier.networks.items():
        kind = classifier.network_names[name]
        file = _kept_file(kind, classifier.preprocessing, weights[name])
        if (model := read_kept(file)) is None:
            model = translate_network(kind, network, classifier.preprocessing)
            with new_kept(file) as out:
                out.write(model)
        networks[name] = model
    facts = {field.name: getattr(classifier, field.name) for field in fields(Decider)}
    return _make(facts, networks, weights, threads)


def load_kept(path: Path | str, *, threads: int | None = None) -> "OnnxClassifier | None":
    """A classifier from its folder, or that of its run, without PyTorch.

    Returns None where a network was not translated yet by these versions, or is of the user's own
    code, which may have changed. threads: as of run_by_onnx. Raises ClassifierError where files
    are missing, damaged or do not fit.
    """
    folder = classifier_folder(path)
    content = read_classifier_file(folder)
    facts = read_facts(folder, content)
    networks: dict[str, bytes] = {}
    weights: dict[str, str] = {}
    for name, kind in facts["network_names"].items():
        entry = content.networks[name]
        read_part(folder, entry.weights, entry.sha256, "the weights are")
        model = read_kept(_kept_file(kind, content.preprocessing, entry.sha256))
        if model is None or ":" in kind:
            return None
        networks[name], weights[name] = model, entry.sha256
    return _make(facts, networks, weights, threads)


class OnnxNetwork:
    """A network in ONNX Runtime: stored pixels (B, H, W) uint8 to logits (B, options) float64.

    threads: how many compute one batch together, at least 1.
    """

    def __init__(self, model: bytes, threads: int) -> None:
        self._together = start_session(model, threads)
        self._alone = start_session(model, 1) if threads > 1 else self._together

    def compute_together(self, pixels: PixelArray) -> FloatArray:
        """In all threads."""
        return run_session(self._together, pixels)[0].astype(np.float64)

    def compute_alone(self, pixels: PixelArray) -> FloatArray:
        """In the calling thread only; many may do so at the same time."""
        return run_session(self._alone, pixels)[0].astype(np.float64)


@dataclass(repr=False, kw_only=True)
class OnnxClassifier(Decider):
    """A classifier of OnnxNetworks, by the decision's name.

    weights: the SHA-256 of the weights that they were translated from. threads: how many compute
    at the same time, at least 1. It cannot be saved or explained: it has no weights at hand.
    """

    networks: dict[str, OnnxNetwork]
    weights: dict[str, str]
    threads: int = 1

    def __post_init__(self) -> None:
        helpers = max(1, self.threads - 1)  # beside the thread that calls
        self._pool = ThreadPoolExecutor(helpers, thread_name_prefix="hilum-onnx")

    def weights_sha256(self) -> dict[str, str]:
        """As of any Decider."""
        return self.weights

    @property
    def device_type(self) -> str:
        """As of any Decider."""
        return "cpu"

    def _logits(self, pixels: Pixels, progress: Progress | None) -> dict[str, FloatArray]:
        # of few images some threads would have nothing to do
        together = len(pixels) * len(self.networks) < self.threads
        parts: dict[str, list[FloatArray]] = {name: [] for name in self.networks}
        for start in range(0, len(pixels), _BATCH):
            batch = np.array(pixels[start : start + _BATCH])
            if together:
                found = {n: [w.compute_together(batch)] for n, w in self.networks.items()}
            else:
                found = self._shared_out(batch)
            for name, logits in found.items():
                parts[name] += logits
            if progress:
                progress("Predicting", start + len(batch), len(pixels))
        return {name: np.concatenate(logits) for name, logits in parts.items()}

    def _shared_out(self, batch: PixelArray) -> dict[str, list[FloatArray]]:
        """batch: (B, H, W) uint8. Of each network, B times its logits (1, options)."""
        found = {name: [np.empty(0)] * len(batch) for name in self.networks}
        todo = deque((row, name) for row in range(len(batch)) for name in self.networks)

        def work() -> None:
            for row, name in _taken_from(todo):
                found[name][row] = self.networks[name].compute_alone(batch[row : row + 1])

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


def _asked(runtime: str, device: str | None) -> Runtime | None:
    """The runtime that was asked for; None for 'auto'. Raises ClassifierError."""
    asked = None if runtime == "auto" else parse_runtime(runtime)
    if asked == "onnx" and device not in (None, "auto", "cpu"):
        raise ClassifierError(
            f"ONNX Runtime computes on the CPU here: leave out --device {device}, or use "
            "--runtime torch."
        )
    return asked


def _no_gpu() -> bool:
    """Whether there is certainly no graphics processor; where in doubt, PyTorch is asked."""
    return sys.platform == "linux" and not any(any(Path("/dev").glob(kind)) for kind in _GPUS)


def _threads() -> int:
    """As many as $OMP_NUM_THREADS says, which PyTorch follows, too; else those it may use."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    if said.isdecimal() and int(said):
        return int(said)
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _make(
    facts: Mapping[str, object],
    models: Mapping[str, bytes],
    weights: dict[str, str],
    threads: int | None,
) -> OnnxClassifier:
    count = _threads() if threads is None else threads
    networks = {name: OnnxNetwork(model, count) for name, model in models.items()}
    return OnnxClassifier(**facts, networks=networks, weights=weights, threads=count)  # type: ignore[arg-type]


def _kept_file(kind: str, preprocessing: Preprocessing, weights: str) -> Path:
    """Where a network's translation is kept. weights: their SHA-256."""
    facts = (
        kind, preprocessing.image_size, preprocessing.standardise, preprocessing.value_range,
        weights, OPSET, version("hilum"), version("torch"),
    )  # fmt: skip
    return cache_folder() / "onnx" / f"{sha256(repr(facts).encode())[:32]}.onnx"
