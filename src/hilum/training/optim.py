"""Optimizer and learning-rate schedule of a decision's settings."""

from collections.abc import Iterable

import torch
from torch import nn
from torch.optim import lr_scheduler

from hilum.recipe import Settings


def make_optimizer(settings: Settings, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer that a recipe names."""
    lr, decay = settings.learning_rate, settings.weight_decay
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=lr, weight_decay=decay, momentum=settings.momentum)
    kind = torch.optim.Adam if settings.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, lr=lr, weight_decay=decay)


class Schedule:
    """The learning rate over a training: stepped per batch for one-cycle, per epoch otherwise."""

    def __init__(
        self, settings: Settings, optimizer: torch.optim.Optimizer, steps_per_epoch: int
    ) -> None:
        self.optimizer = optimizer
        self.per_batch = settings.scheduler == "one-cycle"
        self.scheduler: lr_scheduler.LRScheduler | None = None
        if settings.scheduler == "step":
            self.scheduler = lr_scheduler.StepLR(optimizer, settings.step_size, settings.gamma)
        elif settings.scheduler == "cosine":
            self.scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=settings.epochs)
        elif settings.scheduler == "one-cycle":
            self.scheduler = lr_scheduler.OneCycleLR(
                optimizer,
                max_lr=settings.learning_rate,
                total_steps=settings.epochs * steps_per_epoch,
            )

    @property
    def learning_rate(self) -> float:
        """The rate that the next step uses."""
        return float(self.optimizer.param_groups[0]["lr"])

    def after_batch(self, *, last: bool) -> None:
        """Move on after an optimizer step; last: it was the last of all steps."""
        if self.scheduler and self.per_batch and not last:
            self.scheduler.step()

    def after_epoch(self) -> None:
        """Move on after an epoch."""
        if self.scheduler and not self.per_batch:
            self.scheduler.step()

    def state_dict(self) -> dict[str, object]:
        """Plain values; empty without a scheduler."""
        return dict(self.scheduler.state_dict()) if self.scheduler else {}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """The inverse of state_dict."""
        if self.scheduler:
            self.scheduler.load_state_dict(state)
