"""What notebooks show: a piece of HTML that Jupyter draws, and the parts that it is made of."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from hilum.records import Estimate, PixelArray
from hilum.reporting.charts import data_uri, radiograph_uri
from hilum.reporting.svg import number_charts, shorten
from hilum.table import Column, Table
from hilum.wording import PLAIN, Cell, Content

# Notebooks are light or dark, and their pages know it, not we: text takes the colour of the page,
# and lines have colours that stand out from both. Scoped, because a cell shares its page.
_STYLE = """<style>
.hilum-shown { --series-1: #c2661c; --series-2: #2f7dc4; --series-3: #5f8f2e; --series-4: #9068bd;
  --rule: rgb(128 128 128 / .38); font: 14px/1.45 system-ui, sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: break-word; max-width: 62rem; }
.hilum-shown svg { display: block; width: 100%; height: auto; }
.hilum-shown figure { margin: .3rem 0; min-width: 0; }
.hilum-shown figcaption { font-size: 12px; line-height: 1.35; margin-top: .2rem; }
.hilum-shown .row { display: flex; flex-wrap: wrap; gap: .8rem 1.6rem; }
.hilum-shown .row figure { flex: 1 1 19rem; max-width: 23rem; }
.hilum-shown .grid { display: flex; flex-wrap: wrap; gap: .7rem; align-items: flex-start; }
.hilum-shown .grid figure { flex: none; width: 7.5rem; margin: 0; }
.hilum-shown .grid figure.wide { width: auto; max-width: 100%; }
.hilum-shown .grid figure.wide figcaption { max-width: 40rem; }
.hilum-shown img { display: block; max-width: 100%; height: auto; margin: 0; }
.hilum-shown .grid figure:not(.wide) img { width: 100%; }
.hilum-shown .grid figure.wide img { min-width: 6rem; }
.hilum-shown h4 { font-size: 14px; font-weight: 650; margin: .9rem 0 .3rem; }
.hilum-shown p { margin: .3rem 0; max-width: 46rem; }
.hilum-shown .scroll { overflow-x: auto; }
.hilum-shown table { border-collapse: collapse; font-size: 13px; margin: .3rem 0; }
.hilum-shown caption { caption-side: top; text-align: left; font-weight: 650; color: inherit;
  padding: .2rem 0; white-space: nowrap; }
.hilum-shown th, .hilum-shown td { text-align: right; padding: .25rem .7rem; vertical-align: top;
  border-bottom: 1px solid var(--rule); max-width: none; }
.hilum-shown th:first-child, .hilum-shown th.text { text-align: left; }
.hilum-shown td.text { text-align: left; max-width: 40rem; }
.hilum-shown small { font-size: 12px; white-space: nowrap; }
.hilum-shown td small { display: block; }
.hilum-shown .key { display: inline-block; width: .8rem; height: .8rem; border-radius: 2px;
  margin: 0 .35rem 0 .9rem; vertical-align: -1px; }
.hilum-shown .key:first-child { margin-left: 0; }
</style>"""


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
    """Pieces of HTML in the style of notebooks. parts: with everything foreign escaped.

    MathJax leaves them alone: a '$' in a name is no formula.
    """
    html = f'<div class="hilum-shown tex2jax_ignore mathjax_ignore">{"".join(parts)}</div>'
    # cells share a page, and different charts differ in their ids
    key = hashlib.sha256(html.encode("utf-8", errors="replace")).hexdigest()[:10]
    return Shown(_STYLE + number_charts(html, f"h{key}-"), alt)


def sentence(text: str) -> Shown:
    """Words alone."""
    return show(text, paragraphs(text))


def paragraphs(*texts: str) -> str:
    """Words as HTML."""
    return "".join(f"<p>{escape(text)}</p>" for text in texts)


def heading(text: str) -> str:
    """A heading within what a cell shows."""
    return f"<h4>{escape(text)}</h4>"


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


def cards(shown: Sequence[str]) -> str:
    """Pictures with their captions, as many in a line as fit."""
    return f'<div class="grid">{"".join(shown)}</div>'


def radiograph_card(pixels: PixelArray, name: str, caption: str) -> str:
    """A radiograph (H, W) uint8 with its caption; a long name loses its middle."""
    alt = f"Radiograph {shorten(name, 60)}: {caption}"
    return _card(radiograph_uri(pixels, longest=160), alt, caption)


def png_card(png: bytes, alt: str, caption: str) -> str:
    """A picture as it is, in its own size."""
    return _card(data_uri("image/png", png), alt, caption, "wide")


def _card(uri: str, alt: str, caption: str, kind: str = "") -> str:
    return (
        f'<figure class="{kind}"><img src="{escape(uri)}" alt="{escape(alt)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
