"""Networks over stored pixels, in evaluation mode: what every use of a network goes through."""

import numpy as np
import torch
from torch import nn

from hilum.radiographs.pixels import Progress
from hilum.records import FloatArray, PixelArray
from hilum.transforms.preprocess import Preprocessing


def compute_logits(
    network: nn.Module,
    pixels: PixelArray,
    preprocessing: Preprocessing,
    device: torch.device,
    *,
    batch_size: int = 64,
    progress: Progress | None = None,
) -> FloatArray:
    """Run a network over stored pixels in evaluation mode, in float32.

    pixels: (N, H, W) uint8. Returns (N, options) float64. The network's mode is restored.
    """
    was_training = network.training
    network.eval()
    outputs: list[torch.Tensor] = []
    with torch.inference_mode():
        for start in range(0, len(pixels), batch_size):
            batch = torch.from_numpy(np.array(pixels[start : start + batch_size])).to(device)
            x = preprocessing.to_input(batch).contiguous(memory_format=torch.channels_last)
            outputs.append(network(x).float().cpu())
            if progress:
                progress("Predicting", min(start + batch_size, len(pixels)), len(pixels))
    network.train(was_training)
    return torch.cat(outputs).numpy().astype(np.float64)
