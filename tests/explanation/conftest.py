"""Classifiers whose explanation can be worked out by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from hilum.classifier.classifier import Classifier
from hilum.labels import LabelTree
from hilum.networks.registry import create_network
from hilum.transforms.preprocess import Preprocessing

SIDE = 16
ROWS, COLUMNS = slice(4, 8), slice(10, 14)


class Region(nn.Module):
    """Its second logit is the sum of the pixels in a square; the first is 0."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 1, 1, bias=False)
        self.relu = nn.ReLU(inplace=True)
        self.fc1 = nn.Linear(SIDE * SIDE, 2, bias=False)
        square = torch.zeros(SIDE, SIDE)
        square[ROWS, COLUMNS] = 1
        with torch.no_grad():
            self.conv1.weight.fill_(1)
            self.fc1.weight.copy_(torch.stack([torch.zeros(SIDE, SIDE), square]).flatten(1))

    def forward(self, images):
        return self.fc1(self.relu(self.conv1(images)).flatten(1))


@pytest.fixture
def region():
    """Normal or sick, by the brightness of a square; it sees images of 16 x 16 pixels."""
    return Classifier(
        tree=LabelTree.from_text("normal, sick"),
        strategy="cascade",
        rule="route",
        preprocessing=Preprocessing(image_size=(SIDE, SIDE)),
        networks={"root": Region()},
        network_names={"root": "region"},
    )


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(1, 256, (3, SIDE, SIDE)).astype(np.uint8)


def untrained(strategy="cascade", name="covinet", size=32):
    """A classifier of the published tree with random weights, the same every time."""
    tree = LabelTree.from_text("normal, infected(covid, non-covid)")
    with torch.random.fork_rng():
        torch.manual_seed(3)
        networks = {
            d.name: create_network(name, outputs=len(d.options), image_size=(size, size))
            for d in tree.networks(strategy)
        }
    return Classifier(
        tree=tree,
        strategy=strategy,
        rule="route",
        preprocessing=Preprocessing(image_size=(size, size)),
        networks=networks,
        network_names=dict.fromkeys(networks, name),
        provenance={"name": "untrained"},
    )
