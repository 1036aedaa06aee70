"""Published weights, and the collections of radiographs that they were trained on."""

import pytest

from hilum.auditing.pretraining import collections, seen_sentences, trained_on_sentences
from hilum.auditing.provenance import known_sources
from hilum.radiographs.layouts import LAYOUTS

ALL, RSNA = "xrv:densenet121-res224-all", "xrv:densenet121-res224-rsna"


@pytest.mark.parametrize(
    ("networks", "layout", "source", "titles"),
    [
        ([ALL], "mimic-cxr-jpg", None, ["MIMIC-CXR"]),
        # the challenge's images are those of the NIH, and so are some of COVIDx
        ([RSNA], "nih-chestxray14", None, ["ChestX-ray14 of the NIH"]),
        ([ALL, RSNA, ALL], None, "covidx", ["ChestX-ray14 of the NIH"] * 2),
        ([RSNA], "padchest", None, []),
        ([ALL], "label-folders", "kaggle-pneumonia", []),
        ([ALL], None, None, []),
        (["torchvision:resnet18.IMAGENET1K_V1"], "mimic-cxr-jpg", None, []),
    ],
)
def test_data_of_a_collection_are_told(networks, layout, source, titles):
    found = seen_sentences(networks, "mine", layout=layout, source=source)
    assert len(found) == len(titles)
    for title, sentence in zip(titles, found, strict=True):
        assert sentence.startswith(f"The radiographs of mine may be among those of {title}")


def test_every_collection_of_a_network_is_named():
    (found,) = trained_on_sentences([ALL, "hilum-xs"])
    for title in ("NIH", "PadChest", "CheXpert", "MIMIC-CXR", "Open-i"):
        assert title in found
    assert "VinDr-CXR" not in found


def test_collections_are_recognised_by_what_there_is():
    layouts = {name for collection in collections() for name in collection.layouts}
    sources = {name for collection in collections() for name in collection.sources}
    assert layouts <= LAYOUTS.keys()
    assert sources <= {source.name for source in known_sources()}
