"""The small values that pass between the parts of Hilum."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, overload

import numpy as np
import numpy.typing as npt

from hilum.display import MOST_ROWS, Displayed, paragraphs
from hilum.errors import plural
from hilum.table import Column, Row, Table
from hilum.wording import Style

#: The largest image that is decoded. The largest detectors give about 20 million pixels.
MAX_PIXELS = 80_000_000


class _ReadFrom:
    """How an array is read from nested lists of numbers of some kinds; for the codec.

    Pydantic is imported where it asks for this, so that the records stay light without it.
    """

    def __init__(self, dtype: type[np.generic], *kinds: type, words: str) -> None:
        self.dtype, self.kinds, self.words = dtype, kinds, words

    def __repr__(self) -> str:
        return self.words

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(self._read)

    def _read(self, data: Any) -> npt.NDArray[Any]:
        try:
            cells = np.array(data, dtype=object)
            if cells.ndim and all(type(cell) in self.kinds for cell in cells.flat):
                array = cells.astype(self.dtype)
                if np.isfinite(array).all():
                    return array
        except (ValueError, OverflowError):
            pass
        raise ValueError(f"an array of {self.words}")


FloatArray = Annotated[
    npt.NDArray[np.float64], _ReadFrom(np.float64, float, int, words="finite numbers")
]
IntArray = Annotated[npt.NDArray[np.int64], _ReadFrom(np.int64, int, words="whole numbers")]
PixelArray = Annotated[
    npt.NDArray[np.uint8], _ReadFrom(np.uint8, int, words="whole numbers from 0 to 255")
]
BoolArray = Annotated[npt.NDArray[np.bool_], _ReadFrom(np.bool_, bool, words="true and false")]


#: progress(what, done, total): called as work goes on, for whoever wants to show it.
Progress = Callable[[str, int, int], None]


class Attributes(Mapping[str, str]):
    """A mapping that cannot change: what data say of an image, such as {"view": "PA"}.

    Unlike a read-only view of a dict it can be hashed and pickled, as a Record must be.
    """

    __slots__ = ("_cells",)

    def __init__(self, cells: Mapping[str, str] | None = None) -> None:
        self._cells = dict(cells or {})

    def __getitem__(self, name: str) -> str:
        return self._cells[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._cells)

    def __len__(self) -> int:
        return len(self._cells)

    def __hash__(self) -> int:
        return hash(frozenset(self._cells.items()))

    def __repr__(self) -> str:
        return f"Attributes({self._cells!r})"

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        """How the codec reads attributes: as an object of texts."""
        from pydantic_core import core_schema

        text = core_schema.str_schema()
        return core_schema.no_info_after_validator_function(
            cls, core_schema.dict_schema(text, text)
        )


#: Of an image of which the data say nothing more.
NO_ATTRIBUTES = Attributes()


@dataclass(frozen=True, slots=True)
class Record:
    """One radiograph of a data set.

    path: the file. name: its path below the data root, with forward slashes.
    split: 'train', 'val' or 'test'. label: class index in the data set's label tree.
    group: the patient, where the data say so; images of one group belong into one split.
    source: the hospital or collection that the image comes from, where the data say so.
    attributes: what else they say that images can be grouped by (layouts.listing.COLUMNS has the
    names), as they write it; nothing that identifies a patient.
    """

    path: Path
    name: str
    split: str
    label: int
    group: str | None = None
    source: str | None = None
    attributes: Attributes = NO_ATTRIBUTES


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number that was estimated, with its uncertainty.

    value: the point estimate, or None where the measure is undefined. low, high: the bounds of
    the 95 % interval; None where no interval can be given. reason: why something is None.
    n: how many images it rests on. method: how the interval was made ('wilson', 'bootstrap').
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    method: str = ""
    reason: str = ""

    @classmethod
    def undefined(cls, reason: str, n: int = 0) -> "Estimate":
        """A measure that these data do not define; never reported as 0."""
        return cls(value=None, n=n, reason=reason)

    @property
    def excludes_zero(self) -> bool:
        """Of a difference: whether its interval leaves 0 out; False without one."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    def turned(self) -> "Estimate":
        """The difference b less a, where this is a less b."""
        value, low, high = (None if x is None else -x for x in (self.value, self.high, self.low))
        return replace(self, value=value, low=low, high=high)

    def in_words(self, digits: int = 3) -> str:
        """As text: '0.746 (0.703 to 0.789)', '0.746' without an interval, or 'undefined (why)'."""
        return Style(digits).words(self)

    def to_plain(self) -> dict[str, Any]:
        """For the codec; of an undefined measure {"value": null, "reason": …, "n": …}."""
        if self.value is None:
            return {"value": None, "reason": self.reason, "n": self.n}
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "n": self.n,
            "method": self.method,
            **({"reason": self.reason} if self.reason else {}),
        }


