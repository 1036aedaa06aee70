"""Tables and lists of images: their cells (CSV, Parquet, lines of text), and the files they name.

No file outside the data folder is one of them.
"""

import csv
import importlib
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hilum.errors import DataError, in_lines, nearest, plural
from hilum.radiographs.layouts.listing import SPLITS, split_of, walk

#: What each wanted column may be called, by the role that it plays.
Roles = Mapping[str, Sequence[str]]
#: A line number (1 is the header) and the row's cells by role; '' where the column is missing.
Row = tuple[int, dict[str, str]]

TABLE_SUFFIXES = frozenset({".csv", ".parquet"})
#: What a table that labels the images around it may be called.
LABEL_TABLES = ("manifest.csv", "labels.csv", "manifest.parquet", "labels.parquet")


def read_table(file: Path, roles: Roles, required: Sequence[str]) -> Iterator[Row]:
    """Read the columns that play a role; others are passed over.

    Column names are compared without regard to case, blanks, hyphens and underscores.
    required: roles that must have a column and, in every row, a cell that is not empty.

    Raises DataError, naming file and line, where the file cannot be read, a required column is
    missing, two columns play one role, or a row does not have a cell for each column.
    """
    rows = _parquet(file, roles) if file.suffix.casefold() == ".parquet" else _csv(file)
    header = next(rows, (1, []))[1]
    columns = find_columns(file, header, roles, required)
    for line, cells in rows:
        if len(cells) != len(header):
            raise DataError(
                f"{file}, line {line}: {len(cells)} cells; expected {len(header)}, one for each "
                "column. Put cells that hold a comma in double quotes."
            )
        row = {role: cells[i].strip() if i is not None else "" for role, i in columns.items()}
        for role in required:
            if not row[role]:
                name = header[columns[role] or 0].strip()
                raise DataError(f"{file}, line {line}: the cell '{name}' is empty.")
        yield line, row


def find_columns(
    file: Path, header: Sequence[str], roles: Roles, required: Sequence[str]
) -> dict[str, int | None]:
    """The position of the column that plays each role, None where an optional one is missing.

    Raises DataError where a required one is missing or two columns play one role.
    """
    names = [_plain(name) for name in header]
    shown = ", ".join(name.strip() for name in header if name.strip()) or "nothing"
    columns: dict[str, int | None] = {}
    for role, spellings in roles.items():
        wanted = {_plain(name) for name in spellings}
        at = [i for i, name in enumerate(names) if name in wanted]
        if len(at) > 1:
            raise DataError(
                f"{file}: the columns {' and '.join(header[i].strip() for i in at)} both give the "
                f"{role}; keep one of them."
            )
        if not at and role in required:
            hint = nearest(spellings[0], [n.strip() for n in header if n.strip()])
            raise DataError(
                f"{file}: there is no column for the {role} (found {shown}); expected "
                f"{' or '.join(spellings)}." + (hint if "mean" in hint else "")
            )
        columns[role] = at[0] if at else None
    return columns


def label_tables(data: Path) -> list[Path]:
    """The tables that label a data folder's images, or the table that is given itself."""
    if data.is_file():
        return [data] if data.suffix.casefold() in TABLE_SUFFIXES else []
    return [data / name for name in LABEL_TABLES if (data / name).is_file()]


def column_names(file: Path) -> list[str]:
    """The header of a table. Raises DataError where it cannot be read."""
    rows = _parquet(file, {}) if file.suffix.casefold() == ".parquet" else _csv(file)
    return next(rows, (1, []))[1]


def labels_in(table: Path, line: int, row: Mapping[str, str]) -> tuple[str, ...]:
    """The label of a row, which may nest. Raises DataError where a part of it is empty."""
    labels = tuple(part.strip() for part in row["label"].split("/"))
    if not all(labels):
        raise DataError(
            f"{table}, line {line}: the label '{row['label']}' has an empty part; expected a "
            "label such as covid, or nested labels such as infected/covid."
        )
    return labels


def split_in(table: Path, line: int, row: Mapping[str, str]) -> str:
    """The split of a row; train where the table has no such column or the cell is empty."""
    split = split_of(row["split"] or "train")
    if split is None:
        raise DataError(
            f"{table}, line {line}: there is no split '{row['split']}'."
            + nearest(row["split"], SPLITS)
        )
    return split


def read_lines(file: Path) -> list[str]:
    """The lines of a text file (UTF-8), without blanks around them. Raises DataError."""
    try:
        return [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        raise DataError(f"{file}: not UTF-8 text; save it as UTF-8.") from None
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}).") from None


# ---- from the names in a list to files ------------------------------------------------------


