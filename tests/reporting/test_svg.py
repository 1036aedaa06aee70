"""Charts that take the colours of their page."""

import xml.etree.ElementTree as ET

from matplotlib.axes import Axes

from hilum.reporting.svg import FAINT, INK, SERIES, draw_svg, name_row


def drawn(name: str = "a") -> str:
    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=SERIES[1])
        axes.axhline(0.5, color=INK)
        axes.grid(axis="y", color=FAINT)
        name_row(axes, 0, 0.2, x=0.1)

    return draw_svg(draw, (2, 1), alt="A line & more.", rows=[name])


def test_colours_are_left_to_the_page() -> None:
    svg = drawn()
    assert all(css in svg for css in ("currentColor", "var(--series-2)", "var(--rule)"))
    assert not any(colour in svg for colour in (INK, FAINT, *SERIES))


def test_a_row_has_its_name_whatever_it_holds() -> None:
    root = ET.fromstring(drawn("$x$ <b>\n"))
    assert "$x$ <b>\N{REPLACEMENT CHARACTER}" in [text.text for text in root.iter("text")]
    assert root.findtext("title") == "A line & more."
