"""Do attribution maps depend on what was learned? The model randomisation test.

A map that stays the same when the weights are replaced by random ones shows the radiograph, not
the classifier. Source: Adebayo et al. 2018, Sanity checks for saliency maps, arXiv:1810.03292
"""

import copy
from dataclasses import dataclass, replace
from typing import ClassVar, Final

import numpy as np
import scipy
import torch
from torch import nn

from hilum.classifier.classifier import Classifier
from hilum.classifier.inference import compute_logits
from hilum.errors import EvaluationError
from hilum.explanation.attribution import Method, attribute
from hilum.explanation.feature_maps import MapArray
from hilum.explanation.network import check_pixels, open_network
from hilum.radiographs.pixels import Progress
from hilum.records import Estimate, FloatArray, IntArray, PixelArray
from hilum.statistics.intervals import bootstrap

#: A mean rank correlation that reaches this with every layer randomised: the maps are the same in
#: the main. The source sets no limit; this one is a convention of Hilum.
SAME: Final = 0.5


@dataclass(frozen=True, slots=True)
class Step:
    """layer: the layer that was randomised now, after all above it. similarity: of the maps."""

    layer: str
    similarity: Estimate


@dataclass(frozen=True, slots=True)
class SanityCheck:
    """How similar maps stay while the network is randomised from its last layer to its first.

    similarity: mean Spearman correlation over the pixels of the absolute maps of the trained and
    of the randomised network, in [-1, 1]; 1 is the same map. n: radiographs. draws: random
    networks, over which it is averaged. steps: from the last layer down, each on top of those
    before it, so that in the last step nothing of the training is left; maybe only that one.
    """

    method: Method
    decision: str
    n: int
    draws: int
    steps: tuple[Step, ...]

    measure: ClassVar[str] = "spearman"
    limit: ClassVar[float] = SAME
    DERIVED: ClassVar[tuple[str, ...]] = ("measure", "limit", "verdict")

    @property
    def final(self) -> Estimate:
        """The similarity with every layer randomised."""
        return self.steps[-1].similarity

    @property
    def verdict(self) -> str:
        """Whether the maps depend on what was learned: 'depends', 'does not depend', 'unclear'."""
        if self.final.value is None or self.final.low is None or self.final.high is None:
            return "unclear"
        if self.final.high < SAME:
            return "depends"
        return "does not depend" if self.final.low >= SAME else "unclear"


def check_sanity(
    classifier: Classifier,
    pixels: PixelArray,
    *,
    method: Method,
    decision: str | None = None,
    draws: int = 2,
    every_step: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> SanityCheck:
    """Compare maps of the trained network with those of ever more randomised ones.

    pixels: (N, H, W) uint8 of the classifier's size; about 8 radiographs tell enough. Each is
    explained for the option that the trained network chooses, or for the likeliest finding where
    it chooses nothing. decision: whose network; None takes the first. draws: how many random
    networks, at least 1. every_step: measure after each layer; otherwise only at the end, with all
    of them random, on which the verdict rests. seed: of their weights; torch's own generator is
    left where it was. Pairs in which a map is constant have no correlation and are left out.
    Raises EvaluationError for a method or decision that is not there.
    """
    check_pixels(classifier, pixels)
    if draws < 1:
        raise EvaluationError(f"The check needs at least 1 random network, not {draws}.")
    opened = open_network(classifier, decision)
    logits = compute_logits(opened.network, pixels, opened.preprocessing, opened.device)
    choices = len(opened.decision.options) or opened.decision.outputs
    options: IntArray = logits[:, :choices].argmax(axis=1).astype(np.int64)
    trained = attribute(opened, pixels, method=method, options=options)
    layers = _layers_from_the_top(opened.network)
    measured = [k for k in range(len(layers)) if every_step or k == len(layers) - 1]
    similarity = np.empty((draws, len(measured), len(pixels)))
    for draw in range(draws):
        network = copy.deepcopy(opened.network)
        for k, layer in enumerate(layers):
            _randomise(network.get_submodule(layer), seed=seed + 1000 * draw + k)
            if k not in measured:
                continue
            other = replace(opened, network=network)
            maps = attribute(other, pixels, method=method, options=options)
            done = measured.index(k)
            similarity[draw, done] = map_similarity(trained, maps)
            if progress:
                progress(
                    "Checking the maps", draw * len(measured) + done + 1, draws * len(measured)
                )
    steps = tuple(Step(layers[k], _mean(similarity[:, i])) for i, k in enumerate(measured))
    return SanityCheck(method, opened.decision.name, len(pixels), draws, steps)


def map_similarity(one: MapArray, other: MapArray) -> FloatArray:
    """Spearman correlation of absolute maps, image by image.

    one, other: (N, H, W). Returns (N,) in [-1, 1]; NaN where one of the two maps is constant.
    """
    a, b = (scipy.stats.rankdata(np.abs(m).reshape(len(m), -1), axis=1) for m in (one, other))
    a -= a.mean(axis=1, keepdims=True)
    b -= b.mean(axis=1, keepdims=True)
    scale = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    found: FloatArray = np.divide(
        (a * b).sum(axis=1), scale, out=np.full(len(a), np.nan), where=scale > 0
    )
    return found


def _mean(similarity: FloatArray) -> Estimate:
    """The mean over draws (rows) and radiographs (columns); the interval is over radiographs."""
    there = ~np.isnan(similarity)
    used = there.any(axis=0)
    if not used.any():
        return Estimate.undefined("every map is constant", similarity.shape[1])
    sums = np.where(there, similarity, 0)[:, used].sum(axis=0)
    means = sums / there[:, used].sum(axis=0)
    return bootstrap(lambda counts: counts @ means / counts.sum(axis=1), len(means))


def _layers_from_the_top(network: nn.Module) -> list[str]:
    """The names of the modules that hold parameters of their own, the last first.

    In the order in which the network registers them, which for networks written top to bottom is
    the order in which they run.
    """
    names = [name for name, module in network.named_modules() if _own(module)]
    return names[::-1]


def _own(module: nn.Module) -> list[nn.Parameter]:
    return list(module.parameters(recurse=False))


def _randomise(module: nn.Module, *, seed: int) -> None:
    """Give a module new weights: as at the start of training, where it knows how.

    Parameters of a module that cannot reset itself are drawn from a normal distribution with the
    mean and the spread of the trained ones.
    """
    devices = [p.device for p in _own(module) if p.device.type == "cuda"][:1]
    with torch.random.fork_rng(devices=devices), torch.no_grad():
        torch.manual_seed(seed)
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()
            return
        for parameter in _own(module):
            spread = parameter.std() if parameter.numel() > 1 else parameter.abs().mean()
            parameter.normal_(float(parameter.mean()), float(spread))
