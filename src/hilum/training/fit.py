"""The one training loop: for any decision, strategy, network and device.

The order of samples is a pure function of (seed, decision, epoch) and a sample's augmentation of
(seed, epoch, index, and which of its visits it is), and a checkpoint holds the random state behind
dropout, so a run that was killed and resumed ends with the same weights, bit for bit, as one that
was not: on the same machine, with the same wheels and the same number of threads and processes.
"""

import math
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from hilum.classifier.inference import compute_logits
from hilum.device import as_channels_last, training_on
from hilum.errors import Interrupted, TrainingError
from hilum.networks.ensemble import join_networks
from hilum.networks.registry import create_network
from hilum.radiographs.pixels import Progress
from hilum.records import FloatArray, IntArray, LazyPixels
from hilum.training.checkpoint import Checkpoint, CheckpointFolder, Row, fitting
from hilum.training.interrupt import StopRequest
from hilum.training.loss import count_right, make_loss
from hilum.training.optim import AveragedWeights, Schedule, make_optimizer
from hilum.training.order import (
    draw_apart,
    kinds_of,
    own_randomness,
    plan_epoch,
    rng_state,
    seed_of,
    set_rng_state,
    size_in,
    state_of,
    states_of,
)
from hilum.training.step import Step
from hilum.training.task import Task

_NOTHING_YET = {"loss": 0.0, "weight": 0.0, "correct": 0.0, "seconds": 0.0}  # of an epoch


def fit(
    task: Task,
    *,
    checkpoints: CheckpointFolder,
    stop: StopRequest,
    on_epoch: Callable[[Row], None],
    progress: Progress | None = None,
) -> Checkpoint:
    """Train one decision's network, from its newest checkpoint if it has one.

    Writes a checkpoint after every epoch and then calls on_epoch with the epoch's row of the
    history. Returns the last checkpoint. Raises Interrupted, after writing a checkpoint, when a
    stop is requested, and TrainingError where the loss is not finite or the disk is full.

    Where several processes train it, all of them call this; the first alone looks at checkpoints
    and writes them, and a stop is one for all.
    """
    epochs, name, world = task.settings.epochs, task.decision.name, task.world
    found = checkpoints.newest() if world.first else None
    state = world.from_first(vars(found) if found else None)
    start = Checkpoint(**state) if state else None
    if start and start.epoch >= epochs:
        return start
    device = task.machine.device
    with own_randomness(device, seed_of(task.seed, name)), training_on(device):
        loop = _Loop(task)
        if start:
            with fitting(checkpoints.folder):
                loop.restore(start)
        loop.begin()
        while loop.epoch < epochs:
            finished = loop.run_epoch(stop, progress)
            checkpoint = loop.checkpoint()
            world.first_does(partial(checkpoints.save, checkpoint))
            if finished:
                on_epoch(checkpoint.history[-1])
            if loop.epoch < epochs and (not finished or world.agree(stop.requested)):
                raise Interrupted(f"stopped in epoch {loop.epoch + 1} of '{name}'")
    return checkpoint


