"""A folder to give away: the whole classifier and a card, and nothing of this machine."""

import json

import numpy as np
import pytest
from huggingface_hub import ModelCard

from hilum.classifier.classifier import Classifier
from hilum.errors import ClassifierError
from hilum.exporting import huggingface
from hilum.exporting.card import Evaluated, export_folder, shareable, write_card
from hilum.records import Estimate
from tests.exporting.conftest import make


def test_the_folder_is_a_whole_classifier(tmp_path, classifier):
    files = export_folder(classifier, tmp_path / "given")

    assert {f.name for f in files} == {
        "README.md", "classifier.json", "root.safetensors", "infected.safetensors",
        "viral.safetensors", "validation.logits.safetensors",
    }  # fmt: skip
    loaded = Classifier.load(tmp_path / "given", device="cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (5, 20, 16)).astype(np.uint8)
    assert (loaded.predict_pixels(pixels).probs == classifier.predict_pixels(pixels).probs).all()
    assert loaded.temperatures == classifier.temperatures
    for file in files:
        assert b"/home" not in file.read_bytes()


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # of making the file
def test_a_model_repository_has_what_hubs_read(tmp_path, classifier, exported, monkeypatch):
    file, agreement = exported
    made = (file.read_bytes(), agreement)
    monkeypatch.setattr(huggingface, "make_onnx", lambda *_, **__: made)  # it takes seconds
    share = Estimate(0.875, 0.71, 0.95)
    found = Evaluated("spots", "test", 40, {"macro_auroc": share}, {"normal": {"recall": share}})

    files, _ = huggingface.export_repository(classifier, tmp_path / "chests", [found])

    assert {"README.md", "classifier.json", "config.json", "model.onnx", "root.safetensors"} <= {
        f.name for f in files
    }
    config = json.loads((tmp_path / "chests/config.json").read_text())
    assert config["id2label"] == {"0": "normal", "1": "bacterial", "2": "covid", "3": "other"}
    assert config["onnx"]["outputs"]["predicted"] == "index of the predicted class"
    assert Classifier.load(tmp_path / "chests").weights_sha256() == classifier.weights_sha256()
    card = ModelCard.load(tmp_path / "chests/README.md")
    (result,) = card.data.eval_results
    assert (result.dataset_name, result.metric_type, result.metric_value) == (
        "spots, split test, 40 images", "roc_auc", 0.875,
    )  # fmt: skip
    assert (card.data.library_name, card.data.pipeline_tag) == ("hilum", "image-classification")
    assert "hf://OWNER/NAME" in card.content
    for path in files:
        assert b"/home" not in path.read_bytes()


def test_a_folder_with_something_in_it_is_refused(tmp_path, classifier):
    (tmp_path / "mine.txt").write_text("mine")

    with pytest.raises(ClassifierError, match="not empty"):
        export_folder(classifier, tmp_path)
    with pytest.raises(ClassifierError, match="not empty"):
        export_folder(classifier, tmp_path / "mine.txt")

    assert [f.name for f in tmp_path.iterdir()] == ["mine.txt"]


def test_the_card_says_what_is_known_and_leaves_the_rest():
    small = make(temperatures={"root": 2.0})
    small.provenance["data"] |= {
        "synthetic": True, "counts": {"train": {"normal": 1200, "covid": 30}}
    }  # fmt: skip

    card = write_card(small, "small")

    front, *_ = card.removeprefix("---\n").split("\n---\n")
    assert "library_name: hilum" in front
    assert "pipeline_tag: image-classification" in front
    assert "A cascade of 3 networks (naive), one for each decision (root, infected, viral)" in card
    assert "spots, split train: synthetic phantoms, not patients: 1,200 normal, 30 covid" in card
    assert "- **Calibrated on**: spots, split val: 40 images" in card
    assert "- **Licence**: *For the author to write.*" in card
    assert card.count("\n## ") == 10  # the nine groups of the paper, and how to use it


def test_the_card_and_its_model_index_have_the_figures():
    share, unknown = Estimate(0.875, 0.71, 0.95), Estimate.undefined("no image of covid")
    found = Evaluated("spots", "test", 40, {"accuracy": share, "macro_auroc": unknown},
                      {"covid": {"recall": unknown}, "normal": {"recall": share}})  # fmt: skip

    card = write_card(make(), "small", [found])

    front = card.removeprefix("---\n").partition("\n---\n")[0]
    (index,) = json.loads(front.partition("model-index: ")[2])
    assert index["name"] == "small"
    (result,) = index["results"]
    assert result["dataset"] == {
        "type": "spots", "name": "spots, split test, 40 images", "split": "test"
    }  # fmt: skip
    assert result["metrics"] == [{"type": "accuracy", "name": "accuracy", "value": 0.875}]
    assert "- accuracy: 0.875 (0.710 to 0.950)" in card
    assert "| covid | undefined (no image of covid) |" in card
    assert "- **Performance measures**: accuracy, macro auroc; of each class recall" in card
    assert "model-index" not in write_card(make(), "small")


def test_a_known_data_set_says_what_its_labels_mean():
    small = make()
    small.provenance["data"]["source"] = "chest-xray-150"

    assert "children" in write_card(small, "small")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("/home/ann/films/a.png", "a.png"),
        ("Read /home/ann/films/ today.", "Read films today."),
        (r"C:\Users\ann\a.pt", "a.pt"),
        ("infected/covid 3/4", "infected/covid 3/4"),
        ("https://doi.org/10.1145/3287560", "https://doi.org/10.1145/3287560"),
        ("2026-11-23T05:00:00Z", "2026-11-23T05:00:00Z"),
    ],
)
def test_paths_are_taken_out_of_texts(text, left):
    assert shareable({"a": [text], "root": "/x/y"}) == {"a": [left]}
