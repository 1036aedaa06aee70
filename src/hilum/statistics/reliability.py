"""Do probabilities mean what they say? Bins, calibration error, Brier score, log loss.

Pure functions of arrays. Those that end in an s take (R, N) counts of how often each image is
drawn and return (R,) values, for intervals.bootstrap; one row of ones gives the value itself.
"""

import numpy as np
import numpy.typing as npt

from hilum.records import FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]

#: As many bins as clinical prediction models are usually drawn with (deciles) ...
MOST_BINS = 10
#: ... but none with fewer images than this, as far as tied probabilities allow.
LEAST_PER_BIN = 10


def equal_mass_bins(
    probs: FloatArray, most: int = MOST_BINS, least: int = LEAST_PER_BIN
) -> IntArray:
    """Which bin each probability falls into, when bins hold about equally many images.

    probs: (N,). most: number of bins where there are enough images. least: images per bin.
    Equal probabilities share a bin, so that the order of the images does not matter: a border that
    would fall among them moves to their nearer end, and bins may be fewer and unequal.
    Returns (N,) indices from 0, by rising probability; no bin is empty.
    Bins of equal mass bias the calibration error less than bins of equal width.
    Source: Roelofs et al. 2022, Mitigating bias in calibration error estimation, arXiv:2012.08668
    """
    n = len(probs)
    bins = min(max(n // least, 1), most)
    ordered = np.sort(probs)
    wanted = np.arange(1, bins) * n // bins
    first = np.searchsorted(ordered, ordered[wanted], side="left")
    end = np.searchsorted(ordered, ordered[wanted], side="right")
    start_is_nearer = (first > 0) & ((wanted - first <= end - wanted) | (end == n))
    borders = np.where(start_is_nearer, first, end)
    edges = np.unique(ordered[borders[borders < n]])
    return np.searchsorted(edges, probs, side="right").astype(np.int64)


def calibration_errors(
    probs: FloatArray, happened: BoolArray, bins: IntArray, counts: IntArray
) -> FloatArray:
    """The expected calibration error (root mean square, debiased) of each of R resamples.

    probs: (N,) predicted probabilities of an event. happened: (N,) whether it came about.
    bins: (N,) from equal_mass_bins. counts: (R, N). Returns (R,) values in [0, 1].

    Over bins b with a share w_b of the images: sqrt(sum_b w_b ((o_b - p_b)^2 - s_b^2)), where
    p_b is the mean probability, o_b the observed share, and s_b^2 the unbiased estimate of the
    noise in o_b, o_b (1 - o_b) / (n_b - 1). Without that term a perfectly calibrated classifier
    would have an error well above 0 on few images. Below 0 the sum counts as 0.
    An image that is drawn c times brings no more information than once, so in a resample n_b is
    Kish's effective size (sum c)^2 / sum c^2; else resampling would add its own noise as bias.
    Sources: Kumar et al. 2019, Verified uncertainty calibration, definition 5.2, arXiv:1909.10155;
    Kish 1965, Survey Sampling, section 11.7
    """
    weights = np.asarray(counts, dtype=np.float64)
    member = np.eye(int(bins.max(initial=0)) + 1)[bins]
    size = weights @ member
    filled = size > 0
    whole = np.where(filled, size, 1)
    mean_prob = (weights @ (member * probs[:, None])) / whole
    observed = (weights @ (member * np.asarray(happened)[:, None])) / whole
    one_in = (weights**2) @ member / whole**2  # 1 / effective size
    alone = one_in >= 1 - 1e-12  # one image: its noise cannot be estimated
    noise = observed * (1 - observed) * one_in / np.where(alone, 1, 1 - one_in)
    excess = np.where(filled, (observed - mean_prob) ** 2 - np.where(alone, 0, noise), 0)
    squared = (size * excess).sum(axis=1) / size.sum(axis=1)
    return np.asarray(np.sqrt(np.maximum(squared, 0)), dtype=np.float64)


def brier_scores(truth: IntArray, probs: FloatArray, counts: IntArray) -> FloatArray:
    """Mean squared distance between predicted probabilities and the truth, of R resamples.

    truth: (N,) class indices. probs: (N, C), rows sum to 1. counts: (R, N).
    Returns (R,) values in [0, 2]; 0 is perfect.
    Source: Brier 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2
    """
    distance = ((probs - np.eye(probs.shape[1])[truth]) ** 2).sum(axis=1)
    return _weighted_means(distance, counts)


def brier_skills(truth: IntArray, probs: FloatArray, counts: IntArray) -> FloatArray:
    """1 - Brier score / that of always predicting the resample's own class shares.

    truth, probs, counts, source: as brier_scores. Returns (R,) values up to 1; 0 is no better
    than knowing the shares, below 0 worse; NaN where a resample holds one class only.
    """
    present = np.eye(probs.shape[1])[truth]
    shares = (counts @ present) / counts.sum(axis=1, keepdims=True)
    reference = (shares * (1 - shares)).sum(axis=1)
    scores = brier_scores(truth, probs, counts)
    ratio = np.full(len(scores), np.nan)
    np.divide(scores, reference, out=ratio, where=reference > 1e-12)
    return np.asarray(1 - ratio, dtype=np.float64)


def log_losses(truth: IntArray, probs: FloatArray, counts: IntArray) -> FloatArray:
    """Mean negative logarithm (nats) of the probability of the truth, of R resamples.

    truth: (N,) class indices. probs: (N, C), rows sum to 1. counts: (R, N). A probability of 0
    counts as 2.2e-16, so that one image costs at most 36 nats. Returns (R,) values of at least 0.
    """
    chosen = probs[np.arange(len(truth)), truth]
    return _weighted_means(-np.log(np.clip(chosen, np.finfo(np.float64).eps, 1)), counts)


def _weighted_means(values: FloatArray, counts: IntArray) -> FloatArray:
    return np.asarray((counts @ values) / counts.sum(axis=1), dtype=np.float64)
