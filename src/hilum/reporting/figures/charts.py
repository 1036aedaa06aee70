"""The pictures of a report, as text that stands inside one HTML file.

Line and bar charts are inline SVG whose colours are CSS (``currentColor`` and ``var(--…)``), so
that one picture is readable in light, in dark and in print. Radiographs are JPEG data URIs.
Nothing here touches pyplot or its global state.
"""

import base64
import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from hilum.records import PixelArray

#: Colours that matplotlib draws with, and the CSS that takes their place. They are chosen only
#: to be recognised again in the SVG.
_INK: Final = "#010203"
_FAINT: Final = "#040506"
_SERIES: Final = ("#0a0b01", "#0a0b02", "#0a0b03", "#0a0b04")
_CSS: Final = {
    _INK: "currentColor",
    _FAINT: "var(--rule)",
    **{colour: f"var(--series-{i + 1})" for i, colour in enumerate(_SERIES)},
}

#: What matplotlib must do for the SVG to be small, reproducible and made of real text.
_RC: Final = {
    "svg.fonttype": "none",
    "svg.hashsalt": "hilum",
    "axes.unicode_minus": True,
    "font.size": 9.5,
    "font.family": ["DejaVu Sans"],
}

#: How many letters the name of a row may take.
_ROW: Final = 42

_REFERENCE = re.compile(r"url\(#([^)]+)\)")
#: A number with more decimals than a screen can show, in units of 1/72 inch.
_FINE = re.compile(r"-?\d+\.\d{3,}")
_FONT = re.compile(r"\bfont(-family|-size)?:[^;]*(;|$)")


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a learning curve.

    name: what it is, such as 'train'. epochs: (E,) epoch numbers. values: (E,) what was measured.
    """

    name: str
    epochs: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Interval:
    """One row of an interval chart: an estimate and the bounds of its 95 % interval."""

    name: str
    value: float
    low: float | None
    high: float | None


def learning_curve(
    series: Sequence[Series], *, quantity: str, ylim: tuple[float, float], key: str, alt: str
) -> str:
    """A line per series over epochs, as inline SVG.

    quantity: the label of the vertical axis, with its unit where it has one. ylim: its range,
    given by the caller so that charts side by side share one scale. key: a prefix, unique in the
    page, of the ids in the SVG. alt: the picture in words.
    """

    def draw(axes: Axes) -> None:
        last = 1
        for i, line in enumerate(series):
            solid = i > 0 or len(series) == 1
            axes.plot(
                line.epochs,
                line.values,
                color=_SERIES[i % len(_SERIES)],
                # Told apart by dashes and markers too, for print and for the colour-blind.
                linestyle="-" if solid else (0, (4, 2)),
                marker="o" if solid else "s",
                markersize=3.6,
                linewidth=1.7,
                clip_on=False,
            )
            last = max(last, *line.epochs)
        axes.set_xlim(0.8, max(last, 2) + 0.2)
        axes.set_ylim(*ylim)
        step = max(1, round(last / 8))
        axes.set_xticks(sorted({1, *range(step, last + 1, step)}))
        axes.set_xlabel("epoch")
        axes.set_ylabel(quantity)
        axes.grid(axis="y", color=_FAINT, linewidth=0.8)

    return _svg(draw, (4.3, 2.5), key=key, alt=alt)


def class_bars(
    classes: Sequence[str], splits: Sequence[tuple[str, Sequence[int]]], *, key: str, alt: str
) -> str:
    """Grouped horizontal bars: the share of each class in each split, as inline SVG.

    classes: names. splits: (name, counts per class). Bars show shares of the split, because
    splits differ too much in size for counts to be compared; the counts stand beside the bars.
    """
    height = 0.66 / max(len(splits), 1)

    def draw(axes: Axes) -> None:
        for s, (_, counts) in enumerate(splits):
            total = sum(counts)
            for c, count in enumerate(counts):
                share = 100 * count / total if total else 0.0
                y = c - 0.24 + (s + 0.5) * height
                axes.barh(y, share, height=height * 0.86, color=_SERIES[s % len(_SERIES)])
                axes.text(
                    share + 1.2, y, f"{count:,}", va="center", ha="left", color=_INK, fontsize=8.5
                )
        for c in range(len(classes)):
            _name_row(axes, c, c - 0.27)
        axes.set_yticks([])
        axes.set_ylim(len(classes) - 0.5, -0.6)
        axes.set_xlim(0, 100)
        axes.set_xlabel("share of the split, %")
        axes.grid(axis="x", color=_FAINT, linewidth=0.8)

    rows = len(classes) * (0.22 * len(splits) + 0.28)
    return _svg(draw, (4.3, 0.6 + rows), key=key, alt=alt, rows=classes)


def interval_chart(intervals: Sequence[Interval], *, quantity: str, key: str, alt: str) -> str:
    """A point with its 95 % interval per row, on one scale from 0 to 1, as inline SVG.

    An estimate without an interval is a hollow point.
    """
    names = [row.name for row in intervals]

    def draw(axes: Axes) -> None:
        for y, row in enumerate(intervals):
            colour = _SERIES[0]
            if row.low is not None and row.high is not None:
                axes.plot([row.low, row.high], [y, y], color=colour, linewidth=2.2)
                for end in (row.low, row.high):
                    axes.plot([end, end], [y - 0.13, y + 0.13], color=colour, linewidth=1.6)
                axes.plot([row.value], [y], "o", color=colour, markersize=7)
            else:
                axes.plot([row.value], [y], "o", mec=colour, mfc="none", markersize=7)
            _name_row(axes, y, y - 0.24)
            axes.text(1, y - 0.24, f"{row.value:.3f}", ha="right", va="bottom", color=_INK)
        axes.set_yticks([])
        axes.set_ylim(len(intervals) - 0.65, -0.85)
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1], ["0", "0.2", "0.4", "0.6", "0.8", "1"])
        axes.set_xlabel(quantity)
        axes.grid(axis="x", color=_FAINT, linewidth=0.8)

    size = (4.3, 0.55 + 0.46 * len(intervals))
    return _svg(draw, size, key=key, alt=alt, rows=names)


def radiograph_uri(pixels: PixelArray, *, longest: int = 224, quality: int = 82) -> str:
    """A radiograph as a JPEG data URI, made smaller where it is larger than `longest` pixels.

    pixels: (H, W) uint8, shown with its aspect ratio. JPEG, because a hundred radiographs as PNG
    would not fit in the two megabytes that a report may take; it is for looking, not for measuring.
    Raises ValueError if pixels have another shape or type.
    """
    if pixels.ndim != 2 or pixels.dtype != np.uint8 or pixels.size == 0:
        raise ValueError(
            f"A radiograph is (H, W) uint8 pixels; found {pixels.shape} {pixels.dtype}."
        )
    image = Image.fromarray(pixels)
    image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=quality, optimize=True)
    return data_uri("image/jpeg", buffer.getvalue())


def data_uri(kind: str, data: bytes) -> str:
    """A picture as it stands in a page. kind: its media type, such as 'image/webp'."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def shorten(text: str, length: int) -> str:
    """The text, its middle left out where it is longer than length, so that both ends are seen.

    What cannot be printed (and could not stand in XML) becomes the replacement character.
    """
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    if len(text) <= length:
        return text
    tail = (length - 1) // 2
    return f"{text[: length - 1 - tail]}…{text[len(text) - tail :]}"


