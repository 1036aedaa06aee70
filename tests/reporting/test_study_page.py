"""The page of a study: its answer in words, complete, escaped, and ranking nothing."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hilum.codec import to_plain
from hilum.errors import HilumError
from hilum.records import Estimate
from hilum.reporting.study.figures import draw_study_curves
from hilum.reporting.study.page import write_study_page
from hilum.reporting.study.published import judged_conclusions, published_beside
from hilum.studies.results import Failure, read_study
from hilum.studies.stressed import StressedRun, compare_stressed, summarise_stressed
from hilum.studies.study import Study
from tests.browser import browser as browser
from tests.browser import chromium as chromium
from tests.reporting.studies import cascade_loses, hostile, make_study, nothing_told, root_tuned
from tests.reporting.test_report import Page

HOSTILE = "$x_{y}$ <img src=x onerror=alert(1)>`|"

EMPTY = make_study("architecture-selection", {"flat": [], "cascade": []})


@pytest.fixture(scope="module")
def contradicted():
    return cascade_loses()


@pytest.fixture(scope="module")
def page(contradicted, tmp_path_factory):
    file = write_study_page(contradicted, tmp_path_factory.mktemp("page") / "study.html")
    return Page(file.read_text(encoding="utf-8"))


@pytest.fixture
def read(tmp_path):
    def write_and_read(result):
        return Page(write_study_page(result, tmp_path / "o" / "s.html").read_text(encoding="utf-8"))

    return write_and_read


def test_the_answer_comes_first(page):
    words = page.words
    assert "One network over all classes, or a cascade of one network per decision?" in words
    # Differences of 9, 11, 9, 9 and 10 of 60 images: 48 / 300.
    assert "flat is better than cascade by 16.0 points of accuracy" in words
    assert words.index("is better than") < words.index("Comparisons over runs")
    assert "The cascade is better than one flat network." in words
    assert "contradicted" in words
    assert "Nothing is what it seems." in words
    assert "hilum study architecture-selection radiographs --seeds 5" in words
    assert "0.583 0.388–0.755" in words  # published: 14 of 24
    assert "Training took 10 min 00 s for 10 runs, on cpu in float32." in words


def few_curves(result):
    """The variants without their learning curves, which take long to draw."""
    return {
        name: replace(v, runs=tuple(replace(run, history=()) for run in v.runs))
        for name, v in result.variants.items()
    }


def test_nothing_is_ranked(read):
    """Variants stand in the order of the study, also where another would look better."""
    page = read(replace(nothing_told(), variants=few_curves(nothing_told())))
    assert "better than 64" in page.words  # what was published
    assert "is better than" not in page.words.split("Published and reproduced")[0]
    assert "Of 3 comparisons, 0 show a difference." in page.words
    names = [a["aria-label"] for a in page.of("div") if (a.get("aria-label") or "").startswith("R")]
    assert names == ["Runs of 16", "Runs of 32", "Runs of 64"]


def test_nothing_is_loaded_and_every_picture_has_words(page):
    assert page.of("script") == []
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:")), (tag, attributes)
    ids = [a["id"] for _, a in page.elements if a.get("id")]
    assert len(ids) == len(set(ids))
    links = {a["href"] for _, a in page.elements if (a.get("href") or "").startswith("#")}
    assert {link.removeprefix("#") for link in links} <= set(ids)
    # Differences, runs, own val, and loss and accuracy of one decision and of two.
    assert len(page.of("svg")) == 3 + 2 + 4
    assert page.svgs_without_title == 0
    assert len(page.of("table")) == len([a for a in page.of("a") if "download" in a])


def test_hostile_names_are_text(read):
    page = read(hostile(HOSTILE))
    assert page.of("img") == []
    assert f"Is {HOSTILE} better?" in page.words
    assert "Published and reproduced" not in page.words


def test_a_decision_alone_and_many_variants(read):
    page = read(replace(root_tuned(), variants=few_curves(root_tuned())))
    assert "Only images and options of the decision root were used." in page.words
    assert "AUROC, mean over classes" in page.words
    assert "a mean of the accuracies of its batches" in page.words
    assert not [a for a in page.of("details") if "open" in a]  # seven variants, folded up


def test_an_auroc_has_delongs_test_and_its_own_unit(read):
    wrong = {"16": [6, 7], "32": [9, 9], "64": [12, 14]}
    result = make_study("batch-size", wrong, measure="AUROC of covid")
    page = read(replace(result, variants=few_curves(result)))
    assert "DeLong’s test" in page.words
    assert "difference in AUROC" in page.words
    assert "points of" not in page.words
    assert "--measure 'auroc of covid'" in page.words


def test_phantoms_one_seed_failed_runs_and_no_val(read):
    result = make_study("batch-size", {"16": [6], "32": [9], "64": []}, own_val=False)
    failed = Failure("64", 0, 0, "key", "ValueError: <b>out</b> of memory")
    data = {**result.data, "synthetic": True, "source": None}
    unclear = replace(result.variants["32"], mean=Estimate.undefined("nobody was predicted"))
    variants = {**result.variants, "32": unclear}
    page = read(replace(result, failures=(failed,), data=data, variants=variants))
    assert "Synthetic phantoms." in page.words
    assert "nobody was predicted" in page.words
    assert "no interval can be given" in page.words
    assert "1 run failed" in page.words
    assert "ValueError: <b>out</b> of memory" in page.words
    assert "No run of it finished." in page.words
    assert "The data’s own val" not in page.words
    assert "The study holds" not in page.words
    assert "not tested" in page.words  # 32 against 64


def test_no_run_at_all(read):
    page = read(EMPTY)
    assert "nothing can be compared" in page.words


def test_it_reads_back_from_study_json(tmp_path, contradicted):
    file = tmp_path / "study.json"
    file.write_text(json.dumps(to_plain(contradicted)))
    assert read_study(file) == contradicted


def test_where_it_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HilumError, match="Cannot write the page"):
        write_study_page(EMPTY, tmp_path / "file" / "s.html")


# ---- parts ---------------------------------------------------------------------------------


def test_published_figures_beside_those_found(contradicted):
    flat, cascade = published_beside(contradicted).values()
    accuracy, normal, covid, _ = flat
    assert accuracy.what == "accuracy"
    assert accuracy.published.value == pytest.approx(14 / 24)
    assert (accuracy.own_val.value, accuracy.own_val.low) == (8 / 12, 8 / 12)  # 4 + 2 + 2 of 12
    assert accuracy.held_out.value == pytest.approx(269 / 300)  # 31 wrong
    assert (normal.what, normal.published.value) == ("recall of normal", 7 / 8)
    assert normal.own_val.value == 1.0
    assert covid.own_val.value == 0.5
    assert cascade[0].published.value == pytest.approx(15 / 24)


def test_published_precision_and_what_is_undefined():
    figures = {f.what: f for f in (published_beside(root_tuned()) or {})["adam"]}
    assert figures["accuracy on test"].published.value == 0.7495
    assert figures["accuracy on test"].own_val is None
    assert figures["precision of normal"].own_val.value == 0.8  # (4, 0), (1, 2)
    result = root_tuned()
    runs = result.variants["adam"].runs
    none = replace(runs[0], own_val_matrix=((0, 4), (0, 3)))
    adam = replace(result.variants["adam"], runs=(none, *runs[1:]))
    changed = replace(result, variants={**result.variants, "adam": adam})
    figures = {f.what: f for f in (published_beside(changed) or {})["adam"]}
    assert figures["precision of normal"].own_val.undefined == 1
    assert figures["precision of normal"].own_val.value == 0.8
    assert figures["recall of normal"].own_val.value == pytest.approx(16 / 20)
    assert figures["recall of normal"].own_val.low == 0.0


def test_conclusions_are_told_in_their_own_direction(contradicted):
    (told,) = judged_conclusions(contradicted)
    assert (told["better"], told["than"], told["verdict"]) == ("cascade", "flat", "contradicted")
    assert told["difference"].startswith("−16.0 points")
    assert told["sentence"].startswith("`flat` is better than `cascade`")
    (untested,) = judged_conclusions(EMPTY)
    assert (untested["difference"], untested["verdict"]) == ("—", "not tested")


def test_bands_over_runs():
    result = make_study("architecture-selection", {"flat": [6, 6, 6], "cascade": [6, 6, 6]})
    curves = draw_study_curves(result)
    assert list(curves.variants["cascade"]) == ["root", "infected"]
    loss, _ = curves.variants["flat"]["flat"]
    # Runs watch losses of 1, 2 and 3 in the first epoch, and half of that in the second.
    assert "watched from 2.000 to 1.000, in the last epoch between 0.500 and 1.500." in loss
    assert curves.cut is None


def test_a_wild_run_is_cut_off():
    result = make_study("architecture-selection", {"flat": [6], "cascade": [6]})
    flat = result.variants["flat"]
    first, second = flat.runs[0].history
    wild = replace(flat.runs[0], history=({**first, "train_loss": 500.0}, second))
    changed = {**result.variants, "flat": replace(flat, runs=(wild,))}
    # The losses' median is 1, in the first or the second epoch.
    assert draw_study_curves(replace(result, variants=changed)).cut == 4.0


def test_differences_leave_the_device_out():
    study = Study.load("architecture-selection").with_settings(device="cpu")
    assert study.differences("cascade") == []


# axe-core takes seconds: every size and every colour is looked at once, not in all pairs.
@pytest.mark.parametrize(("size", "dark"), [("phone", True), ("desktop", False)])
def test_it_opens_without_a_fault(browser, tmp_path: Path, size, dark):
    file = write_study_page(hostile(HOSTILE), tmp_path / "study.html")
    visit = browser.open(file, size=size, dark=dark)
    visit.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    visit.check_accessible()
    visit.check_fits()
    visit.check_quiet()
    assert visit.page.locator("img").count() == 0


def test_under_stress(read):
    result = cascade_loses()
    assert "Under stress" not in read(result).words

    def runs(*blurred):
        return [StressedRun(100, 0.8, {"gamma-dark": 0.7, "blur": v}, "f") for v in blurred]

    found = {"flat": runs(0.5, 0.52, 0.5), "cascade": runs(0.1, 0.12, 0.11)}
    numbered = {name: dict(enumerate(r)) for name, r in found.items()}
    result = replace(
        result,
        variants={
            name: replace(v, runs=(), stressed=summarise_stressed(found[name], 0.25))
            for name, v in result.variants.items()
        },
        stressed=compare_stressed([("flat", "cascade")], numbered, 0.25),
    )
    words = read(result).words
    assert "100 held-out images of every run" in words
    assert "as they are under stress exposure sharpness" in words
    assert "flat 0.800" in words
    # the mean of two corruptions: (0.40 + 0.40 + 0.39) / 3 / 2 = 0.198
    assert "19.8 points" in words
    assert "1 of 1 are shown" in words
