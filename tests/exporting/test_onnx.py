"""One ONNX file says what the classifier says, and holds what is needed to use it."""

import json

import numpy as np
import pytest
import torch

from hilum.classifier.classifier import Classifier
from hilum.codec import to_plain
from hilum.errors import ClassifierError, EvaluationError
from hilum.exporting.graph import ClassifierGraph, output_names, parse_input
from hilum.exporting.onnx import check_onnx, export_onnx
from hilum.exporting.session import run_session, start_session
from hilum.labels import LabelTree
from tests.exporting.conftest import make

# PyTorch's exporter warns of itself
pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def test_the_file_gives_what_the_classifier_gives(classifier, exported):
    session = start_session(exported[0].read_bytes())

    for batch in (noise(1, 20, 16), noise(5, 47, 33), noise(2, 300, 21), noise(3, 7, 90)):
        expected = classifier.predict(batch)
        found = dict(zip(output_names(classifier), run_session(session, batch), strict=True))
        np.testing.assert_allclose(found["probs"], expected.probs, atol=1e-6)
        assert found["predicted"].tolist() == expected.predicted.tolist()
        for name, probs in expected.decision_probs.items():
            np.testing.assert_allclose(found[f"decision_{name}"], probs, atol=1e-6)
    assert len(set(classifier.predict(noise(20, 20, 16)).predicted)) > 1, "the test says something"


def test_the_export_says_what_it_compared(exported):
    agreement = exported[1]

    assert agreement.radiographs == 1
    assert agreement.random == 48  # 6 sizes, a batch of 7 and a batch of 1 each
    assert agreement.largest_difference < 1e-6
    assert to_plain(agreement)["tolerance"] == 1e-4


def test_the_graph_has_free_axes_and_named_outputs(classifier, model):
    def shape(value):
        return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]

    assert {i.name: shape(i) for i in model.graph.input} == {"images": ["N", "H", "W"]}
    assert {o.name: shape(o) for o in model.graph.output} == {
        "probs": ["N", 4],
        "predicted": ["N"],
        "decision_root": ["N", 2],
        "decision_infected": ["N", 2],
        "decision_viral": ["N", 2],
        "logits_root": ["N", 2],
        "logits_infected": ["N", 2],
        "logits_viral": ["N", 2],
    }
    assert {o.domain: o.version for o in model.opset_import} == {"": 18}


def test_metadata_hold_labels_thresholds_and_provenance(classifier, model):
    found = {p.key.removeprefix("hilum."): json.loads(p.value) for p in model.metadata_props}

    assert LabelTree.from_json(found["labels"]) == classifier.tree
    assert found["classes"] == ["normal", "bacterial", "covid", "other"]
    assert found["preprocessing"]["resize"] == "pad"
    assert found["temperatures"] == {"root": 2.0, "infected": 0.5, "viral": 1.5}
    (point,) = found["operating_points"]
    assert point["target"] == "covid"
    assert 0 < point["chosen"]["threshold"] < 1
    assert found["provenance"]["data"] == {"name": "spots"}
    assert found["provenance"]["notes"] == ["Read from spots.csv."]


def test_the_file_holds_no_path_of_this_machine(exported):
    data = exported[0].read_bytes()

    assert b"/home" not in data
    assert b"site-packages" not in data
    assert b"exporting" not in data  # where the code of a node stands


def test_a_model_of_another_classifier_is_found_out(exported):
    other = make(temperatures={"root": 2.0, "infected": 0.5, "viral": 2.5}, resize="pad")

    with pytest.raises(ClassifierError, match="does not agree.*probabilities differ by"):
        check_onnx(exported[0].read_bytes(), other, "images")


def test_another_resize_is_found_out(exported, classifier):
    other = make(temperatures=classifier.temperatures, resize="squash")

    with pytest.raises(ClassifierError, match="does not agree.*Pillow"):
        check_onnx(exported[0].read_bytes(), other, "images")


def test_a_file_that_does_not_agree_is_not_left_behind(tmp_path, monkeypatch, model):
    monkeypatch.setattr("hilum.exporting.onnx.trace_onnx", lambda *_: model)

    with pytest.raises(ClassifierError, match="was not written"):
        export_onnx(make(resize="pad"), tmp_path / "a.onnx", operate=())

    assert list(tmp_path.iterdir()) == []


def test_a_crop_cannot_be_put_into_the_graph(tmp_path):
    with pytest.raises(ClassifierError, match=r"crop = body.*--input pixels"):
        export_onnx(make(crop="body"), tmp_path / "f.onnx")


def test_a_flat_classifier_implies_its_decisions():
    flat, pixels = make(strategy="flat", temperatures={"flat": 3.0}), noise(20, 20, 16)
    expected = flat.predict_pixels(pixels)

    with torch.inference_mode():
        found = ClassifierGraph(flat, "pixels")(torch.from_numpy(pixels))

    outputs = dict(zip(output_names(flat), found, strict=True))
    assert outputs["predicted"].tolist() == expected.predicted.tolist()
    for name, probs in expected.decision_probs.items():
        np.testing.assert_allclose(outputs[f"decision_{name}"], probs, atol=1e-6)


@pytest.mark.parametrize("rule", ["route", "argmax"])
def test_the_rule_is_followed(rule):
    cascade, pixels = make(rule=rule), noise(200, 20, 16)

    _, predicted, *_ = ClassifierGraph(cascade, "pixels")(torch.from_numpy(pixels))

    assert predicted.tolist() == cascade.predict_pixels(pixels).predicted.tolist()


def test_the_rules_differ_on_these_images():
    by_route, pixels = make(rule="route"), noise(200, 20, 16)

    assert (by_route.predict_pixels(pixels).predicted
            != make(rule="argmax").predict_pixels(pixels).predicted).any()  # fmt: skip


def test_a_point_without_validation_figures_is_refused(tmp_path, monkeypatch, model):
    monkeypatch.setattr("hilum.exporting.onnx.trace_onnx", lambda *_: model)
    plain = make()
    plain.validation = None

    with pytest.raises(ClassifierError, match="hilum calibrate"):
        export_onnx(plain, tmp_path / "a.onnx", operate=["covid: recall>=0.9"])
    with pytest.raises(EvaluationError, match="Cannot read the operating point"):
        export_onnx(plain, tmp_path / "a.onnx", operate=["covid"])


def test_exporting_leaves_the_classifier_as_it_was(classifier, exported):
    assert isinstance(classifier, Classifier)
    assert not any(network.training for network in classifier.networks.values())
    assert all(p.requires_grad for n in classifier.networks.values() for p in n.parameters())


def test_an_unknown_input_and_a_foreign_model():
    with pytest.raises(ClassifierError, match="Did you mean 'images'"):
        parse_input("image")
    with pytest.raises(ClassifierError, match="cannot read the model"):
        start_session(b"no model")
    with pytest.raises(ClassifierError, match="at least 1 thread"):
        start_session(b"", threads=0)
