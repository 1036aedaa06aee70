"""Which pixels moved a decision: attribution maps, computed with Captum.

What is explained is the log-odds of an option against the other options of its decision: the
logit of that option alone says nothing, since adding the same number to all logits changes no
probability. Of a finding it is the log-odds of its presence, which are its logit. Maps are positive
where a pixel speaks for the option, and (but for Grad-CAM, which keeps only what speaks for it)
negative where it speaks against it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from captum.attr import (  # type: ignore[import-untyped]
    IntegratedGradients,
    LayerAttribution,
    LayerGradCam,
    Occlusion,
)
from torch import nn

from hilum.classifier.classifier import Classifier
from hilum.errors import EvaluationError, nearest
from hilum.explanation.feature_maps import MapArray
from hilum.explanation.network import OpenNetwork, check_pixels, gradients, open_network
from hilum.radiographs.pixels import Progress
from hilum.records import IntArray, PixelArray

Method = Literal["gradcam", "ig", "occlusion"]

#: Steps of the path from black to the radiograph.
STEPS: Final = 32
#: The occluding square and its stride, as shares of the shorter side.
WINDOW: Final = 1 / 8
STRIDE: Final = 1 / 16

_BATCH = 8  # images at a time; the methods run each of them many times over


class LogOdds(nn.Module):
    """A network whose outputs (B, K) are log-odds: of each option against all others, of a finding.

    options: how many of the outputs, the first, are those of options.
    """

    def __init__(self, network: nn.Module, options: int) -> None:
        super().__init__()
        self.network, self.options = network, options

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (B, 1, H, W). Returns (B, K): log p / (1 - p)."""
        outputs: torch.Tensor = self.network(x)
        if not self.options:
            return outputs
        logits, findings = outputs[:, : self.options], outputs[:, self.options :]
        own = torch.eye(self.options, dtype=torch.bool, device=logits.device)
        others = logits.unsqueeze(1).masked_fill(own, -torch.inf)
        return torch.cat([logits - others.logsumexp(dim=2), findings], dim=1)


#: From input, black input and options to maps (B, 1, H, W).
_Explainer = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def _log_odds(opened: OpenNetwork) -> LogOdds:
    return LogOdds(opened.network, len(opened.decision.options))


