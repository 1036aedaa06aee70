"""The split table that a run trains by, instead of the splits that the data came with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hilum.audit.split_files import read_split
from hilum.audit.splits import apply_split
from hilum.errors import DataError
from hilum.files import sha256
from hilum.radiographs.dataset import Dataset
from hilum.training.facts import data_root, read_facts

#: A run keeps a copy of its table under this name.
SPLIT_FILE = "split.csv"


@dataclass(frozen=True)
class Division:
    """A split table as `hilum split` writes it.

    path: the file; table: its content. fold: of a table of folds, the one that is monitored.
    """

    path: Path
    table: bytes
    fold: int | None

    @classmethod
    def read(cls, path: Path, fold: int | None = None) -> "Division":
        """Raises DataError where the file cannot be read."""
        try:
            return cls(path, path.read_bytes(), fold)
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}).") from None

    @classmethod
    def of_run(cls, run: Path) -> "Division | None":
        """What a run was divided by; None where it took the splits of its data."""
        facts = read_facts(run)
        if facts is None or not (run / SPLIT_FILE).is_file():
            return None
        return cls.read(run / SPLIT_FILE, (facts["data"].get("split") or {}).get("fold"))

    def apply(self, dataset: Dataset) -> Dataset:
        """The data set with its images in the parts of this table. Raises DataError."""
        return apply_split(dataset, read_split(self.path, dataset), self.fold)

    def to_json(self) -> dict[str, Any]:
        """What run.json says of it."""
        return {"file": self.path.name, "sha256": sha256(self.table), "fold": self.fold}


def as_divided(dataset: Dataset, run: Path) -> Dataset:
    """The data set in the parts that a run was trained by.

    It stays as it is where run is no run or took the splits of its data, and where dataset lies
    elsewhere than the run's: other data have splits of their own. Raises DataError where the
    run's data are no longer those that its table lists.
    """
    division = Division.of_run(run)
    if division is None or dataset.root.resolve() != data_root(run):
        return dataset
    return division.apply(dataset)
