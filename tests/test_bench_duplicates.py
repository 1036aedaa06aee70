"""The benchmark finds the copies that it plants."""

import importlib.util
from pathlib import Path

import numpy as np

FILE = Path(__file__).parents[1] / "benchmarks" / "bench_duplicates.py"


def test_the_copies_that_are_planted_are_found(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("bench_duplicates", FILE)
    assert spec
    assert spec.loader
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    monkeypatch.setattr(bench, "COPIES", 6)
    originals, copies = zip(*[bench.copied(i) for i in range(6)], strict=True)
    np.save(tmp_path / "small.npy", np.stack([*copies, *originals, bench.plain(6)]))

    result = bench.search(tmp_path / "small.npy", 13)

    assert result["images"] == 13
    for name in ("near", "mirrored"):
        assert result[name]["found"] == 3
        assert result[name]["false"] == 0
        assert result[name]["seconds"] > 0
