"""The charts that every page may hold, as inline SVG, and radiographs as data URIs."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from PIL import Image

from hilum.records import Estimate, PixelArray
from hilum.reporting.svg import (
    INK,
    SERIES,
    UNIT_TICKS,
    draw_interval,
    draw_svg,
    lay_lines,
    lay_rows,
    name_row,
)


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

    @property
    def words(self) -> str:
        """Where it begins and ends: 'train from 0.700 to 0.400'."""
        text = f"{self.name} from {self.values[0]:.3f} to {self.values[-1]:.3f}"
        if self.low:
            text += f", in the last epoch between {self.low[-1]:.3f} and {self.high[-1]:.3f}"
        return text


def curve_scales(
    losses: Sequence[float], shares: Sequence[float], most: float = np.inf
) -> dict[str, tuple[float, float]]:
    """The axes that learning curves side by side share: of 'loss' and of 'accuracy'.

    most: the loss above which nothing need be seen.
    """
    top = min(max(losses, default=1.0), most) or 1.0
    floor = max(0.0, int(10 * min(shares, default=0.0) - 0.5) / 10)
    return {"loss": (0.0, 1.06 * top), "accuracy": (floor, 1.0)}


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
            colour = SERIES[i % len(SERIES)]
            if line.low:
                axes.fill_between(line.epochs, line.low, line.high, color=colour, alpha=0.2, lw=0)
            axes.plot(
                line.epochs,
                line.values,
                color=colour,
                # Told apart by dashes and markers too, for print and for the colour-blind.
                linestyle="-" if solid else (0, (4, 2)),
                marker="o" if solid else "s",
                markersize=3.6,
                linewidth=1.7,
                clip_on=bool(line.low),
            )
            last = max(last, *line.epochs)
        axes.set_xlim(0.8, max(last, 2) + 0.2)
        axes.set_ylim(*ylim)
        step = max(1, round(last / 8))
        axes.set_xticks(sorted({1, *range(step, last + 1, step)}))
        lay_lines(axes, "epoch", quantity)

    return draw_svg(draw, (4.3, 2.5), key=key, alt=alt)


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
                axes.barh(y, share, height=height * 0.86, color=SERIES[s % len(SERIES)])
                axes.text(
                    share + 1.2, y, f"{count:,}", va="center", ha="left", color=INK, fontsize=8.5
                )
        for c in range(len(classes)):
            name_row(axes, c, c - 0.27)
        lay_rows(axes, len(classes) - 0.5, -0.6, (0, 100), "share of the split, %")

    rows = len(classes) * (0.22 * len(splits) + 0.28)
    return draw_svg(draw, (4.3, 0.6 + rows), key=key, alt=alt, rows=classes)


def describe_counts(classes: Sequence[str], splits: Sequence[tuple[str, Sequence[int]]]) -> str:
    """What class_bars draws in words: 'train: a 1,341, b 80; val: a 8, b 9.'"""
    rows = (
        f"{split}: " + ", ".join(f"{name} {n:,}" for name, n in zip(classes, counts, strict=True))
        for split, counts in splits
    )
    return f"{'; '.join(rows)}."


def interval_chart(rows: Mapping[str, Estimate], *, quantity: str, key: str, alt: str) -> str:
    """A point with its 95 % interval per row, on one scale from 0 to 1, as inline SVG.

    An estimate without an interval is a hollow point, and what is undefined has no row.
    """
    drawn = {name: (row, row.value) for name, row in rows.items() if row.value is not None}

    def draw(axes: Axes) -> None:
        for y, (row, value) in enumerate(drawn.values()):
            draw_interval(axes, (row.low, row.high), y, SERIES[0], cap=0.13)
            fill = "none" if row.low is None else SERIES[0]
            axes.plot([value], [y], "o", mec=SERIES[0], mfc=fill, markersize=7)
            name_row(axes, y, y - 0.24)
            axes.text(1, y - 0.24, f"{value:.3f}", ha="right", va="bottom", color=INK)
        lay_rows(axes, len(drawn) - 0.65, -0.85, (0, 1), quantity)
        axes.set_xticks(*UNIT_TICKS)

    return draw_svg(draw, (4.3, 0.55 + 0.46 * len(drawn)), key=key, alt=alt, rows=list(drawn))


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


def data_uri(kind: str, data: bytes) -> str:
    """A picture as it stands in a page. kind: its media type, such as 'image/webp'."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _encode(image: Image.Image, kind: str, **options: int) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return data_uri(f"image/{kind.lower()}", buffer.getvalue())
