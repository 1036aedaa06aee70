"""What a classifier answers of radiographs, one question at a time: the class, and each finding.

A finding is a choice between 'negative' and itself, as evaluations see it, so that errors, right
answers and their maps are found by the same code.
"""

from dataclasses import dataclass

import numpy as np

from hilum.classifier.classifier import Classifier
from hilum.decisions import Decision
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.records import FloatArray, IntArray
from hilum.statistics.findings import as_choice

#: Probabilities are held so far from 0 and 1 where their odds are taken.
_LEAST = 1e-9


@dataclass(frozen=True)
class Question:
    """The class of radiographs, or whether they have a finding.

    finding: its name; '' of the class. tree: whose classes are the answers. at: (M,) of which of
    the N radiographs the true answer is known; of these truth (M,), predictions, and sureness
    (M,): the probability of the predicted class, or how far a finding's log-odds lie from those of
    its threshold.
    """

    finding: str
    tree: LabelTree
    at: IntArray
    truth: IntArray
    predictions: Predictions
    sureness: FloatArray

    @property
    def wrong(self) -> IntArray:
        """Positions among the M of those that were answered wrongly, the surest first."""
        wrong = np.flatnonzero(self.truth != self.predictions.predicted)
        return wrong[np.argsort(-self.sureness[wrong], kind="stable")]

    def answers(self, network: Decision, classes: IntArray) -> IntArray:
        """Which of a network's answers belong to classes of the tree; below 0 where none does.

        Of a finding it is the finding, whether it is called present or absent.
        """
        if not self.finding:
            return network.targets(classes)
        names = network.answers
        place = names.index(self.finding) if self.finding in names[len(network.options) :] else -1
        return np.full(len(classes), place, dtype=np.int64)


def ask_questions(
    classifier: Classifier, truth: IntArray, marks: IntArray, predictions: Predictions
) -> list[Question]:
    """Every question that is answered of N radiographs: of the class, if any, and the findings.

    truth: (N,) class indices. marks: (N, F) of the findings.
    """
    tree, everything = classifier.tree, np.arange(len(truth), dtype=np.int64)
    asked = []
    if tree.decisions:
        sure = predictions.probs[everything, predictions.predicted]
        asked.append(Question("", tree, everything, truth, predictions, sure))
    for finding in tree.findings:
        side = as_choice(finding, truth, marks, predictions)
        limit = classifier.thresholds.get(finding.name, 0.5)
        away = _log_odds(side.predictions.probs[:, 1]) - _log_odds(np.array(limit))
        asked.append(
            Question(
                finding.name,
                side.tree,
                everything[side.known],
                side.truth,
                side.predictions,
                np.abs(away),
            )
        )
    return asked


def _log_odds(probs: FloatArray) -> FloatArray:
    p = np.clip(probs, _LEAST, 1 - _LEAST)
    return np.asarray(np.log(p) - np.log1p(-p), dtype=np.float64)