# ---- SVG -----------------------------------------------------------------------------------


def _name_row(axes: Axes, row: int, y: float) -> None:
    """Hold a place for the name of a row, above y at the left.

    Names come from folders: they may hold '$' (mathematics to matplotlib) or letters that its
    font lacks. So it draws a stand-in, and _inline puts the name in.
    """
    text = axes.text(0, y, "n", ha="left", va="bottom", color=_INK)
    text.set_gid(f"row-{row}")
    text.set_in_layout(False)


def _svg(
    draw: Callable[[Axes], None],
    size_inches: tuple[float, float],
    *,
    key: str,
    alt: str,
    rows: Sequence[str] = (),
) -> str:
    with matplotlib.rc_context(_RC):  # type: ignore[arg-type]
        figure = Figure(figsize=size_inches, layout="constrained")
        axes = figure.add_subplot()
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        for side in ("left", "bottom"):
            axes.spines[side].set_color(_FAINT)
        axes.tick_params(labelcolor=_INK, color=_FAINT)
        axes.xaxis.label.set_color(_INK)
        axes.yaxis.label.set_color(_INK)
        axes.set_axisbelow(True)
        draw(axes)
        buffer = io.StringIO()
        nothing = {"Creator": None, "Date": None, "Format": None, "Type": None}
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    return _inline(buffer.getvalue(), key=key, alt=alt, rows=rows)


def _inline(document: str, *, key: str, alt: str, rows: Sequence[str]) -> str:
    """Make matplotlib's SVG document fit to stand in a page.

    No namespaces and no addresses, only the ids that are needed and those unique in the page,
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
                    element.set(name, f"{key}-{value}")
            elif name == "href":
                element.set(name, f"#{key}-{value.removeprefix('#')}")
            elif name == "style":
                element.set(name, _style(value))
            elif name in ("d", "x", "y"):
                shorter = _FINE.sub(lambda number: f"{float(number[0]):.2f}", value)
                element.set(name, " ".join(shorter.split()))
            elif not (name == "transform" and value.startswith("rotate(-0 ")):
                element.set(name, _REFERENCE.sub(rf"url(#{key}-\1)", value))
    for name in ("version", "width", "height"):
        root.attrib.pop(name, None)
    title = ET.Element("title", {"id": f"{key}-title"})
    title.text = alt
    root.insert(0, title)
    root.set("role", "img")
    root.set("aria-labelledby", f"{key}-title")
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
