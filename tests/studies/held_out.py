"""Runs whose every prediction a reader chooses."""

import numpy as np

from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.studies.folds import HeldOut

TREE = LabelTree.from_text("normal, infected(covid, non-covid)")


def predictions(tree, predicted, names, sure=0.75):
    """Predictions of the given class indices; the chosen option has a probability of sure."""
    predicted, n = np.asarray(predicted), len(predicted)
    decision_probs = {}
    for decision in tree.decisions:
        size = len(decision.options)
        probs = np.full((n, size), 1 / size)
        chosen = decision.targets(predicted)
        for row in np.flatnonzero(chosen >= 0):
            share = sure[row] if np.ndim(sure) else sure
            probs[row] = (1 - share) / (size - 1)
            probs[row, chosen[row]] = share
        decision_probs[decision.name] = probs
    return Predictions(tuple(names), tree.leaf_probs(decision_probs), decision_probs, predicted)


def held_out(truth, predicted, run=0, n_train=None, names=None, tree=TREE, sure=0.75):
    """One run; its images are called RUN/0.png and so on. Four training images per image."""
    names = names or [f"{run}/{i}.png" for i in range(len(truth))]
    said = predictions(tree, predicted, names, sure)
    return HeldOut(np.asarray(truth), said, 4 * len(truth) if n_train is None else n_train)
