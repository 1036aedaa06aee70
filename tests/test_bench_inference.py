"""The benchmark of inference runs and reports what it measured, however fast it was."""

import ast
import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

from tests.spots import write_spots

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("bench_inference")


def test_a_quick_run(
    bench: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    python: str,
) -> None:
    monkeypatch.setattr("sys.executable", python)
    monkeypatch.setenv("HILUM_CACHE", str(tmp_path / "cache"))
    data = write_spots(tmp_path / "spots", {"train": 2})  # PNG, and not of the networks' size
    file = tmp_path / "result.json"

    arguments = ["--data", str(data), "--json", str(file)]
    code = bench.main([*arguments, "--images", "3", "--rounds", "1", "--files", "5"])

    assert code == 0
    printed = capsys.readouterr().out
    report = json.loads(file.read_text(encoding="utf-8"))
    assert report["data"] == {"name": "spots", "synthetic": False, "files": 5}
    assert report["largest_difference"] < 1e-5  # all three ways say the same
    (measured,) = report["rounds"]
    plain = measured["calls"]["plain"]["1"]["files"]
    assert (plain["images"], len(plain["seconds"])) == (3, 3)
    assert set(report["calls"]["plain"]) == {"1", "32"}
    for way in ("torch", "onnx"):
        assert set(report["calls"][way]) == {"1", "32", "256"}
        one = report["calls"][way]["256"]["decoded"]
        assert one["calls"] == 1
        assert 0 < one["median_ms"] <= one["p99_ms"]
        folder = measured["folder"][way]
        assert folder["images"] == 5
        ratio = (5 / folder["seconds"]) / (3 / sum(plain["seconds"]))
        assert report["ratio_folder"][way]["median"] == pytest.approx(ratio)
        calls = measured["calls"][way]["1"]["files"]["seconds"]
        expected = sum(plain["seconds"]) / sum(calls)
        assert report["ratio_batch_1"][way]["files"]["median"] == pytest.approx(expected)
        assert f"one at a time, {way} / plain: {expected:.2f} x" in printed


def test_a_folder_is_filled_with_jpegs(bench: ModuleType, tmp_path: Path) -> None:
    assert bench.fill(tmp_path / "rendered", None, 66)

    files = sorted((tmp_path / "rendered").iterdir())
    assert len(files) == 66
    assert all(file.read_bytes().startswith(b"\xff\xd8\xff") for file in files)
    assert files[64].read_bytes() == files[0].read_bytes()  # 64 are rendered, then they repeat
    assert files[63].read_bytes() != files[0].read_bytes()


def test_other_networks_are_refused(bench: ModuleType, tmp_path: Path) -> None:
    from cascade import untrained

    folder = untrained(tmp_path / "classifier")
    bench._check_covinet(folder)
    about = json.loads((folder / "classifier.json").read_text())
    about["preprocessing"]["resize"] = "pad"
    (folder / "classifier.json").write_text(json.dumps(about))

    with pytest.raises(SystemExit, match="COVINet at 150 x 150 pixels only"):
        bench._check_covinet(folder)


def test_the_notebook_way_uses_nothing_of_hilum() -> None:
    tree = ast.parse((BENCHMARKS / "notebook_inference.py").read_text(encoding="utf-8"))
    modules = [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    modules += [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]

    assert not [m for m in modules if m.startswith("hilum")]
