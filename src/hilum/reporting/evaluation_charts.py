"""Charts of what an evaluation measured, as inline SVG with the numbers in words."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from matplotlib.axes import Axes

from hilum.evaluation.calibration import Reliability
from hilum.evaluation.curves import DecisionCurve, OptionCurves
from hilum.evaluation.stress import CorruptionStress
from hilum.records import Estimate
from hilum.reporting.svg import (
    FAINT,
    INK,
    SERIES,
    UNIT_TICKS,
    draw_svg,
    lay_lines,
    legend_above,
    name_row,
    shorten,
)
from hilum.transforms.corrupt import STRENGTHS
from hilum.wording import PLAIN, Style

Kind = Literal["roc", "pr"]

#: Lines are told apart by dashes too, for print and for the colour-blind.
_DASHES: Final = ("-", (0, (5, 2)), (0, (1.2, 1.4)), (0, (6, 2, 1.2, 2)))
_MARKERS: Final = ("o", "s", "^", "D")
#: Of probabilities and what they say, and of a chance or of what is perfect, in drawings.
_TWO: Final = Style(2)
_GUIDE: Final[Any] = {"linewidth": 1, "linestyle": (0, (3, 2))}
#: Height of a row of a legend, in units of the vertical axis, and its longest name.
_ROW: Final = 0.09
_HIGH_ROW: Final = 0.12
_LONGEST: Final = 24
#: How far lines stand apart sideways, in strengths, so that their intervals can be seen.
_APART: Final = 0.08
#: Where the classifier's net benefit is read out in words.
_READ_AT: Final = (0.1, 0.25, 0.5)


def reliability_diagram(reliability: Reliability, *, of: str, small: bool = False) -> str:
    """Observed share over mean predicted probability per bin, with Wilson intervals, as inline SVG.

    of: whose probability, such as 'the predicted class' or 'covid'; stands in the picture's words.
    The dashed diagonal is perfect. small: one of many side by side, without names of the axes.
    """
    bins = [
        f"mean probability {b.mean_prob:.2f}, "
        f"observed {_in_words(b.observed)} of {b.observed.n} images"
        for b in reliability.bins
    ]
    alt = (
        f"Reliability diagram of the probability of {of}. {'; '.join(bins) or 'No images'}. "
        f"Expected calibration error {_in_words(reliability.ece)}."
    )

    def draw(axes: Axes) -> None:
        _square(axes, *("", "") if small else ("mean predicted probability", "observed share"))
        axes.plot([0, 1], [0, 1], color=INK, **_GUIDE)
        points = [(b.mean_prob, b.observed) for b in reliability.bins]
        _whiskers(axes, points, SERIES[0], 1.5)
        axes.plot(
            *_defined(points), "o-", color=SERIES[0], linewidth=1.2, markersize=5.5, clip_on=False
        )

    return draw_svg(draw, (2.2, 2.0) if small else (4.3, 3.7), alt=alt)


def _defined(points: Sequence[tuple[float, Estimate]]) -> tuple[list[float], list[float]]:
    """The places and the values of the points that have one."""
    found = [(x, e.value) for x, e in points if e.value is not None]
    return [x for x, _ in found], [y for _, y in found]


def _whiskers(
    axes: Axes, points: Sequence[tuple[float, Estimate]], colour: str, width: float
) -> None:
    for x, e in points:
        if e.low is not None and e.high is not None:
            axes.plot([x, x], [e.low, e.high], color=colour, linewidth=width)


def curve_charts(curves: Mapping[str, OptionCurves], *, kind: Kind) -> list[str]:
    """ROC ('roc') or precision-recall ('pr') curves with 95 % bands, as inline SVGs.

    curves: by class or option. Each chart shows up to four, with a legend that gives the area
    under each curve; so there are several charts where there are more than four. Curves that are
    undefined are named in the words of the chart and not drawn; no curve at all gives no chart.
    """
    most = len(SERIES)
    items = list(curves.items())
    return [_curve_chart(dict(items[i : i + most]), kind) for i in range(0, len(items), most)]


def _curve_chart(curves: Mapping[str, OptionCurves], kind: Kind) -> str:
    legend = [
        (name, option, line)
        for name, option in curves.items()
        if (line := option.roc if kind == "roc" else option.pr) is not None
    ]
    words = ["ROC curves." if kind == "roc" else "Precision-recall curves."]
    words += [_describe_curve(name, option, kind) for name, option in curves.items()]

    def draw(axes: Axes) -> None:
        if kind == "roc":
            _square(axes, "1 − specificity", "sensitivity", len(legend))
            axes.plot([0, 1], [0, 1], color=INK, **_GUIDE)
        else:
            _square(axes, "recall (sensitivity)", "precision (PPV)", len(legend))
        for i, (_, option, line) in enumerate(legend):
            colour = SERIES[i]
            if line.band:
                axes.fill_between(
                    line.band.x, line.band.low, line.band.high, color=colour, alpha=0.16, lw=0
                )
            if kind == "pr":  # what a classifier that knows nothing reaches
                share = option.positives / option.n
                axes.plot([0, 1], [share, share], color=colour, **_GUIDE)
            axes.plot(
                line.x, line.y, color=colour, linestyle=_DASHES[i], linewidth=1.8, clip_on=False
            )
            top = 1.02 + _ROW * (len(legend) - i - 0.45)
            _legend_row(axes, i, top, _short(_area(option, kind)))

    names = [shorten(name, _LONGEST) for name, _, _ in legend]
    return draw_svg(draw, (4.3, 3.7 + 0.26 * len(legend)), alt=" ".join(words), rows=names)


def _square(axes: Axes, x_label: str, y_label: str, legend: int = 0) -> None:
    """Both axes from 0 to 1, with room for a legend above."""
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.02 + _ROW * legend)
    axes.set_xticks(*UNIT_TICKS)
    axes.set_yticks(*UNIT_TICKS)
    for side in ("left", "bottom"):
        axes.spines[side].set_bounds(0, 1)
    # A grid would run on through the legend. All its lines are one, broken by NaN: a small file.
    ticks = np.array(UNIT_TICKS[0])
    ends = np.tile([0, 1, np.nan], len(ticks))
    places = np.repeat(ticks, 3)
    for x, y in ((ends, places), (places, ends)):
        axes.plot(x, y, color=FAINT, linewidth=0.8, zorder=0)


def _legend_row(
    axes: Axes, i: int, top: float, text: str = "", *, unit: float = 1.0, **line: Any
) -> None:
    """A piece of the i-th line, where its name comes, and text at the right. unit: of the axis."""
    axes.plot(
        [0, 0.05 * unit, 0.1 * unit],
        [top] * 3,
        color=SERIES[i],
        linestyle=_DASHES[i],
        markevery=[1],
        **{"linewidth": 1.8, **line},
    )
    name_row(axes, i, top, 0.13 * unit, va="center")
    axes.text(unit, top, text, ha="right", va="center", color=INK)


def _area(option: OptionCurves, kind: Kind) -> Estimate:
    return option.auroc if kind == "roc" else option.average_precision


def _describe_curve(name: str, option: OptionCurves, kind: Kind) -> str:
    area = _area(option, kind)
    measure = "AUROC" if kind == "roc" else "average precision"
    chance = "" if kind == "roc" else f", chance {option.positives / max(option.n, 1):.2f}"
    counts = f"{option.positives} of {option.n} images"
    return f"{name} ({counts}): {measure} {_in_words(area)}{chance}."


def _in_words(estimate: Estimate) -> str:
    if estimate.value is None:
        return f"undefined, {estimate.reason}"
    why = "" if _TWO.bounds(estimate) else f" ({estimate.reason})"
    return _TWO.words(estimate) + why


def _short(estimate: Estimate) -> str:
    if estimate.value is None:
        return "undefined"
    bounds = _TWO.bounds(estimate, "–")
    return _TWO.number(estimate.value) + (f" ({bounds})" if bounds else "")


def decision_curve_chart(curve: DecisionCurve) -> str:
    """Net benefit over the threshold probability, with its band, as inline SVG.

    Raises ValueError for an empty curve: say its reason instead.
    """
    if not curve.net_benefit or curve.prevalence is None:
        raise ValueError(f"The decision curve of {curve.target} is empty: {curve.reason}.")
    x, top = np.array(curve.thresholds), curve.prevalence
    value, everyone = np.array(curve.net_benefit), np.array(curve.treat_all)

    def draw(axes: Axes) -> None:
        axes.fill_between(x, curve.low, curve.high, color=SERIES[0], alpha=0.22, linewidth=0)
        axes.plot(x, value, color=SERIES[0], linewidth=1.9, label="classifier")
        axes.plot(
            x, everyone, color=SERIES[1], linewidth=1.5, linestyle=(0, (5, 2)), label="act on all"
        )
        axes.axhline(0, color=INK, linewidth=1.2, linestyle=(0, (1, 2)), label="act on none")
        axes.set_xlim(0, 1)
        axes.set_xticks(*UNIT_TICKS)
        # Below, where acting on all falls without end, there is nothing to compare.
        axes.set_ylim(-0.3 * top, 1.1 * max(top, *curve.high))
        lay_lines(axes, "threshold probability", "net benefit per image")
        legend_above(axes)

    return draw_svg(draw, (4.3, 2.8), alt=describe_decision_curve(curve))


def describe_decision_curve(curve: DecisionCurve) -> str:
    """A decision curve in words, with its numbers."""
    if not curve.net_benefit or curve.prevalence is None:
        return f"There is no decision curve of {curve.target}: {curve.reason}."
    kind = "given" if curve.prevalence_given else "of these images"
    text = (
        f"Decision curve of {curve.target}: net benefit of the classifier on {curve.n} images, at "
        f"a prevalence of {curve.prevalence:.3g} ({kind})."
    )
    parts = []
    for at in _READ_AT:
        k = next((k for k, t in enumerate(curve.thresholds) if abs(t - at) < 1e-9), None)
        if k is None:
            continue
        parts.append(
            f"at a threshold probability of {at:g} it is {curve.net_benefit[k]:.3f} "
            f"({curve.low[k]:.3f} to {curve.high[k]:.3f}), of acting on all "
            f"{curve.treat_all[k]:.3f}"
        )
    if parts:
        text += f" {'; '.join(parts).capitalize()}."
    return f"{text} {describe_useful(curve)}"


def describe_useful(curve: DecisionCurve) -> str:
    """At which threshold probabilities the classifier is worth acting on, in one sentence."""
    if not curve.net_benefit:
        return f"There is no decision curve of {curve.target}: {curve.reason}."
    better, surely = _ranges(curve.useful()), _ranges(curve.useful(surely=True))
    if not better:
        return "At no threshold is it higher than acting on all and on none."
    text = f"It is higher than acting on all and on none at {better}"
    return f"{text}, and its whole band is at {surely}." if surely else f"{text}."


def _ranges(ranges: tuple[tuple[float, float], ...]) -> str:
    return ", ".join(f"{a:g}" if a == b else f"{a:g} to {b:g}" for a, b in ranges)


def stress_chart(corruptions: Sequence[CorruptionStress], clean: Estimate, *, family: str) -> str:
    """A line per corruption: accuracy with Wilson intervals over strengths 1 to 5, as inline SVG.

    corruptions: one to four, of one family, which is named in the picture's words. clean: the
    accuracy on the images as they are; a dashed line, from which every line starts.
    """
    if not 1 <= len(corruptions) <= len(SERIES):
        raise ValueError(f"A chart shows 1 to {len(SERIES)} corruptions, not {len(corruptions)}.")

    def value(estimate: Estimate) -> str:
        return "undefined" if estimate.value is None else PLAIN.number(estimate.value)

    words = [f"Accuracy over the strength of corruptions of {family}.", f"Clean {value(clean)}."]
    for corruption in corruptions:
        levels = [f"{value(x.measures.accuracy)} at {x.strength}" for x in corruption.levels]
        words.append(f"{corruption.name}: {', '.join(levels)}.")

    def draw(axes: Axes) -> None:
        if clean.value is not None:
            axes.axhline(clean.value, color=INK, **_GUIDE)
        for i, corruption in enumerate(corruptions):
            aside = _APART * (i - (len(corruptions) - 1) / 2)
            points = [(x.strength + aside, x.measures.accuracy) for x in corruption.levels]
            line = _defined([(0.0, clean), *points])
            axes.plot(*line, color=SERIES[i], linestyle=_DASHES[i], linewidth=1.6)
            _whiskers(axes, points, SERIES[i], 1)
            axes.plot(*_defined(points), _MARKERS[i], color=SERIES[i], markersize=4.5)
            top = 1.04 + _HIGH_ROW * (len(corruptions) - i - 0.45)
            _legend_row(axes, i, top, unit=5, marker=_MARKERS[i], markersize=4.5, linewidth=1.6)
        axes.set_xlim(-0.15, STRENGTHS[-1] + 0.25)
        axes.set_ylim(0, 1.03 + _HIGH_ROW * len(corruptions))
        axes.set_xticks([0, *STRENGTHS], ["clean", *map(str, STRENGTHS)])
        axes.set_yticks(*UNIT_TICKS)
        axes.spines["left"].set_bounds(0, 1)
        lay_lines(axes, "strength", "accuracy")

    size = (4.3, 2.7 + 0.24 * len(corruptions))
    names = [corruption.name for corruption in corruptions]
    return draw_svg(draw, size, alt=" ".join(words), rows=names)
