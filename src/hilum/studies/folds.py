"""What each run of a study trains on and holds out: the same for every variant, so paired.

The train split is cut into folds by patients, or by blocks of neighbouring file numbers where no
patient is known. Run i holds out fold i modulo the number of folds; with as many runs as folds
every training image is held out exactly once. The data's own val is trained on by no run, and
the test split is never looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from hilum.auditing.patients import group_name, joined_groups
from hilum.auditing.splits import apply_split, make_split
from hilum.errors import EvaluationError, StudyError, nearest
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.layouts import SPLITS
from hilum.records import BoolArray, IntArray
from hilum.statistics.checks import check_predictions
from hilum.statistics.findings import choice_of


@dataclass(frozen=True)
class Folds:
    """The data of a study as its runs see them.

    parts: a data set for each fold, whose split 'val' is what the fold holds out. own_val: the
    data's own val as a data set of its own; None where there is none, or where it is what is
    held out. groups: of each image that is held out, by name, what it was divided with.
    """

    parts: tuple[Dataset, ...]
    own_val: Dataset | None
    groups: Mapping[str, str]

    @property
    def tree(self) -> LabelTree:
        return self.parts[0].tree

    def number(self, run: int) -> int:
        """Which fold run i holds out."""
        return run % len(self.parts)

    def part(self, run: int) -> Dataset:
        """The data set of run i."""
        return self.parts[self.number(run)]


def divide(dataset: Dataset, folds: int, block_size: int, decision: str | None = None) -> Folds:
    """Divide a data set for a study.

    folds: 2 or more, or 0 to hold out the data's own val in every run. decision: leave only the
    images and the options of one decision of the labels; folds are cut before, so they agree
    with those of studies of the whole tree. Raises DataError where a fold lacks a class or a
    split is missing, StudyError for a decision that the labels do not have.
    """

    def narrowed(part: Dataset) -> Dataset:
        return restrict(part, decision) if decision else part

    if folds == 0:
        rows = [*dataset.indices("train").tolist(), *dataset.indices("val").tolist()]
        whole = dataset.take(rows)
        return Folds((narrowed(whole),), None, _group_names(whole, block_size))
    train = dataset.take(dataset.indices("train").tolist())
    # One seed for all studies: their folds agree, and variants that they share train once.
    split = make_split(train, folds=folds, seed=0, block_size=block_size)
    own_val = None
    if "val" in dataset.splits:
        own_val = narrowed(dataset.take(dataset.indices("val").tolist()))
    parts = tuple(narrowed(apply_split(train, split, fold)) for fold in range(folds))
    return Folds(parts, own_val, split.groups)


def restrict(dataset: Dataset, decision: str) -> Dataset:
    """The images that belong to one decision, labelled by its options; or by one finding.

    The tree of the result is the decision's options alone, or 'negative' and the finding, of the
    images of which it is known. Raises StudyError for another name.
    """
    decisions = {d.name: d for d in dataset.tree.decisions}
    findings = {finding.name: finding for finding in dataset.tree.findings}
    if decision in findings:
        tree = choice_of(decision)
        targets = findings[decision].truth(dataset.labels, dataset.marks)
    elif decision in decisions:
        tree = LabelTree.from_text(", ".join(decisions[decision].options))
        targets = decisions[decision].targets(dataset.labels)
    else:
        raise StudyError(
            f"The labels '{dataset.tree}' have no decision '{decision}'."
            + nearest(decision, [*decisions, *findings])
        )
    records = [
        replace(r, label=int(t), marks=()) for r, t in zip(dataset.records, targets, strict=True)
    ]
    rows = [i for i, target in enumerate(targets) if target >= 0]
    rows.sort(key=lambda i: (SPLITS.index(records[i].split), records[i].label))
    return replace(dataset, tree=tree, records=tuple(records)).take(rows)


def _group_names(dataset: Dataset, block_size: int) -> dict[str, str]:
    groups = joined_groups(dataset, block_size=block_size)
    return {
        record.name: group_name(group, block_size)
        for record, group in zip(dataset.records, groups, strict=True)
    }


@dataclass(frozen=True)
class HeldOut:
    """One run: the images that it held out, and what it made of them.

    truth: (N,) class indices. predictions: of the same N images, with their names, which tell
    whether two runs saw the same image. n_train: how many images it was trained on. marks: (N, F)
    whether they truly have each finding, 1, 0, or below 0 where it is not known.
    """

    truth: IntArray
    predictions: Predictions
    n_train: int
    marks: IntArray = field(default_factory=lambda: np.empty((0, 0), dtype=np.int64))

    def __post_init__(self) -> None:
        if not self.predictions.findings:
            object.__setattr__(self, "marks", np.empty((len(self.truth), 0), dtype=np.int64))

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def test_train_ratio(self) -> float:
        """Images held out per image trained on."""
        return len(self) / self.n_train


@dataclass(frozen=True)
class Pooled:
    """The images of all runs, one after the other: M is the sum of what each held out.

    truth: (M,). predictions: of M images. marks: (M, F), as of HeldOut. groups: (M,) the patient
    or block of each, as a number. first: (M,) bool, False where an earlier run has held out the
    same image already.
    """

    truth: IntArray
    predictions: Predictions
    marks: IntArray
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
    def once(self) -> tuple[IntArray, Predictions, IntArray]:
        """Truth, predictions and marks of every image once, by the first run that held it out."""
        return self.truth[self.first], self.predictions.take(self.first), self.marks[self.first]


def pool(
    tree: LabelTree, runs: Sequence[HeldOut], groups: Mapping[str, str] | None = None
) -> Pooled:
    """Put the runs of one variant together.

    groups: of each image, by its name, the patient or block that it belongs to; None takes every
    image as its own. Raises EvaluationError where there is no run, a run names an image twice or
    not at all, an image has no group, two true classes or findings, a run was trained on no image,
    or its predictions do not fit the truth and the tree.
    """
    if not runs:
        raise EvaluationError("There are no runs to compare.")
    seen: dict[str, tuple[int, list[int]]] = {}
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
        told = zip(names, run.truth.tolist(), run.marks.tolist(), strict=True)
        for name, label, marks in told:
            first.append(name not in seen)
            before = seen.setdefault(name, (label, marks))
            if before != (label, marks):
                raise EvaluationError(
                    f"{name}: {tree.name_of(*before)} in one run and "
                    f"{tree.name_of(label, marks)} in run {number}."
                )
    names = tuple(name for run in runs for name in run.predictions.names)
    missing = [name for name in names if groups is not None and name not in groups]
    if missing:
        raise EvaluationError(f"{missing[0]} has no group, but other images have.")
    kinds = names if groups is None else [groups[name] for name in names]
    return Pooled(
        truth=np.concatenate([run.truth for run in runs]),
        predictions=Predictions.join([run.predictions for run in runs]),
        marks=np.concatenate([run.marks for run in runs]),
        groups=np.unique(np.asarray(kinds), return_inverse=True)[1].astype(np.int64),
        first=np.array(first, dtype=bool),
    )
