"""Charts as SVG that stands inside one HTML file, in the colours and fonts of its page.

Charts are drawn with matplotlib's own Axes, in INK, FAINT and SERIES; in the SVG these become CSS
(``currentColor`` and ``var(--…)``), so that one picture is readable in light, in dark and in
print. Nothing here touches pyplot or its global state.
"""

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Final

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

#: Colours to draw with; they are chosen only to be recognised again in the SVG.
INK: Final = "#010203"
FAINT: Final = "#040506"
SERIES: Final = ("#0a0b01", "#0a0b02", "#0a0b03", "#0a0b04")

#: The CSS that takes their place.
_CSS: Final = {
    INK: "currentColor",
    FAINT: "var(--rule)",
    **{colour: f"var(--series-{i + 1})" for i, colour in enumerate(SERIES)},
}

#: What matplotlib must do for the SVG to be small, reproducible and made of real text.
_RC: Final = {
    "svg.fonttype": "none",
    "svg.hashsalt": "hilum",
    "figure.dpi": 100,
    "axes.unicode_minus": True,
    "font.size": 9.5,
    "font.family": ["DejaVu Sans"],
}

#: Ticks of a share or probability.
UNIT_TICKS: Final = ([0, 0.2, 0.4, 0.6, 0.8, 1], ["0", "0.2", "0.4", "0.6", "0.8", "1"])

#: What the name of a row takes, in hundredths of an inch.
_LINE: Final = 19

#: How many letters the name of a row may take.
_ROW: Final = 42

#: What ids begin with before number_charts.
_KEY: Final = "chart-in-page-"
_SVG = re.compile(r"<svg .*?</svg>", re.DOTALL)

_REFERENCE = re.compile(r"url\(#([^)]+)\)")
#: A number with more decimals than a screen can show, in units of 1/72 inch.
_FINE = re.compile(r"-?\d+\.\d{3,}")
_FONT = re.compile(r"\bfont(-family|-size)?:[^;]*(;|$)")


def draw_svg(
    draw: Callable[[Axes], None],
    size_inches: tuple[float, float],
    *,
    alt: str,
    rows: Sequence[str] = (),
) -> str:
    """One pair of axes as inline SVG.

    draw: draws on the axes. alt: the picture in words. rows: names for the places that name_row
    holds. Its ids become unique in the page by number_charts.
    """
    return _inline(_drawn(draw, size_inches), alt, rows)


def _drawn(draw: Callable[[Axes], None], size_inches: tuple[float, float]) -> str:
    """What matplotlib makes of it, a document of its own."""
    with matplotlib.rc_context(_RC):  # type: ignore[arg-type]
        figure = Figure(figsize=size_inches, layout="constrained")
        axes = figure.add_subplot()
        for patch in (figure.patch, axes.patch):
            patch.set(facecolor="none", edgecolor="none")
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        for side in ("left", "bottom"):
            axes.spines[side].set_color(FAINT)
        axes.tick_params(labelcolor=INK, color=FAINT)
        axes.xaxis.label.set_color(INK)
        axes.yaxis.label.set_color(INK)
        axes.set_axisbelow(True)
        draw(axes)
        buffer = io.StringIO()
        nothing = {"Creator": None, "Date": None, "Format": None, "Type": None}
        # savefig would draw it twice, once only to lay it out
        FigureCanvasSVG(figure).print_svg(buffer, metadata=nothing)  # type: ignore[no-untyped-call]
    return buffer.getvalue()


def name_row(axes: Axes, row: int, y: float, x: float = 0.0, va: str = "bottom") -> None:
    """Hold a place for the name of a row, from x to the right, and above y or centred on it.

    Names come from folders: they may hold '$' (mathematics to matplotlib) or letters that its
    font lacks. So it draws a stand-in, and draw_svg puts the name in.
    """
    text = axes.text(x, y, "n", ha="left", va=va, color=INK)
    text.set_gid(f"row-{row}")
    text.set_in_layout(False)


def lay_rows(
    axes: Axes, names: Sequence[float], y: tuple[float, float], x: tuple[float, float],
    quantity: str, values: Sequence[str] = (), ticks: Sequence[Sequence[Any]] = (),
) -> None:  # fmt: skip
    """Axes of a chart of rows, with a scale and a grid along x alone, which spares the names.

    names: at which height the name of each row stands, at the left. values: at the right of them.
    y: from the bottom to the top. ticks: their places and, if given, their labels.
    """
    height = _LINE * (y[0] - y[1]) / axes.bbox.height
    ends = [*(name - height for name in names[1:]), y[0]] if names else []
    for row, height in enumerate(names):
        name_row(axes, row, height, x[0])
        if values:
            axes.text(x[1], height, values[row], ha="right", va="bottom", color=INK)
    axes.set_yticks([])
    axes.set_ylim(*y)
    axes.set_xlim(*x)
    axes.set_xlabel(quantity)
    if ticks:
        axes.set_xticks(*ticks)
    seen = [tick for tick in axes.get_xticks() if x[0] <= tick <= x[1]]
    for top, bottom in zip(names, ends, strict=True):
        axes.vlines(seen, top, bottom, color=FAINT, linewidth=0.8, zorder=0)


