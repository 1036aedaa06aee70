"""A classifier run by ONNX Runtime is the same classifier."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from hilum.errors import ClassifierError
from hilum.exporting.runtime import load_kept, parse_runtime, run_by_onnx
from hilum.exporting.translation import translate_network
from hilum.transforms.preprocess import Preprocessing
from tests.exporting.conftest import make


def test_the_same_predictions_and_a_second_start_from_the_cache(cache, monkeypatch):
    flat = make(strategy="flat", standardise="z-score", temperatures={"flat": 2.0})
    pixels = np.random.default_rng(0).integers(0, 256, (70, 20, 16)).astype(np.uint8)
    names = [f"{i}.png" for i in range(70)]
    expected = flat.predict_pixels(pixels, names)
    flat.save(cache / "flat")
    assert load_kept(cache / "flat") is None, "nothing was translated yet"

    found = run_by_onnx(flat, threads=1).predict_pixels(pixels, names)

    np.testing.assert_allclose(found.probs, expected.probs, atol=1e-6)
    assert found.predicted.tolist() == expected.predicted.tolist()
    assert found.names == expected.names
    assert len(list((cache / "onnx").iterdir())) == 1

    def fail(kind, *_):
        raise ClassifierError(f"{kind} is translated again")

    monkeypatch.setattr("hilum.exporting.translation.translate_network", fail)
    kept = load_kept(cache / "flat", threads=2)
    again = run_by_onnx(flat, threads=2)
    for run in (kept, again):
        assert (run.predict_pixels(pixels).probs == found.probs).all()
        assert run.weights_sha256() == flat.weights_sha256()
        assert (run.device_type, run.provenance) == ("cpu", flat.provenance)
    changed = make(strategy="flat", standardise="z-score")
    changed.networks["flat"].fc1.bias.data += 1
    with pytest.raises(ClassifierError, match="naive is translated again"):
        run_by_onnx(changed)
    changed.save(cache / "changed")
    for other in (changed, replace(flat, network_names={"flat": "own.module:Network"})):
        other.save(cache / "other")
        assert load_kept(cache / "other") is None

    (cache / "flat/flat.safetensors").write_bytes(b"")
    with pytest.raises(ClassifierError, match="damaged: its SHA-256"):
        load_kept(cache / "flat")


class _Counts(nn.Module):
    """What it says depends on how many images are asked about together."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3)).repeat(1, 2) + int(x.shape[0])


class _Asks(nn.Module):
    """It cannot be recorded at all."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = torch.linalg.eigvals(x[:, 0])
        return found.real


@pytest.mark.parametrize(
    ("network", "said"),
    [(_Counts(), "does not give the logits of the network 'own' for 3"), (_Asks(), "cannot trans")],
)
def test_what_cannot_be_translated_is_refused(network, said):
    with pytest.raises(ClassifierError, match=said):
        translate_network("own", network, Preprocessing(image_size=(20, 20)))


def test_runtimes_by_name():
    assert parse_runtime("onnx") == "onnx"
    with pytest.raises(ClassifierError, match="no runtime 'onx'. Did you mean 'onnx'"):
        parse_runtime("onx")
