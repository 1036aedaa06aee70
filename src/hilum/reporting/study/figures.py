"""The pictures of a study's page, as inline SVG: differences, runs, and curves over runs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from matplotlib.axes import Axes

from hilum.records import Estimate
from hilum.reporting.figures.charts import _FAINT, _INK, _SERIES, _svg, shorten
from hilum.studies.results import StudyResult, VariantResult

#: Letters of a name in a picture's words, and beside a value in the picture.
_LONGEST: Final = 60
_BESIDE: Final = 31


@dataclass(frozen=True, slots=True)
class Difference:
    """A row of the forest plot. estimate: of the difference; text: the same, without its unit.

    shown: whether the data show that there is a difference: a full point, otherwise a hollow one.
    """

    name: str
    estimate: Estimate
    text: str
    shown: bool


@dataclass(frozen=True, slots=True)
class Runs:
    """A row of a chart of runs: what each run gave, and their mean with its interval, if any."""

    name: str
    runs: tuple[Estimate, ...]
    mean: Estimate | None = None


@dataclass(frozen=True, slots=True)
class Band:
    """A line over epochs with a band: (E,) means over runs, and the lowest and highest run."""

    name: str
    epochs: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def forest_plot(
    rows: Sequence[Difference], *, quantity: str, scale: float, key: str, alt: str
) -> str:
    """A difference with its 95 % interval per row, about the line of no difference.

    quantity: the label of the axis. scale: what values are multiplied by, as 100 for points.
    Rows without a value keep their name and their words. key: a prefix, unique in the page, of
    the ids in the SVG. alt: what the picture is; the rows are added to it in words.
    """
    ends = [
        abs(scale * end)
        for row in rows
        for end in (row.estimate.value, row.estimate.low, row.estimate.high)
        if end is not None
    ]
    reach = 1.08 * max([*ends, 0.01 * scale])

    def draw(axes: Axes) -> None:
        axes.axvline(0, color=_INK, linewidth=1)
        for y, row in enumerate(rows):
            colour, estimate = _SERIES[1 if row.shown else 0], row.estimate
            if estimate.low is not None and estimate.high is not None:
                low, high = scale * estimate.low, scale * estimate.high
                axes.plot([low, high], [y, y], color=colour, linewidth=2.2)
                for end in (low, high):
                    axes.plot([end, end], [y - 0.12, y + 0.12], color=colour, linewidth=1.6)
            if estimate.value is not None:
                fill = colour if row.shown else "#ffffff00"
                axes.plot([scale * estimate.value], [y], "o", mec=colour, mfc=fill, markersize=7.5)
            _name(axes, y, -reach, y - 0.26)
            _words(axes, reach, y - 0.26, row.text)
        axes.set_yticks([])
        axes.set_ylim(len(rows) - 0.6, -0.72)
        axes.set_xlim(-reach, reach)
        axes.set_xlabel(quantity)
        axes.grid(axis="x", color=_FAINT, linewidth=0.8)

    words = [f"{_in_words(row.name)}: {row.text}." for row in rows]
    size = (4.3, 0.6 + 0.52 * len(rows))
    names = [shorten(row.name, _BESIDE) for row in rows]  # the value stands at its right
    return _svg(draw, size, key=key, alt=" ".join([alt, *words]), rows=names)


def runs_chart(
    rows: Sequence[Runs], *, quantity: str, intervals: bool = False, key: str, alt: str
) -> str:
    """What every run gave, a row per variant on one scale, in the order given.

    Dots are runs; a diamond on a thick line is their mean with its 95 % interval. intervals: each
    run has its own, drawn as a thin line. quantity, key, alt: as in forest_plot. Values lie in
    [0, 1]; the axis shows the part of it that they take.
    """
    found = [e for row in rows for e in (*row.runs, row.mean) if e and e.value is not None]
    values = [v for e in found for v in (e.value, e.low, e.high) if v is not None]
    low = max(0.0, int(10 * min(values, default=0.0) - 0.2) / 10)
    high = min(1.0, int(10 * max(values, default=1.0) + 1.2) / 10)
    step = 0.16 if intervals else 0.0
    heights = [max(1.0, 0.5 + step * len(row.runs)) for row in rows]
    tops = [sum(heights[:i]) for i in range(len(rows) + 1)]

    def draw(axes: Axes) -> None:
        for i, row in enumerate(rows):
            middle = tops[i] + 0.62
            for j, run in enumerate(row.runs):
                y = tops[i] + 0.42 + step * j if intervals else middle
                if run.low is not None and run.high is not None and intervals:
                    axes.plot([run.low, run.high], [y, y], color=_SERIES[0], linewidth=1)
                if run.value is not None:
                    size = 4.5 if intervals else 5.5
                    axes.plot([run.value], [y], "o", color=_SERIES[0], markersize=size, alpha=0.75)
            if row.mean and row.mean.value is not None:
                y = middle + 0.2
                if row.mean.low is not None and row.mean.high is not None:
                    axes.plot([row.mean.low, row.mean.high], [y, y], color=_SERIES[1], linewidth=2)
                axes.plot([row.mean.value], [y], "D", color=_SERIES[1], markersize=5.5)
            _name(axes, i, low, tops[i] + 0.32)
            if row.mean:
                _words(axes, high, tops[i] + 0.32, row.mean.in_words())
        axes.set_yticks([])
        axes.set_ylim(tops[-1] + 0.05, -0.05)
        axes.set_xlim(low, high)
        axes.set_xlabel(quantity)
        axes.grid(axis="x", color=_FAINT, linewidth=0.8)

    words = [_describe(row, intervals=intervals) for row in rows]
    names = [shorten(row.name, _BESIDE) for row in rows]
    size = (4.3, 0.55 + 0.52 * tops[-1])
    return _svg(draw, size, key=key, alt=" ".join([alt, *words]), rows=names)


def band_curves(
    bands: Sequence[Band], *, quantity: str, ylim: tuple[float, float], key: str, alt: str
) -> str:
    """Learning curves: the mean over runs as a line, lowest to highest run as a band about it.

    ylim: the range of the vertical axis, given so that charts side by side share one scale.
    """

    def draw(axes: Axes) -> None:
        last = 1
        for i, band in enumerate(bands):
            first = i == 0 and len(bands) > 1
            colour = _SERIES[i % len(_SERIES)]
            axes.fill_between(band.epochs, band.low, band.high, color=colour, alpha=0.2, lw=0)
            axes.plot(
                band.epochs,
                band.mean,
                color=colour,
                linestyle=(0, (4, 2)) if first else "-",
                marker="s" if first else "o",
                markersize=3.4,
                linewidth=1.7,
            )
            last = max(last, *band.epochs)
        axes.set_xlim(0.8, max(last, 2) + 0.2)
        axes.set_ylim(*ylim)
        axes.set_xticks(sorted({1, *range(max(1, round(last / 8)), last + 1, max(1, last // 8))}))
        axes.set_xlabel("epoch")
        axes.set_ylabel(quantity)
        axes.grid(axis="y", color=_FAINT, linewidth=0.8)

    words = [
        f"{band.name} from {band.mean[0]:.3f} to {band.mean[-1]:.3f}, in the last epoch between "
        f"{band.low[-1]:.3f} and {band.high[-1]:.3f}."
        for band in bands
    ]
    return _svg(draw, (4.3, 2.5), key=key, alt=" ".join([alt, *words]))


def _name(axes: Axes, row: int, x: float, y: float) -> None:
    """A stand-in for a name, which may hold what matplotlib takes for mathematics; see figures."""
    text = axes.text(x, y, "n", ha="left", va="bottom", color=_INK)
    text.set_gid(f"row-{row}")
    text.set_in_layout(False)


def _words(axes: Axes, x: float, y: float, text: str) -> None:
    axes.text(x, y, text, ha="right", va="bottom", color=_INK)


def _in_words(name: str) -> str:
    return shorten(name, _LONGEST)


def _describe(row: Runs, *, intervals: bool) -> str:
    runs = ", ".join(
        run.in_words() if intervals else "undefined" if run.value is None else f"{run.value:.3f}"
        for run in row.runs
    )
    mean = f", mean {row.mean.in_words()}" if row.mean else ""
    return f"{_in_words(row.name)}: runs {runs or 'none'}{mean}."


#: Two lines a chart: (name in history.jsonl, what the page calls it).
_LINES = (("train", "train"), ("monitor", "watched"))


@dataclass(frozen=True, slots=True)
class StudyCurves:
    """By variant its decisions, each {"name", "charts"}, charts being [(what, SVG)].

    cut: the loss above which the charts show nothing, None where all of it is shown.
    """

    variants: dict[str, list[dict[str, Any]]]
    cut: float | None


def draw_study_curves(result: StudyResult) -> StudyCurves:
    """Charts of loss and accuracy, on scales that all of them share."""
    keys = count()
    bands = {name: _bands(variant) for name, variant in result.variants.items()}
    every = [b for decisions in bands.values() for lines in decisions.values() for b in lines]
    losses = [v for what, band in every if what == "loss" for v in band.high]
    shares = [v for what, band in every if what == "accuracy" for v in band.low]
    # One wild run would flatten all the others.
    highest = max(losses, default=0.0)
    top = min(highest, 4 * _median(losses)) or 1.0
    scales = {
        "loss": (0.0, 1.06 * top),
        "accuracy": (max(0.0, int(10 * min(shares, default=0.0) - 0.5) / 10), 1.0),
    }
    found: dict[str, list[dict[str, Any]]] = {}
    for name, decisions in bands.items():
        found[name] = []
        for decision, lines in decisions.items():
            charts = []
            for what, scale in scales.items():
                drawn = [band for kind, band in lines if kind == what]
                if drawn:
                    runs = len(result.variants[name].runs)
                    alt = (
                        f"{what.capitalize()} of {shorten(name, 60)}, decision {decision}, over "
                        f"epochs, mean over {runs} run{'s' * (runs != 1)}:"
                    )
                    key = f"curve{next(keys)}"
                    svg = band_curves(drawn, quantity=what, ylim=scale, key=key, alt=alt)
                    charts.append((what, svg))
            found[name].append({"name": decision, "charts": charts})
    return StudyCurves(found, top if highest > 1.06 * top else None)


def _bands(variant: VariantResult) -> dict[str, list[tuple[str, Band]]]:
    """By decision, what its runs recorded: ('loss' or 'accuracy', band)."""
    by_decision: dict[str, list[Mapping[str, Any]]] = {}
    for run in variant.runs:
        for row in run.history:
            by_decision.setdefault(row["decision"], []).append(row)
    return {
        decision: [
            (what, band)
            for what in ("loss", "accuracy")
            for prefix, name in _LINES
            if (band := _band(rows, f"{prefix}_{what}", name))
        ]
        for decision, rows in by_decision.items()
    }


def _band(rows: Sequence[Mapping[str, Any]], key: str, name: str) -> Band | None:
    values: dict[int, list[float]] = {}
    for row in rows:
        value = row.get(key)
        if value is not None and math.isfinite(value):
            values.setdefault(row["epoch"], []).append(value)
    if not values:
        return None
    epochs = tuple(sorted(values))
    return Band(
        name,
        epochs,
        mean=tuple(sum(values[e]) / len(values[e]) for e in epochs),
        low=tuple(min(values[e]) for e in epochs),
        high=tuple(max(values[e]) for e in epochs),
    )


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2] if values else 0.0
