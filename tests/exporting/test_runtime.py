"""A classifier run by ONNX Runtime is the same classifier."""

import sys

import numpy as np
import pytest

from hilum.errors import ClassifierError
from hilum.exporting.runtime import parse_runtime, run_by_onnx
from tests.exporting.conftest import make

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")


def test_the_same_predictions_and_a_second_start_from_the_cache(cache, monkeypatch):
    flat = make(strategy="flat", standardise="z-score", temperatures={"flat": 2.0})
    pixels = np.random.default_rng(0).integers(0, 256, (70, 20, 16)).astype(np.uint8)
    names = [f"{i}.png" for i in range(70)]
    expected = flat.predict_pixels(pixels, names)

    found = run_by_onnx(flat, threads=1).predict_pixels(pixels, names)

    np.testing.assert_allclose(found.probs, expected.probs, atol=1e-6)
    assert found.predicted.tolist() == expected.predicted.tolist()
    assert found.names == expected.names
    assert len(list((cache / "onnx").iterdir())) == 1

    monkeypatch.setitem(sys.modules, "onnxscript", None)  # no translation without it
    again = run_by_onnx(flat, threads=2).predict_pixels(pixels, names)
    assert (again.predicted == found.predicted).all()
    changed = make(strategy="flat", standardise="z-score")
    changed.networks["flat"].fc1.bias.data += 1
    with pytest.raises(ClassifierError, match="'onnxscript', which is not installed"):
        run_by_onnx(changed)

    with pytest.raises(ClassifierError, match="no weights at hand"):
        run_by_onnx(flat).save(cache / "saved")
    assert not (cache / "saved" / "classifier.json").exists()


def test_runtimes_by_name():
    assert parse_runtime("onnx") == "onnx"
    with pytest.raises(ClassifierError, match="no runtime 'onx'. Did you mean 'onnx'"):
        parse_runtime("onx")
