"""hilum study."""

import json

import pytest
import typer
from typer.testing import CliRunner

from hilum.cli.study import study
from hilum.errors import StudyError
from tests.studies.small import RECIPE, small_data

FILE = """
name = "rates"
question = "Which learning rate?"
recipe = "small.toml"
seeds = 2
folds = 2
block_size = 1
published = "architecture-selection"

[variants.slow]
learning_rate = 1e-5

[variants.quick]
"""


@pytest.fixture
def app():
    found = typer.Typer()
    found.command()(study)
    return found


def test_a_study_from_a_file(tmp_path, app):
    small_data(tmp_path / "spots")
    (tmp_path / "spots/train/normal/99.png").write_text("<html>404</html>")
    (tmp_path / "small.toml").write_text(RECIPE)
    (tmp_path / "rates.toml").write_text(FILE)
    command = [str(tmp_path / "rates.toml"), str(tmp_path / "spots"), "--out", str(tmp_path / "o")]
    command += ["--skip-damaged"]
    shown = CliRunner().invoke(app, command, catch_exceptions=False)
    assert shown.exit_code == 0
    assert "1 damaged file left out." in shown.stdout
    assert "rates on spots: accuracy, mean over runs" in shown.stdout
    assert "quick" in shown.stdout
    assert "own val" in shown.stdout
    assert "under stress" not in shown.stdout
    assert "Published: The cascade is better than one flat network. Here: not tested." in (
        shown.stdout
    )
    page = tmp_path / "o" / "rates" / "study.html"
    assert f"Study: {page}" in shown.stdout
    assert "Which learning rate?" in page.read_text(encoding="utf-8")
    assert "1 damaged file left out." in page.read_text(encoding="utf-8")
    assert "slow, seed 0: done  (1 of 4 runs" in shown.stderr

    told = CliRunner().invoke(
        app, [*command, "--json", "--measure", "recall of covid"], catch_exceptions=False
    )
    result = json.loads(told.stdout)
    assert result.pop("reading")["layout"] == "split-folders"
    assert result["measure"]["label"] == "recall of covid"
    assert result["sentences"]
    assert list(result["data"]["damaged"]) == ["train/normal/99.png"]
    assert json.loads((tmp_path / "o/rates/study.json").read_text()) == result

    one = CliRunner().invoke(app, [*command, "--seeds", "1"], catch_exceptions=False)
    assert "With one seed no interval can be given" in one.stdout


def test_the_list(app):
    shown = CliRunner().invoke(app, ["--list"], catch_exceptions=False)
    assert "batch-size" in shown.stdout
    assert "16, 32, 64" in shown.stdout
    found = json.loads(CliRunner().invoke(app, ["--list", "--json"]).stdout)
    assert [s["name"] for s in found] == sorted(s["name"] for s in found)


def test_without_data(app):
    with pytest.raises(StudyError, match="hilum study --list"):
        CliRunner().invoke(app, ["batch-size"], catch_exceptions=False)
