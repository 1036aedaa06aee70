"""docs/reproduction.md: the same for the same studies, and true for any outcome."""

import importlib.util
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from hilum.codec import from_plain, to_plain
from hilum.errors import HilumError, StudyError
from hilum.labels import LabelTree
from hilum.reporting.study.reproduction import (
    code,
    describe_reproduction,
    markdown,
    sentence,
    write_reproduction,
)
from hilum.studies.results import Failure, StudyResult
from hilum.studies.study import Study
from tests.reporting.studies import cascade_loses, hostile, make_study, nothing_told, root_tuned

SCRIPT = Path(__file__).parents[2] / "scripts" / "reproduce.py"


@pytest.fixture(scope="module")
def studies():
    return [cascade_loses(), nothing_told(), root_tuned()]


@pytest.fixture(scope="module")
def text(studies):
    return describe_reproduction(studies)


def test_it_says_that_it_is_generated(text):
    assert text.startswith("<!-- Written by `make reproduction DATA=folder`")
    assert "\nThis page is generated." in text


def test_the_answer_and_the_conclusions_come_first(text):
    answer = text.split("\n\n")[1]
    assert answer.startswith("**In short.** Of 10 published conclusions, 1 is supported, 8 are ")
    assert "Nothing that was concluded" not in answer, "one was supported"
    # One of the cascade, three of batch sizes, six of the root's tuning, where one rate is bad.
    assert (
        "Of 10 published conclusions, 1 is supported, 8 are not distinguishable, 1 is contradicted."
    ) in text
    row = "| The cascade is better than one flat network. | accuracy on val: 15 of 24 against 14"
    assert row in text
    assert "| **contradicted** | −16.0 points (" in text
    assert "| **supported** | 35.0 points (" in text  # 0.001 against 0.00001
    assert text.index("## The conclusions") < text.index("## architecture-selection")


def test_every_experiment_has_its_part(text):
    for name in ("architecture-selection", "batch-size", "root-tuning"):
        assert f"\n## {name}\n" in text
        assert f"[{name}](#{name})" in text
        assert f"\nhilum study {name} DATA --out studies\n" in text
    assert "- `flat` is better than `cascade` by 16.0 points of accuracy (" in text
    assert "| `flat` | accuracy | 0.583 (0.388 to 0.755) | 0.667 (runs 0.667 to 0.667) |" in text
    assert "| `gamma-0.001` | flat |" not in text
    assert "times 0.001 after every 5 epochs" in text
    assert "**24 images.** On val one image more or less is 12.5" in text
    assert "Nothing is what it seems." in text


def test_a_study_of_one_decision_names_it():
    wrong = {name: [5, 6] for name in ("adam", "adamw", "lr-1e-5", "lr-1e-3")}
    study = make_study("infected-tuning", wrong, tree=LabelTree.from_text("covid, non-covid"))
    text = describe_reproduction([study])
    assert "| `adam` | infected | covinet | 10 |" in text
    assert "| root |" not in text


def test_runs_that_studies_share_are_counted_once(studies):
    one, again = studies[1], studies[1]
    twice = describe_reproduction([one, again])
    assert "15 different runs took 15 min 00 s of training" in twice  # a minute each


def test_tables_are_whole(text):
    widths = None
    for line in text.splitlines():
        if not line.startswith("|"):
            widths = None
            continue
        cells = len(re.findall(r"(?<!\\)\|", line))
        assert widths in (None, cells), line
        widths = cells
    assert not re.search(r" $|\n{3}", text, re.MULTILINE)


def test_the_same_studies_give_the_same_text(studies, text):
    again = [
        from_plain(StudyResult, to_plain(study), what="a study", error=StudyError)
        for study in studies
    ]
    assert describe_reproduction(again) == text


