"""Numbers in bands: what subgroups are made of where an attribute is not a name."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hilum.records import FloatArray, IntArray

#: Of attributes that are numbers, fewer different values than this are taken as names.
_NUMBERS = 7

#: Names with fewer images than this are joined: nothing can be said of each of them.
SMALLEST = 5
OTHERS = f"others (fewer than {SMALLEST} images each)"

_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([YMWD]?)", re.IGNORECASE)
_YEARS = {"": 1.0, "Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
#: Above it an age is a slip of the pen: ChestX-ray14 has patients of 414 years.
_OLDEST = 120

#: Adults by decades of life that differ in disease; children as in ICH E11(R1), section 5.
_ADULT_AGES = (18, 40, 65)
_CHILD_AGES = (2, 12)


@dataclass(frozen=True, slots=True)
class Bands:
    """Which of several subgroups each of N images is in.

    names: of the subgroups, in order, none of them empty. index: (N,) positions in names, -1
    where it is unknown.
    """

    names: tuple[str, ...]
    index: IntArray

    @classmethod
    def of(cls, values: Sequence[str | None], names: Sequence[str] | None = None) -> "Bands":
        """From the name of each image's subgroup, None where unknown.

        names: in the order that is wanted, may hold more than occur; by default alphabetical.
        """
        present = {value for value in values if value is not None}
        order = [n for n in (sorted(present) if names is None else names) if n in present]
        position = {name: i for i, name in enumerate(order)}
        index = [-1 if value is None else position[value] for value in values]
        return cls(tuple(order), np.array(index, dtype=np.int64))


def cut_tertiles(values: FloatArray, names: Sequence[str], unit: str = "") -> Bands:
    """Thirds: 'dark (up to 96)', 'medium (above 96 up to 120)', 'bright (above 120)'.

    values: (N,), NaN where unknown. names: of the three bands, from low to high. unit: put behind
    the bounds. Equal values share a band, so bands may differ in size; where that leaves fewer
    than three, the first and the last remain. Where all are equal the one band bears the value.
    """
    unknown = np.isnan(values)
    known = np.unique(values[~unknown])
    if known.size < 2:
        return Bands.of([None if np.isnan(v) else f"{v:.4g}{unit}" for v in values.tolist()])
    low, high = (
        float(q) for q in np.quantile(values[~unknown], [1 / 3, 2 / 3], method="inverted_cdf")
    )
    high = min(high, float(known[-2]))  # the highest value alone may fill the last third
    low = min(low, high)
    shown = [f"{bound:.4g}{unit}" for bound in (low, high)]
    labels = (
        f"{names[0]} (up to {shown[0]})",
        f"{names[1]} (above {shown[0]} up to {shown[1]})",
        f"{names[2]} (above {shown[1]})",
    )
    values_of = [
        None if np.isnan(v) else labels[int(v > low) + int(v > high)] for v in values.tolist()
    ]
    return Bands.of(values_of, labels)


def cut_ages(cells: Sequence[str | None]) -> Bands:
    """Ages in bands of years: under 18, 18 to 39, 40 to 64, 65 and over.

    cells: numbers of years, or DICOM's age strings (PS3.5, table 6.2-1, AS) such as 058Y, 018M,
    003W, 010D; what is neither, or above 120 years, is unknown. Where nobody is 18 or older the
    bands are those of children: under 2, 2 to 11, 12 to 17.
    """
    ages = [parse_age(cell) for cell in cells]
    known = [age for age in ages if age is not None]
    children = bool(known) and max(known) < _ADULT_AGES[0]
    bounds = _CHILD_AGES if children else _ADULT_AGES
    names = (
        f"under {bounds[0]}",
        *(f"{a} to {b - 1}" for a, b in pairwise(bounds)),
        f"{bounds[-1]} to {_ADULT_AGES[0] - 1}" if children else f"{bounds[-1]} and over",
    )
    values = [None if age is None else names[sum(age >= b for b in bounds)] for age in ages]
    return Bands.of(values, names)


def parse_age(cell: str | None) -> float | None:
    """An age in years, from a number of them or a DICOM age string; None for anything else."""
    match = _AGE.fullmatch((cell or "").strip())
    if match is None:
        return None
    years = float(match[1]) * _YEARS[match[2].upper()]
    return years if years <= _OLDEST else None


def cut_cells(name: str, cells: Sequence[str | None]) -> Bands:
    """The subgroups that the cells of an attribute make.

    Ages come in bands of years, other numbers in thirds where there are at least 7 different
    ones; anything else is taken as it is written, without regard to case, and the names that
    fewer than SMALLEST images bear are joined as OTHERS, which comes last.
    """
    if name == "age":
        return cut_ages(cells)
    given = {cell for cell in cells if cell}
    numbers = [_number(cell) for cell in given]
    if len(given) >= _NUMBERS and not np.isnan(numbers).any():
        known = np.array([_number(cell or "") for cell in cells], dtype=np.float64)
        return cut_tertiles(known, ("low", "middle", "high"))
    first: dict[str, str] = {}  # PA and pa are one; the spelling that comes first is shown
    values = [first.setdefault(c.strip().casefold(), c.strip()) if c else None for c in cells]
    counts = Counter(value for value in values if value is not None)
    rare = {value for value, n in counts.items() if n < SMALLEST}
    if len(rare) < 2:  # to call a single one 'others' would only hide its name
        return Bands.of(values)
    joined = [OTHERS if value in rare else value for value in values]
    return Bands.of(joined, [*sorted(set(counts) - rare), OTHERS])


def _number(cell: str) -> float:
    """The finite number that a text is; NaN for any other."""
    try:
        value = float(cell)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan
