"""The one training loop: for any decision, strategy, network and device.

The order of samples is a pure function of (seed, decision, epoch) and a sample's augmentation of
(seed, epoch, index, and which of its visits it is), and a checkpoint holds the random state behind
dropout, so a run that was killed and resumed ends with the same weights, bit for bit, as one that
was not: on the same machine, with the same wheels and the same number of threads.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import one_hot

from hilum.classifier.inference import compute_logits
from hilum.decisions import Decision
from hilum.device import Format, as_channels_last
from hilum.errors import Interrupted, TrainingError
from hilum.labels import LabelTree
from hilum.networks.ensemble import join_networks
from hilum.networks.registry import create_network
from hilum.networks.states import Start
from hilum.radiographs.pixels import Progress
from hilum.records import FloatArray, IntArray, PixelArray
from hilum.settings import Settings
from hilum.training.checkpoint import Checkpoint, CheckpointFolder, Row, fitting
from hilum.training.interrupt import StopRequest
from hilum.training.loss import count_right, make_loss
from hilum.training.optim import AveragedWeights, Schedule, make_optimizer
from hilum.training.order import (
    Visits,
    kinds_of,
    own_randomness,
    plan_epoch,
    resize,
    rng_state,
    seed_of,
    set_rng_state,
    size_in,
)
from hilum.transforms.augment import augment, mix, mixup_partners
from hilum.transforms.preprocess import Preprocessing

_CHECK_EVERY = {"cpu": 1}  # steps between looks at the loss: a look makes a GPU wait, so 50 there

_NOTHING_YET = {"loss": 0.0, "weight": 0.0, "correct": 0.0, "seconds": 0.0}  # of an epoch


@dataclass(frozen=True)
class Samples:
    """What a decision learns from, or is monitored on.

    pixels: (N, H, W) uint8, of the whole data set. rows: (M,) positions in it.
    targets: (M,) option indices, or of a decision with findings (M, outputs) as of the loss.
    names: of all N, for messages.
    """

    pixels: PixelArray
    rows: IntArray
    targets: IntArray | FloatArray
    names: Sequence[str]


@dataclass(frozen=True)
class Machine:
    """Where and how it is computed. compiled: by torch.compile, which pays on a GPU."""

    device: torch.device
    number_format: Format
    compiled: bool = False


@dataclass(frozen=True)
class Task:
    """What is trained: the network of a decision of a tree, under its settings and a seed.

    train: what it learns from. monitored: what it is monitored on after every epoch, if anything.
    start: the weights that it starts from, where these are not those that the network is made with.
    """

    decision: Decision
    settings: Settings
    tree: LabelTree
    seed: int
    train: Samples
    monitored: Samples | None
    preprocessing: Preprocessing
    machine: Machine
    start: Start | None = None


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
    """
    start, epochs, name = checkpoints.newest(), task.settings.epochs, task.decision.name
    if start and start.epoch >= epochs:
        return start
    with own_randomness(task.machine.device, seed_of(task.seed, name)):
        loop = _Loop(task)
        if start:
            with fitting(checkpoints.folder):
                loop.restore(start)
        while loop.epoch < epochs:
            finished = loop.run_epoch(stop, progress)
            checkpoint = loop.checkpoint()
            checkpoints.save(checkpoint)
            if finished:
                on_epoch(checkpoint.history[-1])
            if stop.requested and loop.epoch < epochs:
                raise Interrupted(f"stopped in epoch {loop.epoch + 1} of '{name}'")
    return checkpoint


