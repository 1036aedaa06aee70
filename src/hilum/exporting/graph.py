"""A classifier as one module: from grey images to the predicted class, in tensor operations.

It repeats what Classifier.predict_pixels does in NumPy and SciPy; check.py holds the two together.
"""

import copy
from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import nn

from hilum.classifier import Classifier
from hilum.errors import ClassifierError, nearest
from hilum.exporting.resizing import ResizeImages
from hilum.files import safe_name
from hilum.labels import FLAT, LabelTree

#: What the graph takes: 'images', decoded grey radiographs of any size, or 'pixels', what the
#: classifier's preprocessing made of them.
Input = Literal["images", "pixels"]


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
        self.temperatures = [classifier.temperatures.get(name, 1.0) for name in self.names]
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
        probs_of = {
            name: torch.softmax(values.double() / temperature, dim=1)
            for (name, values), temperature in zip(logits.items(), self.temperatures, strict=True)
        }
        if FLAT in probs_of:
            probs = probs_of[FLAT]
            options = _decision_probs(self.tree, probs)
            predicted = probs.argmax(dim=1)
        else:
            probs, options = _leaf_probs(self.tree, probs_of), probs_of
            by_route = self.rule == "route"
            predicted = _route(self.tree, options) if by_route else probs.argmax(dim=1)
        return (
            probs.float(),
            predicted,
            *(options[decision.name].float() for decision in self.tree.decisions),
            *logits.values(),
        )


def output_names(classifier: Classifier) -> dict[str, str]:
    """The graph's outputs in their order, and what each holds.

    'probs' (N, C) float32; 'predicted' (N,) int64; 'decision_NAME' (N, options) float32 of every
    decision of the tree, given that it is reached; 'logits_NAME' (N, options) float32 of every
    network, before its temperature. A NAME with other characters than a-z, 0-9, _ and - is made
    plain, as in the file names of weights.
    """
    return {
        "probs": "probability of each class",
        "predicted": "index of the predicted class",
        **{
            f"decision_{safe_name(d.name)}": f"probabilities of the options of '{d.name}'"
            for d in classifier.tree.decisions
        },
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
