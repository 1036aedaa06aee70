"""A classifier as one module: from grey images to the predicted class, in tensor operations.

It repeats what Classifier.predict_pixels does in NumPy and SciPy; onnx.check_onnx compares the two.
"""

import copy
from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

import torch
from torch import nn

from hilum.classifier.classifier import Classifier
from hilum.decisions import FLAT
from hilum.errors import ClassifierError, nearest
from hilum.files import safe_name
from hilum.labels import LabelTree
from hilum.settings import Resize

#: What the graph takes: 'images', decoded grey radiographs of any size, or 'pixels', what the
#: classifier's preprocessing made of them.
Input = Literal["images", "pixels"]

_UNIT = float(1 << 22)  # Pillow rounds its weights to shares of it


def parse_input(text: str) -> Input:
    """A kind of input by its name. Raises ClassifierError for another text."""
    if text not in get_args(Input):
        raise ClassifierError(f"There is no input '{text}'.{nearest(text, get_args(Input))}")
    return text  # type: ignore[return-value]


class ClassifierGraph(nn.Module):
    """A classifier's networks, and all before and after them.

    The networks are copies, on the CPU and in evaluation mode. takes: what forward is given.
    Raises ClassifierError for 'images' where the preprocessing has a step that tensor operations
    cannot repeat exactly.
    """

    def __init__(self, classifier: Classifier, takes: Input) -> None:
        super().__init__()
        preprocessing = classifier.preprocessing
        if takes == "images":
            _check_expressible(classifier)
            self.resize: nn.Module = ResizeImages(preprocessing.image_size, preprocessing.resize)
        else:
            self.resize = nn.Identity()
        self.preprocessing = preprocessing
        self.tree, self.rule = classifier.tree, classifier.rule
        self.names = tuple(classifier.networks)
        self.temperatures = classifier.temperatures
        self.decisions = {d.name: d for d in self.tree.networks(classifier.strategy)}
        self.networks = nn.ModuleList(
            copy.deepcopy(network).to("cpu").eval() for network in classifier.networks.values()
        )
        self.eval()

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """images: (N, H, W) uint8. Returns what output_names lists, in that order."""
        x = self.preprocessing.to_input(self.resize(images))
        logits = {
            name: network(x).float()
            for name, network in zip(self.names, self.networks, strict=True)
        }
        probs_of, given = {}, {}
        for name, values in logits.items():
            decision, k = self.decisions[name], len(self.decisions[name].options)
            if k:
                own = values[:, :k].double() / self.temperatures.get(name, 1.0)
                probs_of[name] = torch.softmax(own, dim=1)
            for at, finding in enumerate(decision.findings, start=k):
                odds = values[:, at].double() / self.temperatures.get(finding.name, 1.0)
                given[finding.name] = torch.sigmoid(odds)
        chosen: tuple[torch.Tensor, ...] = ()
        probs = None
        if FLAT in probs_of:
            probs = probs_of[FLAT]
            options = _decision_probs(self.tree, probs)
            chosen = (probs.float(), probs.argmax(dim=1))
        elif self.tree.decisions:
            probs, options = _leaf_probs(self.tree, probs_of), probs_of
            by_route = self.rule == "route"
            predicted = _route(self.tree, options) if by_route else probs.argmax(dim=1)
            chosen = (probs.float(), predicted)
        findings = []
        for finding in self.tree.findings:
            reached = None if probs is None else probs[:, list(finding.classes)].sum(dim=1)
            own = given[finding.name]
            findings.append(own if reached is None else reached.clamp(0, 1) * own)
        return (
            *chosen,
            *(options[decision.name].float() for decision in self.tree.decisions),
            *([torch.stack(findings, dim=1).float()] if findings else []),
            *logits.values(),
        )


def output_names(classifier: Classifier) -> dict[str, str]:
    """The graph's outputs in their order, and what each holds.

    'probs' (N, C) float32 and 'predicted' (N,) int64 where there are classes to choose from;
    'decision_NAME' (N, options) float32 of every decision of the tree, given that it is reached;
    'findings' (N, F) float32 where there are some; 'logits_NAME' (N, outputs) float32 of every
    network, before any temperature. A NAME with other characters than a-z, 0-9, _ and - is made
    plain, as in the file names of weights.
    """
    tree = classifier.tree
    chosen = {"probs": "probability of each class", "predicted": "index of the predicted class"}
    return {
        **(chosen if tree.decisions else {}),
        **{
            f"decision_{safe_name(d.name)}": f"probabilities of the options of '{d.name}'"
            for d in tree.decisions
        },
        **({"findings": "probability of each finding"} if tree.findings else {}),
        **{logits_name(name): f"logits of the network '{name}'" for name in classifier.networks},
    }


def logits_name(network: str) -> str:
    """The name of the output that holds a network's logits."""
    return f"logits_{safe_name(network)}"


def _check_expressible(classifier: Classifier) -> None:
    steps = {"crop": classifier.preprocessing.crop, "contrast": classifier.preprocessing.contrast}
    found = [f"{key} = {value}" for key, value in steps.items() if value != "none"]
    if found:
        raise ClassifierError(
            f"The classifier's preprocessing ({', '.join(found)}) cannot be put into the graph: "
            "ONNX has no operations that give the same pixels. Export a graph that takes the "
            "preprocessed pixels: --input pixels."
        )


