"""The benchmark of several processes takes turns, or looks at memory, and reports it."""

import importlib
import json
import subprocess
import sys
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


def test_what_a_data_set_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    bench = importlib.import_module("bench_scale")
    commands = []

    def peak(command: list[str], environment: dict[str, str]) -> tuple[float, int]:
        assert (
            len(list(Path(environment["HILUM_CACHE"]).parent.rglob("images/train/*/*.jpg"))) == 36
        )
        commands.append(command)
        return 8.0 * len(commands), 1

    monkeypatch.setattr(bench, "peak", peak)
    file = tmp_path / "result.json"

    assert bench.main(["--memory", "40", "--json", str(file), "--processes", "2"]) == 0

    rows = json.loads(file.read_text(encoding="utf-8"))
    assert [row["mib"] for row in rows] == [8, 16, 24, 32, 40]
    assert commands[-1][commands[-1].index("--devices") + 1] == "2"
    assert "40 images  decode" in capsys.readouterr().out


def test_the_largest_process_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is a process below another: it holds 64 MiB."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    bench = importlib.import_module("bench_scale")
    inner = "import sys; held = b'x' * (64 << 20); print(flush=True); sys.stdin.read()"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    command, pipe = [sys.executable, "-c", outer], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        process.stdout.readline()
        assert max(map(bench._anonymous, bench._family(process.pid))) > 64
        process.communicate()
    assert bench._family(process.pid) == []