def test_what_comes_from_data_is_no_markup(studies):
    source = {"name": "x", "title": "A | <b>set</b>", "meaning": "*Not*\nwhat `it` seems"}
    failed = Failure("a|b", 0, 0, "key", "<img src=x>")
    changed = [
        replace(s, data={**s.data, "source": source}, failures=(failed,)) for s in studies[:1]
    ]
    text = describe_reproduction(changed)
    assert "A \\| &lt;b&gt;set&lt;/b&gt;" in text
    assert "\\*Not\\* what \\`it\\` seems" in text
    assert r"> Failed: `a\|b`, seed 0: &lt;img src=x&gt;" in text
    assert "<img" not in text


def test_escaping():
    assert markdown("a_b *c* [d](e) <f> & |") == r"a\_b \*c\* \[d\](e) &lt;f&gt; &amp; \|"
    assert code("a`b|c") == r"`a'b\|c`"
    assert sentence("`a_b` is < `c|d`_") == r"`a_b` is &lt; `c\|d`\_"


def test_failed_runs_leave_conclusions_untested():
    text = describe_reproduction([make_study("batch-size", {"16": [6, 7], "32": [], "64": []})])
    assert "Of 3 published conclusions, 3 are not tested." in text
    assert "nothing can be compared" in text
    assert "| `32` | 0 | — | — | — | — |" in text


def test_phantoms_are_called_that(studies):
    synthetic = replace(studies[0], data={**studies[0].data, "synthetic": True, "source": None})
    assert "The images are synthetic phantoms." in describe_reproduction([synthetic])


def test_refusals(studies, tmp_path):
    with pytest.raises(StudyError, match="There is no study"):
        describe_reproduction([])
    with pytest.raises(StudyError, match="'odd' names no published experiment"):
        describe_reproduction([hostile("other")])
    other = replace(studies[0], data={**studies[0].data, "fingerprint": "other"})
    with pytest.raises(StudyError, match="made on different data"):
        describe_reproduction([other, studies[1]])
    (tmp_path / "file").write_text("")
    with pytest.raises(HilumError, match="Cannot write"):
        write_reproduction(studies[:1], tmp_path / "file" / "r.md")


def test_the_command_runs_every_study_and_writes_the_document(tmp_path, monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location("reproduce", SCRIPT)
    assert spec
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    asked = []

    def study(name, data, *, out, jobs, device):
        asked.append((name, data, jobs, device))
        wrong = {variant: [6, 9] for variant in Study.load(name).variants}
        (out / name).mkdir(parents=True)
        (out / name / "study.json").write_text(json.dumps(to_plain(make_study(name, wrong))))

    monkeypatch.setattr(script, "study", study)
    document = tmp_path / "reproduction.md"
    out = str(tmp_path / "studies")
    arguments = ["reproduce", "DATA", "--jobs", "2", "--out", out, "--document", str(document)]
    monkeypatch.setattr("sys.argv", arguments)
    script.main()
    assert [name for name, *_ in asked] == [
        "architecture-selection",
        "network-selection",
        "batch-size",
        "class-weights",
        "root-tuning",
        "infected-tuning",
    ]
    assert {(str(data), jobs, device) for _, data, jobs, device in asked} == {("DATA", 2, None)}
    answer = "**In short.** Of 17 published conclusions, 17 are not distinguishable. Nothing that "
    stored = (SCRIPT.parents[1] / "docs/reproduction.md").read_text()
    for page in (document.read_text(), stored):
        assert f"\n{answer}" in page
    first = [page.split("\n\n")[1] for page in (document.read_text(), stored)]
    assert first[0] == first[1], "docs/reproduction.md begins as the template does"
    assert str(document) in capsys.readouterr().out

    def refuse(*_, **__):
        raise StudyError("no such data")

    monkeypatch.setattr(script, "study", refuse)
    with pytest.raises(SystemExit) as stopped:
        script.main()
    assert stopped.value.code == 2
    assert "reproduce: no such data" in capsys.readouterr().err
