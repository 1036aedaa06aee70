"""Taking some of many, evenly."""

import numpy as np

from hilum.records import IntArray


def evenly_spaced(count: int, most: int) -> IntArray:
    """Positions of at most so many of `count` things, from the first to the last, ascending.

    count: at least 1. All of them where they are no more than `most`.
    """
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)
