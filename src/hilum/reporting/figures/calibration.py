"""Reliability diagrams, ROC and precision-recall curves: inline SVG, the numbers in words."""

from collections.abc import Mapping
from typing import Final, Literal

import numpy as np
from matplotlib.axes import Axes

from hilum.evaluation.calibration_results import Reliability
from hilum.evaluation.curves import Curve, OptionCurves
from hilum.records import Estimate
from hilum.reporting.figures.charts import _FAINT, _INK, _SERIES, _svg, shorten

Kind = Literal["roc", "pr"]

#: Lines are told apart by dashes too, for print and for the colour-blind.
_DASHES: Final = ("-", (0, (5, 2)), (0, (1.2, 1.4)), (0, (6, 2, 1.2, 2)))
_TICKS: Final = ([0, 0.2, 0.4, 0.6, 0.8, 1], ["0", "0.2", "0.4", "0.6", "0.8", "1"])
#: Height of a row of the legend, in units of the vertical axis, and its longest name.
_ROW: Final = 0.09
_LONGEST: Final = 24


def reliability_diagram(
    reliability: Reliability, *, of: str, key: str, before: Reliability | None = None
) -> str:
    """Observed share over mean predicted probability per bin, with Wilson intervals, as inline SVG.

    of: whose probability, such as 'the predicted class' or 'covid'; stands in the picture's words.
    before: another one to set beside it, drawn hollow, such as that before temperature scaling.
    key: a prefix, unique in the page, of the ids in the SVG. The dashed diagonal is perfect.
    """
    rows = [("", reliability)]
    if before is not None:
        rows = [("after", reliability), ("before", before)]
    words = [f"Reliability diagram of the probability of {of}."]
    for when, shown in rows:
        words.append(f"{when.capitalize()} recalibration:" if when else "")
        words.append(f"{_describe_bins(shown)} Expected calibration error {_in_words(shown.ece)}.")

    def draw(axes: Axes) -> None:
        _square(axes, legend=len(rows) if before is not None else 0)
        axes.plot([0, 1], [0, 1], color=_INK, linewidth=1, linestyle=(0, (3, 2)))
        for i, (when, shown) in reversed(list(enumerate(rows))):
            hollow = when == "before"
            for point in shown.bins:
                if point.observed.low is not None and point.observed.high is not None:
                    bounds = [point.observed.low, point.observed.high]
                    axes.plot([point.mean_prob] * 2, bounds, color=_SERIES[i], linewidth=1.5)
            points = [
                (b.mean_prob, b.observed.value) for b in shown.bins if b.observed.value is not None
            ]
            axes.plot(
                [x for x, _ in points],
                [y for _, y in points],
                color=_SERIES[i],
                linestyle=_DASHES[i],
                linewidth=1.2,
                marker="s" if hollow else "o",
                markersize=5.5,
                mfc="none" if hollow else _SERIES[i],
                clip_on=False,
            )
            if when:
                _legend_row(axes, i, len(rows), f"error {_short(shown.ece)}", hollow=hollow)
        axes.set_xlabel("mean predicted probability")
        axes.set_ylabel("observed share")

    names = [when for when, _ in rows if when]
    return _svg(draw, _size(len(names)), key=key, alt=" ".join(filter(None, words)), rows=names)


def curve_charts(curves: Mapping[str, OptionCurves], *, kind: Kind, key: str) -> list[str]:
    """ROC ('roc') or precision-recall ('pr') curves with 95 % bands, as inline SVGs.

    curves: by class or option. Each chart shows up to four, with a legend that gives the area
    under each curve; so there are several charts where there are more than four. Curves that are
    undefined are named in the words of the chart and not drawn; no curve at all gives no chart.
    key: a prefix, unique in the page, of the ids in the SVGs.
    """
    most = len(_SERIES)
    items = list(curves.items())
    return [
        _curve_chart(dict(items[i : i + most]), kind, f"{key}-{i // most}")
        for i in range(0, len(items), most)
    ]


