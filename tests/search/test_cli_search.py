"""hilum search."""

import json

import pytest
import typer
from typer.testing import CliRunner

from hilum.cli.search import search
from hilum.recipe import Recipe
from tests.spots import write_spots
from tests.studies.small import RECIPE

SPACE = "[learning_rate]\nlow = 1e-4\nhigh = 1e-1\nlog = true\n"


@pytest.fixture
def app():
    found = typer.Typer()
    found.command()(search)
    return found


def test_a_search(tmp_path, app):
    write_spots(tmp_path / "spots", {"train": 20})
    (tmp_path / "spots/train/normal/99.png").write_text("<html>404</html>")
    (tmp_path / "small.toml").write_text(RECIPE.replace("epochs = 2", "epochs = 1"))
    (tmp_path / "space.toml").write_text(SPACE)
    out = tmp_path / "o"
    command = [
        str(tmp_path / "small.toml"), str(tmp_path / "spots"), "--block-size", "1", "--trials", "1",
        "--space", str(tmp_path / "space.toml"), "--out", str(out), "--skip-damaged",
    ]  # fmt: skip
    shown = CliRunner().invoke(app, command, catch_exceptions=False)
    assert shown.exit_code == 0
    assert "small on spots: the best of 1 trials" in shown.stdout
    assert f"Recipe: {out / 'best.toml'}" in shown.stdout
    assert "trial 0: " in shown.stderr
    assert "1 damaged file left out." in (out / "search.html").read_text()
    assert "Trial 0 finished" not in shown.stderr  # Optuna's own words
    assert "<svg" in (out / "search.html").read_text()
    Recipe.load(out / "best.toml")

    again = CliRunner().invoke(app, [*command, "--json"], catch_exceptions=False)
    found = json.loads(again.stdout)
    assert found.pop("reading")["layout"] == "split-folders"
    assert list(found["data"]["damaged"]) == ["train/normal/99.png"]
    assert found == json.loads((out / "search.json").read_text())
