"""hilum evaluate --stress and --shift: the file, the line, and what a program reads."""

import json
from functools import partial

import pytest

from tests.command import run_command
from tests.untrained import untrained


@pytest.fixture
def run(monkeypatch, capsys):
    return partial(run_command, monkeypatch, capsys)


def test_stress_is_measured_on_request(spots, tmp_path, run):
    folder, out = tmp_path / "classifier", tmp_path / "e"
    untrained(spots).save(folder)

    code, text, err = run("evaluate", folder, spots.root, "--stress", "quick", "--out", out)

    assert code == 0, err
    found = json.loads((out / "stress.json").read_text())
    assert found["strengths"] == [2, 4]
    accuracy = found["stressed"]["measures"]["accuracy"]["value"]
    assert f"Under stress (16 corruptions in 2 strengths): accuracy {accuracy:.3f}" in text
    assert "assessment.json, stress.json)" in text
    evaluation = json.loads((out / "evaluation.json").read_text())
    assert found["clean"]["accuracy"] == evaluation["accuracy"]
    assert (found["rule"], found["data"], found["classifier"]) == tuple(
        evaluation[key] for key in ("rule", "data", "classifier")
    )

    code, text, err = run("evaluate", folder, spots.root, "--json", "--out", tmp_path / "f")
    assert code == 0, err
    assert {"stress", "shift"}.isdisjoint(json.loads(text))
    assert not list((tmp_path / "f").glob("s*.json"))


def test_shifted_films_are_measured_on_request(spots, tmp_path, run):
    folder, out = tmp_path / "classifier", tmp_path / "e"
    untrained(spots).save(folder)

    code, text, err = run("evaluate", folder, spots.root, "--shift", "--out", out)

    assert code == 0, err
    found = json.loads((out / "shift.json").read_text())
    worst = min(kind["measures"]["accuracy"]["value"] for kind in found["kinds"].values())
    assert "How it may do elsewhere: accuracy" in text
    assert f"{worst:.3f}" in text
    assert "assessment.json, shift.json)" in text
    evaluation = json.loads((out / "evaluation.json").read_text())
    assert found["clean"]["accuracy"] == evaluation["accuracy"]


def test_another_word_is_refused(spots, run):
    code, _, err = run("evaluate", spots.root, spots.root, "--stress", "some")
    assert code == 2
    assert "full" in err
    assert "quick" in err
