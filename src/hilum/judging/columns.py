"""Tables of predictions as people have them: CSV, Parquet, JSON Lines, NPZ → columns.

A table of two million rows is read in blocks; a column of numbers is an array, any other a list in
which equal texts are one.
"""

import csv
import gzip
import re
import struct
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from hilum.errors import EvaluationError
from hilum.files import from_cell
from hilum.parsing import parse_json
from hilum.records import FloatArray

#: What empty cells are written as.
MISSING = frozenset({"", "nan", "-nan", "null", "none", "na", "n/a", "#n/a", "<na>", "nat", "-"})

_BLOCK = 50_000
#: Above it a number in a column may be a name that a float cannot hold.
_EXACT = 2**53
#: The largest NPZ file that is unpacked, in bytes: 100 million scores.
_LARGEST = 800_000_000
#: In a header it is no name: the file has none.
_FRACTION = re.compile(r"-?\d*[.,]\d+(e-?\d+)?", re.IGNORECASE)
_COMMA = re.compile(r"-?\d+,\d+(e-?\d+)?", re.IGNORECASE)


@dataclass
class Column:
    """A column of N cells.

    numbers: (N,) where all cells are numbers or empty (NaN), else None. texts: (N,) as they are
    written, '' where empty.
    """

    name: str
    numbers: FloatArray | None
    _texts: list[str] | None = field(default=None, repr=False)

    @property
    def texts(self) -> list[str]:
        """The cells as text; a number as briefly as it can be."""
        if self._texts is None and self.numbers is not None:
            cells = self.numbers.tolist()
            known = {cell: repr(cell).removesuffix(".0") for cell in set(cells)}
            self._texts = ["" if cell != cell else known[cell] for cell in cells]
        return self._texts or []

    @property
    def said(self) -> set[str]:
        """The different texts, without the empty one."""
        return set(self.texts) - {""}

    def at_most(self, most: int) -> list[str] | None:
        """The different texts in order; None where there are more than so many."""
        if self.numbers is not None:
            values = np.unique(self.numbers[~np.isnan(self.numbers)])
            if len(values) > most:
                return None
        found = self.said
        return sorted(found) if len(found) <= most else None

    def __len__(self) -> int:
        return len(self.numbers) if self.numbers is not None else len(self._texts or ())


def read_columns(file: Path) -> dict[str, Column]:
    """The columns of a table, by name. Raises EvaluationError where it cannot be read."""
    name = file.name.casefold().removesuffix(".gz")
    suffix = Path(name).suffix
    readers = {
        ".csv": _csv, ".tsv": _csv, ".txt": _csv, ".parquet": _parquet, ".jsonl": _json_lines,
        ".ndjson": _json_lines, ".npz": _npz,
    }  # fmt: skip
    if not file.is_file():
        raise EvaluationError(f"{file}: there is no such file.")
    if suffix not in readers:
        hint = " Save the sheet as CSV." if suffix in (".xlsx", ".xls", ".ods") else ""
        raise EvaluationError(
            f"{file}: expected a table that ends in {', '.join(readers)} (or .gz).{hint}"
        )
    try:
        found = readers[suffix](file)
    except UnicodeDecodeError:
        raise EvaluationError(f"{file}: not UTF-8 text; save it as UTF-8.") from None
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or error
        raise EvaluationError(f"{file}: cannot be read ({reason}).") from None
    if not found or not len(next(iter(found.values()))):
        raise EvaluationError(f"{file}: holds no rows.")
    return found


# ---- kinds of file --------------------------------------------------------------------------