OK, FAILED = "ok", "failed"


@dataclass(frozen=True, slots=True, repr=False)
class Prediction(Displayed):
    """What is said of one radiograph.

    path: as given. reason: why it cannot be read, '' where it was; then nothing else is known.
    study: of a DICOM file its name. probs: by class. decisions: by decision and option, given that
    the decision is reached. calls: by operating point, whether it is called positive. held: the
    classes that cannot be ruled out; None without prediction sets. gate_p_value: None without a
    gate. referral: why a radiologist should look, '' where none need.
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
        return f"Prediction{of}: {self.predicted} ({self.probability:.3f})"

    def _in_full(self) -> Iterator[str | Table]:
        yield Table("", ["class", "probability"], list(self.probs.items()))


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
    Where no names are given, they are the indices.
    """

    names: tuple[str, ...]
    probs: FloatArray
    decision_probs: dict[str, FloatArray]
    predicted: IntArray
    gate_p_values: FloatArray | None = None
    classes: tuple[str, ...] = ()
    options: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        def indices(probs: FloatArray) -> tuple[str, ...]:
            return tuple(map(str, range(probs.shape[1])))

        if not self.classes:
            object.__setattr__(self, "classes", indices(self.probs))
        if not self.options:
            named = {name: indices(probs) for name, probs in self.decision_probs.items()}
            object.__setattr__(self, "options", named)

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
        """N names of predicted classes."""
        return tuple(self.classes[k] for k in self.predicted.tolist())

    def to_table(self) -> Table:
        """A row for each image: its name, the predicted class, and the columns of predictions.csv.

        gate_p_value is a column where the classifier has a gate.
        """
        columns = [Column("path", "text"), Column("predicted", "text")]
        columns += [Column(f"p({name})") for name in self.classes]
        columns += [Column(f"{d}/{name}") for d, names in self.options.items() for name in names]
        columns += [Column("gate_p_value")] * (self.gate_p_values is not None)
        rows = [
            [one.path, one.predicted, *one.probs.values(),
             *(p for of in one.decisions.values() for p in of.values()),
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
            gate_p_values=np.concatenate(p_values) if p_values else None,
        )

    def _one(self, i: int) -> Prediction:
        def named(names: Sequence[str], probs: FloatArray) -> dict[str, float]:
            return dict(zip(names, probs[i].tolist(), strict=True))

        p_values = self.gate_p_values
        return Prediction(
            path=self.names[i],
            predicted=self.classes[self.predicted[i]],
            probs=named(self.classes, self.probs),
            decisions={
                d: named(names, self.decision_probs[d]) for d, names in self.options.items()
            },
            gate_p_value=None if p_values is None else float(p_values[i]),
        )

    def _in_one_line(self) -> str:
        counts = np.bincount(self.predicted, minlength=len(self.classes)).tolist()
        found = ", ".join(f"{n:,} {c}" for c, n in zip(self.classes, counts, strict=False))
        return f"Predictions of {plural(len(self), 'image')}: {found}"

    def _in_full(self) -> Iterator[str | Table]:
        columns = [Column("image", "text"), Column("predicted", "text"), *map(Column, self.classes)]
        rows: list[Row] = [[p.path, p.predicted, *p.probs.values()] for p in self[:MOST_ROWS]]
        yield Table("", columns, rows)
        if len(self) > MOST_ROWS:
            yield paragraphs(f"… and {len(self) - MOST_ROWS:,} more; to_frame() has all of them.")


def several(given: Any) -> tuple[Any, ...]:
    """One thing or several, as several. A text or a path is one thing."""
    if isinstance(given, str | os.PathLike) or not isinstance(given, Iterable):
        return (given,)
    return tuple(given)


def evenly_spaced(count: int, most: int) -> IntArray:
    """Positions of at most so many of `count` things, from the first to the last, ascending.

    count: at least 1. All of them where they are no more than `most`.
    """
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)
