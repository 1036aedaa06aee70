"""The report in a browser: nothing loaded, nothing wrong, readable for everybody."""

import csv
import re
from pathlib import Path

import pytest

from hilum.reporting.report import write_report
from tests.browser import Browser
from tests.browser import browser as browser
from tests.browser import chromium as chromium
from tests.reporting.assessments import assess_run, evaluate_also, move_elsewhere
from tests.reporting.conftest import make_run
from tests.reporting.test_report import HOSTILE, noise


def hostile_run(folder: Path, name: str, wrong: tuple[int, ...]) -> Path:
    """A small run whose label and file names would run a script or a formula if they could."""
    return make_run(
        folder / name,
        strategy="flat",
        labels="normal, <img src=x onerror=alert`1`>",
        counts=(3, 3),
        wrong=wrong,
        names=[f"val/{i}.png" for i in range(4)] + [HOSTILE, "=cmd'|' /C calc'!A0"],
        name=name,
    )


def assess_fully(run: Path) -> None:
    """Every measured section has something to show: val, data from elsewhere, and what is unmet."""
    evaluate_also(run)
    assess_run(run, "test")
    move_elsewhere(run)
    assess_run(run, same_images=True, missing={"conformal": "of <b>a reason</b>"}, conformal=None)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    run = hostile_run(folder, "=one", (0,))
    assess_fully(run)
    return write_report([run], folder / "report.html", images=noise)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared")
    runs = [hostile_run(folder, "=one", (0,)), hostile_run(folder, "two", (0, 4))]
    for run in runs:
        assess_fully(run)
    return write_report(runs, folder / "report.html", compare=True)


# axe-core takes seconds: every size and every colour is looked at once, not in all pairs.
@pytest.mark.parametrize(("size", "dark"), [("phone", True), ("desktop", False)])
def test_it_opens_without_a_fault(browser: Browser, report: Path, size: str, dark: bool) -> None:
    visit = browser.open(report, size=size, dark=dark)
    visit.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    visit.check_accessible()
    visit.check_fits()
    visit.check_quiet()
    assert visit.page.locator("img[src=x]").count() == 0
    moved = "tables => tables.filter(t => t.scrollWidth > t.clientWidth).length"
    assert visit.page.locator("#operating-points .scroll").evaluate_all(moved) == 0


@pytest.mark.parametrize(("size", "dark"), [("phone", False), ("desktop", True)])
def test_two_runs_open_without_a_fault(
    browser: Browser, compared: Path, size: str, dark: bool
) -> None:
    visit = browser.open(compared, size=size, dark=dark)
    visit.check_fits()
    visit.check_quiet()


def test_long_names_fit_a_phone(browser: Browser, tmp_path: Path) -> None:
    """Of classes, files and runs: none makes the page or a table wider than it is of short ones."""
    long = "x" * 150
    run = make_run(
        tmp_path / "run",
        strategy="flat",
        labels=f"normal, {long}",
        counts=(3, 3),
        wrong=(0,),
        names=[f"val/{i}{long}.png" for i in range(6)],
        name=long,
    )
    assess_fully(run)
    visit = browser.open(write_report([run], tmp_path / "report.html", images=noise), size="phone")
    visit.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    visit.check_fits()
    wide = "tables => Math.max(...tables.map(t => t.scrollWidth / t.clientWidth))"
    assert 1 <= visit.page.locator(".scroll").evaluate_all(wide) < 3


def test_every_table_can_be_downloaded(browser: Browser, compared: Path, tmp_path: Path) -> None:
    page = browser.open(compared).page
    assert page.locator("table").count() == page.locator("a[download]").count() > 10
    assert not page.locator("#comparison").is_visible()
    page.click("nav a[href='#comparison']")  # a link into the appendix unfolds it
    link = page.locator("#comparison a[download]").first
    with page.expect_download() as waiting:
        link.click()
    assert waiting.value.suggested_filename == "comparison-of-one-and-two-on-val.csv"
    file = tmp_path / "table.csv"
    waiting.value.save_as(file)
    rows = list(csv.reader(file.read_text(encoding="utf-8").splitlines()))
    assert rows[0] == ["measure", "'=one", "two", "difference", "p"]
    assert rows[1][:3] == ["Accuracy", "0.833", "0.667"]  # 5 and 4 of 6


def test_it_prints(browser: Browser, report: Path, tmp_path: Path) -> None:
    page = browser.open(report).page
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert not page.locator("a[download]").first.is_visible()
    assert page.locator("#limits").is_visible()
    assert not page.locator("#appendix").is_visible()
    page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True, format="A4")
    pages = re.findall(rb"/Type\s*/Page\b(?!s)", (tmp_path / "report.pdf").read_bytes())
    assert 1 <= len(pages) <= 6


def test_full_prints_the_appendix_too(browser: Browser, tmp_path: Path) -> None:
    run = hostile_run(tmp_path, "run", (0,))
    page = browser.open(write_report([run], tmp_path / "report.html", full=True)).page
    page.emulate_media(media="print")
    assert page.locator("#provenance").is_visible()
    assert page.locator("details.part:not([open])").count() == 0


def test_the_index_stays_and_marks_where_one_is(browser: Browser, report: Path) -> None:
    page = browser.open(report).page
    for anchor in ("measures", "limits"):
        page.evaluate(f"document.getElementById('{anchor}').scrollIntoView({{block: 'center'}})")
        marked = "[...document.querySelectorAll('nav li a')].filter(bold).map(a => a.hash).join()"
        bold = "const bold = a => getComputedStyle(a).fontWeight == 650"
        page.wait_for_function(f"() => {{ {bold}; return {marked} == '#{anchor}'; }}")
        assert page.locator("nav").bounding_box()["y"] == 0


def test_a_form_is_typed_into_saved_and_printed(
    browser: Browser, report: Path, tmp_path: Path
) -> None:
    page = browser.open(report).page
    page.click("nav a[href='#model-card']")
    page.locator("#model-card .write").first.click()
    page.keyboard.type("<b>A. Author</b>\nat a hospital")
    with page.expect_download() as waiting:
        page.locator("#model-card .save").click()
    assert waiting.value.suggested_filename == report.name
    saved = tmp_path / "saved.html"
    waiting.value.save_as(saved)

    again = browser.open(saved)
    typed = again.page.locator("#model-card .write").first
    assert typed.inner_text() == "<b>A. Author</b>\nat a hospital"
    assert again.page.locator("#model-card .save").is_visible()  # and it can be gone on with
    again.page.emulate_media(media="print")
    assert typed.is_visible()
    assert not again.page.locator("#claim").is_visible()
    again.check_quiet()
