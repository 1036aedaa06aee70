"""What a run writes down while it trains: history.jsonl, log.txt and, if installed, TensorBoard."""

import datetime
import json
from pathlib import Path
from typing import Any

from hilum.files import write_atomically
from hilum.training.checkpoint import Row


class History:
    """The records of one run folder. All of it can be read while the run goes on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._board = _tensorboard(folder / "tensorboard")

    def restore(self, rows: list[Row]) -> None:
        """Set history.jsonl to the rows that the checkpoints hold, whatever a kill left in it."""
        text = "".join(json.dumps(row) + "\n" for row in rows)
        write_atomically(self.folder / "history.jsonl", text.encode())

    def append(self, row: Row) -> None:
        """Record an epoch."""
        with (self.folder / "history.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        monitored = (
            f", monitored loss {row['monitor_loss']:.4f}, accuracy {row['monitor_accuracy']:.4f}"
            if row["monitor_loss"] is not None
            else ""
        )
        self.log(
            f"{row['decision']}: epoch {row['epoch']} of {row['epochs']}: "
            f"train loss {row['train_loss']:.4f}, accuracy {row['train_accuracy']:.4f}{monitored}; "
            f"learning rate {row['learning_rate']:.3g}; "
            f"{row['seconds']:.1f} s, {row['images_per_second']:.0f} images/s"
        )
        if self._board:
            for key, value in row.items():
                if isinstance(value, float):
                    self._board.add_scalar(f"{row['decision']}/{key}", value, row["epoch"])
            self._board.flush()

    def log(self, line: str) -> None:
        """Add a line to log.txt, with the time in UTC."""
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")
        with (self.folder / "log.txt").open("a", encoding="utf-8") as file:
            file.write(f"{now}  {line}\n")

    def close(self) -> None:
        """Close what is open."""
        if self._board:
            self._board.close()


def read_history(path: Path) -> list[Row]:
    """The rows of a history.jsonl, one per epoch and decision."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(log_dir=str(folder))