class ListedImages:
    """Collects the images that a list names, and what is wrong with the list.

    root: the data folder. file: the list, for messages. Problems that may be many (images that
    are absent or listed twice) are gathered and refused together by check().
    """

    def __init__(self, root: Path, file: Path) -> None:
        self._root, self._file = root, file
        self._top = os.path.realpath(root)
        self._real_folder = cache(os.path.realpath)
        self._lines: dict[Path, tuple[int, tuple[str, ...]]] = {}
        self._absent: list[str] = []
        self._twice: list[str] = []

    def path(self, name: str, line: int, folder: str = "") -> Path:
        """The file of a name, which is a path below root, or below a folder of it.

        Raises DataError where the name leads out of root: by being absolute, by ``..`` or by a
        link.
        """
        where = f"{self._file}, line {line}"
        inside = os.path.normpath(os.path.join(folder, name))  # noqa: PTH118 - pathlib keeps '..'
        if "\0" in name or Path(inside).is_absolute() or Path(inside).parts[:1] in ((), ("..",)):
            raise DataError(
                f"{where}: the path {name!r} leaves the data folder {self._root}; expected a file "
                "below it, written relative to it."
            )
        path = self._root / inside
        try:
            kind = path.lstat().st_mode
        except OSError:
            self._absent.append(f"line {line}: {inside}")
            return path
        # Folders are resolved once each: resolving every file is slow for 100,000 of them.
        real = self._real_folder(path.parent) if stat.S_ISREG(kind) else os.path.realpath(path)
        if os.path.commonpath([self._top, real]) != self._top:
            raise DataError(
                f"{where}: {name!r} is a link that leaves the data folder {self._root} (to "
                f"{real}); copy the images into it."
            )
        return path

    def absent(self, name: str, line: int) -> None:
        """Note that no file was found for a name."""
        self._absent.append(f"line {line}: {name}")

    def add(self, path: Path, line: int, labels: tuple[str, ...]) -> None:
        """Note that a line lists an image, to find those that are listed twice."""
        before = self._lines.setdefault(path, (line, labels))
        if before[0] != line:
            conflict = (
                "" if before[1] == labels
                else f", as {'/'.join(before[1])} and as {'/'.join(labels)}"
            )  # fmt: skip
            self._twice.append(f"lines {before[0]} and {line}: {path.name}{conflict}")

    def check(self) -> None:
        """Raises DataError naming every image that is absent, or every one listed twice."""
        if self._absent:
            n = len(self._absent)
            raise DataError(
                f"{self._file}: lists {plural(n, 'image')} that {'is' if n == 1 else 'are'} not "
                f"below {self._root}; add the files or remove the rows:{in_lines(self._absent)}"
            )
        if self._twice:
            raise DataError(
                f"{self._file}: lists images twice; keep one row for each image:"
                f"{in_lines(self._twice)}"
            )


def index_by_name(root: Path, suffixes: frozenset[str], *, stem: bool = False) -> dict[str, Path]:
    """Every image below a folder by its file name, or by the name without its ending.

    Raises DataError where two files share a name, since a list of bare names could mean either.
    """
    index: dict[str, Path] = {}
    for directory, names in walk(root, suffixes):
        for name in names:
            key = name.rpartition(".")[0] if stem else name
            path = Path(directory) / name
            if key in index:
                raise DataError(
                    f"{root}: {index[key].relative_to(root)} and {path.relative_to(root)} have one "
                    "name, so the list could mean either; remove one of them."
                )
            index[key] = path
    return index


# ---- cells ----------------------------------------------------------------------------------


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()


def _csv(file: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, strict=True)
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield reader.line_num, cells
    except UnicodeDecodeError:
        raise DataError(f"{file}: not UTF-8 text; save it as CSV in UTF-8.") from None
    except csv.Error as error:
        raise DataError(f"{file}, line {reader.line_num}: not CSV ({error}).") from None
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}).") from None


def _parquet(file: Path, roles: Roles) -> Iterator[tuple[int, list[str]]]:
    """The columns that play a role, as text; rows are counted from 2, as below a header."""
    try:
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise DataError(
            f"{file}: Parquet needs pyarrow, which is not installed: pip install "
            "'hilum[parquet]', or save the table as CSV."
        ) from None
    wanted = {_plain(name) for spellings in roles.values() for name in spellings}
    try:
        with parquet.ParquetFile(file) as table:
            header = [str(name) for name in table.schema_arrow.names]
            yield 1, header  # whoever misses a column refuses here, before any is read
            columns = table.read(columns=[n for n in header if _plain(n) in wanted]).to_pydict()
    except (OSError, ValueError) as error:  # pyarrow's own errors are kinds of these
        raise DataError(f"{file}: cannot be read as Parquet ({error}).") from None
    for i in range(len(next(iter(columns.values())))):
        cells = [columns[name][i] if name in columns else None for name in header]
        yield i + 2, ["" if cell is None else str(cell) for cell in cells]
