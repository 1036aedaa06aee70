"""Classify the way the published test notebook does: what Hilum is measured against.

One image after the other: Pillow opens it, turns it to grey and resizes it, it becomes a float32
tensor in [0, 1], and both networks of the cascade and a softmax say what it is. In evaluation mode
and without gradients, which not every notebook thinks of. Uses nothing of Hilum. Run by
bench_inference.py.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from notebook_training import SIZE, Net
from PIL import Image


def create_networks(weights: Sequence[dict[str, torch.Tensor]]) -> list[Net]:
    """A network for each decision. weights: by the names of the published checkpoints."""
    networks = []
    for state in weights:
        network = Net(outputs=len(state["fc1.bias"]))
        network.load_state_dict(state)
        networks.append(network.eval())
    return networks


def read(path: Path) -> torch.Tensor:
    """An image (1, 150, 150) in [0, 1]."""
    with Image.open(path) as file:
        image = file.convert("L").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(image, dtype=np.float32) / 255).unsqueeze(0)


def classify(networks: Sequence[Net], images: torch.Tensor) -> list[torch.Tensor]:
    """images: (B, 1, 150, 150). Of each network the probabilities (B, outputs)."""
    with torch.no_grad():
        return [torch.softmax(network(images), 1) for network in networks]
