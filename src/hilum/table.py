"""One table, told as every surface needs it: HTML, CSV, aligned text, or a pandas frame."""

import base64
import csv
import importlib
import io
import re
import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import zip_longest
from typing import Any, TypeAlias

from hilum.errors import HilumError
from hilum.wording import PLAIN, Cell, Content, Style, is_estimate

_NAME_LENGTH = 80
#: Prose is not wrapped into a column of fewer characters.
_NARROWEST = 24


@dataclass(frozen=True, slots=True)
class Column:
    """A heading and what stands below it.

    kind: '' for numbers, at the right; 'text' for words, at the left; 'about' for prose. wrap: a
    long heading may break, or in the first column the names of rows. style: of numbers with
    decimals, and of estimates.
    """

    name: str
    kind: str = ""
    wrap: bool = False
    style: Style = PLAIN


Columns: TypeAlias = Sequence[str | Column]
Row: TypeAlias = Sequence[Content | Cell]
Rows: TypeAlias = Sequence[Row]


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose first column names the rows.

    caption: what it is, for people who do not see it; its CSV is named after it. columns: there
    are no headings where all are ''. rows: one that begins with a cell over several columns is the
    heading of those that follow. kind: CSS classes. over: a line above the headings, whose cells
    group columns. marked: the indices of rows that are set off.
    """

    caption: str
    columns: Columns
    rows: Rows
    kind: str = ""
    over: Row = ()
    marked: Collection[int] = ()

    def html(self, *, download: bool = True) -> str:
        """The table in a frame that scrolls, and below it a link to its CSV, which lies in it.

        download: False leaves out the link and shows the caption, as notebooks need it.
        """
        caption = escape(self.caption)
        top = "" if download else f"<caption>{caption}</caption>"
        kind = f' class="{self.kind}"' if self.kind else ""
        head = "".join(self._lines([row], part) for part, row in self._headings().items())
        head = f"<thead>{head}</thead>" if head else ""
        body = self._lines(self.rows, "body")
        table = f"<table{kind}>{top}{head}<tbody>{body}</tbody></table>"
        if not download:
            return f'<div class="scroll">{table}</div>'
        data = base64.b64encode(self.csv().encode("utf-8", errors="replace")).decode("ascii")
        name = re.sub(r"\W+", "-", self.caption.lower()).strip("-")[:_NAME_LENGTH] or "table"
        return (
            f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}">{table}</div>'
            f'<p class="csv"><a download="{name}.csv" href="data:text/csv;charset=utf-8;base64,'
            f'{data}">CSV<span class="unseen"> of the table {caption}</span></a></p>'
        )

    __html__ = html  # templates look for it, and do not escape what it gives

    def csv(self) -> str:
        """Headings and rows with line feeds; no cell can be a formula.

        Intervals follow in brackets, a cell over several columns is repeated, and counts have no
        commas between their thousands.
        """
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        for row in (*self._headings().values(), *self.rows):
            writer.writerow([cell.csv(column.style) for cell, column in self._cells(row)])
        return out.getvalue()

    def text(self, width: int | None = None) -> str:
        """The caption, the headings and the rows as lines of aligned text.

        Numbers stand at the right, words at the left. width: of a terminal; what is wider has its
        prose wrapped, and columns that still do not fit follow below, with the rows' names again.
        """
        rows = [self.strings(row) for row in (*self._headings().values(), *self.rows)]
        columns = self._columns()
        left = [k == 0 or bool(c.kind) or self._is_words(k) for k, c in enumerate(columns)]
        wide = [max((len(row[k]) for row in rows), default=0) for k in range(len(columns))]
        rooms = _rooms(wide, left, width)
        rows = [line for row in rows for line in _wrapped(row, rooms)]
        wide = [max((len(row[k]) for row in rows), default=0) for k in range(len(columns))]
        lines = [self.caption] if width is None else textwrap.wrap(self.caption, width)
        for n, block in enumerate(_side_by_side(wide, width)):
            lines += [""] * (n > 0)
            for row in rows:
                cells = [row[k].ljust(wide[k]) if left[k] else row[k].rjust(wide[k]) for k in block]
                lines.append("  ".join(cells).rstrip())
        return "\n".join(lines)

    def _is_words(self, k: int) -> bool:
        """Whether a column holds words, some of which do not begin as a number does."""
        cells = [self._cells(row)[k][0].content for row in self.rows]
        return any(isinstance(cell, str) and cell[:1].isalpha() for cell in cells)

    def strings(self, row: Row) -> list[str]:
        """A row as plain text, a string per column."""
        return [cell.text(column.style) for cell, column in self._cells(row)]

    def frame(self) -> Any:
        """The plain values as a pandas.DataFrame; the bounds of estimates are columns too.

        Raises HilumError where pandas is not installed.
        """
        try:
            pandas = importlib.import_module("pandas")
        except ImportError as error:
            raise HilumError(
                "A table becomes a frame by pandas, which is not installed: run pip install "
                "pandas, or take the table as CSV."
            ) from error
        rows = [[cell.content for cell, _ in self._cells(row)] for row in self.rows]
        groups = [f"{cell.content}: " for cell, _ in self._cells(self.over)]
        names: list[str] = []
        found: list[list[Any]] = []
        for k, column in enumerate(self._columns()):
            names.append((groups[k] if groups and k else "") + column.name)
            cells = [row[k] for row in rows]
            found.append([c.value if is_estimate(c) else c for c in cells])
            for bound in ("low", "high") if any(map(is_estimate, cells)) else ():
                names.append(f"{names[-1].removesuffix(' low')} {bound}")
                found.append([getattr(c, bound, None) for c in cells])
        return pandas.DataFrame(dict(enumerate(found))).set_axis(names, axis="columns")

    def _columns(self) -> list[Column]:
        return [Column(c) if isinstance(c, str) else c for c in self.columns]

    def _headings(self) -> dict[str, Row]:
        found = {"over": self.over, "names": [column.name for column in self._columns()]}
        return {part: row for part, row in found.items() if any(row)}

    def _cells(self, row: Row) -> list[tuple[Cell, Column]]:
        """The cell of a row in each column: one over several columns is the cell of each."""
        cells = [cell if isinstance(cell, Cell) else Cell(cell) for cell in row]
        wide = [cell for cell in cells for _ in range(cell.span)]
        return list(zip(wide, self._columns() if row else (), strict=True))

    def _lines(self, rows: Rows, part: str) -> str:
        """Rows as HTML. part: 'over', 'names' or 'body'."""
        lines = []
        for i, row in enumerate(rows):
            cells, k = self._cells(row), 0
            tags = ['<tr class="differs">' if part == "body" and i in self.marked else "<tr>"]
            while k < len(cells):
                cell, column = cells[k]
                wrap = " wrap" * (column.wrap and (k == 0) == (part == "body"))
                if part == "over":
                    scope, kind = ("colgroup", "wrap across") if k else ("col", "")
                elif part == "names":
                    scope, kind = "col", column.kind + wrap
                elif k == 0:
                    scope, kind = ("rowgroup" if cell.span > 1 else "row"), cell.kind + wrap
                else:
                    scope, kind = "", f"{column.kind} {cell.kind}"
                tags.append(cell.html(column.style, kind, scope))
                k += cell.span
            group = "</tbody><tbody>" if part == "body" and i and cells[0][0].span > 1 else ""
            lines.append(f"{group}{''.join(tags)}</tr>")
        return "".join(lines)


def _rooms(wide: Sequence[int], left: Sequence[bool], width: int | None) -> dict[int, int]:
    """The columns whose words are to be wrapped, and into how many characters each.

    They share what the others leave of the width, or where that is too little have a block each.
    """
    prose = [k for k in range(1, len(wide)) if left[k] and wide[k] > _NARROWEST]
    gaps = 2 * (len(wide) - 1)
    if width is None or not prose or sum(wide) + gaps <= width:
        return {}
    share = (width - gaps - sum(w for k, w in enumerate(wide) if k not in prose)) // len(prose)
    room = share if share >= _NARROWEST else max(_NARROWEST, width - wide[0] - 2)
    return {k: room for k in prose if wide[k] > room}


def _wrapped(row: list[str], rooms: Mapping[int, int]) -> list[list[str]]:
    """A row as so many as its cells have lines when they are wrapped. rooms: as of _rooms."""
    cells = [
        textwrap.wrap(cell, rooms[k], break_long_words=False, break_on_hyphens=False)
        if k in rooms else [cell]
        for k, cell in enumerate(row)
    ]  # fmt: skip
    return [list(line) for line in zip_longest(*cells, fillvalue="")]


def _side_by_side(wide: Sequence[int], width: int | None) -> list[list[int]]:
    """The columns in blocks that fit a width, each of which begins with the first column."""
    blocks = [[0][: len(wide)]]
    for k in range(1, len(wide)):
        used = sum(wide[i] + 2 for i in blocks[-1]) + wide[k]
        if width is not None and used > width and len(blocks[-1]) > 1:
            blocks.append([0])
        blocks[-1].append(k)
    return blocks
