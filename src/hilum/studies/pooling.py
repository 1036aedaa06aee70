"""What the runs of one variant said of images they were not trained on, and all of it together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hilum.errors import EvaluationError
from hilum.labels import LabelTree
from hilum.records import IntArray, Predictions
from hilum.statistics.checks import check_predictions
from hilum.statistics.metrics import BoolArray


@dataclass(frozen=True)
class HeldOut:
    """One run: the images that it held out, and what it made of them.

    truth: (N,) class indices. predictions: of the same N images, with their names, which tell
    whether two runs saw the same image. n_train: how many images it was trained on.
    """

    truth: IntArray
    predictions: Predictions
    n_train: int

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def test_train_ratio(self) -> float:
        """Images held out per image trained on."""
        return len(self) / self.n_train


@dataclass(frozen=True)
class Pooled:
    """The images of all runs, one after the other: M is the sum of what each held out.

    truth: (M,). predictions: of M images. groups: (M,) the patient or block of each, as a number.
    first: (M,) bool, False where an earlier run has held out the same image already.
    """

    truth: IntArray
    predictions: Predictions
    groups: IntArray
    first: BoolArray

    @property
    def n_images(self) -> int:
        """How many different images there are."""
        return int(self.first.sum())

    @property
    def n_groups(self) -> int:
        """How many different groups there are."""
        return len(np.unique(self.groups))

    @property
    def once(self) -> tuple[IntArray, Predictions]:
        """Truth and predictions of every image once, by the first run that held it out."""
        return self.truth[self.first], _rows(self.predictions, self.first)


def pool(
    tree: LabelTree, runs: Sequence[HeldOut], groups: Mapping[str, str] | None = None
) -> Pooled:
    """Put the runs of one variant together.

    groups: of each image, by its name, the patient or block that it belongs to; None takes every
    image as its own. Raises EvaluationError where there is no run, a run names an image twice or
    not at all, an image has no group or two true classes, a run was trained on no image, or its
    predictions do not fit the truth and the tree.
    """
    if not runs:
        raise EvaluationError("There are no runs to compare.")
    seen: dict[str, int] = {}
    first: list[bool] = []
    for number, run in enumerate(runs, start=1):
        check_predictions(tree, run.truth, run.predictions)
        names = run.predictions.names
        if not all(names) or len(set(names)) < len(names):
            raise EvaluationError(
                f"Run {number} names an image twice or not at all: give each its path."
            )
        if run.n_train < 1:
            raise EvaluationError(f"Run {number} was trained on {run.n_train} images.")
        for name, label in zip(names, run.truth.tolist(), strict=True):
            first.append(name not in seen)
            if seen.setdefault(name, label) != label:
                raise EvaluationError(
                    f"{name} is {tree.classes[seen[name]]} in one run and "
                    f"{tree.classes[label]} in run {number}."
                )
    names = tuple(name for run in runs for name in run.predictions.names)
    missing = [name for name in names if groups is not None and name not in groups]
    if missing:
        raise EvaluationError(f"{missing[0]} has no group, but other images have.")
    kinds = names if groups is None else [groups[name] for name in names]
    return Pooled(
        truth=np.concatenate([run.truth for run in runs]),
        predictions=join([run.predictions for run in runs]),
        groups=np.unique(np.asarray(kinds), return_inverse=True)[1].astype(np.int64),
        first=np.array(first, dtype=bool),
    )


def join(parts: Sequence[Predictions]) -> Predictions:
    """Predictions of several lists of images, at least one, as those of one list."""
    return Predictions(
        names=tuple(name for part in parts for name in part.names),
        probs=np.concatenate([part.probs for part in parts]),
        decision_probs={
            name: np.concatenate([part.decision_probs[name] for part in parts])
            for name in parts[0].decision_probs
        },
        predicted=np.concatenate([part.predicted for part in parts]),
    )


def _rows(predictions: Predictions, keep: BoolArray) -> Predictions:
    return Predictions(
        names=tuple(n for n, kept in zip(predictions.names, keep, strict=True) if kept),
        probs=predictions.probs[keep],
        decision_probs={name: p[keep] for name, p in predictions.decision_probs.items()},
        predicted=predictions.predicted[keep],
    )