def _csv(file: Path) -> dict[str, Column]:
    packed = file.suffix.casefold() == ".gz"
    with (gzip.open if packed else open)(file, "rt", encoding="utf-8-sig", newline="") as text:
        first = text.readline()
        divider = max(",;\t", key=first.count)
        reader = csv.reader(chain([first], text), delimiter=divider, strict=True)
        try:
            header = [from_cell(cell.strip()) for cell in next(reader, [])]
            if any(_FRACTION.fullmatch(cell) for cell in header):
                raise EvaluationError(
                    f"{file}: the first line, {divider.join(header)[:80]}, looks like a case; "
                    "above it write the names of the columns, such as image,truth,prob_0,prob_1."
                )
            builder = _Builder(_unique(header, file), commas=divider != ",")
            while block := list(islice(reader, _BLOCK)):
                rows = [row for row in block if row]
                wrong = next((r for r in rows if len(r) != len(header)), None)
                if wrong is not None:
                    raise EvaluationError(
                        f"{file}, line {reader.line_num} or before: {len(wrong)} cells; the "
                        f"header has {len(header)}: {', '.join(wrong)[:80]}"
                    )
                builder.add(zip(*rows, strict=True))
        except csv.Error as error:
            raise EvaluationError(f"{file}, line {reader.line_num}: not CSV ({error}).") from None
    return builder.columns()


def _json_lines(file: Path) -> dict[str, Column]:
    packed = file.suffix.casefold() == ".gz"
    builder: _Builder | None = None
    with (gzip.open if packed else open)(file, "rt", encoding="utf-8-sig") as lines:
        number = 0
        while block := list(islice(lines, _BLOCK)):
            rows = []
            for line in block:
                number += 1
                if not line.strip():
                    continue
                where = f"{file}, line {number}"
                row = parse_json(line, where, EvaluationError, parse_constant=lambda _: None)
                if not isinstance(row, dict):
                    raise EvaluationError(f"{where}: expected an object, such as {{…}}.")
                rows.append(dict(_flat(row)))
            builder = builder or _Builder(list(rows[0]) if rows else [])
            names = builder.names
            odd = next((row for row in rows if row.keys() != set(names)), None)
            if odd is not None:
                raise EvaluationError(
                    f"{file}, near line {number}: a row has the keys {', '.join(odd)}; the first "
                    f"has {', '.join(names)}."
                )
            builder.add([row[name] for row in rows] for name in names)
    return builder.columns() if builder else {}


