"""One table on every surface: the page, its CSV, the terminal and pandas."""

import base64
import csv
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from typing import Any

import jinja2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hilum.errors import HilumError
from hilum.files import from_cell, to_cell
from hilum.records import Estimate
from hilum.table import Column, Table
from hilum.wording import PERCENT, SIGNED, Cell

MEASURES = Table(
    "Measures of <i>one</i>",
    [Column("class", wrap=True), "images", Column("recall", wrap=True), Column("about", "text")],
    [
        ["normal", 1341, Estimate(0.8, 0.609, 0.911), "as it is"],
        ["<covid>", 0, Estimate.undefined("no image"), ""],
    ],
)


def body(table: Table) -> ET.Element:
    """The table itself, out of its HTML; which has to be well formed for it."""
    found = ET.fromstring(f"<page>{table.html()}</page>").find("div/table")
    assert found is not None
    return found


def test_a_page_shows_it_in_a_frame_that_scrolls() -> None:
    html = MEASURES.html()
    caption = "Measures of &lt;i&gt;one&lt;/i&gt;"
    assert html.startswith(
        f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}"><table><thead><tr>'
        '<th scope="col">class</th><th scope="col">images</th>'
        '<th scope="col" class="wrap">recall</th><th scope="col" class="text">about</th>'
        '</tr></thead><tbody><tr><th scope="row" class="wrap">normal</th><td>1,341</td>'
        '<td>0.800<small>0.609–0.911</small></td><td class="text">as it is</td></tr>'
    )
    assert html.endswith(f'CSV<span class="unseen"> of the table {caption}</span></a></p>')


@pytest.mark.parametrize(("words", "breaks"), [("a" * 25, True), ("two words " * 9, False)])
def test_a_long_word_may_break(words: str, breaks: bool) -> None:
    assert (
        Table("t", ["a", "b"], [[words, Cell(1, small=words)]]).html().count('class="long"')
        == 2 * breaks
    )


def test_the_link_holds_the_file() -> None:
    html = MEASURES.html()
    assert 'download="measures-of-i-one-i.csv"' in html
    assert base64.b64decode(html.split("base64,")[1].split('"')[0]).decode() == MEASURES.csv()
    assert 'download="table.csv"' in Table("+", ["a"], []).html()
    odd = Table("odd", ["a"], [["\udcff"]]).html()
    assert base64.b64decode(odd.split("base64,")[1].split('"')[0]) == b"a\n?\n"


def test_a_notebook_shows_the_caption_and_no_link() -> None:
    html = MEASURES.html(download=False)
    assert html.startswith('<div class="scroll"><table><caption>Measures of &lt;i&gt;')
    assert html.endswith("</table></div>")


def test_a_template_takes_it_as_it_is() -> None:
    template = jinja2.Environment(autoescape=True).from_string("{{ table }}")
    assert template.render(table=MEASURES) == MEASURES.html()


def test_csv() -> None:
    assert MEASURES.csv() == (
        "class,images,recall,about\n"
        "normal,1341,0.800 (0.609–0.911),as it is\n"
        "<covid>,0,— (no image),\n"
    )


@given(st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1))
@example("=cmd'|'/C calc'!A0")
@example("-1+1")
@example("1,234,567.5")
def test_no_name_becomes_a_formula_and_none_is_lost(name: str) -> None:
    ((cell,),) = csv.reader([Table("t", [""], [[name]]).csv()])
    if re.fullmatch(r"-?[\d.,e-]+", name):
        assert cell in (name, name.replace(",", ""), to_cell(name))
    else:
        assert not cell.startswith(("=", "+", "-", "@"))
        assert from_cell(cell).replace(",", "") == name.replace(",", "")


def test_groups_of_columns_and_marked_rows() -> None:
    table = Table(
        "Settings",
        ["decision", *(Column(name, wrap=True) for name in ("root", "two", "flat"))],
        [
            ["rule", Cell("route", span=2, kind="across"), Cell("argmax", kind="across")],
            [Cell("epochs ≠", unseen=" (differs)"), 1, 2, 3],
        ],
        kind="settings",
        over=["run", Cell("A", span=2), "B"],
        marked=(1,),
    )
    html = ET.tostring(body(table), encoding="unicode", short_empty_elements=False)
    assert html == (
        '<table class="settings"><thead><tr><th scope="col">run</th>'
        '<th scope="colgroup" colspan="2" class="wrap across">A</th>'
        '<th scope="colgroup" class="wrap across">B</th></tr><tr><th scope="col">decision</th>'
        '<th scope="col" class="wrap">root</th><th scope="col" class="wrap">two</th>'
        '<th scope="col" class="wrap">flat</th></tr></thead><tbody>'
        '<tr><th scope="row">rule</th><td colspan="2" class="across">route</td>'
        '<td class="across">argmax</td></tr><tr class="differs"><th scope="row">epochs ≠'
        '<span class="unseen"> (differs)</span></th><td>1</td><td>2</td><td>3</td></tr>'
        "</tbody></table>"
    )
    assert table.csv() == (
        "run,A,A,B\ndecision,root,two,flat\nrule,route,route,argmax\nepochs ≠ (differs),1,2,3\n"
    )


