"""The small values that pass between the parts of Hilum."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import numpy as np
import numpy.typing as npt

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


class LazyPixels:
    """Pixels (N, H, W) uint8 of which a part is read whenever it is indexed; nothing is kept.

    shape: (N, H, W). read: from positions (M,) in 0..N-1 to their pixels (M, H, W).
    """

    dtype, ndim = np.dtype(np.uint8), 3

    def __init__(self, shape: tuple[int, ...], read: Callable[[IntArray], PixelArray]) -> None:
        self.shape, self._read = shape, read

    @classmethod
    def of_rows(cls, pixels: "Pixels", rows: IntArray) -> "LazyPixels":
        """Some rows (N,) of pixels, such as of a memory map."""
        return cls((len(rows), *pixels.shape[1:]), lambda at: pixels[rows[at]])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int | slice | Sequence[int] | IntArray) -> PixelArray:
        if isinstance(index, int | np.integer):
            one: PixelArray = self._read(np.array([index], dtype=np.int64))[0]
            return one
        if isinstance(index, slice):
            index = np.arange(*index.indices(len(self)))
        return self._read(np.asarray(index, dtype=np.int64))


#: Stored pixels (N, H, W) uint8 that may be too many for memory: read them part by part.
Pixels: TypeAlias = PixelArray | LazyPixels


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


#: What is known of a finding in an image. UNCERTAIN: whoever labelled it could not tell.
#: MISSING: nothing is said of it.
PRESENT, ABSENT, UNCERTAIN, MISSING = 1, 0, -1, -2


@dataclass(frozen=True, slots=True)
class Record:
    """One radiograph of a data set.

    path: the file. name: its path below the data root, with forward slashes.
    split: 'train', 'val' or 'test'. label: class index in the data set's label tree.
    marks: of each of the tree's findings PRESENT, ABSENT, UNCERTAIN or MISSING.
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
    marks: tuple[int, ...] = ()


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
