"""The benchmark of recipes trains, judges and reports; how good they are makes no difference."""

import json
from pathlib import Path

import pytest

from hilum.recipe import Recipe
from tests.spots import write_spots
from tests.test_benchmark import load


def test_a_quick_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench = load("bench_quality")
    data = write_spots(tmp_path / "spots", {"train": 60})
    small = tmp_path / "small.toml"
    small.write_text('strategy = "flat"\nnetwork = "naive"\nimage_size = 32\nepochs = 2\n')
    arguments = ["--data", data, "--recipes", small, "--out", tmp_path / "out", "--stress", "6"]
    arguments += ["--block-size", "1", "--set", "device=cpu", "--json", tmp_path / "result.json"]

    assert bench.main(list(map(str, arguments))) == 0

    report = json.loads((tmp_path / "result.json").read_text())
    (row,) = report["rows"]
    assert row["stressed_images"] == 6
    assert row["parameters"] == 4 * 9 + 4 + (4 * 30 * 30 + 1) * 3
    assert row["precision"] in ("float32", "bfloat16")
    assert row["latency_ms"] > 0
    test = sum(report["data"]["counts"]["test"].values())
    assert row["accuracy"]["n"] == test
    assert f"| {row['accuracy']['value']:.3f} (" in capsys.readouterr().out


def test_covinet_is_trained_as_the_default_is() -> None:
    recipe = load("bench_quality").load("covinet-as-default")
    default = Recipe.load("default")
    assert (recipe.network, recipe.passes) == ("covinet", default.passes)
    assert recipe.augmentation == default.augmentation
