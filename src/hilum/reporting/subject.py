"""What a report is about: runs, and what is at hand beside them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hilum.evaluation.label_errors import LabelErrors
from hilum.records import PixelArray
from hilum.reporting.runs import Run

#: Gives the (H, W) uint8 pixels of radiographs by their names in the data set.
ImageSource = Callable[[Sequence[str]], list[PixelArray]]


@dataclass(frozen=True)
class Subject:
    """What every section is made from.

    runs: at least one. images: the pictures, or None where they are not at hand. audit: what
    audit_section.read_audit found, or None. label_errors: from held-out predictions, or None.
    """

    runs: tuple[Run, ...]
    images: ImageSource | None = None
    audit: dict[str, Any] | None = None
    label_errors: LabelErrors | None = None

    @property
    def several(self) -> bool:
        """Whether names of runs are needed to tell figures apart."""
        return len(self.runs) > 1
