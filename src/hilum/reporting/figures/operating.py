"""The picture of decision curves: net benefit of the classifier, of all, and of none."""

from typing import Final

import numpy as np
from matplotlib.axes import Axes

from hilum.evaluation.decision_curves import DecisionCurve
from hilum.reporting.figures.charts import _FAINT, _INK, _SERIES, _svg

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
