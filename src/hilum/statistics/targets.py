"""What a yes-or-no question is asked of: a label of the tree, or an option of a decision.

Sensitivity, specificity, operating points and decision curves all need positives and negatives.
"""

from dataclasses import dataclass

import numpy as np

from hilum.errors import LabelError, nearest
from hilum.labels import LabelTree, natural_order
from hilum.predictions import Predictions
from hilum.records import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Target:
    """Which images are positive, which are judged at all, and by which probability.

    name: as it is written. members: the class indices that are positive. among: the class indices
    of the images that are judged; the others do not belong to the question. decision, option:
    of the form DECISION/OPTION, the decision's name and the option's position; else None.
    """

    name: str
    members: tuple[int, ...]
    among: tuple[int, ...]
    decision: str | None = None
    option: int | None = None

    @classmethod
    def parse(cls, text: str, tree: LabelTree) -> "Target":
        """Read the name of a label, or DECISION/OPTION.

        A label such as 'covid' or 'infected' is asked of all images, by its probability, which is
        the sum of its classes'. An option such as 'infected/covid' (or 'root/infected') is asked
        of the images that belong to the decision, by its probability given that the decision is
        reached. The first counts what earlier decisions lose, the second does not.
        Raises LabelError with the nearest name where the tree has no such label or option.
        """
        name = text.strip()
        if "/" not in name:
            labels = labels_of(tree)
            if name not in labels:
                raise LabelError(f"There is no label '{name}'.{nearest(name, labels)}")
            return cls(name, labels[name], tuple(range(len(tree.classes))))
        parent, _, child = (part.strip() for part in name.partition("/"))
        decisions = {decision.name: decision for decision in tree.decisions}
        if parent not in decisions:
            raise LabelError(
                f"'{name}' names an option of a decision, but there is no decision '{parent}'."
                f"{nearest(parent, decisions)}"
            )
        options = decisions[parent].options
        if child not in options:
            raise LabelError(
                f"The decision '{parent}' has no option '{child}'.{nearest(child, options)}"
            )
        option, members = options.index(child), decisions[parent].members
        among = tuple(sorted(c for classes in members for c in classes))
        return cls(f"{parent}/{child}", members[option], among, parent, option)

    def judged(self, truth: IntArray) -> BoolArray:
        """Which images the question is asked of. truth: (N,) class indices. Returns (N,)."""
        return np.isin(truth, self.among)

    def positive(self, truth: IntArray) -> BoolArray:
        """Which images are truly positive. truth: (N,) class indices. Returns (N,)."""
        return np.isin(truth, self.members)

    def scores(self, predictions: Predictions) -> FloatArray:
        """The probability of being positive: (N,) values in [0, 1], of every image."""
        if self.decision is None:
            scores = predictions.probs[:, list(self.members)].sum(axis=1)
        else:
            scores = predictions.decision_probs[self.decision][:, self.option]
        # Rounding may put a sum of probabilities a hair above 1.
        return np.clip(np.asarray(scores, dtype=np.float64), 0, 1)


def labels_of(tree: LabelTree) -> dict[str, tuple[int, ...]]:
    """Every label of the tree, inner ones before those below them, and its class indices."""
    return {
        option: members
        for decision in tree.decisions
        for option, members in zip(decision.options, decision.members, strict=True)
    }


def positive_labels(tree: LabelTree) -> tuple[str, ...]:
    """The labels that are not a name for "nothing found" (labels.NEGATIVE_NAMES), in order."""
    return tuple(label for label in labels_of(tree) if natural_order(label)[0])
