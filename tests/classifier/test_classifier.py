"""The one inference path: what it accepts, computes, saves and refuses."""

import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.special import softmax

from hilum.classifier.classifier import Classifier
from hilum.classifier.files import classifier_folder
from hilum.classifier.inference import compute_logits
from hilum.errors import ClassifierError, DataError, HilumError
from hilum.labels import LabelTree
from hilum.networks.registry import create_network
from hilum.transforms.preprocess import Preprocessing

TREE = LabelTree.from_text("normal, infected(covid, non-covid)")
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (5, 32, 32), dtype=np.uint8)


def make(strategy="cascade", rule="route", tree=TREE):
    torch.manual_seed(0)
    preprocessing = Preprocessing(image_size=(32, 32))
    decisions = tree.networks(strategy)
    return Classifier(
        tree=tree,
        strategy=strategy,
        rule=rule,
        preprocessing=preprocessing,
        networks={
            d.name: create_network("covinet", outputs=len(d.options), image_size=(32, 32))
            for d in decisions
        },
        network_names={d.name: "covinet" for d in decisions},
        provenance={"name": "test"},
    )


def test_cascade_multiplies_along_the_path():
    classifier = make()
    found = classifier.predict_pixels(IMAGES)
    x = torch.from_numpy(IMAGES).unsqueeze(1).float() / 255
    with torch.no_grad():
        root, infected = (
            softmax(classifier.networks[name](x).numpy(), axis=1) for name in ("root", "infected")
        )
    expected = np.stack([root[:, 0], root[:, 1] * infected[:, 0], root[:, 1] * infected[:, 1]], 1)
    np.testing.assert_allclose(found.probs, expected, atol=1e-6)
    np.testing.assert_allclose(found.decision_probs["infected"], infected, atol=1e-6)


def test_flat_implies_the_decisions():
    found = make("flat").predict_pixels(IMAGES)
    np.testing.assert_allclose(
        found.decision_probs["root"][:, 1], found.probs[:, 1] + found.probs[:, 2]
    )
    assert (found.predicted == found.probs.argmax(axis=1)).all()


@pytest.mark.parametrize("strategy", ["flat", "cascade"])
def test_save_and_load(tmp_path, strategy):
    made = make(strategy, rule="argmax")
    made.save(tmp_path / "c")
    loaded = Classifier.load(tmp_path / "c", device="cpu")
    assert (loaded.tree, loaded.strategy, loaded.rule) == (TREE, strategy, "argmax")
    assert loaded.provenance == {"name": "test"}
    assert (loaded.predict(IMAGES).probs == made.predict(IMAGES).probs).all()


def test_labels_that_make_odd_file_names(tmp_path):
    tree = LabelTree.from_text("normal, Éclipse: a.b(x, y), éclipse: a.b(z, w)")
    made = make(tree=tree)
    made.save(tmp_path / "c")
    assert len(list((tmp_path / "c").glob("*.safetensors"))) == 3
    loaded = Classifier.load(tmp_path / "c", device="cpu")
    assert (loaded.predict(IMAGES).probs == made.predict(IMAGES).probs).all()


def test_accepts_arrays_paths_lists_and_folders_alike(tmp_path):
    classifier = make()
    (tmp_path / "some").mkdir()
    for i, image in enumerate(IMAGES):
        Image.fromarray(image).save(tmp_path / "some" / f"{i}.png")
    files = [tmp_path / "some" / f"{i}.png" for i in range(5)]
    expected = classifier.predict(IMAGES)
    for images in (tmp_path / "some", str(tmp_path / "some"), files, list(IMAGES)):
        assert (classifier.predict(images).probs == expected.probs).all()
    assert classifier.predict(files).names == tuple(map(str, files))
    one = classifier.predict(files[2])
    np.testing.assert_allclose(one.probs[0], expected.probs[2], atol=1e-6)
    np.testing.assert_allclose(classifier.predict(IMAGES[2]).probs[0], expected.probs[2], atol=1e-6)


def test_arrays_of_other_sizes_are_resized():
    assert make().predict(RNG.integers(0, 256, (90, 40), dtype=np.uint8)).probs.shape == (1, 3)


def test_more_images_than_a_chunk(monkeypatch):
    monkeypatch.setattr("hilum.classifier.decider._CHUNK", 2)
    seen = []
    found = make().predict(IMAGES, progress=lambda *args: seen.append(args))
    assert len(found) == 5
    np.testing.assert_allclose(found.probs, make().predict_pixels(IMAGES).probs, atol=1e-6)
    assert seen == [("Predicting", 2, 5), ("Predicting", 4, 5), ("Predicting", 5, 5)]


