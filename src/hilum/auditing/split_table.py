"""A division of a data set as a table: what `hilum split` writes.

It is UTF-8, comma-separated, one line per image.

- ``path``: the image's name below the data root;
- ``part``: train, val or test; or ``fold``: 0, 1, … (or test, where a test split was kept);
- ``group``: what the image was divided with; no group stands in two parts.

Cells that a spreadsheet would run are written with a ``'`` in front, as in predictions.csv.
"""

import csv
import io
from collections import Counter
from pathlib import Path

from hilum.auditing.splits import Split, apply_split, check_classes, check_same_images
from hilum.errors import DataError, in_lines, nearest, plural
from hilum.files import ODD_NAMES, from_cell, to_cell, write_atomically
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.layouts import SPLITS, natural_key, nfc


def divide(dataset: Dataset, table: Path | None, fold: int | None = None) -> Dataset:
    """The data set in the parts of a table of write_split; as it is where there is no table.

    Raises DataError as read_split and apply_split do, and where a fold is asked of no table.
    """
    if table is not None:
        return apply_split(dataset, read_split(table, dataset), fold)
    if fold is not None:
        raise DataError(f"Fold {fold} was asked for, of which table? None was given: add --split.")
    return dataset


def write_split(split: Split, path: Path | str) -> None:
    """Write a split's table, in natural order of the paths.

    Raises DataError if it cannot be, or would replace a file that is no such table, which may be
    the one that labels the images.
    """
    path = Path(path)
    if path.is_file() and path.stat().st_size:
        try:
            rows = _rows(path, None)
            _part_column(path, [from_cell(cell).strip() for cell in rows[0]] if rows else [])
        except DataError:
            raise DataError(
                f"{path}: is there already, and no table of `hilum split`; name another file."
            ) from None
    try:
        write_atomically(path, split_table(split))
    except OSError as error:
        raise DataError(f"Cannot write {path}: {error.strerror}.") from None


def split_table(split: Split) -> bytes:
    """The table that write_split writes."""
    buffer = io.StringIO(newline="")
    # Texts are always quoted: a carriage return within a path would end the line otherwise.
    writer = csv.writer(buffer, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(["path", "fold" if split.folds else "part", "group"])
    for name in sorted(split.parts, key=natural_key):
        part = split.parts[name]
        cell = int(part) if part.isdecimal() else part
        writer.writerow([to_cell(name), cell, to_cell(split.groups[name])])
    return buffer.getvalue().encode("utf-8", ODD_NAMES)


def read_split(path: Path | str, dataset: Dataset, table: bytes | None = None) -> Split:
    """Read a split's table for a data set. Other columns than those of write_split are ignored.

    table: the file's content, where it is at hand; path is then only named in messages.
    Raises DataError, naming the file and what is wrong, where it cannot be read, lacks a column,
    lists an image twice, one that the data set does not hold, or not all that it holds, names a
    part that does not exist, puts a group into two parts, or leaves a part without a class.
    """
    path = Path(path)
    rows = _rows(path, table)
    header = [from_cell(cell).strip() for cell in rows[0]] if rows else []
    column = _part_column(path, header)
    at = [header.index(name) for name in ("path", column, "group")]
    # another system may have written an accent in another way
    known = {nfc(r.name): r.name for r in dataset.records}
    names: list[str] = []
    parts: dict[str, str] = {}
    groups: dict[str, str] = {}
    for number, row in enumerate(rows[1:], start=2):
        if not row:
            continue  # an empty line
        if len(row) != len(header):
            raise DataError(
                f"{path}, row {number}: expected {len(header)} cells as in the first row, "
                f"found {len(row)}."
            )
        name, part, group = (from_cell(row[i]) for i in at)
        if not (part in SPLITS if column == "part" else part == "test" or _is_count(part)):
            expected = nearest(part, SPLITS) if column == "part" else " Expected 0, 1, … or test."
            raise DataError(f"{path}, row {number}: there is no {column} '{part}'.{expected}")
        name = known.get(nfc(name), name)
        names.append(name)
        parts[name], groups[name] = part, group
    twice = sorted((n for n, k in Counter(names).items() if k > 1), key=natural_key)
    if twice:
        raise DataError(
            f"{path}: {plural(len(twice), 'image')} listed more than once; keep one row of each:"
            f"{in_lines(twice, 20)}"
        )
    check_same_images(dataset, parts, str(path))
    _refuse_torn_groups(path, parts, groups)
    split = Split(parts, groups, _folds(path, parts) if column == "fold" else None)
    check_classes(dataset, split, str(path), "Every part needs every class.")
    return split


def _rows(path: Path, table: bytes | None) -> list[list[str]]:
    try:
        # A spreadsheet that saved the table may have put a byte order mark in front.
        text = (path.read_bytes() if table is None else table).decode("utf-8-sig", ODD_NAMES)
        return list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror}.") from None
    except csv.Error as error:
        raise DataError(f"{path} is not a table of comma-separated values: {error}.") from None


def _part_column(path: Path, header: list[str]) -> str:
    kinds = [name for name in ("part", "fold") if name in header]
    if len(kinds) == 1 and {"path", "group"} <= set(header):
        return kinds[0]
    raise DataError(
        f"{path}: expected the columns path, part (or fold, not both) and group; found "
        f"{', '.join(header) or 'none'}. 'hilum split' writes such a table."
    )


def _is_count(text: str) -> bool:
    """Whether it is written as '0', '1', …: no sign, no leading zero."""
    return text.isascii() and text.isdecimal() and (text == "0" or not text.startswith("0"))


def _folds(path: Path, parts: dict[str, str]) -> int:
    """How many folds there are; they are numbered without a gap."""
    found = {p for p in parts.values() if p != "test"}
    if len(found) < 2 or found != {str(k) for k in range(len(found))}:
        shown = ", ".join(sorted(found, key=natural_key))
        raise DataError(
            f"{path}: expected at least the folds 0 and 1, without gaps; found {shown}."
        )
    return len(found)


def _refuse_torn_groups(path: Path, parts: dict[str, str], groups: dict[str, str]) -> None:
    first: dict[str, str] = {}
    for name, group in groups.items():
        other = first.setdefault(group, name)
        if parts[other] != parts[name]:
            raise DataError(
                f"{path}: the group '{group}' stands in two parts: {other} in {parts[other]} and "
                f"{name} in {parts[name]}. Put all of it into one."
            )
