"""The report as a page: self-contained, accessible, escaped, and complete."""

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from hilum.errors import HilumError
from hilum.records import PixelArray
from hilum.reporting.report import write_report
from hilum.reporting.sections.explanations import LARGE, LEAST, LIMIT, SUREST
from tests.reporting.assessments import ODD_ARRIVALS, assess_run, evaluate_also, move_elsewhere

VOID = {"meta", "link", "img", "br", "input", "hr"}
HOSTILE = "<img src=x onerror=alert(1)>.jpg"


class Page(HTMLParser):
    """Collects what the tests ask about; fails on elements that are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.svgs_without_title = 0
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if self.open and self.open[-1] == "svg" and self.last_was_svg:
            self.svgs_without_title += tag != "title"
        self.last_was_svg = tag == "svg"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.text += " " + data

    last_was_svg = False

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


def noise(names: Sequence[str]) -> list[PixelArray]:
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, (150, 150), dtype=np.uint8) for _ in names]


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Page]:
    def write_and_read(*runs: Path, **options: object) -> Page:
        out = write_report(runs, tmp_path / "out" / "report.html", **options)  # type: ignore[arg-type]
        return Page(out.read_text(encoding="utf-8"))

    return write_and_read


def test_two_runs_stand_side_by_side(make_run, read):
    runs = make_run("a"), make_run("b", strategy="flat", wrong=(2, 5, 11, 17, 18, 19, 23))
    page = read(*runs, images=noise)
    assert "Report on covinet-cascade and covinet-flat" in page.words
    # 20 of 25 and 18 of 25; the intervals are Wilson's, as statsmodels and R give them.
    assert "right class for 20 of 25: 80.0 % (95 % interval 60.9 to 91.1 %)" in page.words
    assert "right class for 18 of 25: 72.0 % (95 % interval 52.4 to 85.7 %)" in page.words
    # Both wrong: 2, 11, 18. Only the cascade: 20, 24. Only the flat one: 5, 17, 19, 23.
    told = (
        "Of 25 radiographs of val covinet-cascade and covinet-flat both name the right class for "
        "16, covinet-cascade alone for 4, covinet-flat alone for 2, neither for 3. McNemar's exact "
        "test on the images where they differ: p = 0.69; so few differences could well be chance."
    )  # 2 x (1 + 6 + 15) / 64 = 0.6875
    assert page.words.count(told) == 2  # with the verdict, and with every difference
    assert "Of 25 images, 9 were given a wrong class by at least one run." in page.words


def test_nothing_is_loaded_and_only_its_own_script_may_run(make_run, tmp_path):
    html = write_report([make_run()], tmp_path / "r.html", images=noise).read_text("utf-8")
    page = Page(html)
    assert page.of("script") == [{}]
    script = html[html.index("<script>") + len("<script>") : html.index("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [a["content"] for a in page.of("meta") if a.get("http-equiv")]
    assert policy == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'"
    )
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "srcset", "data", "action", "xlink:href"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), (tag, value)
        assert not any("://" in (v or "") for v in attributes.values()), (tag, attributes)


def test_styles_load_nothing(make_run, tmp_path):
    html = write_report([make_run()], tmp_path / "r.html").read_text(encoding="utf-8")
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert html.count("<style") == 1


def test_every_picture_has_words_and_every_id_is_unique(make_run, read):
    page = read(make_run("a"), make_run("b", strategy="flat"), images=noise)
    assert len(page.of("img")) == 25 + 2 * LEAST  # the surest errors of each run stand first
    assert all(img["alt"] for img in page.of("img"))
    svgs = page.of("svg")
    assert len(svgs) == 1 + 1 + 2 * 3  # measures, classes, and two curves per decision
    ids = [a["id"] for _, a in page.elements if a.get("id")]
    assert len(ids) == len(set(ids))
    assert all(svg["role"] == "img" and svg["aria-labelledby"] in ids for svg in svgs)
    assert page.svgs_without_title == 0
    links = {a["href"] for _, a in page.elements if (a.get("href") or "").startswith("#")}
    assert {link.removeprefix("#") for link in links if link} <= set(ids)


def test_errors_are_marked_in_words_and_come_first(make_run, read):
    page = read(make_run(), images=noise)
    cards = [a["class"] for a in page.of("li") if a.get("class") in ("wrong", "right")]
    assert cards == ["wrong"] * 5 + ["right"] * 20
    assert page.words.count("✗ wrong") == 5
    assert page.words.count("✓ right") == 20
    surest = [img["alt"] or "" for img in page.of("img")[:5]]
    assert all("taken for" in alt for alt in surest)
    assert "true normal; covinet-cascade says covid, wrong" in (page.of("img")[5]["alt"] or "")
    assert "All are shown." in page.words


def test_a_large_grid_is_folded_away(make_run, tmp_path):
    run = make_run(counts=(40, 30, 30), wrong=range(50))
    out = write_report([run], tmp_path / "r.html", images=noise)
    page = Page(out.read_text(encoding="utf-8"))
    assert len(page.of("img")) == 100 + SUREST
    assert "All are shown." in page.words
    assert f"The other {100 - LARGE}, smaller" in page.words


def test_six_hundred_radiographs_stay_under_five_megabytes(make_run, tmp_path):
    run = make_run(counts=(200, 200, 220), wrong=range(50))
    still = noise(["any"])[
        0
    ]  # the worst case for JPEG; decoded from one array, so that it is quick
    out = write_report([run], tmp_path / "r.html", images=lambda names: [still] * len(names))
    page = Page(out.read_text(encoding="utf-8"))
    shown = len(page.of("img")) - SUREST
    assert LARGE < shown < LIMIT
    assert f"{620 - shown} images are not shown , 0 of them errors." in page.words
    assert out.stat().st_size < 5_000_000


def test_pictures_that_are_not_at_hand_are_named_as_such(make_run, read):
    page = read(make_run())
    assert "The pictures were not at hand" in page.words
    assert page.of("img") == []


def test_pictures_in_another_number_are_refused(make_run, tmp_path):
    with pytest.raises(HilumError, match="asked for 5 radiographs and was given 4"):
        write_report([make_run()], tmp_path / "r.html", images=lambda names: noise(names)[1:])


def test_hostile_names_are_shown_and_not_run(make_run, read):
    run = make_run(
        labels="normal, $x^<script>alert",
        strategy="flat",
        counts=(2, 1),
        wrong=(0,),
        names=[HOSTILE, "=cmd'|' /C calc'!A0", '"><svg onload=alert(1)>'],
        name="<b>run</b>",
        notes=["<i>note</i>"],
    )
    page = read(run, images=noise, title="<u>title</u>")
    assert HOSTILE in page.words
    assert "$x^<script>alert" in page.words
    assert "<b>run</b>" in page.words
    assert "<i>note</i>" in page.words
    assert "<u>title</u>" in page.words
    assert {"i", "u"}.isdisjoint(tag for tag, _ in page.elements)
    assert len(page.of("script")) == 1  # its own
    assert len(page.of("img")) == 3 + 1
    assert any("onerror" in (img["alt"] or "") for img in page.of("img"))


def test_labels_in_other_scripts_raise_no_warning(make_run, read):
    page = read(make_run(labels="正常, 肺炎", strategy="flat", counts=(3, 3), wrong=()))
    assert "肺炎" in page.words


def test_synthetic_data_and_notes_are_prominent(make_run, read):
    run = make_run(notes=["The test set was used during training."])
    info = json.loads((run / "run.json").read_text())
    info["data"]["synthetic"] = True
    (run / "run.json").write_text(json.dumps(info))
    words = read(run).words
    assert "they say nothing about patients" in words
    assert "Note: The test set was used during training." in words
    assert "trained on 5,216 synthetic phantoms" in words


def test_images_that_are_unlike_those_of_training_are_the_first_notes(make_run, read):
    run = make_run(notes=["The test set was used during training."])
    assess_run(run, arrivals=ODD_ARRIVALS)
    evaluate_also(run)
    assess_run(run, "test", arrivals=replace(ODD_ARRIVALS, warning="The others are, too."))
    move_elsewhere(run)

    words = read(run).words

    own, others = "Note: 50.0 % of the 10 pictures are unlike.", "Note: The others are, too."
    assert f"{own} {others} Note: The test set was used during training." in words


def test_missing_parts_are_said_in_words(make_run, read):
    run = make_run(split=None, finished=None, data={}, networks={}, monitored=None)
    (run / "history.jsonl").unlink()
    (run / "recipe.toml").unlink()
    words = read(run, images=noise).words
    assert "It has not been evaluated," in words
    assert "training had not finished" in words
    assert "did not record how many images" in words
    assert "No epoch of this decision has been recorded." in words
    assert "None of these runs has been evaluated" in words
    assert "There are no predictions of single radiographs" in words
    assert "has no recipe.toml, so its settings are not known" in words


def test_an_undefined_measure_is_a_dash_with_its_reason(make_run, read):
    # Every 'covid' image is called 'non-covid', and no other image is called 'covid'.
    words = read(make_run(wrong=range(8, 17))).words
    assert "no image was predicted as covid" in words
    assert "— undefined, reason 1" in words


def test_settings_show_where_decisions_differ(make_run, read):
    words = read(make_run("a"), make_run("b", strategy="flat")).words
    assert "weight decay ≠ (differs) 0.0 1e-05 0.0" in words
    assert "learning rate 0.001 0.001 0.001" in words
    assert "training images ≠ (differs) 5,216 3,875 5,216" in words  # 3875 = 1345 + 2530
    assert "momentum 0.9" not in words  # it has no effect under AdamW


def test_held_out_blocks_are_named(make_run, read):
    words = read(make_run(monitored={"split": "blocks", "n": 782})).words
    assert "watched during training held-out blocks" in words
    assert "5,216 less held-out blocks" in words


def test_paths_of_the_machine_stay_out(make_run, tmp_path):
    html = write_report([make_run()], tmp_path / "r.html").read_text(encoding="utf-8")
    assert "/home/someone" not in html
    assert str(tmp_path) not in html
    assert "hilum train radiographs --recipe run/recipe.toml --out run-again" in html


def test_an_output_that_cannot_be_written_is_refused(make_run, tmp_path):
    (tmp_path / "file").write_text("")
    run = make_run()
    for name, why in (
        ("file/report.html", "Cannot write the report"),
        ("labels.csv", "labels.csv: what is written there ends in .html or .htm"),
    ):
        with pytest.raises(HilumError, match=why):
            write_report([run], tmp_path / name)
