"""A classifier that has learnt nothing, for tests of everything around it."""

from hilum.classifier.classifier import Classifier
from hilum.networks.registry import create_network
from hilum.radiographs.dataset import Dataset
from hilum.transforms.preprocess import Preprocessing


def untrained(dataset: Dataset) -> Classifier:
    """A cascade over the labels of a data set of 32 x 32 pixels, which it claims as its own."""
    networks = {
        d.name: create_network("naive", outputs=d.outputs, image_size=(32, 32))
        for d in dataset.tree.networks("cascade")
    }
    return Classifier(
        tree=dataset.tree,
        strategy="cascade",
        rule="route",
        preprocessing=Preprocessing(image_size=(32, 32)),
        networks=networks,
        network_names=dict.fromkeys(networks, "naive"),
        provenance={"data": {"name": dataset.name, "fingerprint": dataset.fingerprint}},
    )
