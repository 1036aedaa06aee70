"""The loss of one decision, or of all decisions of the label tree by one network."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch.nn import functional

from hilum.decisions import Decision
from hilum.labels import LabelTree
from hilum.records import IntArray
from hilum.settings import Settings


class Loss(Protocol):
    """A batch's mean loss, and what it counts in the mean over all samples."""

    def __call__(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor: ...

    def weight_of(self, targets: torch.Tensor) -> torch.Tensor: ...


def make_loss(
    decision: Decision,
    settings: Settings,
    tree: LabelTree,
    targets: IntArray,
    device: torch.device,
) -> Loss:
    """The loss that settings ask for.

    decision: what the network decides; with the loss over 'decisions' that is the flat one of the
    tree. targets: (M,) of the training samples, option indices of the decision, which class weights
    may count. Raises RecipeError where class weights do not fit the options.
    """
    counts = np.bincount(targets, minlength=len(decision.options))
    if settings.sampling == "balanced":  # what counts is how often each option is visited
        counts = np.full_like(counts, 1)
    if settings.loss == "classes":
        weights = settings.weights_for(decision, counts.tolist())
        return DecisionLoss(weights, settings.label_smoothing, device)
    return JointLoss(
        tree.decisions,
        [
            settings.weights_for(d, [int(counts[list(m)].sum()) for m in d.members])
            for d in tree.decisions
        ],
        settings.label_smoothing,
        device,
    )


class DecisionLoss:
    """Cross-entropy over a decision's options, with class weights and label smoothing.

    weights: one positive number per option, or None. Means are weighted means, as in
    torch.nn.CrossEntropyLoss: the sum of weighted losses over the sum of the weights, so the
    loss of an epoch is exact when batches are added up by `weight_of`.
    """

    def __init__(
        self, weights: list[float] | None, label_smoothing: float, device: torch.device
    ) -> None:
        self.weights = None if weights is None else torch.tensor(weights, device=device)
        self.label_smoothing = label_smoothing

    def __call__(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The mean loss of a batch. logits: (B, options).

        targets: (B,) option indices, or (B, options) float32 shares that sum to 1 in each row,
        as mixup makes them: the loss is then the mean, by these shares, of the losses for the
        single options, and the same holds for what it is divided by.
        """
        shared = targets.ndim == 2
        loss = functional.cross_entropy(
            logits.float(),
            targets,
            weight=self.weights,
            label_smoothing=self.label_smoothing,
            reduction="sum" if shared else "mean",
        )
        # PyTorch would divide the losses of shares by their number, whatever the weights
        return loss / self.weight_of(targets) if shared else loss

    def weight_of(self, targets: torch.Tensor) -> torch.Tensor:
        """What a batch's mean loss counts in the mean over all samples."""
        if self.weights is None:
            return torch.tensor(float(len(targets)), device=targets.device)
        return _weight_of(targets, self.weights)


class JointLoss:
    """The losses of all decisions of a label tree, from the logits of one network over its classes.

    An option's probability is that of its classes, given those of its decision. For each decision
    that leads to an image's class the cross-entropy is taken, weighted and smoothed as in
    DecisionLoss; they are added. Without weights and smoothing the sum is the cross-entropy over
    the classes, since probabilities along a path multiply.

    decisions: of the tree, the root first. weights: of each, a positive number per option, or None.
    """

    def __init__(
        self,
        decisions: Sequence[Decision],
        weights: Sequence[list[float] | None],
        label_smoothing: float,
        device: torch.device,
    ) -> None:
        self.label_smoothing = label_smoothing
        self.members = [[list(m) for m in d.members] for d in decisions]
        self.weights = [
            torch.tensor(given or [1.0] * len(d.options), device=device)
            for d, given in zip(decisions, weights, strict=True)
        ]
        # (C,): the weight at the root of the option that each class belongs to
        self.at_root = torch.zeros(sum(map(len, self.members[0])), device=device)
        for members, weight in zip(self.members[0], self.weights[0], strict=True):
            self.at_root[members] = weight

    def __call__(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The mean loss of a batch. logits: (B, C). targets: (B,) or (B, C), as DecisionLoss's."""
        logits, shares = logits.float(), _shares(targets, logits.shape[1])
        total = logits.new_zeros(())
        for members, weights in zip(self.members, self.weights, strict=True):
            options = torch.stack([logits[:, m].logsumexp(dim=1) for m in members], dim=1)
            wanted = torch.stack([shares[:, m].sum(dim=1) for m in members], dim=1)
            even = wanted.mean(dim=1, keepdim=True)
            smooth = (1 - self.label_smoothing) * wanted + self.label_smoothing * even
            total = total - (smooth * weights * options.log_softmax(dim=1)).sum()
        return total / self.weight_of(targets)

    def weight_of(self, targets: torch.Tensor) -> torch.Tensor:
        """What a batch's mean loss counts in the mean over all samples: its weight at the root."""
        return _weight_of(targets, self.at_root)


def _weight_of(targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The sum of the weights of targets: (B,) indices, or (B, options) shares of each."""
    return (targets @ weights if targets.ndim == 2 else weights[targets]).sum()


def _shares(targets: torch.Tensor, classes: int) -> torch.Tensor:
    """Targets as shares: (B,) class indices to (B, C); shares stay as they are."""
    return targets if targets.ndim == 2 else functional.one_hot(targets, classes).float()
