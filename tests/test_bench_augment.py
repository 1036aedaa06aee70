"""The benchmark of augmentation runs and reports what it measured, however fast it was."""

import importlib
import json
from pathlib import Path

import pytest


def test_a_quick_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    monkeypatch.setenv("HILUM_CACHE", str(tmp_path))  # the benchmark sets its own: put it back
    bench = importlib.import_module("bench_augment")
    monkeypatch.setattr(bench, "parts", lambda: {"mirror": 0.5})
    monkeypatch.setattr("hilum.process.own_process", lambda: None)  # not of the tests
    file = tmp_path / "result.json"

    arguments = ["--json", str(file), "--images", "12", "--rounds", "1", "--epochs", "1"]
    assert bench.main(arguments) == 0

    report = json.loads(file.read_text(encoding="utf-8"))
    (speeds,) = report["rounds"]
    assert report["settings"]["images"] == 12
    assert report["cost"]["median"] == pytest.approx(1 - speeds["full"] / speeds["none"])
    assert f"{report['cost']['median']:.1%}" in capsys.readouterr().out


def test_every_part_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    bench = importlib.import_module("bench_augment")
    from hilum.settings import Augmentation

    found = bench.parts(repeats=1)

    assert set(found) == {*Augmentation.model_fields, "all but mixup"}
    assert all(milliseconds > 0 for milliseconds in found.values())