class _Loop:
    """The state of a training, advanced an epoch at a time."""

    def __init__(self, task: Task) -> None:
        self.decision, self.settings, self.seed = task.decision, task.settings, task.seed
        self.train, self.monitored = task.train, task.monitored
        self.preprocessing, self.machine = task.preprocessing, task.machine
        self.world = task.world
        settings, device = task.settings, task.machine.device
        network = create_network(
            settings.network,
            outputs=task.decision.outputs,
            image_size=task.preprocessing.image_size,
            own_start=not settings.weights and task.start is None,
        )
        if task.start:
            network.load_state_dict({**network.state_dict(), **task.start.state})
        if settings.sync_batch_norm and self.world.size > 1:
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        self.network = as_channels_last(network, device)
        self.averaged = AveragedWeights(self.network, settings.ema) if settings.ema else None
        loss = make_loss(task.decision, settings, task.tree, self.train.targets, device)
        # Steps go through it; the weights stay those of the network.
        forward = torch.compile(self.network) if task.machine.compiled else self.network
        self.gradients = Step(task, self.network, forward, loss)
        self.loss, self.steps = loss, self.gradients.steps
        self.optimizer = make_optimizer(settings, self.network.parameters())
        self.schedule = Schedule(settings, self.optimizer, self.steps)
        self.kinds = kinds_of(self.train.targets, len(task.decision.options))
        self.epoch = 0
        self.step = 0
        self.running = dict(_NOTHING_YET)
        self.history: list[Row] = []
        self.draws_on = self.world.first

    def restore(self, start: Checkpoint) -> None:
        self.network.load_state_dict(start.model)
        if self.averaged:
            assert start.average is not None  # another recipe is refused before
            self.averaged.network.load_state_dict(start.average)
        self.optimizer.load_state_dict(start.optimizer)
        self.schedule.load_state_dict(start.scheduler)
        self.epoch, self.step = start.epoch, start.step
        self.running, self.history = dict(start.running), list(start.history)
        if own := state_of(self.world.rank, start.rng_state):
            set_rng_state(own, self.machine.device)
            self.draws_on = True

    def begin(self) -> None:
        """Have all processes begin with the same weights, and draw other numbers in dropout."""
        self.world.take_from_first(self._tensors())
        if not self.draws_on:
            seed = seed_of(self.seed, self.decision.name)
            draw_apart(seed, self.world.rank, self.epoch, self.step)

    def _tensors(self) -> list[torch.Tensor]:
        """The weights and buffers, and their averages."""
        networks = [self.network, *([self.averaged.network] if self.averaged else [])]
        return [t for network in networks for t in (*network.parameters(), *network.buffers())]

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(
            epoch=self.epoch,
            step=self.step,
            model=self.network.state_dict(),
            average=self.averaged.network.state_dict() if self.averaged else None,
            optimizer=self.optimizer.state_dict(),
            scheduler=self.schedule.state_dict(),
            rng_state=states_of(self.world.gather(rng_state(self.machine.device))),
            running=dict(self.running),
            history=list(self.history),
        )

    def run_epoch(self, stop: StopRequest, progress: Progress | None) -> bool:
        """Train an epoch from the current step on; False if it was stopped on the way."""
        epoch, n = self.epoch + 1, len(self.train.rows)
        visits = plan_epoch(self.settings, self.seed, self.decision.name, epoch, self.kinds)
        self.running.setdefault("learning_rate", self.schedule.learning_rate)  # of its first step
        size = size_in(
            epoch,
            self.settings.epochs,
            self.settings.start_size,
            self.preprocessing.image_size,
        )
        what = f"{self.decision.name}: epoch {epoch} of {self.settings.epochs}"
        began = time.perf_counter()
        settled = self.step
        self.gradients.begin(epoch, visits, size, self.step)
        self.network.train()
        while self.step < self.steps:
            self._train_step(epoch)
            self.step += 1
            if progress:
                progress(what, min(self.step * self.settings.batch_size, n), n)
            asked, last = stop.requested, self.step == self.steps
            if last or not self.machine.runs_ahead or self.world.asks(self.step, asked):
                stopped = self._settle(epoch, visits.positions, settled, asked)
                settled = self.step
                if stopped and not last:
                    self.world.take_from_first(self._tensors())
                    self.running["seconds"] += time.perf_counter() - began
                    return False
        # Running statistics are those of each process's own images; the first one's hold.
        self.world.take_from_first(self._tensors())
        seconds = self.running["seconds"] + time.perf_counter() - began
        self.schedule.after_epoch()
        monitor_loss, monitor_accuracy = self._monitor(progress)
        self.history.append(
            {
                "decision": self.decision.name,
                "epoch": epoch,
                "epochs": self.settings.epochs,
                "train_loss": self.running["loss"] / self.running["weight"],
                "train_accuracy": self.running["correct"] / n,
                "monitor_loss": monitor_loss,
                "monitor_accuracy": monitor_accuracy,
                "learning_rate": self.running["learning_rate"],
                "seconds": seconds,
                "images_per_second": n / seconds,
            }
        )
        self.epoch, self.step = epoch, 0
        self.running = dict(_NOTHING_YET)
        return True

    def _train_step(self, epoch: int) -> None:
        """One optimizer step."""
        self.gradients.compute(self.step)
        self.world.sum_(p.grad for p in self.gradients.parameters if p.grad is not None)
        if self.settings.clip_norm:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip_norm)
        self.optimizer.step()
        if self.averaged:
            self.averaged.update((epoch - 1) * self.steps + self.step)
        last = self.step + 1 == self.steps and epoch == self.settings.epochs
        self.schedule.after_batch(last=last)

    def _settle(self, epoch: int, positions: IntArray, settled: int, asked: bool) -> bool:
        """Look at the losses of the steps since the one that was looked at last; add them up.

        asked: whether this process was asked to stop. Returns whether any was.
        """
        lines = self.gradients.record[settled : self.step].cpu().double()
        lines[:, 0] *= lines[:, 1]  # so that those of several processes add up
        asks = lines.new_tensor([asked])
        self.world.sum_([lines, asks])
        for number, (loss, weight, correct) in enumerate(lines.tolist(), start=settled):
            if not math.isfinite(loss):
                b = self.settings.batch_size
                batch = positions[number * b : (number + 1) * b]
                raise TrainingError(self._not_finite(epoch, number + 1, batch))
            self.running["loss"] += loss
            self.running["weight"] += weight
            self.running["correct"] += correct
        return bool(asks.item())

    def _monitor(self, progress: Progress | None) -> tuple[float | None, float | None]:
        """Loss and accuracy over the monitored samples, exact; None where there are none."""
        samples, device = self.monitored, self.machine.device
        if samples is None:
            return None, None
        first, last = self.world.share(len(samples.rows))
        pixels = LazyPixels.of_rows(samples.pixels, samples.rows[first:last])
        network = self.averaged.network if self.averaged else self.network
        network = join_networks([network], mirror=self.settings.mirror_test)
        found = torch.zeros((len(samples.rows), self.decision.outputs), dtype=torch.float64)
        if last > first:
            logits = compute_logits(network, pixels, self.preprocessing, device, progress=progress)
            found[first:last] = torch.from_numpy(logits)
        self.world.sum_([found])
        targets, answers = _on(device, samples.targets), found.to(device)
        right = count_right(answers, targets, len(self.decision.options))
        return self.loss(answers, targets).item(), right.item() / len(samples.rows)

    def _not_finite(self, epoch: int, step: int, positions: IntArray) -> str:
        files = [self.train.names[row] for row in self.train.rows[positions]]
        return (
            f"The loss of '{self.decision.name}' is not a finite number in epoch {epoch}, step "
            f"{step}; nothing of this epoch was saved. A lower learning_rate (now "
            f"{self.settings.learning_rate:g}) often helps. Files of the batch: {', '.join(files)}"
        )


def _on(device: torch.device, targets: IntArray | FloatArray) -> torch.Tensor:
    """Targets as the loss takes them: int64 indices, or float32 shares."""
    found = torch.from_numpy(targets).to(device)
    return found.float() if found.is_floating_point() else found
