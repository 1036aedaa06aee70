"""Small classifiers that learnt nothing but are calibrated, and one exported model for all."""

import numpy as np
import onnx
import pytest
import torch

from hilum.classifier.classifier import Classifier
from hilum.classifier.validation import Validation
from hilum.exporting.onnx import export_onnx
from hilum.labels import LabelTree
from hilum.networks.registry import create_network
from hilum.transforms.preprocess import Preprocessing

TREE = LabelTree.from_text("normal, infected(bacterial, viral(covid, other))")


def make(strategy="cascade", rule="route", temperatures=None, **preprocessing):
    """A classifier of 20 x 16 pixels; each image of noise gets another class."""
    settings = Preprocessing(image_size=(20, 16), **preprocessing)
    networks, logits = {}, {}
    rng, truth = np.random.default_rng(1), np.arange(40) % 4
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for decision in TREE.networks(strategy):
            outputs = len(decision.options)
            networks[decision.name] = create_network("naive", outputs=outputs, image_size=(20, 16))
            with torch.no_grad():
                networks[decision.name].fc1.weight *= 5
            logits[decision.name] = rng.normal(size=(40, outputs))
    return Classifier(
        tree=TREE,
        strategy=strategy,
        rule=rule,
        preprocessing=settings,
        networks=networks,
        network_names=dict.fromkeys(networks, "naive"),
        provenance={"name": "small", "data": {"name": "spots", "root": "/home/ann/spots"},
                    "notes": ["Read from /home/ann/lists/spots.csv."]},
        temperatures=temperatures or {},
        validation=Validation(truth, logits, {"name": "spots", "split": "val", "n": 40}),
        device=torch.device("cpu"),
    )  # fmt: skip


@pytest.fixture(scope="session")
def classifier():
    return make(temperatures={"root": 2.0, "infected": 0.5, "viral": 1.5}, resize="pad")


@pytest.fixture(scope="session")
def exported(classifier, tmp_path_factory):
    """The classifier's file and what its export told; made once, because it takes seconds."""
    file = tmp_path_factory.mktemp("exported") / "small.onnx"
    films = [np.random.default_rng(2).integers(0, 256, (90, 70)).astype(np.uint8)]
    agreement = export_onnx(classifier, file, radiographs=films, operate=["covid: recall>=0.9"])
    return file, agreement


@pytest.fixture(scope="session")
def model(exported):
    return onnx.load(exported[0])
