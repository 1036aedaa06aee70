"""Rows as CSV, JSON lines and Parquet.

- **CSV**: UTF-8; texts are quoted and protected as in an evaluation's ``predictions.csv``, so that
  no spreadsheet runs one. An empty cell is a value that is not there.
- **JSON lines**: an object a line, by the columns' names; ``null`` is a value that is not there.
- **Parquet**: the same columns, typed. It cannot be written row by row and survive a kill, so rows
  are gathered as JSON lines and turned into Parquet at the end.

Numbers are written in full: reading them back gives the same bits. A file name that is not UTF-8
comes back as it was from CSV; the others write its odd bytes as a backslash, x and the
byte in hexadecimal.
"""

import csv
import importlib
import io
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from hilum.errors import DataError
from hilum.files import ODD_NAMES, to_cell
from hilum.prediction.table import Cell, Kind, Row

CSV, JSON_LINES, PARQUET = ".csv", ".jsonl", ".parquet"
_ROW_GROUP = 8192


def check_format(out: Path) -> str:
    """The format that a file's name ends in: CSV, JSON_LINES or PARQUET.

    Raises DataError for another ending, and for Parquet where pyarrow is not installed.
    """
    ending = out.suffix.casefold()
    if ending not in (CSV, JSON_LINES, PARQUET):
        raise DataError(
            f"{out}: predictions are written as CSV, JSON lines or Parquet; end the name in "
            f"{CSV}, {JSON_LINES} or {PARQUET}."
        )
    if ending == PARQUET:
        _pyarrow(out)
    return ending


def encode_header(columns: Iterable[str]) -> bytes:
    """The first line of a CSV file."""
    return _csv([[to_cell(name) for name in columns]])


def encode_csv(columns: Sequence[str], rows: Iterable[Row]) -> bytes:
    """Rows as lines of CSV. columns: their names, which only the header holds."""
    return _csv([to_cell(c) if isinstance(c, str) else c for c in row] for row in rows)


def encode_json_lines(columns: Sequence[str], rows: Iterable[Row]) -> bytes:
    """Rows as lines of JSON."""
    lines = (
        json.dumps(
            {name: _unicode(cell) for name, cell in zip(columns, row, strict=True)},
            ensure_ascii=False,
            allow_nan=False,
        )
        for row in rows
    )
    return "".join(f"{line}\n" for line in lines).encode()


ENCODERS: dict[str, Callable[[Sequence[str], Iterable[Row]], bytes]] = {
    CSV: encode_csv,
    JSON_LINES: encode_json_lines,
    PARQUET: encode_json_lines,
}


def write_parquet(lines: Path, columns: Mapping[str, Kind], target: Path) -> None:
    """Turn a file of JSON lines into a Parquet file, some thousand rows at a time.

    columns: the kind of each column by its name. The target is there whole or not at all.
    """
    arrow, parquet = _pyarrow(target)
    kinds = {"text": arrow.string(), "flag": arrow.int8(), "number": arrow.float64()}
    schema = arrow.schema([(name, kinds[kind]) for name, kind in columns.items()])
    handle = tempfile.NamedTemporaryFile(  # noqa: SIM115 - renamed, not deleted, when it is whole
        dir=target.parent, prefix=f".{target.name}.", suffix=".partial", delete=False
    )
    partial = Path(handle.name)
    try:
        with (
            lines.open(encoding="utf-8") as text,
            handle,
            parquet.ParquetWriter(handle, schema) as writer,
        ):
            while rows := [json.loads(line) for line in islice(text, _ROW_GROUP)]:
                writer.write_table(arrow.Table.from_pylist(rows, schema=schema))
        partial.chmod(0o644)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _csv(rows: Iterable[Sequence[Cell]]) -> bytes:
    buffer = io.StringIO(newline="")
    # Texts are always quoted: a carriage return within a path would end the line otherwise.
    writer = csv.writer(buffer, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerows(rows)
    return buffer.getvalue().encode("utf-8", ODD_NAMES)


def _unicode(cell: Cell) -> Cell:
    if not isinstance(cell, str):
        return cell
    return cell.encode("utf-8", ODD_NAMES).decode("utf-8", "backslashreplace")


def _pyarrow(out: Path) -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise DataError(
            f"{out}: Parquet needs pyarrow, which is not installed: pip install "
            "'hilum[parquet]', or let the name end in .csv or .jsonl."
        ) from None
