"""Accuracy against the strength of corruptions, as inline SVG."""

from collections.abc import Sequence
from typing import Final

from matplotlib.axes import Axes

from hilum.evaluation.stress_results import CorruptionStress
from hilum.records import Estimate
from hilum.reporting.figures.charts import _FAINT, _INK, _SERIES, _svg
from hilum.transforms.corrupt import STRENGTHS

#: Lines are told apart by dashes and markers too, for print and for the colour-blind.
_DASHES: Final = ("-", (0, (5, 2)), (0, (1.2, 1.4)), (0, (6, 2, 1.2, 2)))
_MARKERS: Final = ("o", "s", "^", "D")
#: Height of a row of the legend, in units of the vertical axis.
_ROW: Final = 0.12
#: How far lines stand apart sideways, in strengths, so that their intervals can be seen.
_APART: Final = 0.08


def stress_chart(
    corruptions: Sequence[CorruptionStress], clean: Estimate, *, family: str, key: str
) -> str:
    """A line per corruption: accuracy with Wilson intervals over strengths 1 to 5, as inline SVG.

    corruptions: one to four, of one family, which is named in the picture's words. clean: the
    accuracy on the images as they are; a dashed line, from which every line starts. key: a
    prefix, unique in the page, of the ids in the SVG.
    """
    if not 1 <= len(corruptions) <= len(_SERIES):
        raise ValueError(f"A chart shows 1 to {len(_SERIES)} corruptions, not {len(corruptions)}.")
    words = [f"Accuracy over the strength of corruptions of {family}.", f"Clean {_short(clean)}."]
    for corruption in corruptions:
        levels = [f"{_short(x.measures.accuracy)} at {x.strength}" for x in corruption.levels]
        words.append(f"{corruption.name}: {', '.join(levels)}.")

    def draw(axes: Axes) -> None:
        if clean.value is not None:
            axes.axhline(clean.value, color=_INK, linewidth=1, linestyle=(0, (3, 2)))
        for i, corruption in enumerate(corruptions):
            aside = _APART * (i - (len(corruptions) - 1) / 2)
            points = [(x.strength + aside, x.measures.accuracy) for x in corruption.levels]
            line = [(0.0, clean), *points]
            axes.plot(
                [x for x, e in line if e.value is not None],
                [e.value for _, e in line if e.value is not None],
                color=_SERIES[i],
                linestyle=_DASHES[i],
                linewidth=1.6,
            )
            for x, e in points:
                if e.value is None:
                    continue
                if e.low is not None and e.high is not None:
                    axes.plot([x, x], [e.low, e.high], color=_SERIES[i], linewidth=1)
                axes.plot([x], [e.value], _MARKERS[i], color=_SERIES[i], markersize=4.5)
            _legend_row(axes, i, len(corruptions), corruption.name)
        axes.set_xlim(-0.15, STRENGTHS[-1] + 0.25)
        axes.set_ylim(0, 1.03 + _ROW * len(corruptions))
        axes.set_xticks([0, *STRENGTHS], ["clean", *map(str, STRENGTHS)])
        axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1], ["0", "0.2", "0.4", "0.6", "0.8", "1"])
        axes.spines["left"].set_bounds(0, 1)
        axes.set_xlabel("strength")
        axes.set_ylabel("accuracy")
        axes.grid(axis="y", color=_FAINT, linewidth=0.8)

    return _svg(draw, (4.3, 2.7 + 0.24 * len(corruptions)), key=key, alt=" ".join(words))


def _legend_row(axes: Axes, i: int, rows: int, name: str) -> None:
    y = 1.04 + _ROW * (rows - i - 0.45)
    axes.plot([0, 0.25, 0.5], [y] * 3, color=_SERIES[i], linestyle=_DASHES[i], linewidth=1.6,
              marker=_MARKERS[i], markevery=[1], markersize=4.5)  # fmt: skip
    axes.text(0.62, y, name, ha="left", va="center", color=_INK)


def _short(estimate: Estimate) -> str:
    return "undefined" if estimate.value is None else f"{estimate.value:.3f}"
