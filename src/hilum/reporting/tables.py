"""Every table of a page as a CSV file that can be downloaded from the page itself.

The file is made from the table's own HTML, so the two cannot differ, and it lies in the page as a
data URI: it needs no script and no server.
"""

import base64
import csv
import io
import re
from collections.abc import Callable
from html.parser import HTMLParser

from markupsafe import Markup

from hilum.files import to_cell

_GROUPED = re.compile(r"\d{1,3}(,\d{3})+(?![\d,])")
_NUMBER = re.compile(r"-?\d+(\.\d+)?(e-?\d+)?")
_NAME_LENGTH = 80


def table_with_csv(label: str, *, caller: Callable[[], Markup]) -> Markup:
    """A table in a frame that scrolls, and under it the link to its CSV. For Jinja's call block.

    label: what the table is, for people who do not see it; the file is named after it.
    caller: gives the HTML of one table.
    """
    html = caller()
    data = base64.b64encode(to_csv(html).encode("utf-8", errors="replace")).decode("ascii")
    return Markup(
        '<div class="scroll" tabindex="0" role="region" aria-label="{label}">{table}</div>'
        '<p class="csv"><a download="{name}.csv" href="data:text/csv;charset=utf-8;base64,{data}">'
        'CSV<span class="unseen"> of the table {label}</span></a></p>'
    ).format(label=label, table=html, name=_file_name(label), data=data)


def to_csv(html: str) -> str:
    """The rows of the table in some HTML, as CSV with line feeds.

    What stands small in a cell (an interval, as a rule) follows in brackets; a cell that spans
    columns is repeated; a count has no commas between its thousands, and in a confusion matrix no
    share behind it. No cell can be a formula.
    """
    reader = _Reader()
    reader.feed(html)
    reader.close()
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([[_cell(text) for text in row] for row in reader.rows])
    return out.getvalue()


def _cell(text: str) -> str:
    if grouped := _GROUPED.match(text):
        text = grouped[0].replace(",", "") + text[grouped.end() :]
    return text if _NUMBER.fullmatch(text) else to_cell(text)


def _file_name(label: str) -> str:
    return re.sub(r"\W+", "-", label.lower()).strip("-")[:_NAME_LENGTH] or "table"


class _Reader(HTMLParser):
    """The text of the cells of a table, row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._text: list[str] = []
        self._span = 1
        self._share = False  # inside the per cent behind a count of a confusion matrix

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self._text = []
            self._span = int(dict(attrs).get("colspan") or 1)
        elif tag == "small":
            self._text.append(" (")
        elif tag in ("br", "span"):
            self._text.append(" ")
            self._share = dict(attrs).get("class") == "share"

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            text = " ".join("".join(self._text).replace(" ()", "").split())
            self.rows[-1] += [text.replace("( ", "(")] * self._span
        elif tag == "small":
            self._text.append(")")
        elif tag == "span":
            self._share = False

    def handle_data(self, data: str) -> None:
        if not self._share:
            self._text.append(data)
