"""The benchmark of several processes takes turns, or looks at memory, and reports it."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return importlib.import_module("bench_scale")


def test_a_quick_run(
    bench: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
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


def test_a_quick_run_of_ray(
    bench: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[str] = []

    def run_hilum(words: list[object], threads: int) -> dict[str, float]:
        said = list(map(str, words))
        asked.append(f"{said[0]} {'ray' in said}")
        if said[0] == "predict":
            assert len(list(Path(said[2]).iterdir())) == 50
        return {"seconds": 9.0 if "ray" in said else 4.0, "cpu_seconds": 6.0}

    monkeypatch.setattr(bench, "run_hilum", run_hilum)
    assert bench.main(["--predict", "50", "--rounds", "2"]) == 0
    assert asked == ["train False", *["predict False", "predict True"] * 2]
    assert (
        "50 files: here with 2 threads 4 s, 6 CPU s; by Ray's 2 workers 9 s, 6 CPU s"
        in capsys.readouterr().out
    )


def test_the_time_of_what_a_process_started_counts(bench: Any) -> None:
    spin = "import sys, time\nwhile time.process_time() < 0.5: pass\n"
    with subprocess.Popen(
        [sys.executable, "-c", f"{spin}print(flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stdin
        assert child.stdout
        child.stdout.readline()
        found = bench.cpu_seconds_below(os.getpid())
        child.stdin.close()
    assert found[os.getpid()] > 0
    assert found[child.pid] >= 0.4


def test_what_a_data_set_takes(
    bench: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
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


def test_the_largest_process_counts(bench: Any) -> None:
    """That is a process below another: it holds 64 MiB."""
    inner = "import sys; held = b'x' * (64 << 20); print(flush=True); sys.stdin.read()"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    command, pipe = [sys.executable, "-c", outer], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        process.stdout.readline()
        assert max(map(bench._anonymous, bench.cpu_seconds_below(process.pid))) > 64
        process.communicate()
    assert bench.cpu_seconds_below(process.pid) == {}
