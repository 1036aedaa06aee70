"""Whether every split has what can be learned and measured: every class, and every finding."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hilum.errors import DataError
from hilum.labels import LabelTree
from hilum.radiographs.layouts import SPLITS
from hilum.records import ABSENT, PRESENT, Record


def check_complete(
    root: Path, tree: LabelTree, records: Sequence[Record], damage: str, *, every_class: bool
) -> list[str]:
    """What measures cannot say, in sentences.

    damage: what was left out before, in words. every_class: refuse a split that lacks a class.
    Raises DataError for that, or where nothing can be learned: a class of the training split has a
    single image, or a finding is not known to be present in one of them and absent in another.
    """
    without = f" {damage}" if damage else ""
    if every_class:
        _check_classes(root, tree, records, without)
        _check_findings(root, tree, records, without)
        return _missing_findings(tree, records)
    return [*_missing_classes(tree, records), *_missing_findings(tree, records)]


def _check_findings(root: Path, tree: LabelTree, records: Sequence[Record], without: str) -> None:
    train = [r.marks for r in records if r.split == "train"]
    for finding in tree.findings if train else ():
        known = {marks[finding.index] for marks in train}
        for mark, word in ((PRESENT, "present"), (ABSENT, "absent")):
            if mark not in known:
                raise DataError(
                    f"{root}: '{finding.name}' is {word} in no image of 'train', so it cannot be "
                    "learned; leave it out of the labels, such as --classes "
                    f"'{_less(tree, finding.name)}'.{without}"
                )


def _less(tree: LabelTree, name: str) -> str:
    """The findings of a tree without one, as they are written where the root has them all."""
    return "{" + ", ".join(f.name for f in tree.findings if f.name != name) + "}"


def _missing_findings(tree: LabelTree, records: Sequence[Record]) -> list[str]:
    found = []
    for split in [s for s in SPLITS if any(r.split == s for r in records)]:
        marks = [r.marks for r in records if r.split == split]
        absent = [
            f.name for f in tree.findings
            if not {PRESENT, ABSENT} <= {own[f.index] for own in marks}
        ]  # fmt: skip
        if absent:
            found.append(
                f"The split '{split}' does not have images with and without {', '.join(absent)}: "
                "measures that need both are undefined."
            )
    return found


def _check_classes(root: Path, tree: LabelTree, records: Sequence[Record], without: str) -> None:
    counts = Counter((r.split, r.label) for r in records)
    for split in [s for s in SPLITS if any(r.split == s for r in records)]:
        for label, name in enumerate(tree.classes):
            n = counts[split, label]
            if n == 0:
                elsewhere = {s: counts[s, label] for s in SPLITS if counts[s, label]}
                seen = ", ".join(f"{s} has {k}" for s, k in elsewhere.items()) or "no split has any"
                raise DataError(
                    f"{root}: the split '{split}' has no image of the class '{name}' ({seen}). "
                    f"Every split needs every class.{without}"
                )
            if n == 1 and split == "train":
                raise DataError(
                    f"{root}: the class '{name}' has a single image in '{split}'; "
                    f"training needs at least 2, and many more to learn anything.{without}"
                )


def _missing_classes(tree: LabelTree, records: Sequence[Record]) -> list[str]:
    """What an evaluation of these records cannot say, in sentences."""
    present = {(r.split, r.label) for r in records}
    found = []
    for split in [s for s in SPLITS if any(r.split == s for r in records)]:
        absent = [n for i, n in enumerate(tree.classes) if (split, i) not in present]
        if absent:
            found.append(
                f"The split '{split}' has no image of {', '.join(absent)}: measures that need one "
                "are undefined."
            )
    return found
