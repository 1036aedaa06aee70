"""What each run of a study trains on and holds out: the same for every variant, so paired.

The train split is cut into folds by patients, or by blocks of neighbouring file numbers where no
patient is known. Run i holds out fold i modulo the number of folds; with as many runs as folds
every training image is held out exactly once. The data's own val is trained on by no run, and
the test split is never looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hilum.audit.grouping import group_name, identical_files, join_groups, own_groups
from hilum.audit.splits import apply_split, make_split
from hilum.errors import StudyError, nearest
from hilum.labels import LabelTree
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.layouts import SPLITS


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
    with those of studies of the whole tree.
    Raises DataError where a fold lacks a class or a split is missing, StudyError for a decision
    that the labels do not have.
    """

    def narrowed(part: Dataset) -> Dataset:
        return restrict(part, decision) if decision else part

    if folds == 0:
        rows = [*dataset.indices("train").tolist(), *dataset.indices("val").tolist()]
        whole = _take(dataset, rows)
        return Folds((narrowed(whole),), None, _group_names(whole, block_size))
    train = _take(dataset, dataset.indices("train").tolist())
    # One seed for all studies: their folds agree, and variants that they share train once.
    split = make_split(train, folds=folds, seed=0, block_size=block_size)
    own_val = None
    if "val" in dataset.splits:
        own_val = narrowed(_take(dataset, dataset.indices("val").tolist()))
    parts = tuple(narrowed(apply_split(train, split, fold)) for fold in range(folds))
    return Folds(parts, own_val, split.groups)


def restrict(dataset: Dataset, decision: str) -> Dataset:
    """The images that belong to one decision, labelled by its options.

    The tree of the result is the decision's options alone. Raises StudyError for another name.
    """
    decisions = {d.name: d for d in dataset.tree.decisions}
    if decision not in decisions:
        raise StudyError(
            f"The labels '{dataset.tree}' have no decision '{decision}'."
            + nearest(decision, decisions)
        )
    chosen = decisions[decision]
    targets = chosen.targets(dataset.labels)
    records = [replace(r, label=int(t)) for r, t in zip(dataset.records, targets, strict=True)]
    rows = [i for i, target in enumerate(targets) if target >= 0]
    rows.sort(key=lambda i: (SPLITS.index(records[i].split), records[i].label))
    return replace(
        dataset,
        tree=LabelTree.from_text(", ".join(chosen.options)),
        records=tuple(records[i] for i in rows),
        digests=tuple(dataset.digests[i] for i in rows),
    )


def _take(dataset: Dataset, rows: Sequence[int]) -> Dataset:
    return replace(
        dataset,
        records=tuple(dataset.records[i] for i in rows),
        digests=tuple(dataset.digests[i] for i in rows),
    )


def _group_names(dataset: Dataset, block_size: int) -> dict[str, str]:
    own = own_groups(dataset, "auto", block_size)
    joined = join_groups(own, identical_files(dataset.digests), len(dataset.records))
    return {
        record.name: group_name(joined[group], block_size)
        for record, group in zip(dataset.records, own, strict=True)
    }
