import pytest

from hilum.audit.provenance import known_sources, recognise

TRAIN = {"normal": 1341, "covid": 1345, "non-covid": 2530}


def test_recognises_the_counts_of_a_known_data_set_whatever_its_other_splits():
    for counts in ({"train": TRAIN}, {"train": TRAIN, "val": {"normal": 8}}):
        source = recognise(counts)
        assert source is not None
        assert source.name == "chest-xray-150"
        assert "children" in source.meaning


@pytest.mark.parametrize("counts", [{}, {"train": {**TRAIN, "covid": 1346}}, {"val": TRAIN}])
def test_other_counts_are_not_recognised(counts):
    assert recognise(counts) is None


def test_every_known_data_set_says_what_its_labels_mean():
    for source in known_sources():
        assert source.meaning.endswith(".")
        assert source.counts
