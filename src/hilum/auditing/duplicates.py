"""Radiographs that are in a data set more than once.

Four kinds, from certain to likely, each built upon the one before:

- exact: the files are the same, byte for byte;
- pixels: other bytes, but they decode to the same pixels;
- near: one radiograph resized, compressed again, brightened, slightly cropped (see likeness.py);
- mirrored: near, once one of the two is mirrored.

Two radiographs of one patient are not duplicates.

The search takes long, so its clusters are remembered in the cache, by what the files hold: however
these are named, labelled and divided, they are compared once.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from math import comb
from pathlib import Path
from typing import Any

import numpy as np

from hilum.auditing.likeness import SIDE, near_pairs
from hilum.auditing.patients import same_as_first
from hilum.files import sha256
from hilum.labels import LabelTree
from hilum.radiographs.cache import cache_folder
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.image import read_radiograph
from hilum.radiographs.kept import map_kept, new_kept
from hilum.radiographs.pixels import DECODER_VERSION, Thumbnail, in_parallel
from hilum.records import IntArray, PixelArray, Progress, Record

#: A link between the images at two positions, and their correlation.
_Link = tuple[int, int, float]

#: Changes whenever the search finds other copies than before, so that old clusters are not used.
SEARCH_VERSION = 1


@dataclass(frozen=True, slots=True)
class Member:
    """One of several images of one radiograph: its name, split, and what it is said to show.

    said: its class, and what is known of each finding, as numbers; below 0 where it is not known.
    """

    name: str
    split: str
    label: str
    said: tuple[int, ...]

    def to_plain(self) -> dict[str, str]:
        """For the codec: not the numbers, which the label tells."""
        return {"name": self.name, "split": self.split, "label": self.label}


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
        """Whether members have different labels, of which one at most is right.

        A finding that is present in one and absent in another is such, too.
        """
        columns = zip(*(image.said for image in self.images), strict=True)
        return any(len({n for n in column if n >= 0}) > 1 for column in columns)

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
    merger = _Merger(dataset.records, dataset.tree)
    exact = merger.merge(_equal(dataset.digests))

    originals = [i for i, first in enumerate(merger.clusters) if i == first]
    small = dataset.pixels(Thumbnail(SIDE), progress)
    digests = [hashlib.sha256(small[i].tobytes()).digest() for i in originals]
    same = [(originals[i], originals[j], 1.0) for i, j, _ in _equal(digests)]
    pixels = merger.merge(_equal_when_decoded(dataset, same, progress))

    # Equal small versions need no comparison; of each, one goes on. Their order is one that
    # hangs on no name and no division, so that equal files give equal clusters.
    rest = set(originals) - {j for _, j, _ in same}
    by_content = sorted((d, i) for i, d in zip(originals, digests, strict=True) if i in rest)
    distinct = np.array([i for _, i in by_content], dtype=np.int64)
    links = _near(small, distinct, mirrored=False, progress=progress)
    near = merger.merge(chain(same, links))
    links = _near(small, distinct, mirrored=True, progress=progress)
    mirrored = merger.merge(links)
    clusters = np.array(merger.clusters, dtype=np.int64)
    _remember(dataset, clusters)
    return Duplicates(exact, pixels, near, mirrored, clusters)


def find_clusters(dataset: Dataset, *, progress: Progress | None = None) -> IntArray:
    """The clusters of find_duplicates alone, (N,), searched for once for the same files."""
    order, file = _place(dataset)
    found = map_kept(file)
    if found is None or found.shape != order.shape or found.dtype != np.int64:
        return find_duplicates(dataset, progress=progress).clusters
    lowest = np.full(len(order), len(order), dtype=np.int64)
    np.minimum.at(lowest, found, order)
    clusters = np.empty(len(order), dtype=np.int64)
    clusters[order] = lowest[found]
    return clusters


def find_together(dataset: Dataset, *, progress: Progress | None = None) -> list[list[int]]:
    """The positions of images that show one radiograph, which no division may tear apart."""
    return members_of(find_clusters(dataset, progress=progress))


def members_of(clusters: IntArray) -> list[list[int]]:
    """The positions in each cluster of several images, ascending."""
    members = defaultdict[int, list[int]](list)
    for row, cluster in enumerate(clusters.tolist()):
        members[cluster].append(row)
    return [rows for rows in members.values() if len(rows) > 1]


def _remember(dataset: Dataset, clusters: IntArray) -> None:
    order, file = _place(dataset)
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.arange(len(order))
    with new_kept(file) as out:
        np.lib.format.write_array(out, ranks[clusters[order]], version=(1, 0))


def _place(dataset: Dataset) -> tuple[IntArray, Path]:
    """The positions of the records by their digests, and the file of their clusters."""
    order = np.argsort(np.array(dataset.digests), kind="stable").astype(np.int64)
    search = f"search {SEARCH_VERSION}, decoder {DECODER_VERSION}"
    name = sha256("\n".join([search, *sorted(dataset.digests)]).encode())[:32]
    return order, cache_folder() / "copies" / f"{name}.npy"


def find_identical(dataset: Dataset) -> Duplicates:
    """Only the byte-identical files, which the digests tell at once: no image is decoded."""
    merger = _Merger(dataset.records, dataset.tree)
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

    def __init__(self, records: Sequence[Record], tree: LabelTree) -> None:
        self.images = [
            Member(r.name, r.split, tree.name_of(r.label, r.marks), (r.label, *r.marks))
            for r in records
        ]
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
