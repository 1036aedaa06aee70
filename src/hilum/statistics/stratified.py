"""Which images to label so that a share of all is known best, and that share from their labels."""

import math
from statistics import NormalDist

import numpy as np

from hilum.errors import EvaluationError
from hilum.records import Estimate, FloatArray, IntArray
from hilum.statistics.intervals import CONFIDENCE, wilson

#: Labels in a stratum, if there are enough, and the most strata.
_EACH, _MOST = 5, 8

#: The least that an image counts for: what is thought certain may be wrong all the same.
_LEAST_SPREAD = 0.1

METHOD = "stratified wilson"


def choose_to_label(right: FloatArray, labels: int, *, seed: int = 0) -> tuple[IntArray, IntArray]:
    """Choose images to label, so that the share that is right gets the narrowest interval.

    right: (N,) the probability that each image's answer is right, which need not be true: it only
    makes the choice better or worse, not the estimate wrong. labels: how many, at least 2; all
    where there are no more images.

    Images are divided by how sure their answer is, so that strata have the same total standard
    deviation, the square root of p (1 - p); as many from each, at random, are then Neyman's
    allocation. Returns the positions of those chosen, by stratum, and the stratum (N,) of every
    image, from 0. Source: Neyman 1934, doi:10.2307/2342192; Cochran 1977, Sampling Techniques,
    chapter 5. Raises EvaluationError for fewer than 2 labels.
    """
    if labels < 2:
        raise EvaluationError(f"An estimate needs at least 2 labels; got {labels}.")
    n, labels = len(right), min(labels, len(right))
    spread = np.maximum(np.sqrt(right * (1 - right)), _LEAST_SPREAD)
    order = np.argsort(-spread, kind="stable")
    count = int(np.clip(labels // _EACH, 1, _MOST))
    wanted = np.array([len(part) for part in np.array_split(np.arange(labels), count)])
    total = np.cumsum(spread[order])
    ends = np.searchsorted(total, total[-1] * np.arange(1, count) / count) + 1
    # each stratum has at least as many images as are to be labelled in it
    least, spared = np.cumsum(wanted)[:-1], labels - np.cumsum(wanted)[:-1]
    ends = np.minimum(np.maximum(ends, least), n - spared)
    parts = np.split(order, ends)
    strata = np.empty(n, dtype=np.int64)
    for h, part in enumerate(parts):
        strata[part] = h
    rng = np.random.default_rng([seed, 5])
    chosen = [rng.choice(part, k, replace=False) for part, k in zip(parts, wanted, strict=True)]
    return np.concatenate(chosen), strata


def stratified_share(right: IntArray, labelled: IntArray, images: IntArray) -> Estimate:
    """The share that is right among all images, from labels of some of each stratum.

    right, labelled: (H,) counts, labelled at least 1 in each. images: (H,) how many the strata
    have. The interval is Wilson's for as many independent labels as have the estimate's variance,
    where each stratum's share is drawn to one half by one label, so that a stratum without errors
    does not count as certain. Estimate.n counts labels. Raises EvaluationError for a stratum
    without labels, or with more labels or right ones than there are.
    Source: Korn and Graubard 1998, Survey Methodology 24(2), 193-201 (effective sample size)
    """
    if (labelled < 1).any() or (labelled > images).any() or (right > labelled).any():
        raise EvaluationError(
            "Every stratum needs a label, and none more than it has images: found "
            f"{labelled.tolist()} labels of {images.tolist()} images."
        )
    weights = images / images.sum()
    share = float((weights * right / labelled).sum())
    drawn = (right + 0.5) / (labelled + 1)
    rest = 1 - labelled / images
    variance = float((weights**2 * rest * drawn * (1 - drawn) / labelled).sum())
    n = int(labelled.sum())
    if variance <= 0:  # every image has a label
        return Estimate(share, share, share, n, METHOD)
    middle = float((weights * drawn).sum())
    size = max(1, int(middle * (1 - middle) / variance))
    found = wilson(share * size, size)
    return Estimate(share, found.low, found.high, n, METHOD)


def expected_width(right: FloatArray, strata: IntArray, labels: int) -> float:
    """The width of the 95 % interval to reckon with, of as many labels from each stratum.

    right: (N,) as of choose_to_label, taken at its word. strata: (N,).
    """
    each = labels / (strata.max() + 1)
    variance: float = 0.0
    for h in range(int(strata.max()) + 1):
        own = right[strata == h]
        mean, share = float(own.mean()), len(own) / len(right)
        variance += share**2 * max(0.0, 1 - each / len(own)) * mean * (1 - mean) / each
    return 2 * NormalDist().inv_cdf(0.5 + CONFIDENCE / 2) * math.sqrt(variance)
