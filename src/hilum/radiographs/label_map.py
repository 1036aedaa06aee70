"""From the labels of the data to the classes of a tree, by their names or by a mapping.

Another data set seldom uses the names that a classifier was trained on. A mapping says what its
labels mean: ``No_findings=normal, COVID-19=covid, Effusion=-``.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from hilum.errors import DataError, LabelError, in_lines, nearest, plural
from hilum.labels import LabelTree
from hilum.radiographs.layouts import Found, nfc

#: What a label is mapped to whose images are to be left out.
LEAVE_OUT = "-"
NO_MAPPING: Mapping[str, str] = MappingProxyType({})


def parse_label_map(text: str, tree: LabelTree) -> dict[str, str]:
    """A mapping of labels written in one line: ``LABEL=CLASS, LABEL=-, …``.

    A label is the name of a folder or a cell (``covid``), or the way to it where the name alone
    could mean several (``infected/covid``). A class is one of the tree's; ``-`` leaves the images
    out. Raises LabelError where an entry has another form, names a class that the tree lacks, or
    maps a label twice.
    """
    mapping: dict[str, str] = {}
    for entry in nfc(text).split(","):
        label, equals, target = (part.strip() for part in entry.rpartition("="))
        if not (label and equals and target):
            raise LabelError(
                f"Cannot read '{entry.strip()}' in the mapping '{text}': expected LABEL=CLASS, or "
                "LABEL=- to leave its images out, such as: No_findings=normal, Effusion=-"
            )
        if mapping.setdefault(label, target) != target:
            raise LabelError(
                f"The mapping '{text}' maps '{label}' to '{mapping[label]}' and to '{target}'."
            )
    check_targets(mapping, tree)
    return mapping


def match_classes(
    root: Path,
    found: Sequence[Found],
    tree: LabelTree,
    mapping: Mapping[str, str] = NO_MAPPING,
) -> tuple[list[int | None], list[str]]:
    """The class of each image: by the innermost of its labels that is mapped or is a class.

    mapping: as of parse_label_map; it goes before a class of the same name.
    Returns the class index of each image, None for those that the mapping leaves out; and what
    the mapping did, in sentences. root: named in refusals.
    Raises DataError listing every label that is neither mapped nor a class, and every entry of
    the mapping that no label of the data bears; LabelError for a class that the tree lacks.
    """
    check_targets(mapping, tree)
    classes = {name: name for name in tree.classes}
    used: dict[tuple[str, ...], tuple[str, str] | None] = {}
    for labels in {f.labels for f in found}:
        ways = (labels[:depth] for depth in range(len(labels), 0, -1))
        hits = (_named(way, mapping) or _named(way, classes) for way in ways)
        used[labels] = next((hit for hit in hits if hit), None)
    _refuse_unmatched(root, Counter(f.labels for f in found), used, tree)
    _refuse_unused(root, found, mapping)
    index = {name: i for i, name in enumerate(tree.classes)}
    targets = [used[f.labels] for f in found]
    counts = Counter(hit for hit in targets if hit and hit[0] in mapping)
    notes = [
        f"The mapping leaves out {plural(n, 'image')} of '{label}'." if target == LEAVE_OUT
        else f"The mapping reads '{label}' as '{target}': {plural(n, 'image')}."
        for (label, target), n in sorted(counts.items())
    ]  # fmt: skip
    return [index.get(hit[1]) if hit else None for hit in targets], notes


def _named(way: tuple[str, ...], names: Mapping[str, str]) -> tuple[str, str] | None:
    """The entry for the last label of a way: by the whole way, or by its name alone."""
    keys = ("/".join(way), way[-1])
    return next(((key, names[key]) for key in keys if key in names), None)


def check_targets(mapping: Mapping[str, str], tree: LabelTree) -> None:
    """Raise LabelError where a mapping names what is neither a class nor a finding of a tree."""
    for label, target in mapping.items():
        known = (*tree.classes, *(finding.name for finding in tree.findings))
        if target != LEAVE_OUT and target not in known:
            raise LabelError(
                f"The mapping of '{label}': '{target}' is not a class of '{tree}'."
                + nearest(target, known)
            )


def _refuse_unmatched(
    root: Path,
    counts: Mapping[tuple[str, ...], int],
    used: Mapping[tuple[str, ...], tuple[str, str] | None],
    tree: LabelTree,
) -> None:
    unknown = sorted(labels for labels, hit in used.items() if hit is None)
    if len(unknown) == 1:
        name = unknown[0][-1]
        raise DataError(
            f"{root}: the label '{name}' is not a class of '{tree}'." + nearest(name, tree.classes)
        )
    if unknown:
        lines = [f"{'/'.join(k)}: {plural(counts[k], 'image')}" for k in unknown]
        raise DataError(
            f"{root}: these labels are not classes of '{tree}'; map each to a class, or to "
            f"'{LEAVE_OUT}' to leave its images out:{in_lines(lines, 100)}"
        )


def _refuse_unused(root: Path, found: Sequence[Found], mapping: Mapping[str, str]) -> None:
    borne = {key for labels in {f.labels for f in found} for depth in range(1, len(labels) + 1)
             for key in ("/".join(labels[:depth]), labels[depth - 1])}  # fmt: skip
    for label in mapping:
        if label not in borne:
            raise DataError(
                f"{root}: the mapping names the label '{label}', which no image bears."
                + nearest(label, sorted(borne))
            )
