"""hilum get: what is said before anything is fetched, and what is printed after."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from hilum.cli.get import get
from hilum.errors import DataError, Interrupted
from hilum.fetching import catalogue
from hilum.fetching import get as fetching
from tests.fetching.conftest import LOOPBACK, Web
from tests.fetching.test_get import npz, small_set

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(get)


@pytest.fixture
def loopback(web: Web, monkeypatch: pytest.MonkeyPatch) -> str:
    data_set = small_set(web, npz())
    monkeypatch.setattr(catalogue, "find_set", lambda name: data_set)
    monkeypatch.setattr(fetching, "ACCESS", LOOPBACK)
    return data_set.name


def test_the_list_names_every_set() -> None:
    shown = CliRunner().invoke(app, [])
    listed = json.loads(CliRunner().invoke(app, ["--list", "--json"]).stdout)

    assert shown.exit_code == 0
    for entry in listed:
        assert entry["name"] in shown.stdout
        assert entry["meaning"].endswith(".")


def test_licence_and_meaning_come_first_and_a_pipe_is_refused(
    loopback: str, web: Web, tmp_path: Path
) -> None:
    result = CliRunner().invoke(app, [loopback, "--out", str(tmp_path / "out")])

    assert isinstance(result.exception, DataError)
    assert "add --yes" in str(result.exception)
    assert "Licence: CC BY 4.0" in result.stderr
    assert "children one to five years old" in result.stderr
    assert web.asked == []


def test_yes_fetches(loopback: str, tmp_path: Path) -> None:
    out = tmp_path / "out"

    result = CliRunner().invoke(app, [loopback, "--out", str(out), "--yes", "--json"])

    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["images"]["train"] == {"normal": 3}
    assert told["folder"] == str(out)


def test_people_see_counts_and_the_sum(loopback: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [loopback, "--out", str(tmp_path / "out"), "--yes"])

    assert "train  " in result.stdout
    assert "SHA-256: " in result.stdout
    assert "hilum audit" in result.stdout


@pytest.mark.parametrize("answer", ["y\n", "n\n"])
def test_a_terminal_is_asked(
    loopback: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("hilum.cli.get.sys", type("sys", (), {"stdin": Terminal()}))

    result = CliRunner().invoke(app, [loopback, "--out", str(tmp_path / "out")], input=answer)

    assert (tmp_path / "out").is_dir() == (answer == "y\n")
    assert isinstance(result.exception, Interrupted) == (answer == "n\n")


def test_wrong_words_are_refused_before_anything_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for words, why in (
        (["kermani"], "Did you mean 'kermany'"),
        (["kermany", "--size", "28"], "one size only"),
        (["kermany", "--out", str(tmp_path)], "exists already"),
    ):
        result = CliRunner().invoke(app, words)
        assert isinstance(result.exception, DataError)
        assert why in str(result.exception)
        assert result.stderr == ""
