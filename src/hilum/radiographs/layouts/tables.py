"""Tables and lists of images: their columns and cells (CSV, Parquet, lines of text).

No file outside the data folder is one of the images that they name; see named.py.
"""

import csv
import gzip
import importlib
import io
import re
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from hilum.errors import DataError, Problems, nearest, plural
from hilum.radiographs.layouts.listing import SPLITS, LeftOut, nfc, split_of
from hilum.stores import seekable


class Names(NamedTuple):
    """What a column may be called.

    sure: its own names. also: names that are taken for it where no column has one of those.
    """

    sure: Sequence[str]
    also: Sequence[str] = ()


#: What each wanted column may be called, by the role that it plays.
Roles = Mapping[str, Names]
#: A line number (1 is the header) and the row's cells by role; '' where nothing is said.
Row = tuple[int, dict[str, str]]
Cells = Iterator[tuple[int, list[str]]]

TABLE_SUFFIXES = frozenset({".csv", ".parquet"})
#: What a table that labels the images around it may be called.
LABEL_TABLES = ("manifest.csv", "labels.csv", "manifest.parquet", "labels.parquet")

#: Cells that say nothing, as pandas, R, SQL and spreadsheets write them.
_MISSING = frozenset(
    {"", "nan", "-nan", "null", "none", "na", "n/a", "#n/a", "<na>", "nat", "#null!"}
)
#: Of a label 'none' may mean that nothing was found.
_LABELS = frozenset({"none"})
#: What stands between several findings in one cell; no label holds one of these.
_BETWEEN = re.compile(r"[|;,]")
#: What divides a cell in which a comma does not.
_DIVIDER = re.compile(r"[|;]")
#: An item of a cell that holds a list as Python writes it: ['effusion', 'mass'].
_ITEM = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,2})?", re.ASCII | re.IGNORECASE)
_WHOLE = re.compile(r"(0|[1-9]\d*)\.0*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a table that are read.

    note: which columns are read as what, and which are not. left_out: rows without a label, and
    rows with several.
    """

    rows: list[Row]
    note: str
    left_out: tuple[LeftOut, ...]


def read_table(
    file: Path,
    roles: Roles,
    required: Sequence[str],
    problems: Problems,
    *,
    several: bool = False,
    findings: Sequence[str] = (),
) -> Table:
    """Read the columns that play a role; a note tells of the others.

    Column names are compared without regard to case, blanks, hyphens and underscores. Texts are
    in composed form, and equal numbers are one text (see same_numbers). The role 'label' is that
    of the findings: rows without one, or with several, are left out. several: those with
    several are kept; findings_in tells them.

    findings: columns that each tell of one; a row has their cells by their own names.
    required: roles that must have a column and in every row, but for labels, a cell that says
    something.
    problems: gets the rows that cannot be read.
    Raises DataError where the file cannot be read or its columns are not clear.
    """
    roles = {**roles, **{name: Names((name,)) for name in findings}}
    cells = _parquet(file, roles) if file.suffix.casefold() == ".parquet" else csv_rows(file)
    header = next(cells, (1, []))[1]
    wanted = {_plain(n) for names in roles.values() for n in (*names.sure, *names.also)}
    kept = [i for i, name in enumerate(header) if _plain(name) in wanted]
    lines: list[int] = []
    columns: dict[int, list[str]] = {i: [] for i in kept}
    for line, row in cells:
        if len(row) != len(header):
            problems.add(
                f"with another number of cells than the header's {len(header)}",
                "put cells that hold a comma in double quotes",
                f"line {line}: {len(row)} cells; expected {len(header)}",
            )
            continue
        lines.append(line)
        for i in kept:
            columns[i].append(nfc(row[i].strip()))
    at = find_columns(file, header, roles, required, lambda i: _are_splits(columns[i]))
    said = {
        role: _cells(role, columns[i]) if i is not None else [""] * len(lines)
        for role, i in at.items()
    }
    rows, left_out = _sorted_out(lines, said, header, at, required, problems, several)
    return Table(rows, _describe(header, at, findings), left_out)


def _sorted_out(
    lines: Sequence[int],
    said: Mapping[str, Sequence[str]],
    header: Sequence[str],
    at: Mapping[str, int | None],
    required: Sequence[str],
    problems: Problems,
    keep_several: bool,
) -> tuple[list[Row], tuple[LeftOut, ...]]:
    rows: list[Row] = []
    unlabelled: list[str] = []
    several: list[str] = []
    for k, line in enumerate(lines):
        row = {role: cells[k] for role, cells in said.items()}
        empty = [role for role in required if not row[role] and role != "label"]
        for role in empty:
            name = header[at[role] or 0].strip()
            problems.add(f"where the cell '{name}' is empty", "fill it", f"line {line}")
        if empty:
            continue
        name = f"line {line}" + (f" ({row['image']})" if row.get("image") else "")
        findings = findings_in(row) if "label" in row else ()
        if "," in row.get("label", "") and _DIVIDER.search(row["label"]):
            problems.add(
                "where a comma stands inside the name of a finding",
                "write the name without it; findings are divided by | or ; or commas",
                f"line {line}: {row['label']}",
            )
        if not findings and "label" in row:
            unlabelled.append(name)
        elif len(findings) > 1 and not keep_several:
            several.append(name)
        else:
            label = {"label": findings[0]} if len(findings) == 1 else {}
            rows.append((line, {**row, **label}))
    left_out = []
    if unlabelled:
        note = f"{plural(len(unlabelled), 'row')} without a label left out."
        left_out.append(LeftOut(note, tuple(unlabelled)))
    if several:
        note = (
            f"{plural(len(several), 'image')} of {len(lines):,} with more than one finding are "
            "left out: one class is learned for each image."
        )
        left_out.append(LeftOut(note, tuple(several)))
    return rows, tuple(left_out)


def _describe(header: Sequence[str], at: Mapping[str, int | None], findings: Sequence[str]) -> str:
    read = ", ".join(
        f"{header[i].strip()} ({role})"
        for role, i in at.items()
        if i is not None and role not in findings
    )
    of = f"; of a finding each: {', '.join(findings)}" if findings else ""
    unread = [n.strip() for i, n in enumerate(header) if n.strip() and i not in at.values()]
    return f"Columns read: {read}{of}; not read: {', '.join(unread) or 'none'}."


def find_columns(
    file: Path,
    header: Sequence[str],
    roles: Roles,
    required: Sequence[str],
    are_splits: Callable[[int], bool] = lambda _: False,
) -> dict[str, int | None]:
    """The position of the column that plays each role, None where an optional one is missing.

    are_splits: whether a column holds names of splits: of the names that are not sure ones, only
    such a column is taken for the split, and for nothing else.
    Raises DataError naming every required one that is missing, and all that play one role.
    """
    names = [_plain(name) for name in header]
    wrong: list[str] = []
    columns: dict[str, int | None] = {}
    for role, spellings in roles.items():
        sure, also = ({_plain(name) for name in some} for some in spellings)
        at = [i for i, name in enumerate(names) if name in sure] or [
            i for i, name in enumerate(names)
            if name in also and are_splits(i) == (role == "split")
        ]  # fmt: skip
        if len(at) > 1:
            both = " and ".join(header[i].strip() for i in at)
            wrong.append(
                f"the columns {both} both give the {role}; keep one of them, or call the one that "
                f"is meant '{spellings.sure[0]}'."
            )
        columns[role] = at[0] if at else None
    missing = [role for role in required if columns[role] is None] if not wrong else []
    if missing:
        there = [name.strip() for name in header if name.strip()]
        expected = ", and ".join(" or ".join(roles[role].sure) for role in missing)
        hints = [nearest(roles[role].sure[0], there) for role in missing]
        wrong.append(
            f"there is no column for the {' and the '.join(missing)} (found "
            f"{', '.join(there) or 'nothing'}); expected {expected}."
            + "".join(hint for hint in hints if "mean" in hint)
            + " Divide its cells by commas." * (len(there) == 1 and bool({*";\t"} & {*there[0]}))
        )
    if wrong:
        raise DataError(f"{file}: {' '.join(wrong)}")
    return columns


def read_cells(file: Path, names: Collection[str]) -> dict[str, list[str]]:
    """The cells of some columns, by the column's name as it stands in the header.

    Rows that have another number of cells than the header are passed over. Raises DataError where
    the file cannot be read.
    """
    exact = {name: Names((name,)) for name in names}
    rows = _parquet(file, exact) if file.suffix.casefold() == ".parquet" else csv_rows(file)
    header = next(rows, (1, []))[1]
    at = {name: header.index(name) for name in names}
    found: dict[str, list[str]] = {name: [] for name in names}
    for _, row in rows:
        if len(row) == len(header):
            for name, i in at.items():
                found[name].append(nfc(row[i].strip()))
    return found


def label_tables(data: Path) -> list[Path]:
    """The tables that label a data folder's images, or the table that is given itself."""
    if data.is_file():
        return [data] if data.suffix.casefold() in TABLE_SUFFIXES else []
    return [data / name for name in LABEL_TABLES if (data / name).is_file()]


def column_names(file: Path) -> list[str]:
    """The header of a table. Raises DataError where it cannot be read."""
    rows = _parquet(file, {}) if file.suffix.casefold() == ".parquet" else csv_rows(file)
    return next(rows, (1, []))[1]


def labels_in(line: int, row: Mapping[str, str], problems: Problems) -> tuple[str, ...]:
    """The label of a row, which may nest; problems gets one of which a part is empty."""
    labels = tuple(part.strip() for part in row["label"].split("/"))
    if not all(labels):
        problems.add(
            "with a label of which a part is empty",
            "write a label such as covid, or nested labels such as infected/covid",
            f"line {line}: '{row['label']}'",
        )
    return labels


def findings_in(row: Mapping[str, str]) -> tuple[str, ...]:
    """All that the cell of labels tells, each once, in its order."""
    cell = row["label"]
    if cell.startswith("[") and cell.endswith("]"):
        parts = [single or double for single, double in _ITEM.findall(cell)]
    else:
        parts = _BETWEEN.split(cell)
    return tuple(dict.fromkeys(p for part in parts if (p := part.strip())))


def says_something(cell: str) -> bool:
    """Whether a cell is neither empty nor a word for it, such as NaN."""
    return cell.casefold() not in _MISSING


def split_in(line: int, row: Mapping[str, str], problems: Problems) -> str:
    """The split of a row; train where the table has no such column or the cell is empty."""
    split = split_of(row["split"] or "train")
    if split is None:
        problems.add(
            f"with a split that is none of {', '.join(SPLITS)}",
            "rename it",
            f"line {line}: there is no split '{row['split']}'.{nearest(row['split'], SPLITS)}",
        )
    return split or "train"


def has_columns(file: Path, *names: str) -> bool:
    """Whether there is such a table, and its columns have these names."""
    try:
        return set(map(_plain, names)) <= set(map(_plain, column_names(file)))
    except DataError:
        return False


def read_lines(file: Path) -> list[str]:
    """The lines of a text file (UTF-8), without blanks around them. Raises DataError."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{file}: not UTF-8 text; save it as UTF-8.") from None
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}).") from None
    return [nfc(line.strip()) for line in text.splitlines()]


# ---- cells ----------------------------------------------------------------------------------


def same_numbers(cells: Iterable[str]) -> dict[str, str]:
    """How each text of a column is to be read, so that equal numbers are equal texts.

    In a column of nothing but numbers 1, 1.0, 001 and 1e0 are '1'. Beside other texts leading
    zeros may tell names apart: only a fraction of zeros is dropped, as programs add it to whole
    numbers. A number that is written in one way keeps it, but for such a fraction.
    """
    texts = {cell for cell in cells if cell}
    read = {text: text.partition(".")[0] for text in texts if _WHOLE.fullmatch(text)}
    if all(_NUMBER.fullmatch(text) for text in texts):
        times = Counter(map(Decimal, texts))
        read |= {t: _shortest(Decimal(t)) for t in texts if times[Decimal(t)] > 1}
    return read


def _shortest(number: Decimal) -> str:
    text = format(number, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _cells(role: str, texts: list[str]) -> list[str]:
    """What the cells of a role say; '' where they say nothing."""
    missing = _MISSING - _LABELS if role == "label" else _MISSING
    cells = ["" if text.casefold() in missing else text for text in texts]
    if role in ("image", "uid"):
        return cells  # 1.0 may be the name of a file
    read = same_numbers(cells)
    return [read.get(cell, cell) for cell in cells] if read else cells


def _are_splits(texts: Iterable[str]) -> bool:
    said = set(filter(says_something, texts))
    return bool(said) and all(split_of(text) for text in said)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", nfc(name)).casefold()


def csv_rows(file: Path) -> Cells:
    """Line numbers and cells of a CSV file, packed (.gz) or not. Raises DataError."""
    packed = file.suffix.casefold() == ".gz"
    try:
        with seekable(file) as raw:
            content: Any = gzip.GzipFile(fileobj=raw) if packed else raw
            text = io.TextIOWrapper(content, "utf-8-sig", newline="")
            reader = csv.reader(text, strict=True)
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield reader.line_num, cells
    except UnicodeDecodeError:
        raise DataError(f"{file}: not UTF-8 text; save it as CSV in UTF-8.") from None
    except csv.Error as error:
        raise DataError(f"{file}, line {reader.line_num}: not CSV ({error}).") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{file}: cannot be read ({_reason(error)}).") from None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _parquet(file: Path, roles: Roles) -> Cells:
    """The columns that play a role, as text; rows are counted from 2, as below a header."""
    try:
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise DataError(
            f"{file}: Parquet needs pyarrow, which is not installed: pip install "
            "'hilum[parquet]', or save the table as CSV."
        ) from None
    wanted = {_plain(n) for names in roles.values() for n in (*names.sure, *names.also)}
    try:
        with seekable(file) as content, parquet.ParquetFile(content) as table:
            header = [str(name) for name in table.schema_arrow.names]
            yield 1, header
            columns = table.read(columns=[n for n in header if _plain(n) in wanted]).to_pydict()
    except (OSError, ValueError) as error:  # pyarrow's own errors are kinds of these
        raise DataError(f"{file}: cannot be read as Parquet ({error}).") from None
    for i in range(len(next(iter(columns.values()), []))):
        cells = [columns[name][i] if name in columns else None for name in header]
        yield i + 2, ["" if cell is None else str(cell) for cell in cells]
