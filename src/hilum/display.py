"""How values show themselves: in one line where they are printed, and as HTML in a notebook."""

import base64
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from hilum.table import Column, Row, Table

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

#: Of more rows than this a notebook shows the first ones.
MOST_ROWS = 20

_LONGEST_LINE = 240


class Displayed:
    """What prints as one short line, and shows itself in a notebook as that line and more.

    A class gives _in_one_line and _in_full; a dataclass is then made with repr=False.
    """

    __slots__ = ()

    def _in_one_line(self) -> str:
        """What it is, in words, with the numbers that matter most."""
        raise NotImplementedError

    def _in_full(self) -> Iterator[str | Table]:
        """Tables, and pieces of HTML in which everything foreign is escaped."""
        raise NotImplementedError

    def __repr__(self) -> str:
        line = " ".join(self._in_one_line().split())
        return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…"

    def _repr_html_(self) -> str:
        return framed(heading(repr(self)), *self._in_full())


def framed(*parts: str | Table) -> str:
    """Pieces of HTML and tables in the style of notebooks.

    MathJax leaves them alone: a '$' in a name is no formula.
    """
    shown = (part if isinstance(part, str) else part.html(download=False) for part in parts)
    return f'{_STYLE}<div class="hilum-shown tex2jax_ignore mathjax_ignore">{"".join(shown)}</div>'


def facts_table(facts: Iterable[tuple[str, object]], caption: str = "") -> Table:
    """What is known of something, a row each; what is None is left out."""
    rows: list[Row] = [[name, str(value)] for name, value in facts if value is not None]
    return Table(caption, ["", Column("", "text")], rows)


def paragraphs(*texts: str) -> str:
    """Words as HTML."""
    return "".join(f"<p>{escape(text)}</p>" for text in texts)


def heading(text: str) -> str:
    """A heading within what a cell shows."""
    return f"<h4>{escape(text)}</h4>"


def cards(shown: Sequence[str]) -> str:
    """Pictures with their captions, as many in a line as fit."""
    return f'<div class="grid">{"".join(shown)}</div>'


def png_card(png: bytes, alt: str, caption: str) -> str:
    """A picture as it is, in its own size."""
    return picture_card(data_uri("image/png", png), alt, caption, "wide")


def picture_card(uri: str, alt: str, caption: str, kind: str = "") -> str:
    """A picture with its caption. kind: 'wide' for one that keeps its own size."""
    return (
        f'<figure class="{kind}"><img src="{escape(uri)}" alt="{escape(alt)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def data_uri(kind: str, data: bytes) -> str:
    """A picture as it stands in a page. kind: its media type, such as 'image/webp'."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