def _gradcam(opened: OpenNetwork, layer: str | None) -> _Explainer:
    name, module = opened.find_layer(layer)
    tool = LayerGradCam(_log_odds(opened), module)

    def explain(x: torch.Tensor, _: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        maps = tool.attribute(x, target=target)
        if not isinstance(maps, torch.Tensor) or maps.ndim != 4:
            raise EvaluationError(
                f"The layer '{name}' gives no (channels, height, width) map: "
                f"Grad-CAM needs one, such as a convolution."
            )
        total = maps.sum(dim=1, keepdim=True).clamp(min=0)
        spread: torch.Tensor = LayerAttribution.interpolate(
            total, opened.preprocessing.image_size, interpolate_mode="bilinear"
        )
        return spread

    return explain


def _integrated_gradients(opened: OpenNetwork, _: str | None) -> _Explainer:
    tool = IntegratedGradients(_log_odds(opened))

    def explain(x: torch.Tensor, black: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        maps: torch.Tensor = tool.attribute(
            x, baselines=black, target=target, n_steps=STEPS, internal_batch_size=64
        )
        return maps

    return explain


def _occlusion(opened: OpenNetwork, _: str | None) -> _Explainer:
    tool = Occlusion(_log_odds(opened))
    window, stride = (
        max(1, round(share * min(opened.preprocessing.image_size))) for share in (WINDOW, STRIDE)
    )

    def explain(x: torch.Tensor, black: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            maps: torch.Tensor = tool.attribute(
                x,
                (1, window, window),
                (1, stride, stride),
                baselines=black,
                target=target,
                perturbations_per_eval=8,
            )
        return maps

    return explain


@dataclass(frozen=True, slots=True)
class _Attribution:
    """A method: its name for people, and what makes of a network and a layer an explainer.

    signed: whether it also tells what speaks against an option. rough: whether its sign changes
    from pixel to pixel, so that it is smoothed to be looked at.
    """

    name: str
    explainer: Callable[[OpenNetwork, str | None], _Explainer]
    signed: bool = True
    rough: bool = False


#: A new method: an entry here, and its name in Method.
METHODS: Final[dict[Method, _Attribution]] = {
    "gradcam": _Attribution("Grad-CAM", _gradcam, signed=False),
    "ig": _Attribution("Integrated gradients", _integrated_gradients, rough=True),
    "occlusion": _Attribution("Occlusion", _occlusion),
}
METHOD_NAMES: Final[dict[str, str]] = {key: method.name for key, method in METHODS.items()}
SIGNED: Final = frozenset(key for key, method in METHODS.items() if method.signed)


def parse_method(text: str) -> Method:
    """A method by its name. Raises EvaluationError with the nearest name."""
    if text not in METHODS:
        raise EvaluationError(f"There is no attribution method '{text}'.{nearest(text, METHODS)}")
    return text


def attribute(
    classifier: Classifier | OpenNetwork,
    pixels: PixelArray,
    *,
    method: Method,
    options: str | IntArray,
    decision: str | None = None,
    layer: str | None = None,
    progress: Progress | None = None,
) -> MapArray:
    """How much each pixel speaks for an option of a decision, or for a finding.

    classifier: or one of its networks, opened already.
    pixels: (N, H, W) uint8 of the classifier's size. decision: whose network; None takes the
    first. options: the option or finding to explain by name, or its index among the network's
    answers for each image (N,). method:

    - gradcam: activations of a layer weighted by their mean gradients, positive part. Selvaraju et
      al. 2017, doi:10.1109/ICCV.2017.74. It supposes that only pooling follows the layer.
    - ig: integrated gradients from a black image, Sundararajan et al. 2017, arXiv:1703.01365. A map
      sums to the difference of the log-odds between the radiograph and black.
    - occlusion: the loss of log-odds where a black square covers the radiograph, mean over the
      squares that cover a pixel. Zeiler and Fergus 2014, doi:10.1007/978-3-319-10590-1_53

    Black, because it is where nothing held the rays back: against it a finding, which is added
    tissue, stands out. Of black, the mean and the blurred radiograph, black found the findings of
    phantoms best. (Under 'z-score' a black image becomes 0, which is the mean grey.) What is dark
    can hardly be said to matter by these two.

    layer: of Grad-CAM, by name; None takes the last convolution.
    Returns (N, H, W) float32. The classifier's networks are left as they are.
    Raises EvaluationError for a method, decision, option or layer that is not there.
    """
    if isinstance(classifier, OpenNetwork):
        opened = classifier
    else:
        check_pixels(classifier, pixels)
        opened = open_network(classifier, decision)
    explain = METHODS[parse_method(method)].explainer(opened, layer)
    targets = _targets(opened, options, len(pixels))
    parts: list[MapArray] = []
    for start in range(0, len(pixels), _BATCH):
        chunk = slice(start, start + _BATCH)
        with gradients():
            x = opened.to_input(pixels[chunk]).requires_grad_()
            black = opened.to_input(np.zeros_like(pixels[chunk]))
            target = torch.from_numpy(targets[chunk]).to(opened.device)
            maps = explain(x, black, target)
        parts.append(maps.detach().sum(dim=1).float().cpu().numpy())
        if progress:
            progress("Explaining", min(start + _BATCH, len(pixels)), len(pixels))
    return np.concatenate(parts)


def _targets(opened: OpenNetwork, options: str | IntArray, n: int) -> IntArray:
    if isinstance(options, str):
        return np.full(n, opened.option_index(options), dtype=np.int64)
    found = np.asarray(options)
    count = opened.decision.outputs
    if found.shape != (n,) or not ((found >= 0) & (found < count)).all():
        raise EvaluationError(
            f"The decision '{opened.decision.name}' has {count} options, numbered from 0: give one "
            f"for each of {n} radiographs."
        )
    return found.astype(np.int64)
