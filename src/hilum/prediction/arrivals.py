"""All rows of a table of predictions judged together, also those of earlier runs."""

import csv
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from hilum.classifier.arrivals import Tally
from hilum.classifier.gate import Gate
from hilum.files import ODD_NAMES
from hilum.prediction.table import CSV, PARQUET, Cell, read_parquet

_COLUMN = "gate_p_value"
_ROWS = 8192  # whose p-values are held at a time


def tally_table(out: Path, gate: Gate) -> Tally:
    """The tally of a finished table, whose gate p-values are of this gate; failed files have none.

    Reading takes some microseconds a row, far less than predicting it took, and so a table that
    was gone on with is counted as a whole.
    """
    read = {CSV: _read_csv, PARQUET: _read_parquet}.get(out.suffix.casefold(), _read_json_lines)
    p_values = (float(cell) for cell in read(out) if cell not in (None, ""))
    tally = Tally()
    while (part := Tally.of(islice(p_values, _ROWS), gate)).n:
        tally += part
    return tally


def _read_csv(out: Path) -> Iterator[Cell]:
    with out.open(encoding="utf-8", errors=ODD_NAMES, newline="") as file:
        rows = csv.reader(file)
        column = next(rows).index(_COLUMN)
        yield from (row[column] for row in rows)


def _read_json_lines(out: Path) -> Iterator[Cell]:
    with out.open(encoding="utf-8") as file:
        yield from (json.loads(line)[_COLUMN] for line in file)


def _read_parquet(out: Path) -> Iterator[Cell]:
    return read_parquet(out, _COLUMN)
