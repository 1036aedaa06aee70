"""How every page is rendered: escaping, strict names, the filters of numbers, and the file."""

import base64
import datetime
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from hilum.errors import HilumError
from hilum.files import refuse_ending, write_atomically
from hilum.reporting.svg import number_charts
from hilum.wording import PERCENT, PLAIN, duration, listed, p_value


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a page: sections/TEMPLATE.html.j2 shows as `part` what collect gives.

    title: in the table of contents. collect: makes the part of what the page is about; None leaves
    the section out. heading: its own, if it is not the title; "heading" in a part goes before both.
    template: the anchor, if not given. front: stands in the first part, and not folded away in the
    appendix.
    """

    anchor: str
    title: str
    collect: Callable[[Any], Any]
    heading: str = ""
    template: str = ""
    front: bool = False


@cache
def page_environment() -> jinja2.Environment:
    """What every page is rendered with. A Table needs no filter: it gives its HTML by itself."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hilum.reporting", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": "{:,}".format,
        "percent": PERCENT.number,
        "whole_percent": replace(PERCENT, digits=0).number,
        "number": PLAIN.number,
        "duration": duration,
        "listed": listed,
        "p_value": p_value,
        "digest": _digest,
    }
    return environment


def _digest(script: str) -> str:
    """What lets a page's policy run this script and no other."""
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")


def write_page(out: Path, template: str, /, what: str = "page", **values: Any) -> Path:
    """Render a template and write it as one self-contained file; return where.

    It loads nothing, and runs no script but that of the template, if any, whose digest its policy
    names. out: its folder is made. what: what the file is, for the
    refusal. values: for the template, which also gets the time as ``made``. A file name that is
    not valid Unicode cannot stand in UTF-8: its odd bytes become '?'. Raises HilumError where it
    cannot be written, or its name ends in something else than .html or .htm.
    """
    refuse_ending(out, (".html", ".htm"))
    made = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    page = page_environment().get_template(template).render(made=made, **values)
    return write_text(out, number_charts(page, "chart"), what)


def write_text(out: Path, text: str, what: str) -> Path:
    """Write text as one file; return where. Raises HilumError where it cannot be written."""
    try:
        write_atomically(out, text.encode("utf-8", errors="replace"))
    except OSError as error:
        raise HilumError(f"Cannot write the {what} {out}: {error.strerror}.") from error
    return out
