"""Networks as ONNX models for ONNX Runtime here, checked against PyTorch.

PyTorch's exporter by TorchScript takes a tenth of the time of the one by torch.export, which
writes what goes elsewhere (onnx.py). It records what a network does with one batch, so the check
is on other images, in batches of other sizes.
"""

import copy
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

from hilum.errors import ClassifierError
from hilum.exporting.session import OPSET, run_session, start_session
from hilum.transforms.preprocess import Preprocessing

#: How far logits of the two runtimes may lie apart, as a share of the largest and absolutely.
_TOLERANCE = 1e-4

_CHECKED = (3, 1)  # images in a batch; the batch that is recorded has 2


class _FromPixels(nn.Module):
    """A network that is given stored pixels (N, H, W) uint8."""

    def __init__(self, network: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.network, self.preprocessing = network, preprocessing

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """pixels: (N, H, W) uint8. Returns logits (N, options) float32."""
        logits: torch.Tensor = self.network(self.preprocessing.to_input(pixels))
        return logits.float()


def translate_network(kind: str, network: nn.Module, preprocessing: Preprocessing) -> bytes:
    """A network and how pixels become its input, as an ONNX model: 'pixels' to 'logits'.

    kind: its registered name, for messages. The network is left as it was. Raises ClassifierError
    where it cannot be translated, or ONNX Runtime then says something else than PyTorch.
    """
    module = _FromPixels(copy.deepcopy(network).to("cpu"), preprocessing).eval()
    generator = torch.Generator().manual_seed(0)

    def noise(n: int) -> torch.Tensor:
        size = (n, *preprocessing.image_size)
        return torch.randint(0, 256, size, generator=generator, dtype=torch.uint8)

    try:
        model = _record(module, noise(2))
    except Exception as error:  # of what it cannot express, the exporter raises of many kinds
        first = str(error).partition("\n")[0] or type(error).__name__
        raise ClassifierError(
            f"PyTorch cannot translate the network '{kind}' for ONNX Runtime ({first})."
        ) from None
    session = start_session(model)
    for n in _CHECKED:
        pixels = noise(n)
        with torch.inference_mode():
            expected = module(pixels).numpy()
        found = run_session(session, pixels.numpy())[0]
        if found.shape != expected.shape or not np.allclose(
            found, expected, rtol=_TOLERANCE, atol=_TOLERANCE
        ):
            raise ClassifierError(
                f"ONNX Runtime does not give the logits of the network '{kind}' for {n} images. "
                "Use --runtime torch."
            )
    return model


def _record(module: nn.Module, example: torch.Tensor) -> bytes:
    """What a module does with an example (2, H, W) uint8, for any number of images."""
    with TemporaryDirectory() as folder:
        made = Path(folder) / "network.onnx"
        # It warns that there is a newer exporter, and of constants, which the check would tell.
        with warnings.catch_warnings(record=True, action="always"):
            torch.onnx.export(
                module,
                (example,),
                made,
                dynamo=False,
                opset_version=OPSET,
                input_names=["pixels"],
                output_names=["logits"],
                dynamic_axes={"pixels": {0: "N"}, "logits": {0: "N"}},
            )
        return made.read_bytes()
