"""Divide groups so that every finding, and every class, comes close to its share in each part.

Findings do not exclude each other, so groups cannot be cut class by class. Iterative
stratification takes what is rarest first: its groups go one by one to the part that lacks most of
it, and with them all that they hold besides. The next rarest of what is left follows. A group's
part then depends on the other groups: adding files may move some.
Source: Sechidis, Tsoumakas, Vlahavas 2011, doi:10.1007/978-3-642-23808-6_10.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from hilum.radiographs.dataset import Dataset
from hilum.records import ABSENT, PRESENT, FloatArray, IntArray

G = TypeVar("G", bound=Hashable)

#: Wants that differ by less are equal: they are sums of shares, rounded differently.
_EQUAL = 1e-9


def what_counts(dataset: Dataset) -> IntArray:
    """(N, K) 0 or 1: of which class an image is, and of each finding its rarer side.

    That is whether the image has it, or, of what most images have, whether it has not.
    """
    marks, labels = dataset.marks, dataset.labels
    of_class = labels[:, None] == np.arange(len(dataset.tree.classes))
    present, absent = marks == PRESENT, marks == ABSENT
    rarer = np.where(present.sum(axis=0) <= absent.sum(axis=0), present, absent)
    return np.hstack([of_class, rarer]).astype(np.int64)


def stratified(
    groups: Sequence[G],
    counted: IntArray,
    shares: Mapping[str, float],
    points: Mapping[G, float],
) -> dict[G, str]:
    """The part of each group.

    groups: of each of N images. counted: (N, K) 0 or 1, what of it is to come in shares. shares: of
    each part, adding up to 1. points: of each group a number in [0, 1), by which ties are broken.
    """
    names = sorted(set(groups), key=lambda g: (points[g], str(g)))
    place = {group: k for k, group in enumerate(names)}
    held = np.zeros((len(names), counted.shape[1] + 1), dtype=np.int64)
    with_all = np.hstack([counted, np.ones((len(counted), 1), dtype=np.int64)])
    np.add.at(held, [place[g] for g in groups], with_all)
    parts = tuple(shares)
    lacking = np.outer(np.array([shares[p] for p in parts]), held.sum(axis=0))
    chosen = np.full(len(names), -1)
    while (left := np.flatnonzero(chosen < 0)).size:
        remaining = held[left].sum(axis=0)
        rarest = int(np.where(remaining > 0, remaining, np.iinfo(np.int64).max).argmin())
        having = left[held[left, rarest] > 0]
        # the large ones first, while there is room for them
        for k in having[np.argsort(-held[having, rarest], kind="stable")]:
            part = _neediest(lacking, rarest, points[names[k]])
            chosen[k] = part
            lacking[part] -= held[k]
    return {name: parts[k] for name, k in zip(names, chosen.tolist(), strict=True)}


def _neediest(lacking: FloatArray, column: int, point: float) -> int:
    """The part that lacks most of a column, then most images; of equals one by the point."""
    best = np.arange(len(lacking))
    for need in (column, -1):
        wanted = lacking[best, need]
        best = best[wanted >= wanted.max() - _EQUAL]
    return int(best[int(point * len(best))])
