"""The charts that every page may hold, as inline SVG, and radiographs as data URIs."""

import io
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from PIL import Image

from hilum.display import data_uri
from hilum.records import Estimate, PixelArray
from hilum.reporting.svg import (
    INK,
    SERIES,
    UNIT_TICKS,
    draw_interval,
    draw_svg,
    lay_lines,
    lay_rows,
    shorten,
)

#: What learning curves show, a chart for each.
QUANTITIES = ("loss", "accuracy")


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a learning curve.

    name: what it is, such as 'train'. epochs: (E,) epoch numbers. values: (E,) what was measured,
    or means over runs. low, high: (E,) the lowest and the highest run, for a band; or nothing.
    """

    name: str
    epochs: tuple[int, ...]
    values: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


#: The lines of each of QUANTITIES, and the ranges of their axes.
Curves = Mapping[str, Sequence[Series]]
Scales = Mapping[str, tuple[float, float]]


def make_series(
    rows: Iterable[Mapping[str, Any]], watched: str, *, band: bool = False
) -> dict[str, list[Series]]:
    """'train' and, under the name watched, what was monitored, as far as numbers are recorded.

    rows: lines of a history.jsonl, of several runs where band.
    """
    values: dict[str, dict[int, list[float]]] = {}
    for row in rows:
        for key in (f"{who}_{what}" for what in QUANTITIES for who in ("train", "monitor")):
            value = row.get(key)
            if value is not None and math.isfinite(value):
                values.setdefault(key, {}).setdefault(row["epoch"], []).append(value)
    series: dict[str, list[Series]] = {what: [] for what in QUANTITIES}
    for key, found in sorted(values.items(), reverse=True):  # train before monitor
        who, what = key.split("_")
        each = [found[epoch] for epoch in sorted(found)]
        low, high = (tuple(map(end, each)) if band else () for end in (min, max))
        means = tuple(sum(runs) / len(runs) for runs in each)
        name = watched if who == "monitor" else who
        series[what].append(Series(name, tuple(sorted(found)), means, low, high))
    return series


def curve_scales(every: Collection[Curves], most: float = math.inf) -> Scales:
    """The axes that learning curves side by side share. most: the loss that need be seen."""
    losses = [v for drawn in every for s in drawn["loss"] for v in s.high or s.values]
    shares = [v for drawn in every for s in drawn["accuracy"] for v in s.low or s.values]
    top = min(max(losses, default=1.0), most) or 1.0
    floor = max(0.0, int(10 * min(shares, default=0.0) - 0.5) / 10)
    return {"loss": (0.0, 1.06 * top), "accuracy": (floor, 1.0)}


def learning_curves(drawn: Curves, scales: Scales, of: str) -> list[str]:
    """A chart for each of QUANTITIES that has lines, on the scales of curve_scales.

    of: whose; the pictures' words begin with the quantity and this.
    """
    return [
        learning_curve(series, quantity=what, ylim=scales[what], of=of)
        for what, series in drawn.items()
        if series
    ]


def learning_curve(
    series: Sequence[Series], *, quantity: str, ylim: tuple[float, float], of: str
) -> str:
    """A line per series over epochs, as inline SVG.

    quantity: the label of the vertical axis. ylim: its range. of: whose loss or accuracy; the
    picture's words begin with both.
    """

    def draw(axes: Axes) -> None:
        last = max(1, *(epoch for line in series for epoch in line.epochs))
        for i, line in enumerate(series):
            solid = i > 0 or len(series) == 1
            colour = SERIES[i % len(SERIES)]
            if line.low:
                axes.fill_between(line.epochs, line.low, line.high, color=colour, alpha=0.2, lw=0)
            # Told apart by dashes and markers too, for print and for the colour-blind.
            axes.plot(
                line.epochs, line.values, color=colour, linestyle="-" if solid else (0, (4, 2)),
                marker="o" if solid else "s", markersize=3.6, linewidth=1.7,
                clip_on=bool(line.low),
            )  # fmt: skip
        axes.set_xlim(0.8, max(last, 2) + 0.2)
        axes.set_ylim(*ylim)
        step = max(1, round(last / 8))
        axes.set_xticks(sorted({1, *range(step, last + 1, step)}))
        lay_lines(axes, "epoch", quantity)

    words = []
    for line in series:
        words.append(f"{line.name} from {line.values[0]:.3f} to {line.values[-1]:.3f}")
        if line.low:
            words[-1] += f", in the last epoch between {line.low[-1]:.3f} and {line.high[-1]:.3f}"
    return draw_svg(draw, (4.3, 2.5), alt=f"{quantity.capitalize()} of {of}: {'; '.join(words)}.")


def class_bars(
    classes: Sequence[str],
    splits: Sequence[tuple[str, Sequence[int]]],
    *,
    title: str,
    totals: Sequence[int] = (),
) -> str:
    """Grouped horizontal bars: how many images each class has in each split, as inline SVG.

    classes: names. splits: (name, counts per class). title: begins the picture's words. Beside
    each bar stand the count and its share of the split. totals: of the splits, where the classes
    do not exclude each other.
    """
    height = 0.66 / max(len(splits), 1)
    most = max((count for _, counts in splits for count in counts), default=0) or 1

    def draw(axes: Axes) -> None:
        for s, (_, counts) in enumerate(splits):
            total = totals[s] if totals else sum(counts)
            for c, count in enumerate(counts):
                share = f" ({100 * count / total:.0f} %)" if total else ""
                y = c - 0.24 + (s + 0.5) * height
                axes.barh(y, count, height=height * 0.86, color=SERIES[s % len(SERIES)])
                axes.text(
                    count + 0.012 * most, y, f"{count:,}{share}", va="center", ha="left",
                    color=INK, fontsize=8.5,
                )  # fmt: skip
        axes.xaxis.set_major_formatter("{x:,.7g}")
        lay_rows(
            axes, [c - 0.27 for c in range(len(classes))], (len(classes) - 0.5, -0.6),
            (0, 1.25 * most), "images",
        )  # fmt: skip

    rows = len(classes) * (0.22 * len(splits) + 0.28)
    names = [shorten(name, 60) for name in classes]
    words = (
        f"{split}: " + ", ".join(f"{name} {n:,}" for name, n in zip(names, counts, strict=True))
        for split, counts in splits
    )
    alt = f"{title}. {'; '.join(words)}."
    return draw_svg(draw, (4.3, 0.6 + rows), alt=alt, rows=classes)


def interval_chart(rows: Mapping[str, Estimate], *, quantity: str, alt: str) -> str:
    """A point with its 95 % interval per row, on one scale from 0 to 1, as inline SVG.

    An estimate without an interval is a hollow point, and what is undefined has no row.
    """
    drawn = {name: (row, row.value) for name, row in rows.items() if row.value is not None}

    def draw(axes: Axes) -> None:
        for y, (row, value) in enumerate(drawn.values()):
            draw_interval(axes, (row.low, row.high), y, SERIES[0], cap=0.13)
            fill = "none" if row.low is None else SERIES[0]
            axes.plot([value], [y], "o", mec=SERIES[0], mfc=fill, markersize=7)
        lay_rows(
            axes, [y - 0.24 for y in range(len(drawn))], (len(drawn) - 0.65, -0.85), (0, 1),
            quantity, [f"{value:.3f}" for _, value in drawn.values()], UNIT_TICKS,
        )  # fmt: skip

    return draw_svg(draw, (4.3, 0.55 + 0.46 * len(drawn)), alt=alt, rows=list(drawn))


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
    return _encode(image, "JPEG", quality=quality, optimize=True)


def picture_uri(png: bytes) -> str:
    """A PNG as a WebP data URI, at a fraction of its size; for looking, not for measuring.

    Heat maps stay readable at a fifth of the size.
    """
    with Image.open(io.BytesIO(png)) as image:
        return _encode(image.convert("RGB"), "WEBP", quality=72, method=4)


def _encode(image: Image.Image, kind: str, **options: int) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return data_uri(f"image/{kind.lower()}", buffer.getvalue())
