"""How numbers, estimates and cells are written."""

from dataclasses import replace

import pytest

from hilum.records import Estimate
from hilum.wording import PERCENT, PLAIN, POINTS, SIGNED, Cell, Style, listed, p_value

SHARE = Estimate(0.041, 0.012, 0.0704)
BELOW = Estimate(-0.1, -0.25, 0.05)
THIN = "\N{NARROW NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("style", "estimate", "words"),
    [
        (PLAIN, Estimate(0.7456, 0.703, 0.7891), "0.746 (0.703 to 0.789)"),
        (Style(2), Estimate(0.7456, 0.703, 0.7891), "0.75 (0.70 to 0.79)"),
        (PLAIN, Estimate(0.5, reason="no interval"), "0.500"),
        (PLAIN, Estimate.undefined("no image"), "undefined (no image)"),
        (PLAIN, Estimate(None), "undefined"),
        (PERCENT, Estimate(0.792, 0.595, 0.908), f"79.2{THIN}% (59.5 to 90.8{THIN}%)"),
        (POINTS, SHARE, "4.1 points (1.2 to 7.0)"),
        (replace(POINTS, unit="points of F"), BELOW, "−10.0 points of F (−25.0 to 5.0)"),
        (POINTS, Estimate(-0.0001), "0.0 points"),
        (SIGNED, SHARE, "+0.041 (0.012 to 0.070)"),
        (SIGNED, BELOW, "-0.100 (-0.250 to 0.050)"),
    ],
)  # fmt: skip
def test_an_estimate_in_words(style: Style, estimate: Estimate, words: str) -> None:
    assert style.words(estimate) == words


def test_a_difference_turned_round() -> None:
    assert POINTS.words(SHARE, flip=True) == "−4.1 points (−7.0 to −1.2)"
    assert PLAIN.words(Estimate(0.0), flip=True) == "0.000"


def test_bounds_alone() -> None:
    assert PLAIN.bounds(SHARE) == "0.012 to 0.070"
    assert PLAIN.bounds(SHARE, "–") == "0.012–0.070"
    assert PLAIN.bounds(BELOW, "–") == "-0.250 to 0.050"  # a dash beside a minus misleads
    assert PLAIN.bounds(Estimate(0.5)) == ""


@pytest.mark.parametrize(
    ("cell", "html", "csv", "text"),
    [
        (Cell("a<b> & c\nd"), "a&lt;b&gt; &amp; c<br>d", "a<b> & c d", "a<b> & c d"),
        (Cell(1341), "1,341", "1341", "1,341"),
        (Cell(-0.25), "-0.250", "-0.250", "-0.250"),
        (Cell(None), "—", "—", "—"),
        (Cell(None, small="x"), "—<small>x</small>", "— (x)", "— (x)"),
        (
            Cell(Estimate(0.8, 0.609, 0.911)),
            "0.800<small>0.609–0.911</small>", "0.800 (0.609–0.911)", "0.800 (0.609 to 0.911)",
        ),
        (
            Cell(Estimate(0.8, reason="one image")),
            '0.800<small class="why">one image</small>', "0.800 (one image)", "0.800",
        ),
        (
            Cell(Estimate.undefined("no <image>")),
            '—<small class="why">no &lt;image&gt;</small>', "— (no <image>)", "— no <image>",
        ),
        (
            Cell(None, unseen=" undefined, reason ", note="1"),
            '—<span class="unseen"> undefined, reason </span><sup>1</sup>',
            "— undefined, reason 1", "—",
        ),
        (
            Cell("filled", href='#"x', unseen=", see x"),
            '<a href="#&quot;x">filled<span class="unseen">, see x</span></a>',
            "filled , see x", "filled",
        ),
    ],
)  # fmt: skip
def test_a_cell_on_every_surface(cell: Cell, html: str, csv: str, text: str) -> None:
    assert cell.html(PLAIN, "", "") == f"<td>{html}</td>"
    assert cell.csv(PLAIN) == csv
    assert cell.text(PLAIN) == text


def test_cells_have_scopes_spans_and_kinds() -> None:
    assert (
        Cell("a", span=2).html(PLAIN, " text  about", "")
        == '<td colspan="2" class="text about">a</td>'
    )
    assert Cell("a").html(PLAIN, "", "row") == '<th scope="row">a</th>'
    shaded = Cell(9, small="80 %", shade=0.8)
    assert shaded.html(PLAIN, "hit", "") == (
        '<td class="hit" style="--share:0.800"><b>9</b><span class="share">80 %</span></td>'
    )
    assert shaded.csv(PLAIN) == "9"


def test_shares_and_lists_in_words() -> None:
    assert PERCENT.number(19 / 24) == "79.2\N{NARROW NO-BREAK SPACE}%"
    interval = "25.0 to 75.0\N{NARROW NO-BREAK SPACE}%"
    assert PERCENT.bounds(Estimate(0.5, 0.25, 0.75)) == interval
    assert PERCENT.bounds(Estimate(0.5)) == ""
    assert listed([]) == ""
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"


@pytest.mark.parametrize(
    ("p", "text"), [(None, "—"), (0.00009, "< 0.0001"), (0.0123, "0.012"), (1.0, "1"), (0.5, "0.5")]
)
def test_p_values(p, text):
    assert p_value(p) == text
    named = {"< 0.0001": "p < 0.0001", "0.012": "p = 0.012"}
    assert text not in named or p_value(p, "p") == named[text]