def _leaf_probs(tree: LabelTree, probs_of: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """LabelTree.leaf_probs: products along each class's path, (N, C)."""
    columns = []
    for leaf in range(len(tree.classes)):
        product = None
        for decision in tree.decisions:
            for option, members in enumerate(decision.members):
                if leaf in members:
                    factor = probs_of[decision.name][:, option]
                    product = factor if product is None else product * factor
        assert product is not None  # every class lies below the root
        columns.append(product)
    return torch.stack(columns, dim=1)


def _decision_probs(tree: LabelTree, probs: torch.Tensor) -> dict[str, torch.Tensor]:
    """LabelTree.decision_probs: the shares that class probabilities imply, (N, options) each."""
    found = {}
    for decision in tree.decisions:
        mass = torch.stack([probs[:, list(m)].sum(dim=1) for m in decision.members], dim=1)
        total = mass.sum(dim=1, keepdim=True)
        share = mass / torch.where(total > 0, total, 1.0)
        found[decision.name] = torch.where(total > 0, share, 1 / len(decision.options))
    return found


def _route(tree: LabelTree, probs_of: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """LabelTree.choose under 'route': the class whose path holds every best option, (N,)."""
    best = {name: probs.argmax(dim=1) for name, probs in probs_of.items()}
    columns = []
    for leaf in range(len(tree.classes)):
        missed = torch.zeros_like(best[tree.decisions[0].name])
        for decision in tree.decisions:
            for option, members in enumerate(decision.members):
                if leaf in members:
                    missed = missed + (best[decision.name] != option).to(missed.dtype)
        columns.append(missed)
    return torch.stack(columns, dim=1).argmin(dim=1)


class _Side(NamedTuple):
    """How one side is resized: 0-d tensors, but for length and out.

    length: pixels of the input. out: of the output. begin, end: the part of the input that is
    taken, float32 as Pillow has it. first, inner: where in the output it goes, and how many
    pixels it becomes there; the others become black.
    """

    length: int
    out: int
    begin: torch.Tensor
    end: torch.Tensor
    first: torch.Tensor
    inner: torch.Tensor


class ResizeImages(nn.Module):
    """Images (N, H, W) uint8 of one size, any, to (N, height, width) uint8.

    Equal to resize_image(image, size, how) for each.
    """

    def __init__(self, size: tuple[int, int], how: Resize) -> None:
        super().__init__()
        self.size = size
        self.how = how

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """images: (N, H, W) uint8. Returns (N, height, width) uint8."""
        down, across = self._sides(images.shape[1], images.shape[2])
        rows, columns = _weights(down), _weights(across).T
        # Pillow takes the order that is less work, and rounding between makes it matter.
        shorter = down.length - down.inner
        narrower = (across.length - across.inner).clamp(min=0)
        rows_first = (shorter > 2 * narrower).reshape(())
        parts = (images.to(torch.float64), rows, columns)
        if torch.compiler.is_exporting():
            pixels: torch.Tensor = torch.cond(rows_first, _rows_first, _columns_first, parts)
        else:  # where torch.cond would compile both for every new shape
            pixels = _rows_first(*parts) if bool(rows_first) else _columns_first(*parts)
        return pixels.to(torch.uint8)

    def _sides(self, length: int, breadth: int) -> tuple[_Side, _Side]:
        """Of the rows and of the columns, as resize_image lays them out."""
        height, width = self.size
        lengths = (_number(length), _number(breadth))
        outs = (_number(height), _number(width))
        ratios = torch.stack([out / n for out, n in zip(outs, lengths, strict=True)])
        sides = []
        for n, out, whole, wanted in zip((length, breadth), self.size, lengths, outs, strict=True):
            margin, inner = torch.zeros_like(whole), wanted
            if self.how == "pad":
                inner = (whole * ratios.min()).round().clamp(min=1).minimum(wanted)
            elif self.how == "centre-crop":
                margin = (whole - wanted / ratios.max()).clamp(min=0) / 2
            sides.append(
                _Side(
                    n,
                    out,
                    margin.to(torch.float32),
                    (whole - margin).to(torch.float32),
                    ((wanted - inner) / 2).floor(),
                    inner,
                )
            )
        return sides[0], sides[1]


def _number(value: int) -> torch.Tensor:
    return torch.full((), value, dtype=torch.float64)


def _weights(side: _Side) -> torch.Tensor:
    """(out, length) whole numbers as float64; a row sums to 2**22, or to 0 where it is black."""
    scale = (side.end - side.begin).to(torch.float64) / side.inner
    reach = scale.clamp(min=1)
    position = torch.arange(side.out, dtype=torch.float64) - side.first
    centre = (side.begin.to(torch.float64) + (position + 0.5) * scale)[:, None]
    pixel = torch.arange(side.length, dtype=torch.float64)
    taken = (pixel >= (centre - reach + 0.5).floor()) & (pixel < (centre + reach + 0.5).floor())
    taken &= ((position >= 0) & (position < side.inner))[:, None]
    triangle = (1 - ((pixel - centre + 0.5) * (1 / reach)).abs()).clamp(min=0)
    triangle = torch.where(taken, triangle, 0.0)
    total = triangle.sum(dim=1, keepdim=True)
    share = triangle / torch.where(total > 0, total, 1.0)
    return (share * _UNIT + 0.5).floor()


def _rows_first(x: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    return _rounded(_rounded(rows @ x) @ columns)


def _columns_first(x: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    return _rounded(rows @ _rounded(x @ columns))


def _rounded(sums: torch.Tensor) -> torch.Tensor:
    return ((sums + _UNIT / 2) / _UNIT).floor().clamp(0, 255)
