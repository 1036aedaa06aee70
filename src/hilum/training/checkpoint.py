"""Checkpoints: all that a decision's training needs to go on as if it had never stopped.

A checkpoint is one PyTorch file, written beside its target and renamed, and named by its epoch,
its step and the first 16 digits of its SHA-256: ``epoch-0003-00000-1f2e3d4c5b6a7988.pt``. It
loads with ``weights_only=True``.
"""

import io
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from hilum.errors import HilumError, TrainingError
from hilum.files import sha256, write_atomically
from hilum.networks.states import load_tensors

_NAME = re.compile(r"epoch-(\d{4,})-(\d{5,})-([0-9a-f]{16})\.pt")

#: Fields that have another name in the file, as is usual there.
_KEYS = {
    "model": "model_state_dict",
    "optimizer": "optimizer_state_dict",
    "scheduler": "scheduler_state_dict",
    "average": "average_state_dict",
}

Row = dict[str, Any]  # one line of history.jsonl
_ROW = {
    "decision": str, "epoch": int, "epochs": int, "train_loss": float, "train_accuracy": float,
    "monitor_loss": float | None, "monitor_accuracy": float | None, "learning_rate": float,
    "seconds": float, "images_per_second": float,
}  # fmt: skip


def numbers(row: Row) -> dict[str, float]:
    """What a row measures, by DECISION/KEY; of an ensemble's further members by DECISION.2/KEY."""
    member = f".{row['member']}" if row.get("member", 1) > 1 else ""
    return {
        f"{row['decision']}{member}/{key}": value
        for key, value in row.items()
        if isinstance(value, float)
    }


@dataclass(frozen=True)
class Checkpoint:
    """The state of one decision's training.

    epoch: how many epochs are complete. step: how many steps of the next one are done; 0 but
    after an interrupt. running: the sums over those steps, and the learning rate of the first.
    rng_state: torch's generators by device. history: one row per complete epoch. average: the
    moving average of the model, None where none is kept.
    """

    epoch: int
    step: int
    model: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    rng_state: dict[str, torch.Tensor]
    running: dict[str, float]
    history: list[Row]
    average: dict[str, torch.Tensor] | None = None

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """What a classifier gets: the average where there is one."""
        return self.model if self.average is None else self.average

    def to_bytes(self) -> bytes:
        """The file's content, with the last epoch's figures at the top level."""
        last = self.history[-1] if self.history else {}
        figures = ("train_loss", "train_accuracy", "monitor_loss", "monitor_accuracy")
        state = {_KEYS.get(f.name, f.name): getattr(self, f.name) for f in fields(self)}
        if self.average is None:
            del state["average_state_dict"]
        buffer = io.BytesIO()
        torch.save({**state, **{key: last.get(key) for key in figures}}, buffer)
        return buffer.getvalue()

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Read a checkpoint. Raises TrainingError where its content does not match its name."""
        data = path.read_bytes()
        match = _NAME.fullmatch(path.name)
        if not match or sha256(data)[:16] != match[3]:
            raise TrainingError(
                f"{path}: this checkpoint is damaged (its content does not match its name). "
                "Remove it to go on from the one before."
            )
        state = load_tensors(data, path, TrainingError)
        with fitting(path):
            state.setdefault("average_state_dict", None)
            found = cls(**{f.name: state[_KEYS.get(f.name, f.name)] for f in fields(cls)})
            if not found._is_sound():
                raise ValueError("it holds parts of another kind")
            return found

    def _is_sound(self) -> bool:
        """Whether its parts are of their kinds; what the tensors are is seen when they are used."""
        states = (self.model, self.optimizer, self.scheduler, self.rng_state, self.running)
        return (
            type(self.epoch) is int
            and type(self.step) is int
            and all(isinstance(state, dict) for state in states)
            and all(isinstance(value, float | int) for value in self.running.values())
            and isinstance(self.history, list)
            and all(_is_row(row) for row in self.history)
        )


@contextmanager
def fitting(checkpoint: Path) -> Iterator[None]:
    """Take up what a checkpoint holds. Raises TrainingError where that is not what it should be.

    checkpoint: the file, or its folder.
    """
    try:
        yield
    except HilumError:
        raise
    except Exception as error:  # PyTorch checks little of what it is given
        first = str(error).partition("\n")[0] or type(error).__name__
        raise TrainingError(
            f"{checkpoint}: the checkpoint is not of this training ({first}). Remove it to go on "
            "from the one before."
        ) from error


class CheckpointFolder:
    """The checkpoints of one decision. keep_all: never remove one."""

    def __init__(self, folder: Path, *, keep_all: bool = False) -> None:
        self.folder = folder
        self.keep_all = keep_all

    def paths(self) -> list[Path]:
        """Every complete checkpoint, oldest first."""
        found = [p for p in self.folder.glob("epoch-*.pt") if _NAME.fullmatch(p.name)]
        return sorted(found, key=_position)

    def newest(self) -> Checkpoint | None:
        """The checkpoint to go on from, or None before the first."""
        paths = self.paths()
        return Checkpoint.load(paths[-1]) if paths else None

    def of_epoch(self, epoch: int) -> Checkpoint:
        """The checkpoint at the end of an epoch. Raises TrainingError where it is missing."""
        for path in self.paths():
            if _position(path) == (epoch, 0):
                return Checkpoint.load(path)
        raise TrainingError(f"{self.folder}: the checkpoint of epoch {epoch} is missing.")

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint, then remove those that are neither the newest nor the best.

        Raises TrainingError where it cannot be written; those before it then stand.
        """
        data = checkpoint.to_bytes()
        name = f"epoch-{checkpoint.epoch:04d}-{checkpoint.step:05d}-{sha256(data)[:16]}.pt"
        try:
            write_atomically(self.folder / name, data)
        except OSError as error:
            before = self.paths()
            kept = f"{before[-1].name} is unharmed" if before else "there was none before it"
            raise TrainingError(
                f"{self.folder}: the checkpoint after epoch {checkpoint.epoch} cannot be written "
                f"({error.strerror}); {kept}. Free some space and go on with --resume."
            ) from error
        if not self.keep_all:
            keep = {(checkpoint.epoch, checkpoint.step), (best_epoch(checkpoint.history), 0)}
            for path in self.paths():
                if _position(path) not in keep:
                    path.unlink()
        return self.folder / name


def best_epoch(history: list[Row]) -> int:
    """The epoch with the lowest monitored loss (the first of equals); 0 where none is finite."""
    scored = [(r["monitor_loss"], r["epoch"]) for r in history if r["monitor_loss"] is not None]
    finite = [(loss, epoch) for loss, epoch in scored if math.isfinite(loss)]
    return min(finite)[1] if finite else 0


def _is_row(row: Any) -> bool:
    return isinstance(row, dict) and all(isinstance(row.get(k), kind) for k, kind in _ROW.items())


def _position(path: Path) -> tuple[int, int]:
    match = _NAME.fullmatch(path.name)
    assert match
    return int(match[1]), int(match[2])
