"""The same classifier with its networks run by ONNX Runtime: everything else stays as it is.

What comes before the networks (preprocessing) and after them (temperatures, the tree, the rule,
the gate) is the classifier's own code, so that the two runtimes can differ by the rounding of
logits only.
"""

import copy
from dataclasses import replace
from importlib.metadata import version
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import nn

from hilum.classifier import Classifier
from hilum.classifier_files import pack_weights
from hilum.errors import ClassifierError, nearest
from hilum.exporting.onnx import OPSET, trace_onnx
from hilum.exporting.sessions import run_session, start_session
from hilum.files import sha256, write_atomically
from hilum.radiographs.cache import cache_folder, cache_refusal

Runtime = Literal["torch", "onnx"]

#: How far logits of the two runtimes may lie apart, as a share of the largest and absolutely.
_TOLERANCE = 1e-4


def parse_runtime(text: str) -> Runtime:
    """A runtime by its name. Raises ClassifierError for another text."""
    if text not in get_args(Runtime):
        raise ClassifierError(f"There is no runtime '{text}'.{nearest(text, get_args(Runtime))}")
    return text  # type: ignore[return-value]


def run_by_onnx(classifier: Classifier, *, threads: int | None = None) -> Classifier:
    """The same classifier on the CPU, its networks run by ONNX Runtime.

    threads: how many compute one batch, at least 1; None: as many as PyTorch uses. Its methods
    are those of any classifier, but it cannot be saved or explained: it has no weights at hand.
    A network is translated once, which takes seconds, and kept in the cache folder, by a digest
    of its weights. Raises ClassifierError where ONNX Runtime (or, for a network that was not
    translated yet, onnx and onnxscript) is not installed, or a network then says something else.
    """
    count = torch.get_num_threads() if threads is None else threads
    networks: dict[str, nn.Module] = {}
    for name, network in classifier.networks.items():
        model = _translated(classifier.network_names[name], network, classifier)
        networks[name] = OnnxNetwork(model, count)
    return replace(classifier, networks=networks, device=torch.device("cpu"))


class OnnxNetwork(nn.Module):
    """A network in ONNX Runtime that is called as any other: (B, 1, H, W) to logits."""

    def __init__(self, model: bytes, threads: int) -> None:
        super().__init__()
        self._session = start_session(model, threads)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """images: (B, 1, H, W) float32, in the network's range. Returns logits (B, options)."""
        return torch.from_numpy(run_session(self._session, images.numpy())[0])

    def state_dict(  # type: ignore[override]
        self, *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        """Raises ClassifierError: there are no weights to save."""
        raise ClassifierError(
            "A classifier that is run by ONNX Runtime has no weights at hand: save the one that "
            "it was made from."
        )


def _translated(kind: str, network: nn.Module, classifier: Classifier) -> bytes:
    """The network as an ONNX model, from the cache if it is there."""
    size = classifier.preprocessing.image_size
    facts = (
        kind, size, sha256(pack_weights(network.state_dict())), OPSET,
        version("hilum"), version("torch"),
    )  # fmt: skip
    file = cache_folder() / "onnx" / f"{sha256(repr(facts).encode())[:32]}.onnx"
    if file.is_file():
        return file.read_bytes()
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
    try:
        write_atomically(file, model)
    except OSError as error:
        raise cache_refusal(file.parent, error) from None
    return model
