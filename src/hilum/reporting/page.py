"""How every page is rendered: escaping, strict names, and the filters of numbers."""

import base64
import csv
import datetime
import io
import re
from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import jinja2
from markupsafe import Markup

from hilum.errors import HilumError
from hilum.explanation.attribution import METHOD_NAMES
from hilum.explanation.explain import Explanation
from hilum.files import to_cell, write_atomically
from hilum.records import Estimate
from hilum.reporting.summary import listed, percent

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


@cache
def page_environment() -> jinja2.Environment:
    """What every page is rendered with: escaping, strict names, the filters of numbers."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hilum.reporting", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "number": number,
        "bounds": bounds,
        "duration": duration,
        "moment": moment,
        "listed": listed,
    }
    environment.globals["table"] = table_with_csv
    return environment


def write_page(page: str, out: Path, what: str = "page") -> Path:
    """Write a rendered page and return where; what it is, for the refusal.

    A file name that is not valid Unicode cannot stand in UTF-8: its odd bytes become '?'.
    Raises HilumError where it cannot be written.
    """
    try:
        write_atomically(out, page.encode("utf-8", errors="replace"))
    except OSError as error:
        raise HilumError(f"Cannot write the {what} {out}: {error.strerror}.") from error
    return out


def made_now() -> str:
    """The time at which a page is made, for its head: '2026-11-23 01:00 UTC'."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def number(value: float) -> str:
    """A value with three decimals."""
    return f"{value:.3f}"


def bounds(estimate: Estimate) -> str:
    """The 95 % interval as '0.595–0.908', or '' where there is none."""
    if estimate.low is None or estimate.high is None:
        return ""
    between = "–" if estimate.low >= 0 else " to "
    return f"{estimate.low:.3f}{between}{estimate.high:.3f}"


def duration(seconds: float | None) -> str:
    """A time in words: '12.3 s', '2 min 03 s', '1 h 05 min'."""
    if seconds is None:
        return "not recorded"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def moment(text: str | None) -> str:
    """An ISO time as people read it: '2026-11-23 01:00:00 UTC'."""
    return "not recorded" if not text else str(text).replace("T", " ").replace("Z", " UTC")


_KINDS = {
    "radiograph": "As the classifier sees it",
    "feature-maps": "Feature maps",
    "pair": "Beside another radiograph",
}


def write_explanation_page(explanation: Explanation, out: Path) -> Path:
    """Write pictures, probabilities and how far to trust the maps as one self-contained HTML file.

    out: the file to write; its folder is made. The file loads nothing and runs no script. Returns
    out. Raises HilumError if it cannot be written.
    """
    images = [
        {
            "image": image,
            "pictures": [
                {
                    "uri": "data:image/png;base64," + base64.b64encode(p.png).decode("ascii"),
                    "title": METHOD_NAMES[p.method] if p.method else _KINDS[p.kind],
                    "wide": p.kind in ("feature-maps", "pair"),
                    "picture": p,
                }
                for p in image.pictures
            ],
        }
        for image in explanation.images
    ]
    page = (
        page_environment()
        .get_template("explain.html.j2")
        .render(
            explanation=explanation,
            images=images,
            names=METHOD_NAMES,
            made=made_now(),
        )
    )
    return write_page(page, out)
