"""Differences, p values and names of a study as its page and its document write them."""

import re
from dataclasses import dataclass

from markupsafe import Markup, escape

from hilum.records import Estimate

_CODE = re.compile(r"`([^`]*)`")
_LEAST_P = 1e-4


@dataclass(frozen=True, slots=True)
class Unit:
    """How differences of a measure are written: value x scale, with so many decimals."""

    scale: float
    digits: int
    name: str


def unit_of(label: str) -> Unit:
    """Shares are told in points (hundredths), areas and F1 in their own unit.

    label: of the measure, as in Measure.label.
    """
    own = "AUROC" in label or "F1" in label
    return Unit(1, 3, "") if own else Unit(100, 1, "points")


def difference(estimate: Estimate, label: str, *, flip: bool = False, named: bool = True) -> str:
    """A difference with its interval: '4.3 points (−11.4 to 19.9)'; 'undefined' without a value.

    flip: of b less a rather than a less b. named: with its unit.
    """
    if estimate.value is None:
        return "undefined"
    unit, sign = unit_of(label), -1 if flip else 1

    def number(value: float) -> str:
        # Adding 0 turns the -0.0 that rounding may leave into 0.0.
        text = f"{round(sign * unit.scale * value, unit.digits) + 0.0:.{unit.digits}f}"
        return text.replace("-", "\N{MINUS SIGN}")

    words = [number(estimate.value), *([unit.name] if unit.name and named else [])]
    if estimate.low is not None and estimate.high is not None:
        low, high = (estimate.high, estimate.low) if flip else (estimate.low, estimate.high)
        words.append(f"({number(low)} to {number(high)})")
    return " ".join(words)


def p_value(p: float | None) -> str:
    """A p value with two significant digits; '—' where there is none."""
    if p is None:
        return "—"
    return "< 0.0001" if p < _LEAST_P else f"{p:.2g}"


def with_codes(text: str) -> Markup:
    """A sentence as HTML, the names that it has in `backquotes` set as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))


def spread(estimate: Estimate) -> str:
    """A value with its interval as text: '0.746 (0.703 to 0.789)'; '—' without a value."""
    return "—" if estimate.value is None else estimate.in_words()
