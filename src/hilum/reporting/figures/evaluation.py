"""Reliability diagrams, ROC and precision-recall curves: inline SVG, the numbers in words."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import numpy as np
from matplotlib.axes import Axes

from hilum.evaluation.calibration import Reliability
from hilum.evaluation.curves import Curve, DecisionCurve, OptionCurves
from hilum.evaluation.stress import CorruptionStress
from hilum.records import Estimate
from hilum.reporting.figures.charts import _FAINT, _INK, _SERIES, _svg, shorten
from hilum.transforms.corrupt import STRENGTHS

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


#: Where the classifier's net benefit is read out in words.
_READ_AT: Final = (0.1, 0.25, 0.5)


def decision_curve_chart(curve: DecisionCurve, *, key: str) -> str:
    """Net benefit over the threshold probability, with its band, as inline SVG.

    key: a prefix, unique in the page, of the ids in the SVG. The alternative text is
    describe_decision_curve's. Raises ValueError for an empty curve: say its reason instead.
    """
    if not curve.net_benefit or curve.prevalence is None:
        raise ValueError(f"The decision curve of {curve.target} is empty: {curve.reason}.")
    x, top = np.array(curve.thresholds), curve.prevalence
    value, everyone = np.array(curve.net_benefit), np.array(curve.treat_all)

    def draw(axes: Axes) -> None:
        axes.fill_between(x, curve.low, curve.high, color=_SERIES[0], alpha=0.22, linewidth=0)
        axes.plot(x, value, color=_SERIES[0], linewidth=1.9, label="classifier")
        axes.plot(
            x, everyone, color=_SERIES[1], linewidth=1.5, linestyle=(0, (5, 2)), label="act on all"
        )
        axes.axhline(0, color=_INK, linewidth=1.2, linestyle=(0, (1, 2)), label="act on none")
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1], ["0", "0.2", "0.4", "0.6", "0.8", "1"])
        # Below, where acting on all falls without end, there is nothing to compare.
        axes.set_ylim(-0.3 * top, 1.1 * max(top, *curve.high))
        axes.set_xlabel("threshold probability")
        axes.set_ylabel("net benefit per image")
        axes.grid(axis="y", color=_FAINT, linewidth=0.8)
        # Above the axes, because the curves may be anywhere inside.
        axes.legend(
            loc="lower center", bbox_to_anchor=(0.45, 1), ncols=3, frameon=False,
            labelcolor=_INK, handlelength=1.9, columnspacing=1.2, borderaxespad=0.2, fontsize=8.5,
        )  # fmt: skip

    return _svg(draw, (4.3, 2.8), key=key, alt=describe_decision_curve(curve))


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


#: Lines are told apart by dashes and markers too, for print and for the colour-blind.
_MARKERS: Final = ("o", "s", "^", "D")
#: Height of a row of the legend, in units of the vertical axis.
_NAME_ROW: Final = 0.12
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
    words = [f"Accuracy over the strength of corruptions of {family}.", f"Clean {_value(clean)}."]
    for corruption in corruptions:
        levels = [f"{_value(x.measures.accuracy)} at {x.strength}" for x in corruption.levels]
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
            _name_line(axes, i, len(corruptions), corruption.name)
        axes.set_xlim(-0.15, STRENGTHS[-1] + 0.25)
        axes.set_ylim(0, 1.03 + _NAME_ROW * len(corruptions))
        axes.set_xticks([0, *STRENGTHS], ["clean", *map(str, STRENGTHS)])
        axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1], ["0", "0.2", "0.4", "0.6", "0.8", "1"])
        axes.spines["left"].set_bounds(0, 1)
        axes.set_xlabel("strength")
        axes.set_ylabel("accuracy")
        axes.grid(axis="y", color=_FAINT, linewidth=0.8)

    return _svg(draw, (4.3, 2.7 + 0.24 * len(corruptions)), key=key, alt=" ".join(words))


def _name_line(axes: Axes, i: int, rows: int, name: str) -> None:
    y = 1.04 + _NAME_ROW * (rows - i - 0.45)
    axes.plot([0, 0.25, 0.5], [y] * 3, color=_SERIES[i], linestyle=_DASHES[i], linewidth=1.6,
              marker=_MARKERS[i], markevery=[1], markersize=4.5)  # fmt: skip
    axes.text(0.62, y, name, ha="left", va="center", color=_INK)


def _value(estimate: Estimate) -> str:
    return "undefined" if estimate.value is None else f"{estimate.value:.3f}"
