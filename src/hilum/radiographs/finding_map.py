"""From the findings that data tell of to those of a label tree, and to the class of each image."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from hilum.errors import DataError, nearest, plural
from hilum.labels import LabelTree, says_nothing_found
from hilum.radiographs.label_map import NO_MAPPING, check_targets
from hilum.radiographs.layouts import Found, LeftOut
from hilum.records import ABSENT, MISSING, PRESENT, UNCERTAIN
from hilum.wording import listed

#: Of several findings that are read as one, the first of these counts.
_STRONGEST = (PRESENT, UNCERTAIN, MISSING, ABSENT)


def match_findings(
    root: Path,
    found: Sequence[Found],
    names: Sequence[str],
    tree: LabelTree,
    mapping: Mapping[str, str] = NO_MAPPING,
) -> tuple[list[int | None], list[tuple[int, ...]], list[str]]:
    """The class of each image, and the mark of each of the tree's findings.

    names: of the data's findings, in the order of found's marks. mapping: what some of them, or of
    the labels, mean in the tree; "-" drops a finding. Of a tree without a choice every image
    is of its one class. Otherwise an image is of the class that its own label names; or of the one
    class of which all its findings are asked; or, with none, of that for "nothing found".

    Returns classes (None where an image cannot be placed), marks, and notes.
    Raises DataError where the data tell of no findings, or lack one of the tree's; LabelError where
    the mapping names what the tree lacks.
    """
    wanted = [finding.name for finding in tree.findings]
    if not names:
        raise DataError(
            f"{root}: each of its images has one label, which excludes the others, but "
            f"'{tree}' asks for findings that do not: give data that tell of several, or labels "
            "without braces."
        )
    check_targets(mapping, tree)
    target_of = {name: mapping.get(name, name) for name in names}
    sources = {own: [k for k, n in enumerate(names) if target_of[n] == own] for own in wanted}
    absent = [own for own, columns in sources.items() if not columns]
    if absent:
        raise DataError(
            f"{root}: its findings are {', '.join(names)}; there is no {' and no '.join(absent)}."
            + nearest(absent[0], names)
        )
    marks = [
        tuple(
            next(m for m in _STRONGEST if m in {image.marks[k] for k in columns})
            for columns in sources.values()
        )
        for image in found
    ]
    unused = [n for n in names if target_of[n] not in wanted]
    notes = [f"Findings that are not asked for: {listed(unused)}."] if unused else []
    if not tree.decisions:
        return [0] * len(found), marks, notes
    other = [k for k, n in enumerate(names) if n in unused]
    place = _Places(tree, mapping)
    classes = [
        place.of(image, own, any(image.marks[k] == PRESENT for k in other))
        for image, own in zip(found, marks, strict=True)
    ]
    return classes, marks, notes


def describe_unplaced(n: int) -> str:
    """A note on images that have no class."""
    return f"{plural(n, 'image')} whose findings do not tell the class left out."


class _Places:
    """Where images stand in a tree that has a choice and findings."""

    def __init__(self, tree: LabelTree, mapping: Mapping[str, str]) -> None:
        self._tree, self._mapping = tree, mapping
        self._nothing = [k for k, name in enumerate(tree.classes) if says_nothing_found(name)]
        self._something = [k for k in range(len(tree.classes)) if k not in self._nothing]

    def of(self, image: Found, marks: tuple[int, ...], others: bool) -> int | None:
        """others: whether findings are present that the tree does not ask for."""
        for label in reversed(image.labels):
            name = self._mapping.get(label, label)
            if name in self._tree.classes:
                return self._tree.classes.index(name)
        asked = [f.classes for f in self._tree.findings if marks[f.index] == PRESENT]
        if not asked and not others:
            return self._nothing[0] if len(self._nothing) == 1 else None
        possible = set(self._something).intersection(*map(set, asked))
        return possible.pop() if len(possible) == 1 else None


def without_several(
    root: Path, found: Sequence[Found], names: Sequence[str]
) -> tuple[list[Found], tuple[LeftOut, ...]]:
    """The images that have one label, and the others as left out.

    names: of the data's findings. Raises DataError where no image has one label alone.
    """
    kept = [f for f in found if f.labels]
    if not kept:
        raise DataError(
            f"{root}: none of its images has one label alone, so they are of no classes that "
            f"exclude each other: ask for findings, such as '{LabelTree((), tuple(names))}'."
        )
    several = [f.path.name for f in found if not f.labels]
    if not several:
        return kept, ()
    note = (
        f"{plural(len(several), 'image')} of {len(found):,} without one label that excludes all "
        "others left out: one class is learned for each image."
    )
    return kept, (LeftOut(note, tuple(several)),)
