"""Rows by ONNX Runtime are those by PyTorch, and one file holds rows by one of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from hilum.errors import ClassifierError, DataError
from hilum.exporting.runtime import load_to_predict, run_by_onnx
from hilum.prediction.journal import journal_path
from hilum.prediction.predict import predict_files
from tests.prediction.test_predict import rows_of


@pytest.fixture
def plain(calibrated):
    """Its networks are translated once, and then in the cache of all tests."""
    return calibrated


def test_rows_agree_and_do_not_mix(tmp_path, calibrated, folder):
    ours, theirs = tmp_path / "torch.jsonl", tmp_path / "onnx.jsonl"
    onnx: dict[str, Any] = {"classify": run_by_onnx(calibrated).predict_pixels, "runtime": "onnx"}
    predict_files(calibrated, [str(folder)], ours, batch_size=5)
    predict_files(calibrated, [str(folder / "infected")], theirs, batch_size=5, **onnx)
    begun = theirs.read_bytes()

    with pytest.raises(DataError, match=r"with other options[^\n]*\n  runtime: onnx → torch$"):
        predict_files(calibrated, [str(folder)], theirs, batch_size=5)
    assert theirs.read_bytes() == begun
    done = predict_files(calibrated, [str(folder)], theirs, batch_size=5, **onnx)

    assert (done.images, done.failed, done.found) == (12, 2, 8)
    for a, b in zip(rows_of(ours), rows_of(theirs), strict=True):
        numbers = {key for key, cell in a.items() if isinstance(cell, float)}
        assert [b[key] for key in numbers] == pytest.approx([a[key] for key in numbers], abs=1e-4)
        assert {k: v for k, v in a.items() if k not in numbers} == {
            k: v for k, v in b.items() if k not in numbers
        }


def test_on_the_command_line(tmp_path, folder, predict):
    out = tmp_path / "p.csv"
    good = folder / "infected"

    assert predict(good, "--out", out, "--runtime", "onnx") == (
        0, "", f"Written: {out} (8 images)\n",
    )  # fmt: skip
    assert json.loads(journal_path(out).read_bytes())["made_by"]["runtime"] == "onnx"
    code, _, err = predict(good, "--out", out)
    assert (code, err.splitlines()[1]) == (2, "  runtime: onnx → torch")
    by_onnx, by_torch = (
        json.loads(predict(good, "--json", "--runtime", kind)[1])["predictions"]
        for kind in ("onnx", "torch")
    )
    for a, b in zip(by_onnx, by_torch, strict=True):
        assert a["predicted"] == b["predicted"]
        assert a["probs"] == pytest.approx(b["probs"], abs=1e-4)


def test_what_cannot_run(tmp_path, folder, predict):
    code, _, err = predict(folder, "--runtime", "onx")
    assert (code, "Did you mean 'onnx'" in err) == (2, True)
    code, _, err = predict(folder, "--runtime", "onnx", device="cuda")
    assert (code, "leave out --device cuda" in err) == (2, True)


def runtime_of(out):
    return json.loads(journal_path(out).read_bytes())["made_by"]["runtime"]


def test_auto_takes_onnx_where_there_is_no_gpu(tmp_path, folder, predict, monkeypatch):
    good, out = folder / "infected", tmp_path / "p.csv"
    assert predict(good, "--out", out, "--runtime", "auto")[0] == 0
    assert runtime_of(out) == "onnx"

    def refuse(*_):
        raise ClassifierError("ONNX Runtime says something else.")

    monkeypatch.setattr("hilum.exporting.runtime.load_kept", lambda path: None)
    monkeypatch.setattr("hilum.exporting.runtime.run_by_onnx", refuse)
    code, _, err = predict(good, "--out", out, "--runtime", "auto", "--restart")
    assert (code, runtime_of(out)) == (0, "torch")
    assert err.startswith("PyTorch runs the networks: ONNX Runtime says something else.\n")
    code, _, err = predict(good, "--out", out, "--runtime", "onnx", "--restart")
    assert (code, "says something else" in err) == (2, True)


@pytest.mark.parametrize(
    ("device", "gpu", "kept"),
    [("auto", False, True), ("auto", True, False), ("cpu", True, True), ("mps", False, False)],
)
def test_pytorch_is_passed_over_only_where_the_cpu_computes(monkeypatch, device, gpu, kept):
    monkeypatch.setattr("hilum.exporting.runtime._no_gpu", lambda: not gpu)
    monkeypatch.setattr("hilum.exporting.runtime.load_kept", lambda path: "kept")
    monkeypatch.setattr("hilum.exporting.runtime.load_to_run", lambda *_, **__: ("", "run", "kind"))

    found = load_to_predict(Path("c"), "auto", device, say=print)

    assert found == (("kept", "onnx") if kept else ("run", "kind"))
