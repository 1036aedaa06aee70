"""How every page is rendered: escaping, strict names, and the filters of numbers."""

import datetime
from functools import cache
from pathlib import Path

import jinja2

from hilum.errors import HilumError
from hilum.files import write_atomically
from hilum.records import Estimate
from hilum.reporting.summary import listed, percent
from hilum.reporting.tables import table_with_csv


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