def test_logits_leave_the_network_in_its_mode():
    classifier = make()
    network = classifier.networks["root"].train()
    cpu = torch.device("cpu")
    first = compute_logits(network, IMAGES, classifier.preprocessing, cpu, batch_size=2)
    assert network.training
    np.testing.assert_allclose(  # no dropout, and no dependence on the batch
        first, compute_logits(network, IMAGES, classifier.preprocessing, cpu), atol=1e-6
    )


def test_predictions_are_a_sequence_with_names(tmp_path):
    Image.fromarray(IMAGES[0]).save(tmp_path / "a.png")
    classifier = make()
    found = classifier.predict([tmp_path / "a.png", *IMAGES[1:3]])

    first, *others = found
    assert [len(found), len(others), first.name] == [3, 2, str(tmp_path / "a.png")]
    assert [one.predicted for one in found] == [classifier.classes[k] for k in found.predicted]
    assert found.labels == tuple(one.predicted for one in found)
    assert first.probs == dict(zip(classifier.classes, found.probs[0].tolist(), strict=True))
    assert first.probability == first.probs[first.predicted]
    assert {d: tuple(of) for d, of in first.decisions.items()} == classifier.tree.options
    assert (found[-1], found[1:].names) == (others[-1], ("", ""))
    assert found[found.predicted == found.predicted[0]][0] == first
    with pytest.raises(IndexError):
        found[3]
    assert "a.png" in found._repr_html_()
    assert repr(found).startswith("Predictions of 3 images: ")


def test_predictions_become_a_frame(monkeypatch):
    found = make().predict(IMAGES)
    frame = found.to_frame()
    assert list(frame.columns)[:3] == ["path", "predicted", "p(normal)"]
    assert frame["infected/covid"].tolist() == found.decision_probs["infected"][:, 0].tolist()
    assert len(frame) == 5
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(HilumError, match="pip install pandas"):
        found.to_frame()


def test_what_scikit_learn_asks_for():
    classifier = make()
    assert classifier.classes_.tolist() == list(classifier.classes)
    assert (classifier.predict_proba(IMAGES) == classifier.predict(IMAGES).probs).all()


def test_every_unreadable_file_is_listed(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_text("text")
    with pytest.raises(DataError, match=r"(?s)2 files cannot be used.*a\.png.*b\.png"):
        make().predict(tmp_path)


@pytest.mark.parametrize("shape", [(2, 31, 32), (32, 32)])
def test_pixels_must_have_the_classifiers_size(shape):
    with pytest.raises(DataError, match=r"\(N, 32, 32\)"):
        make().predict_pixels(np.zeros(shape, dtype=np.uint8))


def damaged(tmp_path, change):
    folder = tmp_path / "c"
    make().save(folder)
    content = json.loads((folder / "classifier.json").read_text())
    change(folder, content)
    (folder / "classifier.json").write_text(json.dumps(content))
    return folder


def _flip_a_byte(folder, content):
    data = bytearray((folder / "root.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "root.safetensors").write_bytes(data)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_flip_a_byte, "root.safetensors: damaged"),
        (lambda f, c: (f / "root.safetensors").unlink(), "weights are missing"),
        (lambda f, c: c.pop("labels"), "damaged, or not Hilum's"),
        (lambda f, c: c.update(labels=["one"]), "at least two labels"),
        (lambda f, c: c["networks"].pop("infected"), "no fitting network for .*'infected'"),
        (lambda f, c: c["networks"]["root"].update(outputs=3), "no fitting network for .*'root'"),
        (lambda f, c: c["networks"]["root"].update(weights="../x.safetensors"), "damaged"),
        (lambda f, c: c["networks"]["root"].update(name="naive"), "do not fit the network 'naive'"),
        (lambda f, c: c["networks"]["root"].update(members=100), "tensors instead of"),
        (lambda f, c: c.update(format=2), "damaged, or not Hilum's"),
    ],
)
def test_a_damaged_classifier_is_refused(tmp_path, change, said):
    with pytest.raises(ClassifierError, match=said):
        Classifier.load(damaged(tmp_path, change), device="cpu")


def test_a_folder_that_is_no_classifier_is_refused(tmp_path):
    with pytest.raises(ClassifierError, match="neither a classifier"):
        classifier_folder(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ClassifierError, match="has not finished.*--resume"):
        classifier_folder(tmp_path)
