"""A yes-or-no answer against the truth: four counts, and the four measures made of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.records import Estimate
from hilum.statistics.intervals import wilson

BoolArray = npt.NDArray[np.bool_]

#: The measures, in the order of tables.
MEASURES = ("sensitivity", "specificity", "ppv", "npv")


@dataclass(frozen=True, slots=True)
class Measures:
    """Sensitivity (recall), specificity, positive (precision) and negative predictive value.

    The predictive values hold at the share of positives in the data that they were measured on.
    """

    sensitivity: Estimate
    specificity: Estimate
    ppv: Estimate
    npv: Estimate

    def to_json(self) -> dict[str, Any]:
        """{"sensitivity": {…}, "specificity": {…}, "ppv": {…}, "npv": {…}}."""
        return {name: getattr(self, name).to_json() for name in MEASURES}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Measures":
        """The inverse of to_json."""
        return cls(**{name: Estimate.from_json(data[name]) for name in MEASURES})


@dataclass(frozen=True, slots=True)
class TwoByTwo:
    """How many images were called positive or negative, rightly (t) or wrongly (f)."""

    tp: int
    fp: int
    tn: int
    fn: int

    @classmethod
    def count(cls, positive: BoolArray, called: BoolArray) -> "TwoByTwo":
        """positive: (N,) the truth. called: (N,) whether an image was called positive."""
        return cls(
            tp=int((positive & called).sum()),
            fp=int((~positive & called).sum()),
            tn=int((~positive & ~called).sum()),
            fn=int((positive & ~called).sum()),
        )

    @property
    def n(self) -> int:
        """How many images."""
        return self.tp + self.fp + self.tn + self.fn

    def measures(self) -> Measures:
        """The four measures with Wilson intervals; undefined, with a reason, where nothing is."""

        def share(part: int, whole: int, none: str) -> Estimate:
            return wilson(part, whole) if whole else Estimate.undefined(none, self.n)

        return Measures(
            sensitivity=share(self.tp, self.tp + self.fn, "no positive image"),
            specificity=share(self.tn, self.tn + self.fp, "no negative image"),
            ppv=share(self.tp, self.tp + self.fp, "no image was called positive"),
            npv=share(self.tn, self.tn + self.fn, "no image was called negative"),
        )

    def to_json(self) -> dict[str, int]:
        """{"tp": 8, "fp": 5, "tn": 11, "fn": 0}."""
        return {"tp": self.tp, "fp": self.fp, "tn": self.tn, "fn": self.fn}

    @classmethod
    def from_json(cls, data: dict[str, int]) -> "TwoByTwo":
        """The inverse of to_json."""
        return cls(**data)
