"""How much each image moves a measure: one way to a standard error for every one of them.

A measure's influence values (N,) have a mean of 0; the variance of the measure is that of their
mean. Summed over patients before they are squared, they allow for images that belong together.
Confusion-matrix measures get theirs by the jackknife, areas by their structural components.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import scipy

from hilum.records import BoolArray, Estimate, FloatArray, IntArray
from hilum.statistics.comparison import components
from hilum.statistics.intervals import CONFIDENCE


class Influence(NamedTuple):
    """A measure of N images. value: NaN where undefined. each: (N,) influence values."""

    value: float
    each: FloatArray


class Spread(NamedTuple):
    """How sure a mean of influence values is.

    error: standard error. freedom: degrees of freedom of it, after Satterthwaite: few images or
    patients that carry all of it leave few. n: images, or patients where these are given.
    """

    error: float
    freedom: float
    n: int


def influence_of_counts(
    measure: Callable[[IntArray], FloatArray], cell_of: IntArray, n_cells: int
) -> Influence:
    """Of a measure that depends only on how many images are in each of K cells.

    measure: takes (R, K) counts and returns (R,) values. cell_of: (N,) the cell of each image.
    An image's influence is (N - 1) times what leaving it out takes away (Efron and Stein 1981,
    doi:10.1214/aos/1176345462), less the mean; NaN where leaving it out leaves no measure.
    """
    counts = np.bincount(cell_of, minlength=n_cells).astype(np.int64)
    n = int(counts.sum())
    occupied = np.flatnonzero(counts)
    without = np.tile(counts, (len(occupied), 1))
    without[np.arange(len(occupied)), occupied] -= 1
    value = float(measure(counts[None])[0])
    moved = np.zeros(n_cells)
    moved[occupied] = (n - 1) * (value - measure(without))
    each = moved[cell_of]
    return Influence(value, each - each.mean())


def influence_of_area(positive: BoolArray, scores: FloatArray) -> Influence:
    """Of the area under the ROC curve, by its structural components (DeLong 1988).

    positive: (N,) bool. scores: (N,). NaN without positives or without negatives.
    """
    n, m = len(positive), int(positive.sum())
    each = np.full(n, np.nan)
    if not 0 < m < n:
        return Influence(np.nan, each)
    above, below = components(positive, scores[None])
    value = float(above.mean())
    each[positive] = (above[0] - value) * n / m
    each[~positive] = (below[0] - value) * n / (n - m)
    return Influence(value, each)


def spread_of(each: FloatArray, groups: IntArray | None = None) -> Spread:
    """The standard error of a measure from its influence values.

    groups: (N,) the patient of each image, numbered from 0; None takes images as independent.
    Source: Obuchowski 1997, doi:10.2307/2533958, for areas; the cluster-robust variance otherwise.
    """
    n = len(each)
    sums = each if groups is None else np.bincount(groups, weights=each)
    units = len(sums)
    squares = sums**2
    total, fourth = float(squares.sum()), float((squares**2).sum())
    if units < 2 or not total > 0:
        return Spread(0.0 if total == 0 else np.nan, 0.0, units)
    error = np.sqrt(total * units / (units - 1)) / n
    return Spread(float(error), min(units - 1.0, total**2 / fourth), units)


def interval_of(found: Influence, groups: IntArray | None = None) -> Estimate:
    """A measure with its 95 % interval, for so many images that it is nearly normal."""
    spread = spread_of(found.each, groups)
    n = len(found.each)
    if np.isnan(found.value) or not spread.error > 0:
        return Estimate.undefined("undefined on these images", n)
    half = float(scipy.stats.norm.ppf(0.5 + CONFIDENCE / 2)) * spread.error
    return Estimate(found.value, found.value - half, found.value + half, n, "influence")


def numbered(groups: Sequence[str] | None) -> IntArray | None:
    """Patients (N,) as numbers from 0; None where each has one image, or nothing is known."""
    if groups is None:
        return None
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    return None if len(names) == len(index) else index.astype(np.int64)
