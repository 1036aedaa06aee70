"""The benchmark runs and reports what it measured. Nothing here depends on how fast it was."""

import ast
import importlib.util
import json
import math
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest
import torch

from hilum.networks.registry import create_network
from tests.spots import write_spots

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return load("bench_training")


def test_a_quick_run(
    bench: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    python: str,
) -> None:
    monkeypatch.setattr("sys.executable", python)
    data = write_spots(tmp_path / "spots", {"train": 8, "val": 2})
    file = tmp_path / "result.json"

    short = "--rounds", "1", "--limit", "12", "--beside", "1"

    code = bench.main(["--data", str(data), "--json", str(file), *short])

    assert code == 0
    report = json.loads(file.read_text(encoding="utf-8"))
    assert report["data"] == {
        "name": "spots",
        "synthetic": False,
        "images": {"train": 12, "val": 6},  # 4 of 8 normal, 8 of 16 infected; val is whole
        "limit": 12,
    }
    (measured,) = report["rounds"]
    for way in ("notebook", "hilum_cold", "hilum"):
        one = measured[way]
        assert one["images"] == 12
        assert one["images_per_second"] == pytest.approx(12 / one["seconds"])
        assert report[way]["images_per_second"]["median"] == one["images_per_second"]
        # one step on two options from random weights: near ln 2, and far from broken
        assert 0.2 < one["loss"][0]["train"] < 2
        assert math.isfinite(one["loss"][0]["val"])
    # the same seed over the same pixels: where they were decoded makes no difference
    assert measured["hilum"]["loss"] == measured["hilum_cold"]["loss"]
    expected = measured["notebook"]["seconds"] / measured["hilum"]["seconds"]
    assert report["ratio"]["median"] == pytest.approx(expected)
    assert report["hilum"]["format"] in ("float32", "bfloat16")
    assert report["machine"]["cores"] >= 1
    assert report["versions"]["torch"] == version("torch")
    said = capsys.readouterr().out
    assert f"{expected:.2f} x" in said
    assert "1 round(s), beside 1 busy process(es)" in said


def test_data_without_val_are_refused(bench: ModuleType, tmp_path: Path) -> None:
    data = write_spots(tmp_path / "spots", {"train": 2})

    with pytest.raises(SystemExit, match="needs the splits train and val"):
        bench.first_decision(data, tmp_path / "out", None)


def test_phantoms_are_the_default(bench: ModuleType, tmp_path: Path) -> None:
    root = bench._phantoms(tmp_path / "phantoms", 8)

    _, counts = bench.first_decision(root, tmp_path / "out", None)

    assert counts == {"train": 8, "val": bench.PHANTOMS["val"]}


def test_the_notebook_way_trains_the_same_network() -> None:
    torch.manual_seed(0)
    plain = load("notebook_training").Net(outputs=2).eval()
    ours = create_network("covinet", outputs=2).eval()
    ours.load_state_dict(plain.state_dict())
    images = torch.rand(3, 1, 150, 150)

    with torch.inference_mode():
        torch.testing.assert_close(plain(images), ours(images))


def test_the_notebook_way_uses_nothing_of_hilum() -> None:
    tree = ast.parse((BENCHMARKS / "notebook_training.py").read_text(encoding="utf-8"))
    modules = [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    modules += [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]

    assert not [m for m in modules if m.startswith("hilum")]
