"""What a classifier says of radiographs: of one, and of many."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, overload

import numpy as np

from hilum.display import MOST_ROWS, Displayed, paragraphs
from hilum.errors import plural
from hilum.records import BoolArray, FloatArray, IntArray
from hilum.table import Column, Row, Table

OK, FAILED = "ok", "failed"


@dataclass(frozen=True, slots=True, repr=False)
class Prediction(Displayed):
    """What is said of one radiograph.

    path: as given. reason: why it cannot be read, '' where it was; then nothing else is known.
    study: of a DICOM file its name. probs: by class. decisions: by decision and option, given that
    the decision is reached. calls: by operating point, whether it is called positive. held: the
    classes that cannot be ruled out; None without prediction sets. gate_p_value: None without a
    gate. referral: why a radiologist should look, '' where none need. findings: the probability
    of each. present: those that are called present. possible: those that
    cannot be ruled out; None where that is not known.
    """

    path: str
    reason: str = ""
    study: str = ""
    predicted: str = ""
    probs: dict[str, float] = field(default_factory=dict)
    decisions: dict[str, dict[str, float]] = field(default_factory=dict)
    calls: dict[str, bool] = field(default_factory=dict)
    held: tuple[str, ...] | None = None
    gate_p_value: float | None = None
    referral: str = ""
    findings: dict[str, float] = field(default_factory=dict)
    present: tuple[str, ...] = ()
    possible: tuple[str, ...] | None = None

    @property
    def status(self) -> str:
        """Whether it could be read: OK or FAILED."""
        return FAILED if self.reason else OK

    @property
    def name(self) -> str:
        """What the image is called: its path as given, '' of an array."""
        return self.path

    @property
    def probability(self) -> float | None:
        """Of the predicted class, in [0, 1]; None where it cannot be read."""
        return self.probs.get(self.predicted)

    def _in_one_line(self) -> str:
        of = f" of {self.path}" if self.path else ""
        if self.reason:
            return f"Prediction{of}: failed ({self.reason})"
        if not self.predicted:
            return f"Prediction{of}: {', '.join(self.present) or 'none of the findings'}"
        return f"Prediction{of}: {self.predicted} ({self.probability:.3f})"

    def _in_full(self) -> Iterator[str | Table]:
        if self.probs:
            yield Table("", ["class", "probability"], list(self.probs.items()))
        if self.findings:
            yield Table("", ["finding", "probability"], list(self.findings.items()))


@dataclass(frozen=True, slots=True, repr=False)
class Predictions(Displayed):
    """What a classifier says of N radiographs. All arrays share the first axis.

    They are a sequence: len, iteration and an index give a Prediction, with names instead of
    numbers; a slice, positions or a mask give the Predictions of those radiographs.

    names: N paths as given (or '' for arrays). probs: (N, C) class probabilities, rows sum to 1.
    decision_probs: for each decision of the label tree the (N, options) probabilities of its
    options, given that the decision is reached; rows sum to 1. predicted: (N,) class indices
    under the classifier's rule. gate_p_values: (N,) in (0, 1], the share of training radiographs
    that are at least as odd as the image; None where the classifier has no gate.
    classes: the names of the C classes. options: of each decision the names of its options.
    Where no names are given, they are the indices. findings: the names of F findings, each with
    its probability, (N, F) finding_probs, and whether it is called present, (N, F) present. A
    classifier of findings alone has one class, 'root', which is certain and not shown.
    """

    names: tuple[str, ...]
    probs: FloatArray
    decision_probs: dict[str, FloatArray]
    predicted: IntArray
    gate_p_values: FloatArray | None = None
    classes: tuple[str, ...] = ()
    options: dict[str, tuple[str, ...]] = field(default_factory=dict)
    findings: tuple[str, ...] = ()
    finding_probs: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    present: BoolArray = field(default_factory=lambda: np.empty((0, 0), dtype=bool))

    def __post_init__(self) -> None:
        def indices(probs: FloatArray) -> tuple[str, ...]:
            return tuple(map(str, range(probs.shape[1])))

        if not self.classes:
            object.__setattr__(self, "classes", indices(self.probs))
        if not self.options:
            named = {name: indices(probs) for name, probs in self.decision_probs.items()}
            object.__setattr__(self, "options", named)
        if not self.findings:
            object.__setattr__(self, "finding_probs", np.empty((len(self), 0)))
            object.__setattr__(self, "present", np.empty((len(self), 0), dtype=bool))

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Prediction]:
        return (self._one(i) for i in range(len(self)))

    @overload
    def __getitem__(self, at: int) -> Prediction: ...
    @overload
    def __getitem__(self, at: slice | IntArray | BoolArray) -> "Predictions": ...
    def __getitem__(self, at: int | slice | IntArray | BoolArray) -> "Prediction | Predictions":
        """What is said of the radiograph at a position, or of several."""
        if isinstance(at, int | np.integer):
            return self._one(range(len(self))[at])
        return self.take(at)

    @property
    def labels(self) -> tuple[str, ...]:
        """N names of predicted classes; '' where there is nothing to choose."""
        return tuple(self.classes[k] if self._chosen else "" for k in self.predicted.tolist())

    @property
    def _chosen(self) -> bool:
        """Whether there are classes to choose from, beside findings or alone."""
        return len(self.classes) > 1 or not self.findings

    def to_table(self) -> Table:
        """A row for each image: its name, the predicted class, and the columns of predictions.csv.

        gate_p_value is a column where the classifier has a gate; present, with the findings that
        are called so between "|", where it has findings.
        """
        columns = [Column("path", "text"), *[Column("predicted", "text")] * self._chosen]
        columns += [Column("present", "text")] * bool(self.findings)
        columns += [Column(f"p({name})") for name in self.classes if self._chosen]
        columns += [Column(f"{d}/{name}") for d, names in self.options.items() for name in names]
        columns += [Column(f"p({name})") for name in self.findings]
        columns += [Column("gate_p_value")] * (self.gate_p_values is not None)
        rows = [
            [one.path, *[one.predicted] * self._chosen,
             *["|".join(one.present)] * bool(self.findings), *one.probs.values(),
             *(p for of in one.decisions.values() for p in of.values()), *one.findings.values(),
             *([one.gate_p_value] * (one.gate_p_value is not None))]
            for one in self
        ]  # fmt: skip
        return Table("Predictions", columns, rows)

    def to_frame(self) -> Any:
        """to_table as a pandas.DataFrame. Raises HilumError where pandas is not installed."""
        return self.to_table().frame()

    def take(self, rows: slice | IntArray | BoolArray) -> "Predictions":
        """Those of some radiographs, by position or mask."""
        p_values = self.gate_p_values
        return replace(
            self,
            names=tuple(np.array(self.names, dtype=object)[rows].tolist()),
            probs=self.probs[rows],
            decision_probs={name: probs[rows] for name, probs in self.decision_probs.items()},
            predicted=self.predicted[rows],
            finding_probs=self.finding_probs[rows],
            present=self.present[rows],
            gate_p_values=None if p_values is None else p_values[rows],
        )

    @classmethod
    def join(cls, parts: Sequence["Predictions"]) -> "Predictions":
        """Those of several lists of radiographs, at least one, as those of one list."""
        p_values = [part.gate_p_values for part in parts if part.gate_p_values is not None]
        return replace(
            parts[0],
            names=tuple(name for part in parts for name in part.names),
            probs=np.concatenate([part.probs for part in parts]),
            decision_probs={
                name: np.concatenate([part.decision_probs[name] for part in parts])
                for name in parts[0].decision_probs
            },
            predicted=np.concatenate([part.predicted for part in parts]),
            finding_probs=np.concatenate([part.finding_probs for part in parts]),
            present=np.concatenate([part.present for part in parts]),
            gate_p_values=np.concatenate(p_values) if p_values else None,
        )

    def _one(self, i: int) -> Prediction:
        def named(names: Sequence[str], probs: FloatArray) -> dict[str, float]:
            return dict(zip(names, probs[i].tolist(), strict=True))

        p_values = self.gate_p_values
        return Prediction(
            path=self.names[i],
            predicted=self.classes[self.predicted[i]] if self._chosen else "",
            probs=named(self.classes, self.probs) if self._chosen else {},
            decisions={
                d: named(names, self.decision_probs[d]) for d, names in self.options.items()
            },
            gate_p_value=None if p_values is None else float(p_values[i]),
            findings=named(self.findings, self.finding_probs),
            present=tuple(np.array(self.findings, dtype=object)[self.present[i]].tolist()),
        )

    def _in_one_line(self) -> str:
        counts = np.bincount(self.predicted, minlength=len(self.classes)).tolist()
        named = list(zip(self.classes, counts, strict=False)) if self._chosen else []
        named += zip(self.findings, self.present.sum(axis=0).tolist(), strict=True)
        found = ", ".join(f"{n:,} {name}" for name, n in named)
        return f"Predictions of {plural(len(self), 'image')}: {found}"

    def _in_full(self) -> Iterator[str | Table]:
        if self._chosen:
            names = [
                Column("image", "text"),
                Column("predicted", "text"),
                *map(Column, self.classes),
            ]
            rows: list[Row] = [[p.path, p.predicted, *p.probs.values()] for p in self[:MOST_ROWS]]
            yield Table("", names, rows)
        if self.findings:
            names = [
                Column("image", "text"),
                Column("present", "text"),
                *map(Column, self.findings),
            ]
            rows = [[p.path, ", ".join(p.present), *p.findings.values()] for p in self[:MOST_ROWS]]
            yield Table("", names, rows)
        if len(self) > MOST_ROWS:
            yield paragraphs(f"… and {len(self) - MOST_ROWS:,} more; to_frame() has all of them.")


def _texts(*names: str) -> list[Column]:
    return [Column(name, "text") for name in names]