class _Loop:
    """The state of a training, advanced an epoch at a time."""

    def __init__(self, task: Task) -> None:
        self.decision, self.settings, self.seed = task.decision, task.settings, task.seed
        self.train, self.monitored = task.train, task.monitored
        self.preprocessing, self.machine = task.preprocessing, task.machine
        settings, device = task.settings, task.machine.device
        network = create_network(
            settings.network,
            outputs=task.decision.outputs,
            image_size=task.preprocessing.image_size,
            own_start=not settings.weights and task.start is None,
        )
        if task.start:
            network.load_state_dict({**network.state_dict(), **task.start.state})
        self.network = as_channels_last(network, device)
        # Steps go through it; the weights stay those of the network.
        self.forward = torch.compile(self.network) if task.machine.compiled else self.network
        self.averaged = AveragedWeights(self.network, settings.ema) if settings.ema else None
        self.steps = math.ceil(len(self.train.rows) / settings.batch_size)
        self.optimizer = make_optimizer(settings, self.network.parameters())
        self.schedule = Schedule(settings, self.optimizer, self.steps)
        self.loss = make_loss(task.decision, settings, task.tree, self.train.targets, device)
        self.kinds = kinds_of(self.train.targets, len(task.decision.options))
        self.resident = _on_device(self.train.pixels, device)
        self.epoch = 0
        self.step = 0
        self.running = dict(_NOTHING_YET)
        self.history: list[Row] = []

    def restore(self, start: Checkpoint) -> None:
        self.network.load_state_dict(start.model)
        if self.averaged:
            assert start.average is not None  # another recipe is refused before
            self.averaged.network.load_state_dict(start.average)
        self.optimizer.load_state_dict(start.optimizer)
        self.schedule.load_state_dict(start.scheduler)
        self.epoch, self.step = start.epoch, start.step
        self.running, self.history = dict(start.running), list(start.history)
        set_rng_state(start.rng_state, self.machine.device)

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(
            epoch=self.epoch,
            step=self.step,
            model=self.network.state_dict(),
            average=self.averaged.network.state_dict() if self.averaged else None,
            optimizer=self.optimizer.state_dict(),
            scheduler=self.schedule.state_dict(),
            rng_state=rng_state(self.machine.device),
            running=dict(self.running),
            history=list(self.history),
        )

    def run_epoch(self, stop: StopRequest, progress: Progress | None) -> bool:
        """Train an epoch from the current step on; False if it was stopped on the way."""
        epoch, n = self.epoch + 1, len(self.train.rows)
        visits = plan_epoch(self.settings, self.seed, self.decision.name, epoch, self.kinds)
        self.running.setdefault("learning_rate", self.schedule.learning_rate)  # of its first step
        check_every = _CHECK_EVERY.get(self.machine.device.type, 50)
        what = f"{self.decision.name}: epoch {epoch} of {self.settings.epochs}"
        began = time.perf_counter()
        unchecked: list[tuple[int, IntArray, torch.Tensor, torch.Tensor, torch.Tensor]] = []

        def settle() -> None:
            """Look at the losses since the last look, and add them up."""
            for number, positions, loss, weight, correct in unchecked:
                if not math.isfinite(loss.item()):
                    raise TrainingError(self._not_finite(epoch, number, positions))
                self.running["loss"] += loss.item() * weight.item()
                self.running["weight"] += weight.item()
                self.running["correct"] += correct.item()
            unchecked.clear()

        self.network.train()
        while self.step < self.steps:
            b = self.settings.batch_size
            batch = slice(self.step * b, (self.step + 1) * b)
            step = self._train_step(visits, batch, epoch)
            unchecked.append((self.step + 1, visits.positions[batch], *step))
            self.step += 1
            if self.step % check_every == 0 or self.step == self.steps or stop.requested:
                settle()
            if progress:
                progress(what, min(self.step * b, n), n)
            if stop.requested and self.step < self.steps:
                self.running["seconds"] += time.perf_counter() - began
                return False
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

    def _train_step(
        self, visits: Visits, batch: slice, epoch: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """One optimizer step; returns the mean loss, its weight and the number correct.

        Correct is what mixup made the larger part of an image.
        """
        device, doses = self.machine.device, self.settings.augmentation
        positions = visits.positions[batch]
        # A sample that is visited again in an epoch is another one to augmentation.
        indices = self.train.rows[positions] + visits.repeats[batch] * len(self.train.pixels)
        pixels, main_targets = self._read(positions)
        targets = main_targets
        if doses.mixup:
            partners, share = mixup_partners(
                doses.mixup, len(self.train.rows), seed=self.seed, epoch=epoch, indices=indices
            )
            if self.settings.sampling == "balanced":
                partners = visits.positions[partners]
            other_pixels, other_targets = self._read(partners)
            pixels = mix(pixels, other_pixels, share)
            k = len(self.decision.options)
            both = (main_targets, other_targets)
            if not self.decision.findings:
                both = (one_hot(main_targets, k), one_hot(other_targets, k))
            targets = mix(*both, share)
        pixels = augment(pixels, doses, seed=self.seed, epoch=epoch, indices=indices)
        x = resize(
            self.preprocessing.to_input(pixels),
            size_in(
                epoch,
                self.settings.epochs,
                self.settings.start_size,
                self.preprocessing.image_size,
            ),
        ).contiguous(memory_format=torch.channels_last)
        with torch.autocast(
            device.type, torch.bfloat16, enabled=self.machine.number_format == "bfloat16"
        ):
            logits = self.forward(x)
        loss = self.loss(logits, targets)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.settings.clip_norm:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip_norm)
        self.optimizer.step()
        if self.averaged:
            self.averaged.update(self.network, (epoch - 1) * self.steps + self.step)
        last = self.step + 1 == self.steps and epoch == self.settings.epochs
        self.schedule.after_batch(last=last)
        correct = count_right(logits.detach(), main_targets, len(self.decision.options))
        return loss.detach(), self.loss.weight_of(targets), correct

    def _read(self, positions: IntArray) -> tuple[torch.Tensor, torch.Tensor]:
        """Of training samples pixels (B, H, W) uint8 and targets, (B,) or (B, outputs)."""
        device, rows = self.machine.device, self.train.rows[positions]
        targets = _on(device, self.train.targets[positions])
        if self.resident is None:
            return torch.from_numpy(self.train.pixels[rows]).to(device), targets
        return self.resident[torch.from_numpy(rows).to(device)], targets

    def _monitor(self, progress: Progress | None) -> tuple[float | None, float | None]:
        """Loss and accuracy over the monitored samples, exact; None where there are none."""
        samples, device = self.monitored, self.machine.device
        if samples is None:
            return None, None
        pixels = samples.pixels[samples.rows]
        network = self.averaged.network if self.averaged else self.network
        network = join_networks([network], mirror=self.settings.mirror_test)
        logits = compute_logits(network, pixels, self.preprocessing, device, progress=progress)
        targets = _on(device, samples.targets)
        answers = torch.from_numpy(logits).to(device)
        right = count_right(answers, targets, len(self.decision.options))
        return self.loss(answers, targets).item(), right.item() / len(samples.rows)

    def _not_finite(self, epoch: int, step: int, positions: IntArray) -> str:
        files = [self.train.names[row] for row in self.train.rows[positions]]
        return (
            f"The loss of '{self.decision.name}' is not a finite number in epoch {epoch}, step "
            f"{step}; nothing of this epoch was saved. A lower learning_rate (now "
            f"{self.settings.learning_rate:g}) often helps. Files of the batch: {', '.join(files)}"
        )


def _on_device(pixels: PixelArray, device: torch.device) -> torch.Tensor | None:
    """All pixels on a GPU if they take less than half of its free memory; None otherwise."""
    if device.type != "cuda" or pixels.nbytes > torch.cuda.mem_get_info(device)[0] / 2:
        return None
    return torch.from_numpy(np.array(pixels)).to(device)


def _on(device: torch.device, targets: IntArray | FloatArray) -> torch.Tensor:
    """Targets as the loss takes them: int64 indices, or float32 shares."""
    found = torch.from_numpy(targets).to(device)
    return found.float() if found.is_floating_point() else found
