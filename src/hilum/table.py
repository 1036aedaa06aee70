"""One table, told as every surface needs it: HTML, CSV, aligned text, or a pandas frame."""

import base64
import csv
import importlib
import io
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, TypeAlias

from hilum.errors import HilumError
from hilum.wording import PLAIN, Cell, Content, Style, is_estimate

_NAME_LENGTH = 80


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

    def text(self) -> str:
        """The caption, the headings and the rows as lines of aligned text."""
        rows = [self.strings(row) for row in (*self._headings().values(), *self.rows)]
        left = [k == 0 or bool(column.kind) for k, column in enumerate(self._columns())]
        for k, to_left in enumerate(left):
            width = max((len(row[k]) for row in rows), default=0)
            for row in rows:
                row[k] = row[k].ljust(width) if to_left else row[k].rjust(width)
        return "\n".join([self.caption, *("  ".join(row).rstrip() for row in rows)])

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
