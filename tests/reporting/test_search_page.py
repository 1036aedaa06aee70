"""The page of a search: what it shows, in words too, and what it leaves out."""

import base64
import csv
import io
import re

import pytest

from hilum.errors import HilumError
from hilum.records import Estimate
from hilum.reporting.search_page import (
    history_chart,
    importance_chart,
    slice_chart,
    write_search_page,
)
from hilum.search.results import Importance, SearchResult, TrialResult
from tests.browser import browser as browser
from tests.browser import chromium as chromium

#: A choice that would be a script, mathematics or a formula if it could.
HOSTILE = "=<script>alert`1`</script> $x"


def trial(number, value, rate, network="naive", **changes):
    estimate = (
        Estimate(value, value - 0.1, value + 0.05, n=40) if value else Estimate.undefined("-")
    )
    values = {"learning_rate": rate, "network": network}
    fields = {"state": "complete", "epochs": 3, "seconds": 12.5, "runs": ("run",), **changes}
    return TrialResult(number=number, value=value, estimate=estimate, values=values, **fields)


def make_result(**changes):
    trials = (
        trial(0, 0.6, 1e-4),
        trial(1, 0.9, 1e-2, HOSTILE),
        trial(2, None, 1e-1, state="pruned", epochs=1),
        trial(3, None, 1.0, state="failed", error="the <loss> is not finite"),
        trial(4, 0.85, 2e-2),
    )
    fields = {
        "name": "small",
        "recipe": {"name": "small", "learning_rate": 0.001, "network": "naive"},
        "space": {
            "learning_rate": {"low": 1e-4, "high": 1.0, "log": True},
            "network": {"choices": ["naive", HOSTILE]},
        },
        "log_keys": ("learning_rate",),
        "measure": {"name": "accuracy", "label": "accuracy", "higher_is_better": True},
        "data": {"name": "spots", "fingerprint": "ab", "synthetic": True, "counts": {}},
        "folds": 5,
        "held_out": 1,
        "n_images": 40,
        "seed": 0,
        "wanted": 6,
        "storage": "postgresql://me:***@host/db",
        "versions": {"optuna": "5.0.0"},
        "trials": trials,
        "best": 1,
        "importance": Importance({"learning_rate": 0.75, "network": 0.25}, 3),
        "notes": ("A note.",),
    }
    return SearchResult(**{**fields, **changes})


def test_sentences():
    told = make_result().sentences
    assert told[0] == "5 of 6 trials: 3 complete, 1 pruned, 1 failed."
    assert "Trial 1 has the highest accuracy, 0.900" in told[1]
    assert "0.800 to 0.950) on 40" not in told[1]
    assert "0.800 to 0.950), on 40 images" in told[1]
    assert told[2] == "Of the 2 other complete trials, 1 lie within that interval."
    assert "winner's curse" in told[3]


def test_the_page(tmp_path):
    result = make_result()
    page = write_search_page(result, tmp_path / "new/search.html").read_text()
    for sentence in result.sentences[:3]:
        assert sentence in page
    assert "<script" not in page
    assert "the &lt;loss&gt; is not finite" in page
    assert not re.search(r'(src|href)="(?!#|data:)', page)
    assert page.count("<svg") == 4
    assert page.count("<title id=") == 4
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    table = next(
        base64.b64decode(data).decode()
        for name, data in re.findall(r'download="([^"]+)" href="data:text/csv[^,]*,([^"]+)"', page)
        if name == "all-trials.csv"
    )
    rows = list(csv.reader(io.StringIO(table)))
    assert rows[1][:5] == ["0", "complete", "0.600 (0.500–0.650)", "0.0001", "naive"]
    assert rows[2][1] == "best"
    assert rows[2][4] == f"'{HOSTILE}"  # no spreadsheet runs it
    assert rows[4][2] == "—"
    assert "1e-04" not in page or "0.0001 to 1, evenly over powers" in page


def test_the_pictures_in_words():
    result = make_result()
    assert "it begins at 0.600 and ends at 0.900, reached in trial 1" in history_chart(result)
    assert "learning_rate 75 per cent, network 25 per cent" in importance_chart(result.importance)
    assert "Tried: 0.0001 to 0.02" in slice_chart(result, "learning_rate")
    assert "naive: 2 trials, best 0.850" in slice_chart(result, "network")


def test_a_search_without_a_complete_trial(tmp_path):
    short = Importance({}, 0, reason="needs at least 20 complete trials, found 0")
    result = make_result(trials=(), best=None, importance=short)
    page = write_search_page(result, tmp_path / "search.html").read_text()
    assert "No trial is complete" in page
    assert "Not computed: needs at least 20 complete trials, found 0." in page
    assert "<svg" not in page
    with pytest.raises(ValueError, match="No trial is complete"):
        history_chart(result)
    with pytest.raises(ValueError, match="no importances"):
        importance_chart(short)


def test_a_page_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HilumError, match="Cannot write the page"):
        write_search_page(make_result(), tmp_path / "file/search.html")


@pytest.mark.parametrize(("size", "dark"), [("phone", True), ("desktop", False)])
def test_it_opens_without_a_fault(tmp_path, browser, size, dark):
    page = write_search_page(make_result(), tmp_path / "search.html")
    visit = browser.open(page, size=size, dark=dark)
    visit.check_accessible()
    visit.check_fits()
    visit.check_quiet()
