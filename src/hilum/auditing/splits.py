"""Divide a data set so that no patient, and no image, stands on both sides.

Images are divided by *group*: the patient where one is known; otherwise a block of neighbouring
file numbers, because collections are numbered patient by patient; otherwise the file alone.
Identical files, and whatever else is to be kept together, join their groups.

Each group has a point of the unit interval, which follows from the seed and its own name, and the
parts divide that interval by their shares. So a group's part does not depend on the other groups,
and adding files moves none that were there (save that a new file which ties two groups together
moves one of them, as it must). Shares are met on average:

- Patients are drawn independently. Of N images in groups of n_1, n_2, …, a share p comes out
  with a standard deviation of sqrt(p (1 - p) (n_1² + n_2² + …)) / N.
- Blocks of one series are spread evenly: successive blocks step round the unit interval by the
  golden ratio, so that each class folder's share is off by about one block, seldom by two.

That is much of a small class. Where any part would hold a fifth more or less of a class than its
share, that class is *stratified* instead: its groups are cut into parts in the order of their
points, where the shares are met to half a group, and each part gets one where there are enough.
Adding files to such a class may move groups that lie near a cut.

Where images have findings, which do not exclude each other, all groups are stratified by classes
and findings together (stratify.py).
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from types import MappingProxyType

import numpy as np

from hilum.auditing.patients import (
    Group,
    group_name,
    joined_groups,
)
from hilum.auditing.stratify import stratified, what_counts
from hilum.display import Displayed
from hilum.errors import DataError, examples, in_lines, nearest, plural
from hilum.files import ODD_NAMES
from hilum.radiographs.dataset import Dataset, record_order
from hilum.radiographs.layouts import SPLITS, natural_key
from hilum.records import PRESENT
from hilum.table import Table

PROPORTIONS: Mapping[str, float] = MappingProxyType({"train": 0.7, "val": 0.15, "test": 0.15})
PROPORTIONS_BESIDE_TEST: Mapping[str, float] = MappingProxyType({"train": 0.85, "val": 0.15})

#: In chest-xray-150, whose files lie in the order of collection, most of the resemblance of
#: neighbours is gone after 5 numbers and nearly all after 30 (patients.neighbour_resemblance).
#: A patient may be cut at each end of a block; larger blocks cut fewer, and make shares coarser.
BLOCK_SIZE = 50

#: By how much of its share a part's images of a class may be off before the class is stratified.
_TOLERANCE = 0.2

#: 2**64 divided by the golden ratio: multiples of it, modulo 2**64, are spread evenly.
#: Source: Knuth, The Art of Computer Programming, volume 3, section 6.4.
_GOLDEN = 0x9E3779B97F4A7C15


@dataclass(frozen=True, repr=False)
class Split(Displayed):
    """Which part each image belongs to.

    parts: image name to 'train', 'val' or 'test'; of folds to '0' … 'folds - 1' (or 'test' where
    a test split was kept). groups: image name to the group that it was divided with.
    folds: how many, None for parts.
    """

    parts: Mapping[str, str]
    groups: Mapping[str, str]
    folds: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The parts in order."""
        order = (*map(str, range(self.folds or 0)), *SPLITS)
        present = set(self.parts.values())
        return tuple(p for p in order if p in present)

    def _in_one_line(self) -> str:
        counts = Counter(self.parts.values())
        kind = "fold " if self.folds else ""
        parts = ", ".join(
            f"{kind * part.isdecimal()}{part} {counts[part]:,}" for part in self.names
        )
        groups = plural(len(set(self.groups.values())), "group")
        return f"Split of {plural(len(self.parts), 'image')} in {groups}: {parts}"

    def _in_full(self) -> Iterator[str | Table]:
        counts = Counter(self.parts.values())
        yield Table("", ["part", "images"], [[part, counts[part]] for part in self.names])

    def largest_group(self) -> tuple[str, int]:
        """The group with the most images, and how many: one that is large makes shares coarse."""
        return Counter(self.groups.values()).most_common(1)[0]


