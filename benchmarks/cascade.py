"""What the benchmarks of inference share: a classifier and radiographs, where none are given."""

from pathlib import Path

from PIL import Image

from hilum.classifier.classifier import Classifier
from hilum.labels import LabelTree
from hilum.networks.registry import create_network
from hilum.phantoms.phantom import render_phantom
from hilum.transforms.preprocess import Preprocessing


def untrained(folder: Path) -> Path:
    """Save a COVINet cascade of the published size: 150 x 150 pixels, two networks.

    It computes as a trained one does. Returns the folder.
    """
    tree = LabelTree.from_text("normal, infected(covid, non-covid)")
    size = (150, 150)
    networks = {
        d.name: create_network("covinet", outputs=len(d.options), image_size=size)
        for d in tree.decisions
    }
    Classifier(
        tree=tree,
        strategy="cascade",
        rule="route",
        preprocessing=Preprocessing(image_size=size),
        networks=networks,
        network_names=dict.fromkeys(networks, "covinet"),
    ).save(folder)
    return folder


def phantoms(count: int) -> list[Image.Image]:
    """Synthetic radiographs of 150 x 150 pixels."""
    return [
        Image.fromarray(render_phantom("normal", seed=0, index=index)[0]) for index in range(count)
    ]
