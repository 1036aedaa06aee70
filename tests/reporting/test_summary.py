import json

import pytest

from hilum.reporting.runs import read_runs
from hilum.reporting.sections.data import read_audit
from hilum.reporting.sections.results import cautions
from hilum.reporting.sections.summary import describe_run, give_verdict, summarise_runs
from hilum.reporting.subject import Subject
from tests.reporting.assessments import evaluate_also


def test_runs_are_compared_on_the_radiographs_of_the_main_evaluation(make_run):
    folders = make_run("a", wrong=()), make_run("b", strategy="flat", wrong=range(13))
    for folder in folders:
        evaluate_also(folder)
    found = summarise_runs(Subject(read_runs(folders)))
    (pair,) = found["pairs"]
    assert (pair.split, pair.n, pair.both, pair.neither) == ("test", 25, 12, 0)
    assert (pair.mcnemar.only_a, pair.mcnemar.only_b) == (13, 0)


def test_other_radiographs_are_not_compared(make_run):
    runs = read_runs([make_run("a"), make_run("b", counts=(8, 8, 8), wrong=(0,))])
    found = summarise_runs(Subject(runs))
    assert found["pairs"] == []
    assert found["different"] == [f"{runs[0].name} and {runs[1].name} on val"]


def test_runs_without_a_common_split_are_not_compared(make_run):
    found = summarise_runs(Subject(read_runs([make_run("a"), make_run("b", split="test")])))
    assert (found["pairs"], found["different"]) == ([], [])


def test_a_run_is_described(make_run):
    cascade, flat = read_runs([make_run("a"), make_run("b", strategy="flat")])
    assert describe_run(cascade) == (
        "It is a cascade of 2 covinet networks, one for each decision (root, infected); "
        "trained on 5,216 radiographs."
    )
    assert describe_run(flat).startswith(
        "It is one covinet network that chooses between normal, covid and non-covid;"
    )


def test_blocks_that_were_held_out_do_not_count_as_trained_on(make_run):
    (run,) = read_runs([make_run(monitored={"split": "blocks", "n": 782})])
    assert "trained on 4,434 radiographs, 782 more of train being held out" in describe_run(run)


@pytest.mark.parametrize(
    ("select", "split", "says"),
    [
        ("best", "val", "was chosen on val, so these figures are optimistic"),
        ("last", "val", "no epoch was chosen on it"),
        ("last", "train", "were trained on"),
    ],
)
def test_what_flatters_the_figures_is_said(make_run, select, split, says):
    folder = make_run(split=split)
    recipe = folder / "recipe.toml"
    recipe.write_text(recipe.read_text().replace('"last"', f'"{select}"'))
    (run,) = read_runs([folder])
    assert any(says in sentence for sentence in cautions(run, run.results[0]))


def test_a_split_that_was_not_watched_needs_no_caution_about_it(make_run):
    folder = make_run(split="test", counts=(40, 40, 40))
    info = json.loads((folder / "run.json").read_text())
    assert info["monitored"]["split"] == "val"
    (run,) = read_runs([folder])
    assert cautions(run, run.results[0]) == []


@pytest.mark.parametrize(
    ("severity", "code", "audited", "says"),
    [
        ("critical", "x", "sha256:5f2c", "found what is critical: “2 patients in two splits”"),
        (
            "critical",
            "provenance",
            "sha256:5f2c",
            "critical: what its labels mean (the note above)",
        ),
        ("warning", "x", "sha256:5f2c", "with 25 radiographs the intervals are wide"),
        ("critical", "x", "other", "no audit of these very data was at hand"),
    ],
)
def test_the_verdict_says_what_speaks_against_it(make_run, tmp_path, severity, code, audited, says):
    folder = make_run()
    evaluate_also(folder)
    runs = read_runs([folder])
    finding = {
        "severity": severity,
        "code": code,
        "title": "2 patients in two splits",
        "meaning": "…",
    }
    (tmp_path / "audit.json").write_text(
        json.dumps({"data": {"fingerprint": audited}, "findings": [finding], "shortcuts": []})
    )
    audit = read_audit(tmp_path / "audit.json", runs)
    assert audit["by_finding"] is None
    good, doubts, weak = give_verdict(Subject(runs, audit=audit), runs[0])
    assert good.startswith("On test it named the right class for 20 of 25")
    assert doubts.startswith("What speaks against trusting that: ")
    assert says in doubts
    assert ("critical" in doubts) == (severity == "critical" and audited != "other")
    assert weak.endswith("how it does on films from elsewhere was not measured.")


def test_where_nothing_is_wrong_no_class_is_the_weakest(make_run):
    (run,) = read_runs([make_run(wrong=())])
    _, _, weak = give_verdict(Subject((run,)), run)
    assert weak.startswith("Where it is weak does not show: it was wrong on none of the 25; how")


def test_the_main_evaluation_is_of_test_and_never_of_train(make_run):
    for split, main in (("test", "test"), ("far", "val"), ("train", "val")):
        folder = make_run(f"of-{split}")
        evaluate_also(folder, split)
        (run,) = read_runs([folder])
        assert run.main is not None
        assert run.main.split == main
