"""The benchmark of claims draws tables whose truth is known."""

import importlib
import json
from pathlib import Path

import pytest


def test_a_quick_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    bench = importlib.import_module("bench_claims")
    monkeypatch.setattr(bench, "SIZES", (200,))
    # so far beyond the bound that nearly every table shows it
    claims = {name: (text, draw, 0.08) for name, (text, draw, _) in bench.CLAIMS.items()}
    monkeypatch.setattr(bench, "CLAIMS", claims)
    file = tmp_path / "claims.json"

    asked = [word for name in ("recall", "AUROC", "better by 0.02") for word in ("--claim", name)]
    assert bench.main(["--simulations", "10", "--json", str(file), *asked]) == 0

    found = json.loads(file.read_text(encoding="utf-8"))
    assert len(found) == 3
    assert all(counts["false"] <= 2 <= counts["true"] for counts in found.values())
