"""The processes that train together: one, or several that each take a share of every batch.

All of them hold the tables of a whole epoch (step.py), so that each knows, without asking, which
images of a batch are its own and what the whole batch weighs. Gradients are added up between the
backward pass and the optimizer. So what a GPU records holds no communication, and no
DistributedDataParallel is around the network: that would send gradients during the backward pass,
and take their plain mean, which is wrong where the shares of a batch weigh differently.
"""

import datetime
import io
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import distributed
from torch.distributed.distributed_c10d import ProcessGroup, Store

from hilum.errors import RecipeError, TrainingError, plural
from hilum.settings import Settings
from hilum.training.interrupt import StopRequest
from hilum.training.peers import Peers

T = TypeVar("T")

#: On a device that runs ahead, several processes look whether one is to stop every so many steps.
LOOK_EVERY = 50
#: Gradients are sent in pieces of at most so many bytes.
_BUCKET = 1 << 26


class World:
    """One process, which trains alone; see Several for what the operations are for.

    rank: which process this is, from 0. size: how many there are. local: which of its machine's
    processes it is, from 0; None where that does not matter.
    """

    rank = 0
    size = 1

    def __init__(self, local: int | None = None) -> None:
        self.local = local

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    def device(self, device: torch.device) -> torch.device:
        """The device of this process, of those of a kind; it becomes PyTorch's current one."""
        if self.local is None or device.type == "cpu":
            return device
        if device.type != "cuda" or device.index is not None:
            raise TrainingError(
                f"Several processes were to train on the device '{device}'; expected 'cuda', of "
                "which each takes one, or 'cpu'."
            )
        found = torch.cuda.device_count()
        index = 0 if found == 1 else self.local  # a scheduler may show each process its own alone
        if index >= found:
            raise TrainingError(
                f"Process {self.local + 1} of this machine finds no GPU: there are {found}. Start "
                "as many processes as GPUs."
            )
        torch.cuda.set_device(index)
        return torch.device("cuda", index)

    def share(self, n: int) -> tuple[int, int]:
        """From where to where (exclusive) things are this process's, of n in a row."""
        each, more = divmod(n, self.size)
        start = self.rank * each + min(self.rank, more)
        return start, start + each + (self.rank < more)

    def refuse_too_few(self, decision: str, settings: Settings, n: int) -> None:
        """Raise RecipeError where a process would have no image of n, or of a batch."""
        if min(n, settings.batch_size) < self.size:
            raise RecipeError(
                f"'{decision}' has {plural(n, 'training image')} and batch_size "
                f"{settings.batch_size} for {self.size} processes, which divide every batch: each "
                "needs an image of it. Start fewer processes, or take a larger batch."
            )

    def refuse_different(self, facts: Mapping[str, str]) -> None:
        """Raise TrainingError where processes differ in what they are about to do."""

    def apart(self) -> "World":
        """The same process as one that trains a network alone, on the device that is its own."""
        return World(self.local)

    def claims(self, n: int) -> Iterator[int]:
        """Numbers below n that this process takes on, one after the other; each goes to one."""
        return iter(range(n))

    @contextmanager
    def stopping(self, stop: StopRequest) -> Iterator[None]:
        """Meanwhile other processes may ask this one to stop."""
        yield

    def asks(self, step: int, asked: bool) -> bool:
        """Whether to look, after a step of an epoch, if a process was asked to stop."""
        return asked

    def agree(self, asked: bool) -> bool:
        """Whether any process was asked."""
        return asked

    def sum_(self, tensors: Iterable[torch.Tensor]) -> None:
        """Put into tensors, of equal shapes in all processes, their sums over all processes."""

    def take_from_first(self, tensors: Iterable[torch.Tensor]) -> None:
        """Put into tensors what they are in the first process."""

    def from_first(self, value: T) -> T:
        """What the first process gives here: tensors and plain values."""
        return value

    def gather(self, value: T) -> list[T]:
        """What each process gives here, by rank: tensors and plain values."""
        return [value]

    def part(self) -> None:
        """End what needs all processes: here each goes on by itself, or ends."""

    def first_does(self, act: Callable[[], object]) -> None:
        """Let the first process do something, while the others wait."""
        act()

    def by_turns(self, make: Callable[[], T]) -> T:
        """Make something in one process of a machine, and then, from its cache, in the others."""
        return make()


#: The world of a process that trains alone.
ALONE = World()


