"""Tables as CSV: what a spreadsheet gets, and what it must not."""

import base64
import csv
import re

from hypothesis import example, given
from hypothesis import strategies as st
from markupsafe import Markup, escape

from hilum.files import from_cell, to_cell
from hilum.reporting.page import page_environment, table_with_csv, to_csv


def test_cells_are_written_as_they_read():
    html = (
        "<table><thead><tr><th>true ↓<br>predicted →</th><th>normal</th></tr></thead>"
        '<tbody><tr><th>normal</th><td><b>1,341</b><span class="share">80.0 %</span></td></tr>'
        "<tr><th>share</th><td>0.800<small>0.609–0.911</small></td></tr>"
        "<tr><th>none</th><td>0.5<small></small></td></tr>"
        "<tr><th>below</th><td>-0.25</td></tr></tbody></table>"
    )
    assert to_csv(html) == (
        "true ↓ predicted →,normal\nnormal,1341\nshare,0.800 (0.609–0.911)\nnone,0.5\nbelow,-0.25\n"
    )


def test_a_cell_that_spans_columns_is_repeated():
    html = '<table><tr><th>rule</th><td colspan="2">route</td></tr></table>'
    assert to_csv(html) == "rule,route,route\n"


@given(st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1))
@example("=cmd'|'/C calc'!A0")
@example("-1+1")
@example("1,234,567.5")
def test_no_name_becomes_a_formula_and_none_is_lost(name: str) -> None:
    html = f"<table><tr><td>{escape(name)}</td></tr></table>"
    ((cell,),) = csv.reader([to_csv(html)])
    if re.fullmatch(r"-?[\d.,e-]+", name):
        assert cell in (name, name.replace(",", ""), to_cell(name))
    else:
        assert not cell.startswith(("=", "+", "-", "@"))
        assert from_cell(cell).replace(",", "") == name.replace(",", "")


def test_the_link_holds_the_file_and_the_label_is_escaped():
    html = Markup("<table><tr><td>=1</td></tr></table>")
    found = str(table_with_csv("<i>é & co</i>", caller=lambda: html))
    assert "<i>" not in found
    assert 'download="i-é-co-i.csv"' in found
    data = found.split("base64,")[1].split('"')[0]
    assert base64.b64decode(data) == b"'=1\n"


def test_templates_call_it():
    template = page_environment().from_string(
        "{% call table(name) %}<table><tr><td>{{ name }}</td></tr></table>{% endcall %}"
    )
    html = template.render(name="<b>")
    assert "<td>&lt;b&gt;</td>" in html
    assert base64.b64encode(b"<b>\n").decode() in html
