"""What notebooks show: a piece of HTML that Jupyter draws, and the parts that it is made of."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from hilum.display import framed, paragraphs, picture_card
from hilum.records import Estimate, PixelArray
from hilum.reporting.charts import radiograph_uri
from hilum.reporting.svg import number_charts, shorten
from hilum.table import Column, Table
from hilum.wording import PLAIN, Cell, Content


@dataclass(frozen=True, slots=True, repr=False)
class Shown:
    """What a cell of a notebook shows: html, and the same in words (alt).

    Jupyter draws the HTML; where there is none, such as in a terminal, the words are printed.
    """

    html: str
    alt: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.alt


def show(alt: str, *parts: str) -> Shown:
    """Pieces of HTML in the style of notebooks. parts: with everything foreign escaped."""
    html = framed(*parts)
    # cells share a page, and different charts differ in their ids
    key = hashlib.sha256(html.encode("utf-8", errors="replace")).hexdigest()[:10]
    return Shown(number_charts(html, f"h{key}-"), alt)


def sentence(text: str) -> Shown:
    """Words alone."""
    return show(text, paragraphs(text))


def table(
    caption: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    text: Sequence[str] = (),
) -> str:
    """A Table as HTML, in which what is undefined says why. text: the columns of words."""

    def cell(content: Content) -> Content | Cell:
        if not isinstance(content, Estimate):
            return content
        if content.value is None:
            return Cell("", small=f"undefined: {content.reason}")
        return Cell(content.value, small=PLAIN.bounds(content))

    named = [Column(name, "text" if name in text else "") for name in columns]
    return Table(caption, named, [[*map(cell, row)] for row in rows]).html(download=False)


def charts(*drawn: str) -> str:
    """Charts (inline SVG) side by side, or below each other where there is no room."""
    return f'<div class="row">{"".join(f"<figure>{svg}</figure>" for svg in drawn)}</div>'


def legend(names: Sequence[str]) -> str:
    """Which colour is whose: the i-th name has the i-th colour of the charts."""
    keys = "".join(
        f'<span class="key" style="background: var(--series-{i % 4 + 1})"></span>{escape(name)}'
        for i, name in enumerate(names)
    )
    return f"<p>{keys}</p>"


def radiograph_card(pixels: PixelArray, name: str, caption: str) -> str:
    """A radiograph (H, W) uint8 with its caption; a long name loses its middle."""
    alt = f"Radiograph {shorten(name, 60)}: {caption}"
    return picture_card(radiograph_uri(pixels, longest=160), alt, caption)
