"""Whether probabilities mean what they say: intercept, slope, calibration error and scores."""

import math
from statistics import NormalDist

import numpy as np
import scipy
from scipy.special import expit, logit

from hilum.records import BoolArray, Estimate, FloatArray, IntArray
from hilum.statistics.intervals import CONFIDENCE
from hilum.statistics.metrics import ratios

#: Probabilities are kept this far from 0 and 1, whose logits are infinite: 36 at most.
_LEAST = float(np.finfo(np.float64).eps)

#: A standard error above 100 logits is not worth printing.
_LEAST_INFORMATION = 1e-4


def calibration_intercept(happened: BoolArray, probs: FloatArray) -> Estimate:
    """What must be added to the logit of the probabilities for their mean to be right.

    happened: (N,) whether the event came about. probs: (N,) its predicted probabilities.
    The intercept of a logistic regression with the logit as offset: 0 is right, below 0 the
    probabilities are too high, above 0 too low. With its Wald interval; undefined where the event
    always or never came about.
    Source: Van Calster et al. 2019, doi:10.1186/s12916-019-1466-7
    """
    happened = np.asarray(happened, dtype=bool)
    reason = _one_sided(happened)
    if reason:
        return Estimate.undefined(reason, len(happened))
    offsets = _logits(probs)

    def score(intercept: float) -> float:
        return float((expit(intercept + offsets) - happened).mean())

    reach = 2 * float(np.abs(offsets).max()) + 40  # the score has both signs within it
    intercept = float(scipy.optimize.brentq(score, -reach, reach, xtol=1e-12))
    fitted = expit(intercept + offsets)
    return _wald(intercept, float((fitted * (1 - fitted)).sum()), len(happened))


def calibration_slope(happened: BoolArray, probs: FloatArray) -> Estimate:
    """What the logit of the probabilities must be multiplied by to be neither extreme nor timid.

    happened, probs, source: as calibration_intercept. The slope of a logistic regression of the
    event on the logit: 1 is right, below 1 the probabilities are too extreme, above 1 too timid.
    With its Wald interval; undefined where no finite one fits.
    """
    happened = np.asarray(happened, dtype=bool)
    n = len(happened)
    reason = _one_sided(happened)
    if reason:
        return Estimate.undefined(reason, n)
    logits = _logits(probs)
    yes, no = logits[happened], logits[~happened]
    if np.ptp(logits) == 0:
        return Estimate.undefined("all images have the same probability", n)
    if yes.min() >= no.max() or no.min() >= yes.max():
        return Estimate.undefined("a threshold separates them, so no finite slope fits", n)
    # Centred and scaled, so that the two coefficients are of one size and little correlated.
    centre, scale = float(logits.mean()), float(logits.std())
    design = np.stack([np.ones(n), (logits - centre) / scale], axis=1)

    def information(coefficients: FloatArray) -> FloatArray:
        fitted = expit(design @ coefficients)
        return np.asarray(design.T @ (design * (fitted * (1 - fitted))[:, None]) / n)

    found = scipy.optimize.minimize(
        lambda c: float((np.logaddexp(0, design @ c) - happened * (design @ c)).mean()),
        np.array([float(logit(happened.mean())), 0.0]),
        jac=lambda c: design.T @ (expit(design @ c) - happened) / n,
        hess=information,
        method="trust-exact",
        options={"gtol": 1e-9},
    )
    (a, _), (b, c) = information(found.x) * n
    # The variance of the second of two coefficients, by the inverse of the information.
    precision = float(c - b * b / a)
    return _wald(float(found.x[1]) / scale, precision * scale**2, n)


def _wald(value: float, information: float, n: int) -> Estimate:
    """An estimate with value ± 1.96 standard errors."""
    if information < _LEAST_INFORMATION:
        reason = "no interval: probabilities of almost 0 and 1 carry no information on it"
        return Estimate(value, n=n, method="wald", reason=reason)
    half = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2) / math.sqrt(information)
    return Estimate(value, value - half, value + half, n, "wald")


def _logits(probs: FloatArray) -> FloatArray:
    return np.asarray(logit(np.clip(probs, _LEAST, 1 - _LEAST)), dtype=np.float64)


def _one_sided(happened: BoolArray) -> str:
    if not len(happened):
        return "no images"
    if happened.all():
        return "no image without it"
    return "" if happened.any() else "no image with it"


#: As many bins as clinical prediction models are usually drawn with (deciles) ...
MOST_BINS = 10
#: ... but none with fewer images than this, as far as tied probabilities allow.
LEAST_PER_BIN = 10


def equal_mass_bins(probs: FloatArray) -> IntArray:
    """Which bin each probability falls into, when bins hold about equally many images.

    probs: (N,). Equal probabilities share a bin, so that the order of the images does not matter: a
    border that would fall among them moves to their nearer end, and bins may be fewer and unequal.
    Returns (N,) indices from 0, by rising probability; no bin is empty.
    Bins of equal mass bias the calibration error less than bins of equal width.
    Source: Roelofs et al. 2022, Mitigating bias in calibration error estimation, arXiv:2012.08668
    """
    n = len(probs)
    bins = min(max(n // LEAST_PER_BIN, 1), MOST_BINS)
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

    probs: (N,) predicted probabilities of an event. happened: (N,) whether it came about. bins:
    (N,) from equal_mass_bins. counts: (R, N). Returns (R,) values in [0, 1].

    Over bins b with a share w_b of the images: sqrt(sum_b w_b ((o_b - p_b)^2 - s_b^2)), where p_b
    is the mean probability, o_b the observed share, and s_b^2 the unbiased estimate of the noise in
    o_b, o_b (1 - o_b) / (n_b - 1), without which few images would always show an error. Below 0 the
    sum counts as 0. In a resample n_b is Kish's effective size (sum c)^2 / sum c^2: an image that
    is drawn c times brings no more information than once. Sources: Kumar et al. 2019, Verified
    uncertainty calibration, definition 5.2, arXiv:1909.10155; Kish 1965, Survey Sampling, section
    11.7
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
    return 1 - ratios(scores, np.where(reference > 1e-12, reference, 0))


def log_losses(truth: IntArray, probs: FloatArray, counts: IntArray) -> FloatArray:
    """Mean negative logarithm (nats) of the probability of the truth, of R resamples.

    truth: (N,) class indices. probs: (N, C), rows sum to 1. counts: (R, N). A probability of 0
    counts as 2.2e-16, so that one image costs at most 36 nats. Returns (R,) values of at least 0.
    """
    chosen = probs[np.arange(len(truth)), truth]
    return _weighted_means(-np.log(np.clip(chosen, np.finfo(np.float64).eps, 1)), counts)


def _weighted_means(values: FloatArray, counts: IntArray) -> FloatArray:
    return np.asarray((counts @ values) / counts.sum(axis=1), dtype=np.float64)