def make_split(
    dataset: Dataset,
    *,
    proportions: Mapping[str, float] | None = None,
    folds: int | None = None,
    seed: int = 0,
    group_by: str = "auto",
    block_size: int | None = None,
    keep_together: Iterable[Sequence[int]] = (),
    keep_test: bool = False,
) -> Split:
    """Divide a data set by groups into train, val and test, or into folds.

    proportions: share per part, adding up to 1; by default 0.7, 0.15, 0.15 (0.85 and 0.15 where
    the test split is kept). folds: make so many parts of equal size instead. group_by: 'auto'
    takes the patient of each image where one is known and blocks otherwise; 'patient' refuses
    images without one; 'blocks' ignores patients. block_size: file numbers in a block; None takes
    BLOCK_SIZE, or as many as give the smallest part two blocks of the smallest class.
    keep_together: positions of records, such as near-duplicates, whose groups are joined;
    byte-identical files always are. keep_test: leave the images of the split 'test' where they
    are and divide the others.

    See the head of this file for how exact the shares are. Raises DataError for settings that
    make no sense, a part that nothing falls into or that lacks a class, or a group that reaches
    into a kept test.
    """
    shares = _shares(dataset, proportions, folds, keep_test)
    largest = _largest_block(dataset, shares)
    if block_size is None:
        block_size = max(1, min(BLOCK_SIZE, largest))
    if block_size < 1:
        raise DataError(f"A block needs at least 1 file number, not {block_size}.")
    groups = joined_groups(dataset, group_by, block_size, keep_together)
    kept = _kept_test(dataset, groups) if keep_test else set()
    part_of = {**dict.fromkeys(kept, "test"), **_draw(dataset, groups, kept, seed, shares)}
    split = Split(
        parts={r.name: part_of[g] for r, g in zip(dataset.records, groups, strict=True)},
        groups={
            r.name: group_name(g, block_size) for r, g in zip(dataset.records, groups, strict=True)
        },
        folds=folds,
    )
    _refuse_missing_class(dataset, split, shares, largest if 1 <= largest < block_size else None)
    return split


def parse_shares(text: str) -> dict[str, float]:
    """Shares from a line such as ``train=0.7, val=0.15, test=0.15``. Raises DataError."""
    shares: dict[str, float] = {}
    for item in text.split(","):
        part, equals, share = (x.strip() for x in item.partition("="))
        try:
            shares[part] = float(share)
        except ValueError:
            equals = ""
        if not equals:
            raise DataError(f"'{item.strip()}' is no share; write train=0.7, val=0.15, test=0.15.")
    return shares


def count_parts(dataset: Dataset, split: Split) -> dict[str, dict[str, int]]:
    """Images per part and class."""
    found = Counter((split.parts[r.name], r.label) for r in dataset.records)
    return {
        part: {name: found[part, i] for i, name in enumerate(dataset.tree.classes)}
        for part in split.names
    }


def count_findings(dataset: Dataset, split: Split) -> dict[str, dict[str, int]]:
    """Images per part and finding that have it; {} of each part where there are no findings."""
    present = dataset.marks == PRESENT
    parts = np.array([split.parts[r.name] for r in dataset.records])
    return {
        part: {f.name: int(present[parts == part, f.index].sum()) for f in dataset.tree.findings}
        for part in split.names
    }


def apply_split(dataset: Dataset, split: Split, fold: int | None = None) -> Dataset:
    """The data set with its images in the parts of a split, in order of split, label and number.

    fold: of folds, the one that becomes 'val'; the others become 'train', and a kept 'test'
    stays. The fingerprint changes with the parts. Raises DataError where the split does not
    list exactly the data set's images, or fold does not fit the split.
    """
    check_same_images(dataset, split.parts, "The split")
    if split.folds is None and fold is not None:
        raise DataError(
            f"Fold {fold} was asked for, but the split has the parts {', '.join(split.names)}; "
            "leave the fold out, or make a split with folds."
        )
    if split.folds is not None and (fold is None or not 0 <= fold < split.folds):
        found = "none was chosen" if fold is None else f"there is no fold {fold}"
        raise DataError(
            f"The split has {split.folds} folds, and {found}; choose the one to monitor, "
            f"0 to {split.folds - 1}."
        )

    def renamed(part: str) -> str:
        if split.folds is None or part == "test":
            return part
        return "val" if part == str(fold) else "train"

    records = tuple(replace(r, split=renamed(split.parts[r.name])) for r in dataset.records)
    order = sorted(range(len(records)), key=lambda i: record_order(records[i]))
    return replace(dataset, records=records).take(order)


