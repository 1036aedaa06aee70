"""The loss of one decision."""

import torch
from torch.nn import functional


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
        return (targets @ self.weights if targets.ndim == 2 else self.weights[targets]).sum()
