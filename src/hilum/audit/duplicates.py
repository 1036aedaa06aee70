"""Radiographs that are in a data set more than once.

Four kinds, from certain to likely, each built upon the one before:

- exact: the files are the same, byte for byte;
- pixels: other bytes, but they decode to the same pixels;
- near: one radiograph resized, compressed again, brightened, slightly cropped (see likeness.py);
- mirrored: near, once one of the two is mirrored.

Two radiographs of one patient are not duplicates.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from math import comb
from typing import Any

import numpy as np

from hilum.audit.likeness import SIDE, near_pairs
from hilum.audit.patients import same_as_first
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.image import read_radiograph
from hilum.radiographs.pixels import Thumbnail, in_parallel
from hilum.records import IntArray, PixelArray, Progress, Record

#: A link between the images at two positions, and their correlation.
_Link = tuple[int, int, float]


@dataclass(frozen=True, slots=True)
class Member:
    """One of several images of one radiograph: its name, split and class."""

    name: str
    split: str
    label: str


@dataclass(frozen=True, slots=True)
class Group:
    """Images that show one radiograph.

    members: positions of their records, ascending, at least 2; those that a kind before this one
    brought together are all listed again. images: what each member is. pairs: how many pairs of
    members are of this kind, and of none before it: 1 for two images, 3 for three equal files.
    correlation: the lowest that was found between members, 1 for equal pixels.
    """

    members: tuple[int, ...]
    images: tuple[Member, ...]
    pairs: int
    correlation: float

    @property
    def across_splits(self) -> bool:
        """Whether members stand in different splits: what is learnt from one leaks to another."""
        return len({image.split for image in self.images}) > 1

    @property
    def conflicting_labels(self) -> bool:
        """Whether members have different labels, of which one at most is right."""
        return len({image.label for image in self.images}) > 1

    def to_plain(self) -> dict[str, Any]:
        """For the codec: not the positions, which the names tell."""
        return {
            "images": self.images,
            "pairs": self.pairs,
            "correlation": round(self.correlation, 4),
            "across_splits": self.across_splits,
            "conflicting_labels": self.conflicting_labels,
        }


@dataclass(frozen=True)
class Duplicates:
    """What find_duplicates found in N images: groups of each kind, by their first members.

    clusters: (N,) for each image the lowest position of those that show the same radiograph, by
    any of the kinds: its own position where there is none. A split must not divide a cluster.
    """

    exact: tuple[Group, ...]
    pixels: tuple[Group, ...]
    near: tuple[Group, ...]
    mirrored: tuple[Group, ...]
    clusters: IntArray

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """All groups, the certain kinds first."""
        return (*self.exact, *self.pixels, *self.near, *self.mirrored)

    @property
    def pairs(self) -> int:
        """How many pairs of images show one radiograph."""
        return sum(g.pairs for g in self.groups)

    def to_plain(self) -> dict[str, Any]:
        """For the codec: how many pairs there are, and the groups of each kind."""
        kinds = {kind: getattr(self, kind) for kind in ("exact", "pixels", "near", "mirrored")}
        return {"pairs": self.pairs, **kinds}


def find_duplicates(dataset: Dataset, *, progress: Progress | None = None) -> Duplicates:
    """Find the radiographs that are in a data set more than once.

    Every file is decoded once into a small version, which is kept in the cache of pixels. How
    images are compared, which copies are found and how sure that is: see likeness.py.
    progress(what, done, total) is called as work goes on.

    Raises DataError where files cannot be decoded or the cache cannot be written.
    """
    merger = _Merger(dataset.records, dataset.tree.classes)
    exact = merger.merge(_equal(dataset.digests))

    originals = [i for i, first in enumerate(merger.clusters) if i == first]
    small = dataset.pixels(Thumbnail(SIDE), progress)
    digests = [hashlib.sha256(small[i].tobytes()).digest() for i in originals]
    same = [(originals[i], originals[j], 1.0) for i, j, _ in _equal(digests)]
    pixels = merger.merge(_equal_when_decoded(dataset, same, progress))

    # equal small versions need no comparison; of each, one goes on
    distinct = np.array(sorted(set(originals) - {j for _, j, _ in same}), dtype=np.int64)
    links = _near(small, distinct, mirrored=False, progress=progress)
    near = merger.merge(chain(same, links))
    links = _near(small, distinct, mirrored=True, progress=progress)
    mirrored = merger.merge(links)
    return Duplicates(exact, pixels, near, mirrored, np.array(merger.clusters, dtype=np.int64))


def find_identical(dataset: Dataset) -> Duplicates:
    """Only the byte-identical files, which the digests tell at once: no image is decoded."""
    merger = _Merger(dataset.records, dataset.tree.classes)
    exact = merger.merge(_equal(dataset.digests))
    return Duplicates(exact, (), (), (), np.array(merger.clusters, dtype=np.int64))


def _equal(keys: Sequence[Hashable]) -> list[_Link]:
    return [(i, j, 1.0) for i, j in same_as_first(keys)]


def _equal_when_decoded(
    dataset: Dataset, same: list[_Link], progress: Progress | None
) -> list[_Link]:
    """Of the images with equal small versions, those that are equal at full size."""
    positions = sorted({i for link in same for i in link[:2]})

    def digest(i: int) -> tuple[tuple[int, ...], bytes]:
        image = read_radiograph(dataset.records[i].path)
        return image.shape, hashlib.sha256(image.tobytes()).digest()

    keys = in_parallel(digest, positions, "Comparing equal images", progress)
    return [(positions[i], positions[j], 1.0) for i, j, _ in _equal(keys)]


def _near(
    small: PixelArray, among: IntArray, *, mirrored: bool, progress: Progress | None
) -> Iterator[_Link]:
    what = "Looking for mirrored copies" if mirrored else "Looking for copies"

    def report(done: int, total: int) -> None:
        if progress:
            progress(what, done, total)

    for found in near_pairs(small, among, mirrored=mirrored, progress=report):
        yield from zip(*(column.tolist() for column in found), strict=True)


class _Merger:
    """Brings images together, kind after kind (a disjoint-set forest).

    clusters: for each image the lowest position of its cluster, after every merge.
    """

    def __init__(self, records: Sequence[Record], classes: Sequence[str]) -> None:
        self.images = [Member(r.name, r.split, classes[r.label]) for r in records]
        self.clusters = list(range(len(records)))

    def merge(self, links: Iterable[_Link]) -> tuple[Group, ...]:
        """Join what is linked. Returns the clusters that grew."""
        before = list(self.clusters)
        lowest: dict[int, float] = {}
        for i, j, correlation in links:
            if before[i] == before[j]:
                continue  # already known to be one, by a kind that is more certain
            a, b = sorted((self._root(i), self._root(j)))
            self.clusters[b] = a
            lowest[a] = min(lowest.get(a, 1.0), lowest.pop(b, 1.0), correlation)
        self.clusters = [self._root(i) for i in range(len(self.clusters))]
        members: dict[int, list[int]] = defaultdict(list)
        for i, root in enumerate(self.clusters):
            if root in lowest:
                members[root].append(i)
        groups = []
        for root in sorted(lowest):
            known = Counter(before[i] for i in members[root]).values()
            pairs = comb(len(members[root]), 2) - sum(comb(n, 2) for n in known)
            images = tuple(self.images[i] for i in members[root])
            groups.append(Group(tuple(members[root]), images, pairs, lowest[root]))
        return tuple(groups)

    def _root(self, i: int) -> int:
        clusters = self.clusters
        while clusters[i] != i:
            clusters[i] = clusters[clusters[i]]
            i = clusters[i]
        return i
