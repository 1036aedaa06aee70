"""A step of training up to its gradients: read, augment, standardise, forward, loss, backward.

All that differs between the steps of an epoch stands in tables that are made when it begins, and a
step finds its part of them by a counter that lies on the device. So every step is the same sequence
of kernels, and a GPU, on which Python starts the kernels of a small network several times more
slowly than they run, records the sequence once for each size of images and replays it (CUDA
graphs). What is recorded is what runs, unrecorded, everywhere else.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.functional import one_hot

from hilum.records import IntArray, PixelArray
from hilum.training.loss import Loss, count_right
from hilum.training.order import Visits, resize
from hilum.training.task import Task
from hilum.transforms.augment import apply_changes, draw_changes, mix, mixup_partners

_Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class _Recording:
    """The steps of one size of images: the kernels, and where these leave the gradients."""

    graph: "torch.cuda.CUDAGraph"
    gradients: list[torch.Tensor | None]


class Step:
    """The steps of one training, epoch by epoch.

    Of several processes (world.py) each computes its share of a batch; the gradients of all of
    them add up to those of the mean loss of the batch, and so do the lines of the record.

    network: whose parameters get the gradients. forward: what images of the full size go through:
    the network, or what torch.compile made of it; smaller ones, for each size of which it would
    compile anew, go through the network. record: (steps, 3) on the device: of each step of the
    epoch the mean loss of the share, its weight in the mean over all samples, and how many were
    decided rightly (what mixup made the larger part of an image is what counts).
    """

    def __init__(
        self,
        task: Task,
        network: nn.Module,
        forward: Callable[[torch.Tensor], torch.Tensor],
        loss: Loss,
    ) -> None:
        self.task, self.network, self.forward, self.loss = task, network, forward, loss
        self.device, self.batch_size = task.machine.device, task.settings.batch_size
        self.world = task.world
        targets = np.asarray(task.train.targets)
        self.targets = targets.astype(np.float32) if targets.dtype.kind == "f" else targets
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        self.resident = _on_device(task.train.pixels, self.device)
        self.steps = -(-len(task.train.rows) // self.batch_size)
        self.dtype = torch.float32 if self.device.type == "mps" else torch.float64
        self.record = torch.zeros((self.steps, 3), dtype=self.dtype, device=self.device)
        self.number = torch.zeros(1, dtype=torch.int64, device=self.device)
        self.tables: dict[str, torch.Tensor] = {}
        self.changes: dict[str, torch.Tensor] = {}
        self.rows: dict[str, IntArray] = {}  # of pixels that do not lie on the device
        self.staged: dict[str, torch.Tensor] = {}
        self.size = task.preprocessing.image_size
        self.recordings: dict[tuple[int, int], _Recording | None] = {}
        # Not known yet, but for a network whose layers send something to other processes.
        self.recordable = False if _sends(network) else None
        self.pool = torch.cuda.graph_pool_handle() if self.device.type == "cuda" else None

    def begin(self, epoch: int, visits: Visits, size: tuple[int, int], number: int) -> None:
        """Make ready for the steps of an epoch (from 1), from its step `number` (from 0) on.

        size: height and width of the images that the network is given.
        """
        task, doses = self.task, self.task.settings.augmentation
        rows, targets = task.train.rows, self.targets
        # A sample that is visited again in an epoch is another one to augmentation.
        indices = rows[visits.positions] + visits.repeats * len(task.train.pixels)
        pictures = {"row": rows[visits.positions]}
        tables: _Arrays = {"target": targets[visits.positions]}
        if doses.mixup:
            partners, share = mixup_partners(
                doses.mixup, len(rows), seed=task.seed, epoch=epoch, indices=indices
            )
            if task.settings.sampling == "balanced":
                partners = visits.positions[partners]
            pictures["partner"] = rows[partners]
            tables |= {"partner target": targets[partners], "share": share.astype(np.float32)}
        if self.resident is None:
            self.rows = pictures
        else:
            tables |= pictures
        height, width = task.train.pixels.shape[1:]
        changes = draw_changes(doses, (height, width), seed=task.seed, epoch=epoch, indices=indices)
        self._place(tables, self.tables)
        self._place(changes, self.changes)
        self.record.zero_()
        self.number.fill_(number)
        self.size = size

    def compute(self, number: int) -> None:
        """Compute the gradients of the step `number` of the epoch, and its line of the record."""
        b = self.batch_size
        batch = min(b, len(self.task.train.rows) - number * b)
        first, last, _ = self._share(batch)
        for name, rows in self.rows.items():
            self._stage(name, rows[number * b + first : number * b + last])
        if self.device.type != "cuda" or batch < b or self.recordable is False:
            self._compute(batch)
        elif self.size not in self.recordings:  # the first of a size makes its kernels ready
            self.recordings[self.size] = None
            self._compute(batch)
        elif self.recordable is None:
            self._compute_watched(batch)
        else:
            found = self.recordings[self.size] or self._recorded(batch)
            if self.parameters[0].grad is not found.gradients[0]:
                for parameter, gradient in zip(self.parameters, found.gradients, strict=True):
                    parameter.grad = gradient
            found.graph.replay()

    def _compute_watched(self, batch: int) -> None:
        """Compute, and find out whether anything waits for the device, which cannot be recorded.

        Nothing of ours does, but a network of one's own may.
        """
        before = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings(record=True, action="always") as said:
            torch.cuda.set_sync_debug_mode("warn")
            try:
                self._compute(batch)
            finally:
                torch.cuda.set_sync_debug_mode(before)
        waits = "called a synchronizing CUDA operation"  # switching the mode on warns, too
        self.recordable = not any(waits in str(one.message) for one in said)

    def _recorded(self, batch: int) -> _Recording:
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        # NCCL has a thread that asks the GPU how far it is, also meanwhile.
        mode = "global" if self.world.size == 1 else "thread_local"
        with torch.cuda.graph(graph, pool=self.pool, stream=stream, capture_error_mode=mode):
            self._compute(batch)
        found = _Recording(graph, [parameter.grad for parameter in self.parameters])
        self.recordings[self.size] = found
        return found

    def _compute(self, batch: int) -> None:
        """The step that the counter stands at, of so many images; moves the counter on.

        It is recorded: nothing in it may wait for the device, or come from the host.
        """
        task, settings, tables = self.task, self.task.settings, self.tables
        for parameter in self.parameters:
            parameter.grad = None
        whole = self.number * self.batch_size + torch.arange(batch, device=self.device)
        first, last, counted = self._share(batch)
        at = whole[first:last]
        pixels, targets = self._pixels("row", at), tables["target"][whole]
        main_targets = targets[first:last]
        if settings.augmentation.mixup:
            share, other_targets = tables["share"][whole], tables["partner target"][whole]
            pixels = mix(pixels, self._pixels("partner", at), share[first:last])
            both = (targets, other_targets)
            if not task.decision.findings:
                k = len(task.decision.options)
                both = (one_hot(targets, k), one_hot(other_targets, k))
            targets = mix(*both, share)
        changes = {name: table[at] for name, table in self.changes.items()}
        pixels = apply_changes(pixels, settings.augmentation, changes)
        x = resize(task.preprocessing.to_input(pixels), self.size)
        x = x.contiguous(memory_format=torch.channels_last)
        bfloat16 = task.machine.number_format == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16):
            full = self.size == task.preprocessing.image_size
            logits = self.forward(x) if full else self.network(x)
        loss = self.loss(logits, targets[first:last])
        weight = self.loss.weight_of(targets[first:last]) * counted
        part = loss
        if last - first < batch or not counted:
            part = loss * (weight / self.loss.weight_of(targets))
        part.backward()  # type: ignore[no-untyped-call]
        right = count_right(logits.detach(), main_targets, len(task.decision.options)) * counted
        said = (loss.detach(), weight, right)
        line = torch.stack([one.to(self.dtype) for one in said])
        self.record.index_copy_(0, self.number, line[None])
        self.number += 1

    def _share(self, batch: int) -> tuple[int, int, int]:
        """From where to where (exclusive) a batch is this process's, and 1.

        Where the last batch of an epoch has fewer images than there are processes, those that are
        left over go through the same motions with its first image, which counts 0 times.
        """
        first, last = self.world.share(batch)
        return (first, last, 1) if last > first else (0, 1, 0)

    def _pixels(self, name: str, at: torch.Tensor) -> torch.Tensor:
        """(B, H, W) uint8 of what a step visits, or of the partners that mixup gives these."""
        if self.resident is None:
            return self.staged[name][: len(at)]
        return self.resident[self.tables[name][at]]

    def _stage(self, name: str, rows: IntArray) -> None:
        """Bring the pixels of a step to the device; to a GPU always to the same place."""
        pixels = torch.from_numpy(self.task.train.pixels[rows])
        if self.device.type != "cuda":
            self.staged[name] = pixels.to(self.device)
            return
        if name not in self.staged:
            shape = (self.batch_size, *pixels.shape[1:])
            self.staged[name] = torch.empty(shape, dtype=torch.uint8, device=self.device)
        self.staged[name][: len(rows)].copy_(pixels.pin_memory(), non_blocking=True)

    def _place(self, arrays: _Arrays, tables: dict[str, torch.Tensor]) -> None:
        """Bring the tables of an epoch to the device: where those of the epoch before lay."""
        for name, found in arrays.items():
            if name in tables:
                tables[name].copy_(torch.from_numpy(found))
            else:
                tables[name] = torch.from_numpy(found).to(self.device)


def _sends(network: nn.Module) -> bool:
    return any(isinstance(module, nn.SyncBatchNorm) for module in network.modules())


def _on_device(pixels: PixelArray, device: torch.device) -> torch.Tensor | None:
    """All pixels on a GPU if they take less than half of its free memory; None otherwise."""
    if device.type != "cuda" or pixels.nbytes > torch.cuda.mem_get_info(device)[0] / 2:
        return None
    return torch.from_numpy(np.array(pixels)).to(device)
