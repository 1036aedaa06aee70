"""`hilum report`, as far as it decides anything itself."""

import sys

import pytest

from hilum import cli


@pytest.fixture
def refused(monkeypatch, capsys):
    """Run `hilum report …`; returns what it says when it refuses."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["hilum", "report", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert stop.value.code == 2
        return " ".join(capsys.readouterr().err.split())

    return call


def test_two_runs_are_compared(make_run, tmp_path, monkeypatch):
    a, b, out = make_run("a"), make_run("b", wrong=(0, 1)), tmp_path / "r.html"
    command = ["hilum", "report", "--compare", str(a), str(b), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    assert "Comparison on the same radiographs" in out.read_text(encoding="utf-8")


def test_runs_and_compare_exclude_each_other(make_run, refused):
    run = make_run()
    assert "not both" in refused(run, "--compare", run, run)
    assert "Name the runs" in refused()


def test_what_cannot_be_compared_is_refused(make_run, refused):
    text = refused("--compare", make_run("a"), make_run("b", split=None))
    assert "cannot be compared" in text
    assert "no split" in text