def test_facts_in_groups_have_no_headings() -> None:
    table = Table(
        "Card",
        ["", ""],
        [
            [Cell("Model", span=2, kind="group")],
            ["date", "today"],
            [Cell("Use", span=2, kind="group")],
            ["for", Cell("nobody", kind="open")],
        ],
    )
    html = body(table)
    assert html.find("thead") is None
    assert [len(group) for group in html.findall("tbody")] == [2, 2]
    heading = html.find("tbody/tr/th")
    assert heading is not None
    assert heading.attrib == {"scope": "rowgroup", "colspan": "2", "class": "group"}
    assert table.csv() == "Model,Model\ndate,today\nUse,Use\nfor,nobody\n"


def test_text_is_aligned() -> None:
    assert MEASURES.text().splitlines() == [
        "Measures of <i>one</i>",
        "class    images                  recall  about",
        "normal    1,341  0.800 (0.609 to 0.911)  as it is",
        "<covid>       0              — no image",
    ]
    assert Table("Nothing", ["a", "b"], []).text() == "Nothing\na  b"


def test_words_stand_at_the_left() -> None:
    table = Table("t", ["", "layer", "shape"], [["a", "conv", "1 x 32"], ["b", "linear", "8"]])
    assert table.text().splitlines()[1:] == [
        "   layer    shape",
        "a  conv    1 x 32",
        "b  linear       8",
    ]


@pytest.mark.parametrize("width", [30, 44, 60, 80])
def test_text_fits_a_terminal(width: int) -> None:
    estimate = Estimate(0.8, 0.609, 0.911)
    prose = "what it is, in several words of which none is broken"
    rows: list[list[Any]] = [
        ["normal", estimate, 7, estimate, prose],
        ["covid", None, 12, estimate, ""],
    ]
    lines = (
        Table("A caption of some words", ["", "A", "n", "B", "about"], rows)
        .text(width)
        .splitlines()
    )
    assert max(map(len, lines)) <= width
    assert sum(line.startswith("normal") for line in lines) == {30: 4, 44: 3, 60: 2, 80: 2}[width]
    shown = " ".join(" ".join(lines).split())
    assert shown.count("0.800 (0.609 to 0.911)") == 3
    assert all(word in shown for word in prose.split())


def test_the_style_of_a_column_holds_for_its_numbers() -> None:
    columns: list[str | Column] = ["", Column("share", style=PERCENT), Column("drop", style=SIGNED)]
    table = Table("t", columns, [["a", 0.5, Estimate(0.1, 0.05, 0.2)]])
    assert table.csv() == ",share,drop\na,50.0 %,'+0.100 (0.050–0.200)\n"


def test_a_row_that_does_not_fit_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="zip"):
        Table("t", ["a", "b"], [["only one"]]).csv()


def test_a_frame_has_plain_values_and_bounds() -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    frame = MEASURES.frame()
    assert list(frame) == ["class", "images", "recall", "recall low", "recall high", "about"]
    assert frame["images"].tolist() == [1341, 0]
    assert frame["recall low"][0] == 0.609
    assert frame[["recall", "recall low", "recall high"]].isna().sum().tolist() == [1, 1, 1]
    grouped = Table("t", ["", "n", "n"], [["a", 1, Cell(2)]], over=["", Cell("x"), Cell("y")])
    assert list(grouped.frame()) == ["", "x: n", "y: n"]
    assert grouped.frame().iloc[0].tolist() == ["a", 1, 2]


def test_without_pandas_there_is_no_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(HilumError, match="pandas, which is not installed: run pip install pandas"):
        MEASURES.frame()


def test_it_is_light_to_import() -> None:
    code = "import hilum.table, sys; print({'numpy', 'pandas', 'jinja2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
