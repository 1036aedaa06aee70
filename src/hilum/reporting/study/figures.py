"""The pictures of a study's page, as inline SVG: differences, runs, and curves over runs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_high
from typing import Final

from matplotlib.axes import Axes

from hilum.records import Estimate
from hilum.reporting.charts import Curves, curve_scales, learning_curves, make_series
from hilum.reporting.svg import INK, SERIES, draw_interval, draw_svg, lay_rows, shorten
from hilum.studies.results import StudyResult

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


def forest_plot(rows: Sequence[Difference], *, quantity: str, scale: float, alt: str) -> str:
    """A difference with its 95 % interval per row, about the line of no difference.

    quantity: the label of the axis. scale: what values are multiplied by, as 100 for points.
    Rows without a value keep their name and their words. alt: what the picture is; the rows are
    added to it in words.
    """
    values = [[None if end is None else scale * end for end in _ends(row.estimate)] for row in rows]
    ends = [abs(end) for row in values for end in row if end is not None]
    reach = 1.08 * max([*ends, 0.01 * scale])

    def draw(axes: Axes) -> None:
        axes.axvline(0, color=INK, linewidth=1)
        for y, (row, (value, low, high)) in enumerate(zip(rows, values, strict=True)):
            colour = SERIES[1 if row.shown else 0]
            draw_interval(axes, (low, high), y, colour)
            if value is not None:
                fill = colour if row.shown else "#ffffff00"
                axes.plot([value], [y], "o", mec=colour, mfc=fill, markersize=7.5)
        lay_rows(
            axes, [y - 0.26 for y in range(len(rows))], (len(rows) - 0.6, -0.72), (-reach, reach),
            quantity, [row.text for row in rows],
        )  # fmt: skip

    words = [f"{shorten(row.name, _LONGEST)}: {row.text}." for row in rows]
    size = (4.3, 0.6 + 0.52 * len(rows))
    names = [shorten(row.name, _BESIDE) for row in rows]  # the value stands at its right
    return draw_svg(draw, size, alt=" ".join([alt, *words]), rows=names)


def runs_chart(rows: Sequence[Runs], *, quantity: str, intervals: bool = False, alt: str) -> str:
    """What every run gave, a row per variant on one scale, in the order given.

    Dots are runs; a diamond on a thick line is their mean with its 95 % interval. intervals: each
    run has its own, drawn as a thin line. quantity, alt: as in forest_plot. Values lie in
    [0, 1]; the axis shows the part of it that they take.
    """
    found = [e for row in rows for e in (*row.runs, row.mean) if e and e.value is not None]
    values = [v for e in found for v in _ends(e) if v is not None]
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
                if intervals:
                    draw_interval(axes, (run.low, run.high), y, SERIES[0], width=1, cap=0)
                if run.value is not None:
                    size = 4.5 if intervals else 5.5
                    axes.plot([run.value], [y], "o", color=SERIES[0], markersize=size, alpha=0.75)
            if row.mean and row.mean.value is not None:
                y = middle + 0.2
                draw_interval(axes, (row.mean.low, row.mean.high), y, SERIES[1], width=2, cap=0)
                axes.plot([row.mean.value], [y], "D", color=SERIES[1], markersize=5.5)
        lay_rows(
            axes, [top + 0.32 for top in tops[:-1]], (tops[-1] + 0.05, -0.05), (low, high),
            quantity, [row.mean.in_words() if row.mean else "" for row in rows],
        )  # fmt: skip

    words = [_describe(row, intervals=intervals) for row in rows]
    names = [shorten(row.name, _BESIDE) for row in rows]
    size = (4.3, 0.55 + 0.52 * tops[-1])
    return draw_svg(draw, size, alt=" ".join([alt, *words]), rows=names)


def _ends(estimate: Estimate) -> tuple[float | None, ...]:
    return estimate.value, estimate.low, estimate.high


def _describe(row: Runs, *, intervals: bool) -> str:
    runs = ", ".join(
        run.in_words() if intervals else "undefined" if run.value is None else f"{run.value:.3f}"
        for run in row.runs
    )
    mean = f", mean {row.mean.in_words()}" if row.mean else ""
    return f"{shorten(row.name, _LONGEST)}: runs {runs or 'none'}{mean}."


@dataclass(frozen=True, slots=True)
class StudyCurves:
    """By variant and decision the charts of its learning curves, as inline SVG.

    cut: the loss above which the charts show nothing, None where all of it is shown.
    """

    variants: dict[str, dict[str, list[str]]]
    cut: float | None


def draw_study_curves(result: StudyResult) -> StudyCurves:
    """Charts of loss and accuracy, on scales that all of them share."""
    bands: dict[tuple[str, str], Curves] = {}
    for name, variant in result.variants.items():
        rows = [row for run in variant.runs for row in run.history]
        for decision in dict.fromkeys(row["decision"] for row in rows):
            mine = (row for row in rows if row["decision"] == decision)
            bands[name, decision] = make_series(mine, "watched", band=True)
    losses = [v for drawn in bands.values() for series in drawn["loss"] for v in series.high]
    # One wild run would flatten all the others.
    most = 4 * median_high(losses) if losses else math.inf
    scales = curve_scales(bands.values(), most)
    found: dict[str, dict[str, list[str]]] = {name: {} for name in result.variants}
    for (name, decision), drawn in bands.items():
        runs = len(result.variants[name].runs)
        found[name][decision] = learning_curves(
            drawn,
            scales,
            f"{shorten(name, _LONGEST)}, decision {decision}, over epochs, mean over {runs} "
            f"run{'s' * (runs != 1)}",
        )
    cut = most if max(losses, default=0.0) > 1.06 * most else None
    return StudyCurves(found, cut)
