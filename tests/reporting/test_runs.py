import json

import pytest

from hilum.errors import HilumError
from hilum.reporting.runs import read_runs


def test_a_run_is_read_with_its_curves_and_evaluations(make_run):
    (run,) = read_runs([make_run()])
    assert run.decisions == ("root", "infected")
    assert [len(run.history[d]) for d in run.decisions] == [5, 10]
    result = run.result("val")
    assert result is not None
    assert result.evaluation.n == len(result.verdicts) == 25
    assert sum(not v.correct for v in result.verdicts.values()) == 5


def test_runs_of_one_name_are_told_apart(make_run):
    runs = read_runs([make_run("a"), make_run("b"), make_run("c", name="other")])
    assert [r.name for r in runs] == ["covinet-cascade (a)", "covinet-cascade (b)", "other"]
    folder = runs[0].folder
    assert [r.name for r in read_runs([folder, folder])] == [
        "covinet-cascade (a)",
        "covinet-cascade (a), run 2",
    ]


def test_a_torn_last_line_is_left_out_and_reported(make_run):
    folder = make_run()
    history = folder / "history.jsonl"
    history.write_text(history.read_text()[:-20])
    (run,) = read_runs([folder])
    assert run.history_torn
    assert len(run.history["infected"]) == 9


def test_an_epoch_that_was_repeated_after_a_resume_counts_once(make_run):
    folder = make_run()
    history = folder / "history.jsonl"
    lines = history.read_text().splitlines()
    again = json.loads(lines[4]) | {"train_loss": 0.125}
    history.write_text("\n".join([*lines, json.dumps(again)]) + "\n")
    (run,) = read_runs([folder])
    assert [e.epoch for e in run.history["root"]] == [1, 2, 3, 4, 5]
    assert run.history["root"][4].train_loss == 0.125


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("run.json", "{", "is not valid JSON"),
        ("run.json", "[]", "Not the facts of a run: it should be an object, but is a list"),
        ("run.json", "{}", "lacks the key 'labels'"),
        (
            "run.json",
            '{"labels": ["a", "b"], "strategy": "odd"}',
            "'strategy' should be 'flat' or 'cascade', but is 'odd'",
        ),
        (
            "run.json",
            '{"labels": ["a", "b"], "strategy": "flat", "notes": [5]}',
            "'notes.0' should be text, but is 5",
        ),
        ("recipe.toml", "= 3", "is not valid TOML"),
        ("history.jsonl", '{"epoch": 1}\n', "line 1: not an epoch"),
        ("evaluation/val/evaluation.json", "{", "evaluation.json"),
    ],
)
def test_a_damaged_file_is_refused_by_name(make_run, file, content, says):
    folder = make_run()
    (folder / file).write_text(content)
    with pytest.raises(HilumError, match=says) as error:
        read_runs([folder])
    assert file.rsplit("/", maxsplit=1)[-1] in str(error.value)


def test_predictions_of_another_evaluation_are_refused(make_run):
    folder = make_run()
    table = folder / "evaluation" / "val" / "predictions.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(HilumError, match=r"holds 24 predictions .* is about 25"):
        read_runs([folder])


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(HilumError, match="is not a run folder: it has no run"):
        read_runs([tmp_path])
    with pytest.raises(HilumError, match="at least one run folder"):
        read_runs([])
