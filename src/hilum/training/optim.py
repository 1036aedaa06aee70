"""Optimizer, learning-rate schedule and moving average of the weights, by a decision's settings."""

import copy
import math
from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.optim import lr_scheduler

from hilum.settings import Settings


def make_optimizer(settings: Settings, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer that a recipe names.

    Fused: one pass over all weights instead of a dozen for each, the same but for rounding.
    """
    lr, decay = settings.learning_rate, settings.weight_decay
    if settings.optimizer == "sgd":
        momentum, nesterov = settings.momentum, settings.nesterov
        return torch.optim.SGD(
            parameters, lr=lr, weight_decay=decay, momentum=momentum, nesterov=nesterov, fused=True
        )
    kind = torch.optim.Adam if settings.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, lr=lr, weight_decay=decay, fused=True)


def warmed_up(settings: Settings, steps_per_epoch: int) -> Callable[[int], float]:
    """The factor of the learning rate in each step, from 0, of a schedule with a warm-up.

    It rises linearly over the first steps, the share `warmup` of all, and reaches 1 in the last of
    them. Then 'step' falls as it does without; 'cosine' falls to 0 over the steps that are left.
    Source: Goyal et al. 2017, Accurate, large minibatch SGD, doi:10.48550/arXiv.1706.02677
    """
    total = settings.epochs * steps_per_epoch
    rising = max(1, round(settings.warmup * total))

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        if settings.scheduler == "cosine":
            return (1 + math.cos(math.pi * (step - rising) / (total - rising))) / 2
        if settings.scheduler == "step":
            return float(settings.gamma ** (step // steps_per_epoch // settings.step_size))
        return 1.0

    return factor


class Schedule:
    """The learning rate over a training.

    It is stepped per batch for one-cycle and with a warm-up, and per epoch otherwise.
    """

    def __init__(
        self, settings: Settings, optimizer: torch.optim.Optimizer, steps_per_epoch: int
    ) -> None:
        self.optimizer = optimizer
        warm_up = settings.warmup > 0 and settings.scheduler != "one-cycle"  # which has its own
        self.per_batch = warm_up or settings.scheduler == "one-cycle"
        self.scheduler: lr_scheduler.LRScheduler | None = None
        if warm_up:
            shape = warmed_up(settings, steps_per_epoch)
            self.scheduler = lr_scheduler.LambdaLR(optimizer, shape)
        elif settings.scheduler == "step":
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


class AveragedWeights:
    """An exponential moving average of a network's weights, in a network of its own.

    It forgets by the factor decay a step, and by less at first, min(decay, (1 + t) / (10 + t)) in
    step t from 0: so that a short training does not drag its initial weights along. Floating-point
    buffers, such as the running statistics of batch normalisation, are averaged as the weights
    that they belong to are; counters are copied.
    Source: Polyak and Juditsky 1992, doi:10.1137/0330046; the warm-up is that of TensorFlow's
    ExponentialMovingAverage.
    """

    def __init__(self, trained: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(trained).eval().requires_grad_(False)
        self.decay = decay
        # Found once: to walk through two networks at every step takes a millisecond of Python.
        self._mine, self._theirs = _tensors(self.network), _tensors(trained)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after an optimizer step. step: how many came before it."""
        keep = min(self.decay, (1 + step) / (10 + step))
        # All at once: a GPU would spend more time on starting these small steps than on them.
        torch._foreach_lerp_(self._mine[True], self._theirs[True], 1 - keep)
        if counters := self._mine[False]:
            torch._foreach_copy_(counters, self._theirs[False])


def _tensors(network: nn.Module) -> dict[bool, list[torch.Tensor]]:
    """The weights and buffers that are floating-point numbers (True) and that are not (False)."""
    found = [*network.parameters(), *network.buffers()]
    return {kind: [t for t in found if t.is_floating_point() == kind] for kind in (True, False)}