def _curve_chart(curves: Mapping[str, OptionCurves], kind: Kind, key: str) -> str:
    drawn = [(name, option, _line(option, kind)) for name, option in curves.items()]
    legend = [(name, option, line) for name, option, line in drawn if line is not None]
    words = ["ROC curves." if kind == "roc" else "Precision-recall curves."]
    words += [_describe_curve(name, option, kind) for name, option in curves.items()]

    def draw(axes: Axes) -> None:
        _square(axes, legend=len(legend))
        if kind == "roc":
            axes.plot([0, 1], [0, 1], color=_INK, linewidth=1, linestyle=(0, (3, 2)))
        for i, (_, option, line) in enumerate(legend):
            colour = _SERIES[i]
            if line.band:
                axes.fill_between(
                    line.band.x, line.band.low, line.band.high, color=colour, alpha=0.16, lw=0
                )
            if kind == "pr":  # what a classifier that knows nothing reaches
                share = option.positives / option.n
                axes.plot([0, 1], [share, share], color=colour, linewidth=1, linestyle=(0, (3, 2)))
            axes.plot(
                line.x, line.y, color=colour, linestyle=_DASHES[i], linewidth=1.8, clip_on=False
            )
            _legend_row(axes, i, len(legend), _short(_area(option, kind)))
        axes.set_xlabel("1 − specificity" if kind == "roc" else "recall (sensitivity)")
        axes.set_ylabel("sensitivity" if kind == "roc" else "precision (PPV)")

    names = [shorten(name, _LONGEST) for name, _, _ in legend]
    return _svg(draw, _size(len(legend)), key=key, alt=" ".join(words), rows=names)


# ---- drawing -------------------------------------------------------------------------------


def _size(legend: int) -> tuple[float, float]:
    return (4.3, 3.7 + 0.26 * legend)


def _square(axes: Axes, *, legend: int) -> None:
    """Both axes from 0 to 1, with room for a legend above."""
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.02 + _ROW * legend)
    axes.set_xticks(*_TICKS)
    axes.set_yticks(*_TICKS)
    for side in ("left", "bottom"):
        axes.spines[side].set_bounds(0, 1)
    # A grid would run on through the legend. All its lines are one, broken by NaN: a small file.
    ticks = np.array(_TICKS[0])
    ends = np.tile([0, 1, np.nan], len(ticks))
    places = np.repeat(ticks, 3)
    for x, y in ((ends, places), (places, ends)):
        axes.plot(x, y, color=_FAINT, linewidth=0.8, zorder=0)


def _legend_row(axes: Axes, i: int, rows: int, text: str, *, hollow: bool = False) -> None:
    y = 1.02 + _ROW * (rows - i - 0.45)
    axes.plot(
        [0, 0.05, 0.1],
        [y] * 3,
        color=_SERIES[i],
        linestyle=_DASHES[i],
        linewidth=1.8,
        marker="s" if hollow else None,
        markevery=[1],
        mfc="none",
    )
    # A stand-in: names may hold what matplotlib would take for mathematics; see figures._name_row.
    name = axes.text(0.13, y, "n", ha="left", va="center", color=_INK)
    name.set_gid(f"row-{i}")
    name.set_in_layout(False)
    axes.text(1, y, text, ha="right", va="center", color=_INK)


# ---- words ---------------------------------------------------------------------------------


def _line(option: OptionCurves, kind: Kind) -> Curve | None:
    return option.roc if kind == "roc" else option.pr


def _area(option: OptionCurves, kind: Kind) -> Estimate:
    return option.auroc if kind == "roc" else option.average_precision


def _describe_bins(reliability: Reliability) -> str:
    bins = [
        f"mean probability {b.mean_prob:.2f}, "
        f"observed {_in_words(b.observed)} of {b.observed.n} images"
        for b in reliability.bins
    ]
    return f"{'; '.join(bins)}." if bins else "No images."


def _describe_curve(name: str, option: OptionCurves, kind: Kind) -> str:
    area = _area(option, kind)
    measure = "AUROC" if kind == "roc" else "average precision"
    chance = "" if kind == "roc" else f", chance {option.positives / max(option.n, 1):.2f}"
    counts = f"{option.positives} of {option.n} images"
    return f"{name} ({counts}): {measure} {_in_words(area)}{chance}."


def _in_words(estimate: Estimate) -> str:
    if estimate.value is None:
        return f"undefined, {estimate.reason}"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.2f} ({estimate.reason})"
    return estimate.in_words(2)


def _short(estimate: Estimate) -> str:
    if estimate.value is None:
        return "undefined"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.2f}"
    return f"{estimate.value:.2f} ({estimate.low:.2f}–{estimate.high:.2f})"
