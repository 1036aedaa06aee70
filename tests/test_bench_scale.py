"""The benchmark of several processes takes turns and reports what it measured."""

import importlib
import json
from pathlib import Path

import pytest


def test_a_quick_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    bench = importlib.import_module("bench_scale")
    speeds = iter([100, 150, 100, 120])
    asked = []

    def trained(data: Path, out: Path, processes: int, options: object) -> float:
        assert list(data.glob("train/**/*.png"))
        asked.append(processes)
        return next(speeds)

    monkeypatch.setattr(bench, "trained", trained)
    file = tmp_path / "result.json"

    assert bench.main(["--json", str(file), "--images", "6", "--rounds", "2"]) == 0

    assert asked == [1, 2] * 2
    report = json.loads(file.read_text(encoding="utf-8"))
    assert report["ratio"] == {"median": 1.35, "min": 1.2, "max": 1.5}
    assert "train 1.35 times as fast" in capsys.readouterr().out
