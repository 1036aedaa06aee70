"""Divide a data set so that no patient, and no image, stands on both sides.

Images are divided by *group*: the patient where one is known; otherwise a block of neighbouring
file numbers, because collections are numbered patient by patient; otherwise the file alone.
Identical files, and whatever else is to be kept together, join their groups.

**Stability comes before exact shares.** A group's part follows from the seed and the group's own
name, never from the other groups, so that adding files moves none that were there (save that a
new file which ties two groups together moves one of them, as it must). The price is that shares
are met on average, not exactly:

- Patients are drawn independently. Of N images in groups of n_1, n_2, …, a share p comes out
  with a standard deviation of sqrt(p (1 - p) (n_1² + n_2² + …)) / N.
- Blocks of one series are spread evenly: successive blocks step round the unit interval by the
  golden ratio, so that each class folder's share is off by about one block, seldom by two
  (which is much of a class of 10 blocks and little of one of 100: smaller blocks are finer).

A part that lacks a class is refused rather than repaired, since a repair would depend on the
other groups.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from hilum.auditing.patients import (
    Group,
    group_name,
    joined_groups,
)
from hilum.display import Displayed
from hilum.errors import DataError, in_lines, nearest, plural
from hilum.files import ODD_NAMES
from hilum.radiographs.dataset import Dataset, record_order
from hilum.radiographs.layouts import SPLITS, natural_key
from hilum.table import Table

PROPORTIONS: Mapping[str, float] = MappingProxyType({"train": 0.7, "val": 0.15, "test": 0.15})
PROPORTIONS_BESIDE_TEST: Mapping[str, float] = MappingProxyType({"train": 0.85, "val": 0.15})

#: In chest-xray-150, whose files lie in the order of collection, most of the resemblance of
#: neighbours is gone after 5 numbers and nearly all after 30 (patients.neighbour_resemblance).
#: A patient may be cut at each end of a block; larger blocks cut fewer, and make shares coarser.
BLOCK_SIZE = 50

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
    block_size: int = BLOCK_SIZE,
    keep_together: Iterable[Sequence[int]] = (),
    keep_test: bool = False,
) -> Split:
    """Divide a data set by groups into train, val and test, or into folds.

    proportions: share per part, adding up to 1; by default 0.7, 0.15, 0.15 (0.85 and 0.15 where
    the test split is kept). folds: make so many parts of equal size instead. group_by: 'auto'
    takes the patient of each image where one is known and blocks otherwise; 'patient' refuses
    images without one; 'blocks' ignores patients. block_size: file numbers in a block.
    keep_together: positions of records, such as near-duplicates, whose groups are joined;
    byte-identical files always are. keep_test: leave the images of the split 'test' where they
    are and divide the others.

    See the head of this file for how exact the shares are. Raises DataError for settings that
    make no sense, a part that nothing falls into or that lacks a class, or a group that reaches
    into a kept test.
    """
    shares = _shares(dataset, proportions, folds, keep_test)
    if block_size < 1:
        raise DataError(f"A block needs at least 1 file number, not {block_size}.")
    groups = joined_groups(dataset, group_by, block_size, keep_together)
    part_of = {g: _part(seed, *g, shares=shares) for g in set(groups)}
    if keep_test:
        _fix_test(dataset, groups, part_of)
    split = Split(
        parts={r.name: part_of[g] for r, g in zip(dataset.records, groups, strict=True)},
        groups={
            r.name: group_name(g, block_size) for r, g in zip(dataset.records, groups, strict=True)
        },
        folds=folds,
    )
    _refuse_missing_class(dataset, split, block_size, shares)
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


def _part(seed: int, kind: str, name: str, index: int, *, shares: Mapping[str, float]) -> str:
    """The part of a group: where its point of the unit interval falls."""
    text = f"{seed}\t{kind}\t{name}".encode("utf-8", ODD_NAMES)
    start = int.from_bytes(hashlib.sha256(text).digest()[:8], "big")
    point = ((start + index * _GOLDEN) % 2**64 >> 11) / 2**53  # in [0, 1), exact in a float
    end = 0.0
    for part, share in shares.items():
        end += share
        if point < end:
            return part
    return part  # the shares add up to a hair less than 1


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


def _fix_test(dataset: Dataset, groups: list[Group], part_of: dict[Group, str]) -> None:
    """Put the groups of a kept test split back into it."""
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
    part_of.update(dict.fromkeys(inside, "test"))


def _refuse_missing_class(
    dataset: Dataset, split: Split, block_size: int, shares: Mapping[str, float]
) -> None:
    # Steps of the golden ratio leave gaps below 2 / n: so many blocks of a series reach each part.
    fewest = min(Counter(dataset.labels.tolist()).values())
    size = int(fewest * min(shares.values()) / 2)
    if 1 <= size < block_size and any(g.startswith("block:") for g in split.groups.values()):
        remedy = f"Try blocks of {size} file numbers; they are {block_size} now."
    else:
        remedy = "It has too few groups for so many parts: ask for fewer, or try another seed."
    what = f"{dataset.root}, divided by {plural(len(set(split.groups.values())), 'group')}"
    if empty := [part for part in shares if part not in split.names]:
        kind = "folds" if split.folds else "parts"
        raise DataError(
            f"{what}: nothing falls into the {kind} {', '.join(empty)}; all images are in "
            f"{', '.join(split.names)}. {remedy}"
        )
    check_classes(dataset, split, what, remedy)
