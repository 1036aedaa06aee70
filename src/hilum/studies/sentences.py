"""A comparison as one sentence in plain words that claims no more than the data show."""

from hilum.statistics.power import ALPHA
from hilum.studies.compare import Comparison

#: Beyond this many, the number itself would claim too much.
_MANY = 1_000_000


def say(comparison: Comparison) -> str:
    """One sentence: which variant is better, or that the data cannot tell.

    Shares are in points (hundredths); areas and F1 in their own unit. A difference that the data
    do not show is given as a minus b, and never as a ranking.
    """
    c = comparison
    if c.difference.value is None:
        return f"`{c.a}` and `{c.b}` cannot be compared by {c.label}: {c.difference.reason}."
    if c.shown:
        worse = c.b if c.better == c.a else c.a
        return f"`{c.better}` is better than `{worse}` by {_amount(c, flip=c.better == c.b)}."
    if len(c.runs_a) < 2:
        return (
            f"Between `{c.a}` and `{c.b}` no interval can be given: it takes at least 2 runs of "
            f"each, and there is {len(c.runs_a)}."
        )
    cannot = f"The data cannot tell `{c.a}` from `{c.b}`"
    if c.difference.low is None:
        if c.difference.value == 0:
            return f"{cannot}: their {c.label} is the same in every run."
        return (
            f"{cannot}: the difference, `{c.a}` minus `{c.b}`, is {_amount(c)} in every run, so "
            "that no interval can be given."
        )
    return f"{cannot}: the difference, `{c.a}` minus `{c.b}`, is {_amount(c)}{_why(c)}{_needed(c)}."


def _amount(c: Comparison, *, flip: bool = False) -> str:
    """4.1 points of accuracy (1.2 to 7.0)."""
    sign = -1 if flip else 1
    points = "AUROC" not in c.label and "F1" not in c.label
    scale, digits = (100, 1) if points else (1, 3)

    def number(value: float) -> str:
        # Adding 0 turns the -0.0 that rounding may leave into 0.0.
        text = f"{round(sign * scale * value, digits) + 0.0:.{digits}f}"
        return text.replace("-", "\N{MINUS SIGN}")

    assert c.difference.value is not None
    amount = number(c.difference.value)
    what = f"points of {c.label}" if points else f"of {c.label}"
    if c.difference.low is None or c.difference.high is None:
        return f"{amount} {what}"
    low, high = sorted((c.difference.low, c.difference.high), key=lambda bound: sign * bound)
    return f"{amount} {what} ({number(low)} to {number(high)})"


def _why(c: Comparison) -> str:
    """Why an interval that leaves 0 out is not enough; '' where it holds 0."""
    assert c.difference.low is not None
    assert c.difference.high is not None
    if c.difference.low <= 0 <= c.difference.high:
        return ""
    if c.p_adjusted is not None and c.p_adjusted >= ALPHA:
        return f", which is not enough among the comparisons made (adjusted p = {c.p_adjusted:.2g})"
    return ", which may lie in the images: all runs were tested on the same few"


def _needed(c: Comparison) -> str:
    """What it would take; '' where that cannot be said.

    The number of images speaks of these trained networks, so that seeds may ask for more: "at
    least". Where the images are enough for that, it is the runs that differ too much.
    """
    if c.images_needed is None:
        return ""
    if c.images_needed > c.n_images:
        many = _about(c.images_needed)
        return f"; at least {many} images would be needed to show it (there are {c.n_images:,})"
    text = "; these images might do, but one training differs from the next too much"
    if c.runs_needed is not None and c.runs_needed > len(c.runs_a):
        text += f": {_about(c.runs_needed)} runs would be needed to show it"
    return text


def _about(number: int) -> str:
    """A count to two significant digits, upward: it comes from an uncertain difference."""
    if number > _MANY:
        return f"{_MANY:,}"
    unit = 10 ** max(0, len(str(number)) - 2)
    return f"about {-(-number // unit) * unit:,}"
