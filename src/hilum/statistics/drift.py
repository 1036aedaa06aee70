"""Whether images without labels are like labelled ones, class by class, and as a mix of classes.

That the mix has changed is one thing, that images of a class look otherwise is another. The second
is tested whatever the mix is: of quantities that can be seen of every image, the means over new
images have to be some mix of the labelled classes' means. How far they are from the nearest such
mix is Hansen's test of overidentifying restrictions (1982, doi:10.2307/1912775), with the classes'
own covariances and the F distribution of Hotelling's T² for how few the labelled images are.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc

from hilum.records import FloatArray, IntArray

#: Directions in which labelled images of a class hardly vary tell nothing: the rest would be noise.
_LEAST_VARIANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Departure:
    """How far new images are from what is expected.

    p_value: the chance of as much, were they alike. size: how far, in [0, ∞): of quantities in
    standard deviations within a class, less what chance adds; of shares their total variation
    distance, in [0, 1].
    """

    p_value: float
    size: float


@dataclass(frozen=True, slots=True)
class Moments:
    """Means (K, D), covariances (K, D, D) and numbers (K,) of labelled images by class."""

    means: FloatArray
    covariances: FloatArray
    sizes: IntArray


def ranks(known: FloatArray, values: FloatArray) -> FloatArray:
    """Where values lie among known ones, column by column: (N, D) in [0, 1].

    known: (M, D), M ≥ 1. values: (N, D). The share of known ones below, and half of those that are
    equal. Means of ranks are nearly normal even where a few values are extreme.
    """
    found = np.empty(values.shape)
    for d, column in enumerate(np.sort(known, axis=0).T):
        below = np.searchsorted(column, values[:, d], side="left")
        found[:, d] = (below + np.searchsorted(column, values[:, d], side="right")) / 2
    return found / len(known)


def learn_moments(values: FloatArray, truth: IntArray, k: int) -> Moments:
    """The moments of labelled images. values: (M, D). truth: (M,) below k, two of each or more.

    A class's covariance is drawn to that of all classes together, the more the fewer it has.
    """
    m, d = values.shape
    sizes = np.bincount(truth, minlength=k).astype(np.int64)
    means = np.stack([values[truth == c].mean(axis=0) for c in range(k)])
    within = values - means[truth]
    pooled = within.T @ within / (m - k)
    own = np.stack([within[truth == c].T @ within[truth == c] / (sizes[c] - 1) for c in range(k)])
    weight = (sizes / (sizes + d))[:, None, None]
    return Moments(means, weight * own + (1 - weight) * pooled, sizes)


def departure_within(known: Moments, mean: FloatArray, n: int) -> Departure:
    """How far the means (D,) over n new images are from the nearest mix of the classes' means.

    D is at least K, the number of classes. p is 1 where nothing is left to test.
    """
    k, m = len(known.sizes), int(known.sizes.sum())
    mix = known.sizes / m
    statistic, degrees, scale = 0.0, 0, 1.0
    for _ in range(3):  # the nearest mix weighs the classes' covariances
        scale = 1 / n + float((mix**2 / known.sizes).sum())
        spread = np.einsum("k,kde->de", mix / n + mix**2 / known.sizes, known.covariances)
        whiten = _whitening(spread)
        base, target = known.means[0] @ whiten, mean @ whiten
        sides = (known.means[1:] @ whiten - base).T
        others, _, rank, _ = np.linalg.lstsq(sides, target - base, rcond=1e-9)
        left = target - base - sides @ others
        statistic, degrees = float(left @ left), whiten.shape[1] - int(rank)
        mix = np.clip([1 - others.sum(), *others], 0.0, None)
        mix = mix / mix.sum()
    if degrees < 1:
        return Departure(1.0, 0.0)
    rest = m - k - degrees + 1
    chance = fdtrc(degrees, rest, statistic * rest / ((m - k) * degrees)) if rest > 0 else 1.0
    return Departure(float(chance), float(np.sqrt(max(0.0, statistic - degrees) * scale)))


def _whitening(spread: FloatArray) -> FloatArray:
    """(D, d) by which what varies gets variance 1."""
    deviations = np.sqrt(np.maximum(np.diag(spread), 1e-300))
    values, vectors = np.linalg.eigh(spread / np.outer(deviations, deviations))
    kept = values > _LEAST_VARIANCE
    found: FloatArray = vectors[:, kept] / np.sqrt(values[kept]) / deviations[:, None]
    return found


def departure_of_counts(
    counts: IntArray, known: IntArray, *, seed: int = 0, draws: int = 20_000
) -> Departure:
    """Whether new images fall on K categories as labelled ones do: (K,) counts of each.

    Pearson's statistic against its draws from the shuffled images, so that p is at least 1 in
    20,001 and holds for few images, too.
    """
    n, totals = int(counts.sum()), counts + known
    rng = np.random.default_rng([seed, 3])
    expected = totals * n / totals.sum()
    shuffled = rng.multivariate_hypergeometric(totals, n, size=draws)
    size = float(np.abs(counts / n - known / known.sum()).sum() / 2)
    return Departure(_chance(counts, shuffled, expected), size)


def departure_from_mix(
    counts: IntArray, confusion: IntArray, mix: FloatArray, *, seed: int = 0, draws: int = 20_000
) -> Departure:
    """Whether new images are predicted as a mix of classes would be: (K,) counts by prediction.

    confusion: (K, K) counts of labelled images, rows are the truth; how the classifier errs is
    drawn from it. mix: (K,) shares. As of departure_of_counts.
    """
    n, k = int(counts.sum()), len(counts)
    rng = np.random.default_rng([seed, 4])
    rows = rng.standard_gamma(np.tile(confusion + 1 / k, (draws, 1, 1)))
    shares = np.einsum("k,rkj->rj", mix, rows / rows.sum(axis=2, keepdims=True))
    drawn = rng.multinomial(n, shares / shares.sum(axis=1, keepdims=True))
    expected = shares.mean(axis=0) * n
    return Departure(
        _chance(counts, drawn, expected), float(np.abs(counts - expected).sum() / (2 * n))
    )


def _chance(counts: IntArray, drawn: IntArray, expected: FloatArray) -> float:
    def statistic(of: IntArray) -> FloatArray:
        found: FloatArray = ((of - expected) ** 2 / np.maximum(expected, 1e-9)).sum(axis=-1)
        return found

    reached = statistic(drawn) >= statistic(counts) * (1 - 1e-9)
    return float((1 + reached.sum()) / (1 + len(drawn)))
