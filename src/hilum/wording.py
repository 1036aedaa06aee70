"""How values are written: numbers, times, estimates with their intervals, and cells of tables."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from html import escape
from typing import Protocol, TypeAlias, TypeGuard

from hilum.files import to_cell

_GROUPED = re.compile(r"\d{1,3}(,\d{3})+(?![\d,])")
_NUMBER = re.compile(r"-?\d+(\.\d+)?(e-?\d+)?")
_LEAST_P = 1e-4
#: A word of more characters, such as a name, may be broken anywhere in a cell of HTML.
_LONGEST = 24


class Estimated(Protocol):
    """What records.Estimate has of it: a value with its 95 % interval, or why it has none."""

    @property
    def value(self) -> float | None: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...
    @property
    def reason(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Style:
    """How a quantity is written: scale x value with so many decimals.

    sign: stands behind the number, and in an interval behind the upper bound: '79.2 % (59.5 to
    90.8 %)'. unit: words behind the number alone: '4.1 points (1.2 to 7.0)'. plus: numbers above 0
    have a sign, bounds have none. minus: what stands before numbers below 0. between: what stands
    between bounds, in words.
    """

    digits: int = 3
    scale: float = 1.0
    sign: str = ""
    unit: str = ""
    plus: bool = False
    minus: str = "-"
    between: str = " to "

    def number(self, value: float) -> str:
        """A value with its sign or unit: '0.792', '79.2 %', '4.1 points'."""
        plus = "+" if self.plus and value >= 0 else ""
        return f"{plus}{self._digits(value)}{self.sign}" + (f" {self.unit}" if self.unit else "")

    def bounds(self, estimate: Estimated, between: str = " to ") -> str:
        """The interval: '0.595 to 0.908'; '' where there is none.

        between: what stands between the bounds, unless the lower one begins with a minus.
        """
        if estimate.low is None or estimate.high is None:
            return ""
        return self._interval(estimate.low, estimate.high, between)

    def words(self, estimate: Estimated, *, flip: bool = False) -> str:
        """'0.746 (0.703 to 0.789)', '0.746' without an interval, or 'undefined (why)'.

        flip: of b less a, where the estimate is of a less b.
        """
        if estimate.value is None:
            return f"undefined ({estimate.reason})" if estimate.reason else "undefined"
        style = replace(self, scale=-self.scale) if flip else self
        text = style.number(estimate.value)
        if estimate.low is None or estimate.high is None:
            return text
        low, high = (estimate.high, estimate.low) if flip else (estimate.low, estimate.high)
        return f"{text} ({style._interval(low, high, self.between)})"

    def _interval(self, lower: float, upper: float, between: str) -> str:
        low, high = self._digits(lower), self._digits(upper)
        return f"{low}{' to ' if low.startswith(self.minus) else between}{high}{self.sign}"

    def _digits(self, value: float) -> str:
        # Adding 0 turns the -0.0 that rounding may leave into 0.0.
        text = f"{round(self.scale * value, self.digits) + 0.0:.{self.digits}f}"
        return text.replace("-", self.minus)


PLAIN = Style()
SIGNED = Style(plus=True)
#: Where several estimates stand side by side in 80 columns: '0.88 (0.53–0.98)'.
NARROW = Style(2, between="–")
#: A share as per cent; a thin space that does not break stands before the sign.
PERCENT = Style(1, 100, sign="\N{NARROW NO-BREAK SPACE}%")
#: A difference of shares, in hundredths.
POINTS = Style(1, 100, unit="points", minus="\N{MINUS SIGN}")

#: What a cell holds: words, a count, a number or an Estimate; None is shown as a dash.
Content: TypeAlias = str | int | float | Estimated | None


def is_estimate(content: Content) -> TypeGuard[Estimated]:
    """Whether it is an Estimate, rather than a plain value."""
    return not isinstance(content, str | int | float | None)


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table, where it says more than its content.

    small: stands small below it, in CSV and text in brackets. unseen: what screen readers and CSV
    add. note: the number of a footnote. href: what it links to. kind: CSS classes. span: how many
    columns it takes. shade: of a confusion matrix, in [0, 1]; small is then left out of CSV.
    """

    content: Content
    small: str = ""
    unseen: str = ""
    note: str = ""
    href: str = ""
    kind: str = ""
    span: int = 1
    shade: float | None = None

    def html(self, style: Style, kind: str, scope: str) -> str:
        """As a cell of HTML. kind: its classes. scope: of a heading; '' of any other cell."""
        text, small = self._parts(style)
        inner = escape(text).replace("\n", "<br>")
        inner += f'<span class="unseen">{escape(self.unseen)}</span>' if self.unseen else ""
        inner = f'<a href="{escape(self.href)}">{inner}</a>' if self.href else inner
        inner += f"<sup>{escape(self.note)}</sup>" if self.note else ""
        if self.shade is not None:
            inner = f'<b>{inner}</b><span class="share">{escape(small)}</span>'
        elif small:
            lacks = is_estimate(self.content) and not style.bounds(self.content)
            why = ' class="why"' if lacks else ""
            inner += f"<small{why}>{escape(small)}</small>"
        breaks = any(len(word) > _LONGEST for word in f"{text} {small}".split())
        given = {
            "scope": scope,
            "colspan": f"{self.span}" if self.span > 1 else "",
            "class": " ".join([*kind.split(), *["long"] * breaks]),
            "style": "" if self.shade is None else f"--share:{self.shade:.3f}",
        }
        attributes = "".join(f' {k}="{escape(v)}"' for k, v in given.items() if v)
        tag = "th" if scope else "td"
        return f"<{tag}{attributes}>{inner}</{tag}>"

    def csv(self, style: Style) -> str:
        """As a cell of CSV: on one line, no formula, and a count without commas."""
        text, small = self._parts(style)
        behind = f" ({small})" if small and self.shade is None else ""
        text = " ".join(f"{text} {self.unseen} {self.note}{behind}".split())
        if grouped := _GROUPED.match(text):
            text = grouped[0].replace(",", "") + text[grouped.end() :]
        return text if _NUMBER.fullmatch(text) else to_cell(text)

    def text(self, style: Style) -> str:
        """As plain text; an undefined estimate is a dash and why."""
        if is_estimate(self.content):
            lacks = self.content.value is None
            return f"— {self.content.reason}" if lacks else style.words(self.content)
        text, small = self._parts(style)
        return text.replace("\n", " ") + (f" ({small})" if small else "")

    def _parts(self, style: Style) -> tuple[str, str]:
        """What it shows, and what stands small below it."""
        content = self.content
        if content is None or isinstance(content, str):
            return "—" if content is None else content, self.small
        if isinstance(content, int):
            return f"{content:,}", self.small
        if isinstance(content, float):
            return style.number(content), self.small
        text = "—" if content.value is None else style.number(content.value)
        return text, style.bounds(content, "–") or content.reason


def bare(estimate: Estimated | None, style: Style = PLAIN) -> Estimated | Cell | None:
    """An estimate as a cell that says why it is undefined, but not why it has no interval."""
    if estimate is None or estimate.value is None:
        return estimate
    return Cell(estimate.value, small=style.bounds(estimate, "–"))


def p_value(p: float | None, name: str = "") -> str:
    """A p value with two significant digits, after its name: 'p = 0.021', '< 0.0001'.

    '—' where there is none.
    """
    if p is None:
        return "—"
    if p < _LEAST_P:
        return f"{name} < {_LEAST_P:.4f}".strip()
    return f"{name} = {p:.2g}" if name else f"{p:.2g}"


def listed(words: Iterable[str]) -> str:
    """Words as a sentence has them: 'a', 'a and b', 'a, b and c'."""
    words = list(words)
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def duration(seconds: float | None) -> str:
    """A time in words: '12.3 s', '2 min 03 s', '1 h 05 min'."""
    if seconds is None:
        return "not recorded"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def moment(text: str | None) -> str:
    """An ISO time as people read it: '2026-11-23 01:00:00 UTC'."""
    return "not recorded" if not text else str(text).replace("T", " ").replace("Z", " UTC")