def check_same_images(dataset: Dataset, listed: Iterable[str], what: str) -> None:
    """Raise DataError unless the names listed are exactly those of the data set's images.

    what: who lists them, to begin the sentence with.
    """
    listed, there = set(listed), {r.name for r in dataset.records}
    if unknown := sorted(listed - there - set(dataset.damaged), key=natural_key):
        raise DataError(
            f"{what} lists {plural(len(unknown), 'image')} that {dataset.root} does not hold "
            f"(absent, or excluded):{in_lines(unknown, 20)}"
        )
    if missing := sorted(there - listed, key=natural_key):
        raise DataError(
            f"{what} does not list {plural(len(missing), 'image')} of {dataset.root}; make the "
            "split anew with the same settings, which moves none of the others:"
            f"{in_lines(missing, 20)}"
        )


def check_classes(dataset: Dataset, split: Split, what: str, remedy: str) -> None:
    """Raise DataError where a part lacks a class. what begins the sentence, remedy ends it."""
    counts = count_parts(dataset, split)
    for part, by_class in counts.items():
        for name, n in by_class.items():
            if n == 0:
                seen = ", ".join(f"{p}: {c[name]}" for p, c in counts.items())
                kind = "fold" if part.isdecimal() else "part"
                raise DataError(
                    f"{what}: the {kind} '{part}' has no image of the class '{name}' ({seen}). "
                    f"{remedy}"
                )


# ---- parts ---------------------------------------------------------------------------------


def _draw(
    dataset: Dataset,
    groups: list[Group],
    kept: set[Group],
    seed: int,
    shares: Mapping[str, float],
) -> dict[Group, str]:
    """The part of each group that is not kept in test, class by class."""
    sizes = Counter(groups)
    labels = Counter(zip(groups, dataset.labels.tolist(), strict=True))
    strata: dict[int, list[Group]] = {}  # a group of several classes counts as of its commonest
    of_class: dict[Group, int] = {}
    for (group, label), _ in sorted(labels.items(), key=lambda item: (-item[1], item[0][1])):
        if group not in kept and group not in of_class:
            of_class[group] = label
            strata.setdefault(label, []).append(group)
    if dataset.tree.findings:
        rows = [k for k, group in enumerate(groups) if group not in kept]
        free = [groups[k] for k in rows]
        points = {g: _point(seed, *g) for g in of_class}
        return stratified(free, what_counts(dataset)[rows], shares, points)
    parts: dict[Group, str] = {}
    for members in strata.values():
        points = {g: _point(seed, *g) for g in members}
        drawn = {g: _part_at(points[g], shares) for g in members}
        found: Counter[str] = Counter()
        for group, part in drawn.items():
            found[part] += sizes[group]
        total = found.total()
        if any(abs(found[p] - s * total) > _TOLERANCE * s * total for p, s in shares.items()):
            drawn = _cut(sorted(members, key=lambda g: (points[g], g)), sizes, shares)
        parts |= drawn
    return parts


def _point(seed: int, kind: str, name: str, index: int) -> float:
    """A group's own point in [0, 1)."""
    text = f"{seed}\t{kind}\t{name}".encode("utf-8", ODD_NAMES)
    start = int.from_bytes(hashlib.sha256(text).digest()[:8], "big")
    return ((start + index * _GOLDEN) % 2**64 >> 11) / 2**53  # exact in a float


def _part_at(point: float, shares: Mapping[str, float]) -> str:
    """The part that a point of [0, 1) falls into."""
    end = 0.0
    for part, share in shares.items():
        end += share
        if point < end:
            return part
    return part  # the shares add up to a hair less than 1


