"""The loss of one decision, or of all decisions of the label tree by one network.

What a batch should be said to be, its targets, are (B,) option indices of a choice. Of a decision
with findings, and under mixup, they are (B, outputs) float32: the share of each option, then of
each finding how present it is, NaN where that is not known.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch.nn import functional

from hilum.decisions import Decision
from hilum.errors import RecipeError
from hilum.labels import LabelTree
from hilum.records import FloatArray, IntArray
from hilum.settings import Settings


class Loss(Protocol):
    """A batch's mean loss, and what it counts in the mean over all samples."""

    def __call__(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor: ...

    def weight_of(self, targets: torch.Tensor) -> torch.Tensor: ...


def count_right(logits: torch.Tensor, targets: torch.Tensor, options: int) -> torch.Tensor:
    """How many images of a batch are decided rightly.

    options: how many of the outputs are those of a choice. Of an image with findings the share of
    what is known counts: the option, and each finding that is called present above a logit of 0.
    """
    if targets.ndim == 1:
        return (logits.argmax(dim=1) == targets).sum()
    findings = targets[:, options:]
    known = ~findings.isnan()
    right = (((logits[:, options:] > 0) == (findings > 0.5)) & known).sum(dim=1).double()
    asked = known.sum(dim=1).double()
    if options:
        chosen = logits[:, :options].argmax(dim=1) == targets[:, :options].argmax(dim=1)
        right, asked = right + chosen, asked + 1
    return (right / asked.clamp(min=1)).sum()


def make_loss(
    decision: Decision,
    settings: Settings,
    tree: LabelTree,
    targets: IntArray | FloatArray,
    device: torch.device,
) -> Loss:
    """The loss that settings ask for.

    decision: what the network decides; with the loss over 'decisions' that is the flat one of the
    tree. targets: of the training samples, which class weights may count: (M,) option indices of
    the decision, or with findings (M, outputs). Raises RecipeError where class weights do not fit
    the options.
    """
    if decision.findings:
        return FindingsLoss(decision, settings, tree, np.asarray(targets, np.float64), device)
    return _of_options(decision, settings, tree, np.asarray(targets, np.int64), device)


def _of_options(
    decision: Decision,
    settings: Settings,
    tree: LabelTree,
    targets: IntArray,
    device: torch.device,
) -> Loss:
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
        # For the mean of weighted and smoothed losses PyTorch would look at the targets, and make a
        # GPU wait; and it would divide the losses of shares by their number, whatever the weights.
        own_mean = targets.ndim == 2 or (self.weights is not None and self.label_smoothing > 0)
        loss = functional.cross_entropy(
            logits.float(),
            targets,
            weight=self.weights,
            label_smoothing=self.label_smoothing,
            reduction="sum" if own_mean else "mean",
        )
        return loss / self.weight_of(targets) if own_mean else loss

    def weight_of(self, targets: torch.Tensor) -> torch.Tensor:
        """What a batch's mean loss counts in the mean over all samples."""
        if self.weights is None:
            return _number_of(targets)
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
        members = [[list(m) for m in d.members] for d in decisions]
        # On the device: a step that a GPU has recorded can be given nothing from outside.
        self.members = [[torch.tensor(m, device=device) for m in of] for of in members]
        self.weights = [
            torch.tensor(given or [1.0] * len(d.options), device=device)
            for d, given in zip(decisions, weights, strict=True)
        ]
        # (C,): the weight at the root of the option that each class belongs to
        self.at_root = torch.zeros(sum(map(len, members[0])), device=device)
        for classes, weight in zip(members[0], self.weights[0], strict=True):
            self.at_root[classes] = weight

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


class FindingsLoss:
    """Binary cross-entropy of findings, each for itself, and the loss of a choice beside them.

    An image's loss is that of its option, if there is a choice, plus the mean over all findings of
    their losses, where one that is not known counts 0. With class weights 'balanced' a finding that
    is present weighs as much more as it is rarer: negatives / positives of the training samples.
    Label smoothing moves what is wanted towards 0.5, as for a choice of two.

    findings_loss: 'focal' multiplies each loss by (1 - p)^2 of the answer that is wanted (Lin et
    al. 2017, doi:10.1109/ICCV.2017.324); 'asymmetric' by p^4 of the probability less 0.05 where a
    finding is absent, and by nothing where it is present (Ridnik et al. 2021,
    doi:10.1109/ICCV48922.2021.00015).
    """

    def __init__(
        self,
        decision: Decision,
        settings: Settings,
        tree: LabelTree,
        targets: FloatArray,
        device: torch.device,
    ) -> None:
        k = len(decision.options)
        self.options, self.kind = k, settings.findings_loss
        self.label_smoothing = settings.label_smoothing
        self.choice = None
        if k:
            chosen = targets[:, :k].argmax(axis=1)
            self.choice = _of_options(decision, settings, tree, chosen, device)
        elif settings.class_weights not in ("none", "balanced"):
            raise RecipeError(
                f"class_weights gives numbers, but the decision '{decision.name}' has findings "
                "alone: use 'none' or 'balanced'."
            )
        self.positive = None
        if settings.class_weights == "balanced" and settings.sampling != "balanced":
            present = np.nansum(targets[:, k:], axis=0)
            absent = np.nansum(1 - targets[:, k:], axis=0)
            weights = (np.maximum(absent, 1) / np.maximum(present, 1)).astype(np.float32)
            self.positive = torch.from_numpy(weights).to(device)

    def __call__(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The mean loss of a batch. logits: (B, outputs). targets: (B, outputs) float32."""
        logits, k = logits.float(), self.options
        wanted, given = targets[:, k:], logits[:, k:]
        known = ~wanted.isnan()
        wanted = wanted.masked_fill(~known, 0.5)
        wanted = wanted * (1 - self.label_smoothing) + self.label_smoothing / 2
        # of each finding the loss if it is present, and if it is absent
        present, absent = functional.softplus(-given), functional.softplus(given)
        if self.kind == "focal":
            p = given.sigmoid()
            present, absent = present * (1 - p) ** 2, absent * p**2
        elif self.kind == "asymmetric":
            p = (given.sigmoid() - 0.05).clamp(min=0)
            absent = -torch.log1p(-p) * p**4
        if self.positive is not None:
            present = present * self.positive
        losses = (wanted * present + (1 - wanted) * absent).masked_fill(~known, 0.0)
        total = losses.mean(dim=1).sum()
        if self.choice is not None:
            shares = targets[:, :k]
            total = total + self.choice(logits[:, :k], shares) * self.choice.weight_of(shares)
        return total / len(targets)

    def weight_of(self, targets: torch.Tensor) -> torch.Tensor:
        """What a batch's mean loss counts in the mean over all samples: how many it has."""
        return _number_of(targets)


def _number_of(targets: torch.Tensor) -> torch.Tensor:
    """How many images targets are of, where they are."""
    return torch.full((), float(len(targets)), device=targets.device)


def _weight_of(targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The sum of the weights of targets: (B,) indices, or (B, options) shares of each."""
    return (targets @ weights if targets.ndim == 2 else weights[targets]).sum()


def _shares(targets: torch.Tensor, classes: int) -> torch.Tensor:
    """Targets as shares: (B,) class indices to (B, C); shares stay as they are."""
    return targets if targets.ndim == 2 else functional.one_hot(targets, classes).float()
