"""A copy of a classifier's network that can be looked into, and its layers by name.

Networks overwrite activations in place to save memory traffic. What looks inside (a hook, a
gradient) needs them whole, so it works on a copy whose layers do not, and the classifier's own
network keeps its mode, its gradients and its hooks.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from hilum.classifier.classifier import Classifier
from hilum.decisions import Decision
from hilum.errors import DataError, EvaluationError, nearest
from hilum.networks.ensemble import split_network
from hilum.records import PixelArray, Pixels
from hilum.transforms.preprocess import Preprocessing
from hilum.transforms.preprocess import check_pixels as check_size

#: Layers whose output can be a picture.
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True, eq=False)
class OpenNetwork:
    """One network of a classifier, copied, in evaluation mode and without in-place layers.

    decision: what it decides. Its parameters take no gradient; its input does.
    """

    decision: Decision
    network: nn.Module
    preprocessing: Preprocessing
    device: torch.device

    def to_input(self, pixels: PixelArray) -> torch.Tensor:
        """Stored pixels (B, H, W) uint8 as the network's input (B, 1, H, W) float32."""
        batch = torch.from_numpy(np.array(pixels)).to(self.device)
        x = self.preprocessing.to_input(batch)
        return x.contiguous(memory_format=torch.channels_last)

    def option_index(self, option: str) -> int:
        """The position of an option or a finding. Raises EvaluationError with the nearest name."""
        answers = self.decision.answers
        if option not in answers:
            raise EvaluationError(
                f"The decision '{self.decision.name}' has no option '{option}'."
                f"{nearest(option, answers)}"
            )
        return answers.index(option)

    def find_layer(self, name: str | None = None) -> tuple[str, nn.Module]:
        """A layer by its name; None takes the last convolution.

        Raises EvaluationError with the nearest name, or where there is no convolution to take.
        """
        layers = dict(self.network.named_modules())
        layers.pop("")
        if name is None:
            convolutions = [n for n, m in layers.items() if isinstance(m, _CONVOLUTIONS)]
            if not convolutions:
                raise EvaluationError(
                    f"The network of the decision '{self.decision.name}' has no convolution to "
                    f"look at: name a layer.{nearest('', layers)}"
                )
            name = convolutions[-1]
        if name not in layers:
            raise EvaluationError(
                f"The network of the decision '{self.decision.name}' has no layer '{name}'."
                f"{nearest(name, layers)}"
            )
        return name, layers[name]


def find_network(classifier: Classifier, name: str | None) -> Decision:
    """A network by its decision, 'flat' under the flat strategy, or by a finding; None: the first.

    Raises EvaluationError with the nearest name.
    """
    networks = classifier.tree.networks(classifier.strategy)
    decisions = {d.name: d for d in networks} | {f.name: d for d in networks for f in d.findings}
    name = next(iter(decisions)) if name is None else name
    if name not in decisions:
        raise EvaluationError(
            f"The classifier has no network for a decision '{name}'.{nearest(name, decisions)}"
        )
    return decisions[name]


def deciding_network(classifier: Classifier, decision: str) -> Decision:
    """The network that takes a decision of the label tree or tells a finding: the one, if flat."""
    return find_network(classifier, None if classifier.strategy == "flat" else decision)


def last_network(classifier: Classifier, label: int) -> Decision:
    """The network that makes the last choice on the way to a class; the first where none does."""
    networks = classifier.tree.networks(classifier.strategy)
    chosen = [d for d in networks if d.targets(np.array([label], dtype=np.int64))[0] >= 0]
    return (chosen or list(networks[:1]))[-1]


def open_network(classifier: Classifier, decision: str | None = None) -> OpenNetwork:
    """A copy of one of a classifier's networks to look into.

    Of several that answer together it is the first member, and it sees no mirror images: a layer
    gives one map per image only where it runs once.
    decision: as find_network has it.
    """
    found = find_network(classifier, decision)
    with torch.inference_mode(False):
        (first, *_), _ = split_network(classifier.networks[found.name])
        network = copy.deepcopy(first).eval().requires_grad_(False)
        for module in network.modules():
            if getattr(module, "inplace", False):
                setattr(module, "inplace", False)  # noqa: B010 - modules type it as a tensor
    return OpenNetwork(found, network, classifier.preprocessing, classifier.device)


def check_pixels(classifier: Classifier, pixels: Pixels) -> None:
    """Raise DataError unless pixels are (N, H, W) uint8 of the classifier's size, N at least 1."""
    check_size(pixels, classifier.preprocessing.image_size)
    if len(pixels) == 0:
        raise DataError("There are no radiographs to explain.")


@contextmanager
def gradients() -> Iterator[None]:
    """Gradients are recorded in here, whatever the caller switched off."""
    with torch.inference_mode(False), torch.enable_grad():
        yield