def _cut(
    members: list[Group], sizes: Mapping[Group, int], shares: Mapping[str, float]
) -> dict[Group, str]:
    """Parts in the order of the groups, cut where the images come closest to the shares."""
    ends = [0, *accumulate(sizes[g] for g in members)]
    parts: dict[Group, str] = {}
    start, share_so_far = 0, 0.0
    for k, (part, share) in enumerate(shares.items(), start=1):
        share_so_far += share
        wanted = share_so_far * ends[-1]
        last = max(start + 1, len(members) - (len(shares) - k))  # each further part gets a group
        cuts = range(min(start + 1, len(members)), min(last, len(members)) + 1)
        end = len(members) if k == len(shares) else min(cuts, key=lambda i: abs(ends[i] - wanted))
        parts |= dict.fromkeys(members[start:end], part)
        start = end
    return parts


def _shares(
    dataset: Dataset, proportions: Mapping[str, float] | None, folds: int | None, keep_test: bool
) -> dict[str, float]:
    """Share of each part that images are drawn into, in order."""
    if keep_test and "test" not in dataset.splits:
        raise DataError(f"{dataset.root}: there is no split 'test' to keep.")
    if folds is not None:
        if proportions is not None:
            raise DataError("Give proportions or a number of folds, not both.")
        if folds < 2:
            raise DataError(f"A split needs at least 2 folds, not {folds}.")
        return {str(k): 1 / folds for k in range(folds)}
    given = proportions or (PROPORTIONS_BESIDE_TEST if keep_test else PROPORTIONS)
    for part in given:
        if part not in SPLITS:
            raise DataError(f"There is no part '{part}'.{nearest(part, SPLITS)}")
    shown = ", ".join(f"{part} {share}" for part, share in given.items())
    if keep_test and "test" in given:
        raise DataError(f"The test split is kept, so nothing can be drawn into it; found {shown}.")
    if "train" not in given or len(given) < 2:
        raise DataError(f"Expected a share for 'train' and for another part; found {shown}.")
    if not all(0 < share < 1 for share in given.values()) or abs(sum(given.values()) - 1) > 1e-6:
        raise DataError(f"Shares lie between 0 and 1 and add up to 1; found {shown}.")
    return {part: given[part] for part in SPLITS if part in given}


def _kept_test(dataset: Dataset, groups: list[Group]) -> set[Group]:
    """The groups of a test split that is to be kept."""
    inside = {g for g, r in zip(groups, dataset.records, strict=True) if r.split == "test"}
    torn = [
        r.name
        for g, r in zip(groups, dataset.records, strict=True)
        if g in inside and r.split != "test"
    ]
    if torn:
        raise DataError(
            f"{dataset.root}: {plural(len(torn), 'image')} outside 'test' belong to a patient or a "
            "duplicate in 'test', which is to be kept; exclude them, or divide everything:"
            f"{in_lines(torn, 20)}"
        )
    return inside


def _largest_block(dataset: Dataset, shares: Mapping[str, float]) -> int:
    """File numbers in a block such that the smallest part gets two of the smallest class."""
    fewest = min(Counter(dataset.labels.tolist()).values())
    return int(fewest * min(shares.values()) / 2)


def _refuse_missing_class(
    dataset: Dataset, split: Split, shares: Mapping[str, float], finer: int | None
) -> None:
    """finer: a block size that would do, where the one in use is larger."""
    if finer and any(g.startswith("block:") for g in split.groups.values()):
        remedy = f"Try blocks of {finer} file numbers."
    else:
        remedy = "It has too few groups for so many parts: ask for fewer parts, or add patients."
    what = f"{dataset.root}, divided by {plural(len(set(split.groups.values())), 'group')}"
    if empty := [part for part in shares if part not in split.names]:
        kind = "folds" if split.folds else "parts"
        raise DataError(
            f"{what}: nothing falls into the {kind} {examples(empty)}; all images are in "
            f"{examples(split.names)}. {remedy}"
        )
    check_classes(dataset, split, what, remedy)
