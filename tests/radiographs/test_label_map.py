"""Labels of other data, mapped to the classes of a tree."""

import pytest

from hilum.cli.options import open_data
from hilum.errors import DataError, LabelError
from hilum.labels import LabelTree
from hilum.radiographs.dataset import open_dataset
from hilum.radiographs.label_map import parse_label_map
from tests.spots import write_spots

TREE = LabelTree.from_text("healthy, sick")


@pytest.fixture
def data(tmp_path):
    """3 training and 1 validation image of normal, infected/covid and infected/non-covid each."""
    return write_spots(tmp_path / "data", {"train": 3, "val": 1})


def test_parsing():
    text = "No findings=healthy, COVID-19 = sick,a=b=sick, Effusion=-"
    assert parse_label_map(text, TREE) == {
        "No findings": "healthy", "COVID-19": "sick", "a=b": "sick", "Effusion": "-"
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", "covid", "covid=", "=sick", "a=sick,,b=sick"])
def test_other_forms_are_refused(text):
    with pytest.raises(LabelError, match="expected LABEL=CLASS"):
        parse_label_map(text, TREE)


def test_other_classes_and_contradictions_are_refused():
    with pytest.raises(LabelError, match="'sik' is not a class of .* Did you mean 'sick'"):
        parse_label_map("covid=sik", TREE)
    with pytest.raises(LabelError, match="maps 'covid' to 'sick' and to 'healthy'"):
        parse_label_map("covid=sick, covid=healthy", TREE)


def test_labels_are_renamed_and_counted(data):
    opened = open_dataset(
        data, tree=TREE, rename={"normal": "healthy", "covid": "sick", "infected/non-covid": "-"}
    )
    assert opened.counts() == {
        "train": {"healthy": 3, "sick": 3}, "val": {"healthy": 1, "sick": 1}
    }  # fmt: skip
    assert not any("non-covid" in r.name for r in opened.records)
    assert opened.notes == (
        "The mapping reads 'covid' as 'sick': 4 images.",
        "The mapping leaves out 4 images of 'infected/non-covid'.",
        "The mapping reads 'normal' as 'healthy': 4 images.",
    )


def test_an_outer_label_maps_what_lies_in_it_unless_that_is_a_class_itself(data):
    opened = open_dataset(data, tree=TREE, rename={"normal": "healthy", "infected": "sick"})
    assert opened.counts()["train"] == {"healthy": 3, "sick": 6}
    tree = LabelTree.from_text("normal, covid")
    opened = open_dataset(data, tree=tree, rename={"infected": "-"})
    assert opened.counts()["train"] == {"normal": 3, "covid": 3}
    assert opened.notes == ("The mapping leaves out 4 images of 'infected'.",)


def test_a_mapping_goes_before_a_class_of_the_same_name(data):
    tree = LabelTree.from_text("normal, covid, non-covid")
    opened = open_dataset(data, tree=tree, rename={"covid": "non-covid"}, every_class=False)
    assert opened.counts()["train"] == {"normal": 3, "covid": 0, "non-covid": 6}


def test_labels_without_a_class_are_all_listed(data):
    with pytest.raises(DataError) as refused:
        open_dataset(data, tree=TREE, rename={"normal": "healthy"})
    assert "infected/covid: 4 images\n  infected/non-covid: 4 images" in str(refused.value)
    assert "normal" not in str(refused.value).partition("images:\n")[2]


def test_an_entry_that_no_image_bears_is_refused(data):
    mapping = {"normal": "healthy", "infected": "sick", "covit": "sick"}
    with pytest.raises(DataError, match="label 'covit', which no image bears.*mean 'covid'"):
        open_dataset(data, tree=TREE, rename=mapping)
    with pytest.raises(DataError, match="every image is left out"):
        open_dataset(data, tree=TREE, rename={"normal": "-", "infected": "-"})
    with pytest.raises(DataError, match="only to classes of a tree that is given"):
        open_dataset(data, rename={"normal": "healthy"})


def test_a_missing_class_is_told_where_it_may_be_missing(data):
    mapping = {"normal": "healthy", "infected": "-"}
    with pytest.raises(DataError, match="no image of the class 'sick'"):
        open_dataset(data, tree=TREE, rename=mapping)
    opened = open_dataset(data, tree=TREE, rename=mapping, every_class=False)
    assert opened.counts() == {"train": {"healthy": 3, "sick": 0}, "val": {"healthy": 1, "sick": 0}}
    assert opened.notes[-2:] == (
        "The split 'train' has no image of sick: measures that need one are undefined.",
        "The split 'val' has no image of sick: measures that need one are undefined.",
    )


def test_the_option_of_the_command_line(data):
    opened = open_data(data, tree=TREE, label_map="normal=healthy, infected=sick")
    assert opened.counts()["val"] == {"healthy": 1, "sick": 2}
    opened = open_data(data, classes=str(TREE), label_map="normal=healthy, infected=sick")
    assert opened.tree == TREE
    with pytest.raises(LabelError, match="name these with --classes"):
        open_data(data, label_map="normal=healthy")
