"""Pooling one measure over several sites: random-effects meta-analysis."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from hilum.errors import EvaluationError
from hilum.statistics.intervals import CONFIDENCE


@dataclass(frozen=True, slots=True)
class Pooled:
    """The mean of a measure over sites like these k, on the scale of the effects.

    low, high: its Hartung-Knapp interval. prediction_low, prediction_high: where the measure of
    one more such site is expected; None below three sites. tau2: the variance between sites. i2:
    the share of the spread that is not chance within sites, in [0, 1]. q: Cochran's.
    """

    k: int
    value: float
    low: float
    high: float
    prediction_low: float | None
    prediction_high: float | None
    tau2: float
    i2: float
    q: float


def pool(
    effects: Sequence[float], variances: Sequence[float], confidence: float = CONFIDENCE
) -> Pooled:
    """Pool independent effects by a random-effects model.

    effects: (k,) one for each site, k at least 2. variances: (k,) of each within its site, above 0.

    The variance between sites is DerSimonian and Laird's. The interval is Hartung and Knapp's, by
    the t distribution of k - 1 degrees of freedom, and its scale is at least 1 (the ad-hoc floor):
    a few sites that agree by chance would make it narrower than that of a fixed effect. The
    prediction interval is by t of k - 2. Few sites make wide intervals: of two the t is 12.7.
    Raises EvaluationError for fewer than two effects, other numbers of variances, or values that
    are not finite.
    Sources: DerSimonian and Laird 1986, doi:10.1016/0197-2456(86)90046-2; Knapp and Hartung 2003,
    doi:10.1002/sim.1482; Higgins et al. 2009, doi:10.1111/j.1467-985X.2008.00552.x
    """
    y, v = (np.asarray(values, dtype=np.float64) for values in (effects, variances))
    k = len(y)
    if k < 2 or v.shape != y.shape or not (np.isfinite(y).all() and np.isfinite(v).all()):
        raise EvaluationError(
            f"Pooling needs at least two finite effects and a variance of each; found {k} and "
            f"{len(v)}."
        )
    if v.min() <= 0:
        raise EvaluationError(f"A variance within a site lies above 0; found {v.min():g}.")
    fixed = 1 / v
    q = float(fixed @ (y - fixed @ y / fixed.sum()) ** 2)
    scale = fixed.sum() - (fixed**2).sum() / fixed.sum()
    tau2 = max(0.0, (q - (k - 1)) / float(scale))
    weights = 1 / (v + tau2)
    value = float(weights @ y / weights.sum())
    floor = max(1.0, float(weights @ (y - value) ** 2) / (k - 1))
    half = _quantile(k - 1, confidence) * math.sqrt(floor / float(weights.sum()))
    low = high = None
    if k > 2:
        spread = math.sqrt(tau2 + 1 / float(weights.sum()))
        low = value - _quantile(k - 2, confidence) * spread
        high = value + _quantile(k - 2, confidence) * spread
    i2 = max(0.0, (q - (k - 1)) / q) if q > 0 else 0.0
    return Pooled(k, value, value - half, value + half, low, high, tau2, i2, q)


def _quantile(freedom: int, confidence: float) -> float:
    """Of the t distribution, both sides together; scipy.stats takes a second to import."""
    return float(stdtrit(freedom, 0.5 + confidence / 2))