def _flat(row: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in row.items():
        inner = dict(enumerate(value)) if isinstance(value, list) else value
        if isinstance(inner, dict):
            yield from _flat({str(k): v for k, v in inner.items()}, f"{before}{name}.")
        else:
            cell = "" if inner is None else inner
            cell = int(cell) if isinstance(cell, bool) else cell
            yield f"{before}{name}", str(cell)


def _parquet(file: Path) -> dict[str, Column]:
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise EvaluationError(
            f"{file}: Parquet needs pyarrow, which is not installed: pip install "
            "'hilum[parquet]', or save the table as CSV."
        ) from None
    try:
        with parquet.ParquetFile(file) as table:
            names = _unique([str(n) for n in table.schema_arrow.names], file)
            builder = _Builder(names)
            for batch in table.iter_batches(batch_size=_BLOCK):
                builder.add(map(_as_cells, batch.columns))
    except (OSError, ValueError) as error:  # pyarrow's own errors are kinds of these
        raise EvaluationError(f"{file}: cannot be read as Parquet ({error}).") from None
    return builder.columns()


def _as_cells(column: Any) -> Any:
    values = column.to_pylist()
    if all(isinstance(v, int | float | None) and not isinstance(v, bool) for v in values):
        return np.array([np.nan if v is None else v for v in values], dtype=np.float64)
    return ["" if v is None else str(int(v) if isinstance(v, bool) else v) for v in values]


def _npz(file: Path) -> dict[str, Column]:
    """Arrays (N,), or (N, C) with a column for each class, whose names 'classes' may give."""
    try:
        with zipfile.ZipFile(file) as packed:
            size = sum(info.file_size for info in packed.infolist())
        if size > _LARGEST:
            raise EvaluationError(f"{file}: its arrays have {size:,} bytes; at most {_LARGEST:,}.")
        with np.load(file, allow_pickle=False) as arrays:
            held = {name: arrays[name] for name in arrays.files}
        if not all(isinstance(array, np.ndarray) for array in held.values()):
            raise ValueError("it holds files that are no arrays")
    except (
        ValueError,
        KeyError,
        TypeError,
        OverflowError,
        NotImplementedError,
        RuntimeError,
        MemoryError,
        SyntaxError,
        struct.error,
        tokenize.TokenError,
    ) as error:  # fmt: skip; what numpy and zipfile raise of damaged files
        raise EvaluationError(f"{file}: cannot be read ({error}).") from None
    classes = [str(c) for c in held.pop("classes", np.empty(0)).ravel()]
    rows = {len(a) for a in held.values() if a.ndim}
    if len(rows) != 1 or any(a.ndim not in (1, 2) for a in held.values()):
        shapes = ", ".join(f"{name} {a.shape}" for name, a in held.items())
        raise EvaluationError(f"{file}: expected arrays of N, or of N x classes; found {shapes}.")
    found = {}
    for name, array in held.items():
        parts = {name: array}
        if array.ndim == 2 and array.shape[1] == 1:
            parts = {name: array[:, 0]}
        elif array.ndim == 2:
            own = classes if len(classes) == array.shape[1] else map(str, range(array.shape[1]))
            parts = {f"{name}_{c}": array[:, k] for k, c in enumerate(own)}
        for key, part in parts.items():
            number = part.dtype.kind in "biuf"
            found[key] = Column(
                key, part.astype(np.float64) if number else None,
                None if number else [sys.intern(str(c)) for c in part],
            )  # fmt: skip
    return found


# ---- columns --------------------------------------------------------------------------------


class _Builder:
    """Columns from blocks of cells. commas: 0,5 may be a number."""

    def __init__(self, names: list[str], commas: bool = False) -> None:
        self.names, self._commas = names, commas
        self._parts: dict[str, list[Any]] = {name: [] for name in names}

    def add(self, cells: Iterable[Any]) -> None:
        for name, column in zip(self.names, cells, strict=True):
            self._parts[name].append(self._compact(column))

    def _compact(self, cells: Any) -> FloatArray | list[str]:
        if isinstance(cells, np.ndarray):
            return cells
        texts = ["" if (t := c.strip()).casefold() in MISSING else t for c in cells]
        read, whole = texts, 1
        if any(texts) and all(t.endswith("%") for t in texts if t):
            read, whole = [t.rstrip("% ") for t in texts], 100
        if self._commas and all(_COMMA.fullmatch(t) or "," not in t for t in read if t):
            read = [t.replace(",", ".") for t in read]
        try:
            numbers = np.array([t or "nan" for t in read], dtype=np.float64)
        except ValueError:
            return [sys.intern(t) for t in texts]
        named = any(len(t) > 1 and t[0] == "0" and t[1].isdigit() for t in read)
        if named or (np.abs(numbers[np.isfinite(numbers)]) >= _EXACT).any():
            return [sys.intern(t) for t in texts]
        return numbers / whole

    def columns(self) -> dict[str, Column]:
        found = {}
        for name, parts in self._parts.items():
            if all(isinstance(part, np.ndarray) for part in parts):
                joined = np.concatenate(parts) if parts else np.empty(0)
                found[name] = Column(name, joined)
                continue
            texts = chain.from_iterable(
                Column(name, p).texts if isinstance(p, np.ndarray) else p for p in parts
            )
            found[name] = Column(name, None, list(texts))
        return found


def _unique(header: list[str], file: Path) -> list[str]:
    twice = sorted({name for name in header if header.count(name) > 1 and name})
    if twice:
        raise EvaluationError(f"{file}: two columns are called {', '.join(twice)}; rename one.")
    return [name or f"column {i + 1}" for i, name in enumerate(header)]