class Several(World):
    """Several processes, each of which runs the same program.

    Every operation is one of all processes together, and returns when all have come to it, but
    for those that only compute. Sums are added up in an order that depends on the number of
    processes alone, so that the same number gives the same bits again. group: over which tensors
    are sent. store: what all can read and write. peers: who tells when a process is gone. The
    operations then raise TrainingError.
    """

    def __init__(
        self,
        rank: int,
        size: int,
        local: int,
        group: ProcessGroup,
        store: Store,
        peers: Peers,
    ) -> None:
        super().__init__(local)
        self.rank, self.size, self.group = rank, size, group
        self.store, self.peers = store, peers

    def refuse_different(self, facts: Mapping[str, str]) -> None:
        """Raise TrainingError where processes differ in what they are about to do."""
        given = self.gather(dict(facts))
        lines = [
            f"  {name}: {given[0].get(name)} in the first, {other.get(name)} in that of rank {rank}"
            for rank, other in enumerate(given)
            for name in given[0].keys() | other.keys()
            if other.get(name) != given[0].get(name)
        ]
        if lines:
            raise TrainingError(
                "The processes were not started alike, and cannot train together:\n"
                + "\n".join(sorted(lines))
            )

    def claims(self, n: int) -> Iterator[int]:
        """Numbers below n that this process takes on, one after the other; each goes to one."""
        while (number := self._claim()) < n:
            yield number

    def _claim(self) -> int:
        with self._together():
            return int(self.store.add("claimed", 1)) - 1

    @contextmanager
    def stopping(self, stop: StopRequest) -> Iterator[None]:
        """Meanwhile other processes may ask this one to stop."""
        with self.peers.stopping(stop):
            yield

    def asks(self, step: int, asked: bool) -> bool:
        """Whether to look, after a step of an epoch, if a process was asked to stop."""
        return step % LOOK_EVERY == 0

    def agree(self, asked: bool) -> bool:
        """Whether any process was asked."""
        number = torch.tensor([float(asked)])
        self.sum_([number])
        return bool(number.item())

    def sum_(self, tensors: Iterable[torch.Tensor]) -> None:
        """Put into tensors, of equal shapes in all processes, their sums over all processes."""
        with torch.no_grad(), self._together():
            for bucket in _buckets(tensors):
                flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
                distributed.all_reduce(flat, group=self.group)
                _put_back(flat, bucket)

    def take_from_first(self, tensors: Iterable[torch.Tensor]) -> None:
        """Put into tensors what they are in the first process."""
        with torch.no_grad(), self._together():
            for bucket in _buckets(tensors):
                flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
                distributed.broadcast(flat, src=0, group=self.group)
                _put_back(flat, bucket)

    def from_first(self, value: T) -> T:
        """What the first process gives here: tensors and plain values."""
        data = _packed(value) if self.first else torch.empty(0, dtype=torch.uint8)
        with self._together():
            size = torch.tensor([len(data)])
            distributed.broadcast(size, src=0, group=self.group)
            if not self.first:
                data = torch.empty(int(size.item()), dtype=torch.uint8)
            distributed.broadcast(data, src=0, group=self.group)
        return value if self.first else _unpacked(data)

    def gather(self, value: T) -> list[T]:
        """What each process gives here, by rank: tensors and plain values."""
        data = _packed(value)
        with self._together():
            sizes = [torch.empty(1, dtype=torch.int64) for _ in range(self.size)]
            distributed.all_gather(sizes, torch.tensor([len(data)]), group=self.group)
            most = int(max(sizes).item())
            padded = torch.nn.functional.pad(data, (0, most - len(data)))
            found = [torch.empty_like(padded) for _ in range(self.size)]
            distributed.all_gather(found, padded, group=self.group)
        return [_unpacked(one[: int(n.item())]) for one, n in zip(found, sizes, strict=True)]

    def part(self) -> None:
        """End what needs all processes: here each goes on by itself, or ends."""
        self.agree(False)
        distributed.destroy_process_group()  # of NCCL all have to at about the same time

    def first_does(self, act: Callable[[], object]) -> None:
        """Let the first process do something, while the others wait."""
        if self.first:
            act()
        self.agree(False)

    def by_turns(self, make: Callable[[], T]) -> T:
        """Make something in one process of a machine, and then, from its cache, in the others."""
        found = make() if self.local == 0 else None
        self.agree(False)
        return make() if found is None else found

    @contextmanager
    def _together(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:  # what PyTorch raises where a connection breaks
            raise self.peers.reason(error) from None


#: How long processes wait for each other once they have met: the first may decode for hours.
#: That one is gone is told by Peers, and within seconds.
LONGEST = datetime.timedelta(days=30)


def _buckets(tensors: Iterable[torch.Tensor]) -> Generator[list[torch.Tensor], None, None]:
    """Tensors in their order, in pieces of one type and device that are not too large."""
    bucket: list[torch.Tensor] = []
    size = 0
    for tensor in tensors:
        kind = (tensor.dtype, tensor.device)
        if bucket and (size >= _BUCKET or kind != (bucket[0].dtype, bucket[0].device)):
            yield bucket
            bucket, size = [], 0
        bucket.append(tensor)
        size += tensor.numel() * tensor.element_size()
    if bucket:
        yield bucket


def _put_back(flat: torch.Tensor, bucket: Sequence[torch.Tensor]) -> None:
    pieces = torch.split(flat, [tensor.numel() for tensor in bucket])
    shaped = [piece.view(tensor.shape) for piece, tensor in zip(pieces, bucket, strict=True)]
    torch._foreach_copy_(list(bucket), shaped)


def _packed(value: Any) -> torch.Tensor:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8)


def _unpacked(data: torch.Tensor) -> Any:
    """What _packed was given; nothing in it is run."""
    return torch.load(io.BytesIO(data.numpy().tobytes()), map_location="cpu", weights_only=True)
