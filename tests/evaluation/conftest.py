"""Predictions that can be checked by hand."""

import numpy as np
import pytest

from hilum.labels import LabelTree
from hilum.predictions import Predictions


def cascade_predictions(tree, choices, names=None):
    """Predictions that choose, at every decision, a given option with probability 0.75.

    choices: for each image {decision: option}; the first option where none is given.
    """
    decision_probs = {}
    for decision in tree.decisions:
        size = len(decision.options)
        probs = np.full((len(choices), size), 0.25 / (size - 1))
        for i, choice in enumerate(choices):
            option = choice.get(decision.name, decision.options[0])
            probs[i, decision.options.index(option)] = 0.75
        decision_probs[decision.name] = probs
    return Predictions(
        names=tuple(names or (f"val/{i}.png" for i in range(len(choices)))),
        probs=tree.leaf_probs(decision_probs),
        decision_probs=decision_probs,
        predicted=tree.choose(decision_probs, "route"),
    )


@pytest.fixture
def tree():
    return LabelTree.from_text("normal, infected(covid, non-covid)")


@pytest.fixture
def published(tree):
    """(truth, predictions) with the published confusion matrix [[7,1,0],[0,8,0],[0,4,4]]."""
    normal = {"root": "normal"}
    covid = {"root": "infected", "infected": "covid"}
    other = {"root": "infected", "infected": "non-covid"}
    choices = [normal] * 7 + [covid] + [covid] * 8 + [covid] * 4 + [other] * 4
    return np.repeat([0, 1, 2], 8), cascade_predictions(tree, choices)
