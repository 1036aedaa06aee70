import numpy as np
import pytest

from hilum.errors import LabelError
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.statistics.targets import Target, labels_of, positive_labels

TREE = LabelTree.from_text("normal, infected(covid, non-covid)")
ROOT = np.array([[0.6, 0.4], [0.2, 0.8]])
INFECTED = np.array([[0.75, 0.25], [0.5, 0.5]])
PROBS = {"root": ROOT, "infected": INFECTED}
PREDICTIONS = Predictions(("", ""), TREE.leaf_probs(PROBS), PROBS, np.array([0, 1]))
TRUTH = np.array([0, 1, 2])


def test_a_label_is_asked_of_all_images_by_its_marginal_probability():
    covid = Target.parse(" covid ", TREE)
    assert covid == Target("covid", (1,), (0, 1, 2))
    assert covid.judged(TRUTH).tolist() == [True, True, True]
    assert covid.positive(TRUTH).tolist() == [False, True, False]
    assert covid.scores(PREDICTIONS) == pytest.approx([0.4 * 0.75, 0.8 * 0.5])


def test_an_inner_label_sums_its_classes():
    infected = Target.parse("infected", TREE)
    assert infected.positive(TRUTH).tolist() == [False, True, True]
    assert infected.scores(PREDICTIONS) == pytest.approx([0.4, 0.8])


def test_an_option_is_asked_of_the_images_of_its_decision():
    option = Target.parse("infected / covid", TREE)
    assert (option.name, option.members, option.among) == ("infected/covid", (1,), (1, 2))
    assert option.judged(TRUTH).tolist() == [False, True, True]
    assert option.scores(PREDICTIONS).tolist() == [0.75, 0.5]
    assert Target.parse("root/infected", TREE).scores(PREDICTIONS).tolist() == [0.4, 0.8]


def test_labels_and_findings_of_a_deep_tree():
    tree = LabelTree.from_text("No_Finding, ill(flu, covid(mild, severe))")
    assert labels_of(tree) == {
        "No_Finding": (0,), "ill": (1, 2, 3), "flu": (1,), "covid": (2, 3), "mild": (2,),
        "severe": (3,),
    }  # fmt: skip
    assert positive_labels(tree) == ("ill", "flu", "covid", "mild", "severe")
    assert Target.parse("ill/covid", tree).members == (2, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("covd", "no label 'covd'. Did you mean 'covid'"),
        ("root", "no label 'root'"),
        ("covid/mild", "no decision 'covid'"),
        ("infected/normal", "'infected' has no option 'normal'"),
        ("flat/covid", "no decision 'flat'"),
    ],
)
def test_unknown_names_are_refused(text, message):
    with pytest.raises(LabelError, match=message):
        Target.parse(text, TREE)
