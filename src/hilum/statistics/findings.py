"""Findings as statistics see them: each is a choice between being absent and being present.

So everything that is measured of a choice (measures, calibration, curves, operating points,
prediction sets, subgroups) is measured of every finding by the same code, on the images of which
it is known whether they have it.
"""

from typing import NamedTuple

import numpy as np

from hilum.decisions import ROOT, Finding
from hilum.labels import LabelTree
from hilum.notation import Node
from hilum.predictions import Predictions
from hilum.records import BoolArray, IntArray

#: The class of images that do not have a finding, in its own evaluation.
NEGATIVE = "negative"


class Side(NamedTuple):
    """A finding as a choice between 'negative' and its own name.

    known: (N,) which images it is known of; of those M, truth: (M,) 0 or 1, and predictions.
    """

    tree: LabelTree
    known: BoolArray
    truth: IntArray
    predictions: Predictions


def as_choice(finding: Finding, truth: IntArray, marks: IntArray, predictions: Predictions) -> Side:
    """A finding of N images as a choice.

    truth: (N,) class indices. marks: (N, F) of all findings.
    """
    present = finding.truth(truth, marks)
    known = present >= 0
    said = predicted_choice(finding, predictions.take(known))
    return Side(choice_of(finding.name), known, present[known], said)


def choice_of(name: str) -> LabelTree:
    """The tree of a finding alone: 'negative', or its name."""
    return LabelTree((Node(NEGATIVE), Node(name)))


def predicted_choice(finding: Finding, predictions: Predictions) -> Predictions:
    """Predictions of a finding as those of its choice."""
    tree = choice_of(finding.name)
    own = predictions.finding_probs[:, finding.index]
    probs = np.column_stack([1 - own, own])
    return Predictions(
        predictions.names,
        probs,
        {ROOT: probs},
        predictions.present[:, finding.index].astype(np.int64),
        predictions.gate_p_values,
        tree.classes,
        tree.options,
    )