def lay_lines(axes: Axes, x: str, y: str) -> None:
    """Labels and the grid of a chart of lines over x."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(axis="y", color=FAINT, linewidth=0.8)


def draw_interval(
    axes: Axes, ends: tuple[float | None, float | None], y: float, colour: str,
    *, width: float = 2.2, cap: float = 0.12,
) -> None:  # fmt: skip
    """A horizontal line with caps; nothing where an end is None."""
    low, high = ends
    if low is None or high is None:
        return
    axes.plot([low, high], [y, y], color=colour, linewidth=width)
    for end in (low, high):
        axes.plot([end, end], [y - cap, y + cap], color=colour, linewidth=min(width, 1.6))


def legend_above(axes: Axes) -> None:
    """A legend above the axes, because lines and points may be anywhere inside."""
    axes.legend(
        loc="lower center", bbox_to_anchor=(0.45, 1), ncols=3, frameon=False, labelcolor=INK,
        handlelength=1.8, columnspacing=1.2, borderaxespad=0.2, fontsize=8.5,
    )  # fmt: skip


def shorten(text: str, length: int) -> str:
    """The text, its middle left out where it is longer than length, so that both ends are seen.

    What cannot be printed (and could not stand in XML) becomes the replacement character.
    """
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    if len(text) <= length:
        return text
    tail = (length - 1) // 2
    return f"{text[: length - 1 - tail]}…{text[len(text) - tail :]}"


def number_charts(html: str, prefix: str) -> str:
    """A page whose charts have ids of their own: prefix and the number of the chart."""
    numbers = count()
    return _SVG.sub(lambda svg: svg[0].replace(_KEY, f"{prefix}{next(numbers)}-"), html)


def _inline(document: str, alt: str, rows: Sequence[str]) -> str:
    """Make matplotlib's SVG document fit to stand in a page.

    No namespaces and no addresses, only the ids that are needed,
    colours and fonts left to CSS, and the picture in words for people who do not see it.
    """
    root = ET.fromstring(document)
    wanted = set(_REFERENCE.findall(document)) | set(re.findall(r'href="#([^"]+)"', document))
    for parent in list(root.iter()):
        parent.tag = _local(parent.tag)
        for child in list(parent):
            if _local(child.tag) in ("metadata", "style"):  # its style would leak into the page
                parent.remove(child)
    for i, name in enumerate(rows):
        for text in root.findall(f".//g[@id='row-{i}']/text"):
            text.text = shorten(name, _ROW)
    for element in root.iter():
        element.text = (element.text or "").strip() or None
        element.tail = None
        attributes = {_local(k): v for k, v in element.attrib.items()}
        element.attrib.clear()
        for name, value in attributes.items():
            if name == "id":
                if value in wanted:
                    element.set(name, f"{_KEY}{value}")
            elif name == "href":
                element.set(name, f"#{_KEY}{value.removeprefix('#')}")
            elif name == "style":
                element.set(name, _style(value))
            elif name in ("d", "x", "y"):
                shorter = _FINE.sub(lambda number: f"{float(number[0]):.2f}", value)
                element.set(name, " ".join(shorter.split()))
            elif not (name == "transform" and value.startswith("rotate(-0 ")):
                element.set(name, _REFERENCE.sub(rf"url(#{_KEY}\1)", value))
    for name in ("version", "width", "height"):
        root.attrib.pop(name, None)
    title = ET.Element("title", {"id": f"{_KEY}title"})
    title.text = alt
    root.insert(0, title)
    root.set("role", "img")
    root.set("aria-labelledby", f"{_KEY}title")
    return ET.tostring(root, encoding="unicode")


def _local(name: str) -> str:
    return name.rsplit("}", 1)[-1]


def _style(style: str) -> str:
    """A style with colours left to CSS and, of the font, only its size kept."""
    for colour, css in _CSS.items():
        style = style.replace(colour, css)
    size = re.search(r"font-size:\s*([\d.]+px)|font:\s*([\d.]+px)", style)
    kept = [part.strip() for part in _FONT.sub("", style).split(";") if part.strip()]
    if size:
        kept.append(f"font-size: {size[1] or size[2]}")
    return "; ".join(kept)
