"""How common each class is among images without labels, and how many of them are named rightly.

Everything here takes it that images of a class look as those of the validation images do, and that
only the mix of classes is another (label shift). Two estimates of the mix then have to agree:

- black-box shift estimation solves for the mix that the classifier's mistakes would turn into what
  it predicts (Lipton et al. 2018, arXiv:1802.03916);
- expectation maximisation takes the mix under which the images' probabilities are most likely
  (Saerens et al. 2002, doi:10.1162/089976602753284446), once these are calibrated on the validation
  images by a scale and a bias of each class (Alexandari et al. 2020, arXiv:1901.06852).

Intervals draw both samples, the validation images and the new ones: rows of the confusion matrix
from a Dirichlet distribution, the calibration from its normal approximation, and new images by the
Bayesian bootstrap (Rubin 1981, doi:10.1214/aos/1176345338). So that what was not seen at all does
not count as impossible, each class gets a little weight beside the images.
"""

from dataclasses import dataclass

import numpy as np

from hilum.errors import EvaluationError
from hilum.records import Estimate, FloatArray, IntArray
from hilum.statistics.checks import check_classes
from hilum.statistics.intervals import CONFIDENCE
from hilum.statistics.metrics import confusion_matrix

#: Draws behind every interval.
DRAWS = 400

#: The least singular value of a confusion matrix of shares that can be solved by: below it, noise
#: of the predictions grows more than tenfold.
LEAST_SINGULAR = 0.1

#: The two estimates of a share disagree where they lie so far apart, and the interval of their
#: difference, at this confidence over all classes, leaves 0 out.
LEAST_DISAGREEMENT, _CERTAIN = 0.05, 0.99

METHOD = "bayesian bootstrap"

_FAINTEST = 1e-12  # of a probability, before its logarithm
_STEPS, _CLOSE = 500, 1e-7  # of expectation maximisation
_CELLS = 4_000_000  # numbers held at a time


@dataclass(frozen=True, slots=True)
class Known:
    """What M labelled images tell of a classifier of K classes.

    confusion: (K, K) counts, rows are the truth. ratios: (K, K), of each class the mean over its
    images of how much more likely the image is under each class. draws: (R, K + 1) of scale and
    biases; the first is the estimate. rows: (R, K, K) draws of the confusion matrix as shares; the
    first is the estimate.
    """

    confusion: IntArray
    ratios: FloatArray
    draws: FloatArray
    rows: FloatArray

    @property
    def shares(self) -> FloatArray:
        """(K,) of the classes among the labelled images."""
        counts = self.confusion.sum(axis=1)
        return np.asarray(counts / counts.sum(), dtype=np.float64)

    @property
    def singular(self) -> float:
        """The least singular value of the confusion matrix as shares: in [0, 1]."""
        return float(np.linalg.svd(self.rows[0], compute_uv=False)[-1])


def learn(
    probs: FloatArray, predicted: IntArray, truth: IntArray, *, seed: int = 0, draws: int = DRAWS
) -> Known:
    """Learn from labelled images what is needed to estimate the mix of others.

    probs: (M, K) class probabilities. predicted, truth: (M,) classes. Raises EvaluationError where
    they do not fit, and where a class has no image.
    """
    k = probs.shape[1] if probs.ndim == 2 else 0
    if k < 2 or predicted.shape != (len(probs),):
        raise EvaluationError(
            f"A mix is estimated by (M, K) probabilities and M predicted classes, K at least 2; "
            f"found shapes {probs.shape} and {predicted.shape}."
        )
    check_classes("true", truth, k)
    confusion = confusion_matrix(truth, predicted, k)
    if not confusion.sum(axis=1).all():
        raise EvaluationError("A class has no labelled image: how it is mistaken is not known.")
    rng = np.random.default_rng([seed, 1])
    theta, covariance = _calibrate(_logs(probs), truth)
    spread = np.linalg.cholesky(covariance)
    others = theta + rng.standard_normal((draws, len(theta))) @ spread.T
    parameters = np.vstack([theta, others])
    parameters[:, 0] = np.maximum(parameters[:, 0], 0.05)  # a scale below 0 would turn the order
    thetas = np.insert(parameters, 1, 0.0, axis=1)  # the first class has no bias
    gammas = rng.standard_gamma(np.tile(confusion + 1 / k, (draws, 1, 1)))
    rows = np.concatenate([confusion[None].astype(np.float64), gammas])
    rows /= rows.sum(axis=2, keepdims=True)
    likely = _ratios(_logs(probs), thetas[:1], confusion.sum(axis=1) / len(truth))[0]
    means = np.stack([likely[truth == c].mean(axis=0) for c in range(k)])
    return Known(confusion, means, thetas, rows)


@dataclass(frozen=True, slots=True)
class Mix:
    """What is estimated of N images without labels.

    black_box, likely: of each class its share, by black-box shift estimation and by expectation
    maximisation. apart: the largest difference of the two, in [0, 1]. agree: whether it may be
    chance, or is too small to matter. accuracy: the share of these images whose class is named
    rightly. confidence: (N,) of each image the probability that it is, in [0, 1].
    """

    black_box: tuple[Estimate, ...]
    likely: tuple[Estimate, ...]
    apart: float
    agree: bool
    accuracy: Estimate
    confidence: FloatArray


def estimate_mix(known: Known, probs: FloatArray, predicted: IntArray, *, seed: int = 0) -> Mix:
    """Estimate the mix of classes of new images, and the accuracy on them.

    probs: (N, K), predicted: (N,), N ≥ 1. Under a confusion matrix whose least singular value is
    below LEAST_SINGULAR the black-box estimate is undefined, with the reason, and there is nothing
    to agree with. What `agree` and the accuracy are worth elsewhere than under label shift is for
    whoever asks to say.
    """
    n, k = probs.shape
    logs, draws = _logs(probs), len(known.draws) - 1
    rng = np.random.default_rng([seed, 2])
    weights = np.vstack([np.ones(n), rng.standard_gamma(1.0, (draws, n))])
    beside = np.vstack([np.zeros(k), rng.standard_gamma(min(0.5, 2 / k), (draws, k))])
    likely = np.empty((draws + 1, k))
    block = max(1, _CELLS // (n * k))
    start = known.shares
    for first in range(0, draws + 1, block):
        rows = slice(first, first + block)
        ratios = _ratios(logs, known.draws[rows], known.shares)
        likely[rows] = _most_likely(ratios, weights[rows], beside[rows], known.ratios, start)
        start = likely[0] if first == 0 else start
    shown = weights @ np.eye(k)[predicted] + np.einsum("rk,rkj->rj", beside, known.rows)
    shown /= shown.sum(axis=1, keepdims=True)
    accuracy = _accuracy(known.rows, likely, n, rng)
    posterior = _ratios(logs, known.draws[:1], known.shares)[0] * likely[0]
    confidence = posterior[np.arange(n), predicted] / posterior.sum(axis=1)
    found = tuple(_interval(likely[:, c], n) for c in range(k))
    if known.singular < LEAST_SINGULAR:
        reason = (
            f"the classifier confuses its classes too much to solve for their shares (least "
            f"singular value {known.singular:.2f}, at least {LEAST_SINGULAR:g} is needed)"
        )
        nothing = (Estimate.undefined(reason, n),) * k
        return Mix(nothing, found, 0.0, False, accuracy, confidence)
    solved = np.linalg.solve(np.swapaxes(known.rows, 1, 2), shown[..., None])[..., 0]
    solved = np.where(np.isfinite(solved), solved, known.shares)
    inside = np.clip(solved, 0, None)
    inside /= inside.sum(axis=1, keepdims=True)
    black_box = tuple(_interval(inside[:, c], n) for c in range(k))
    apart = np.abs(inside[0] - likely[0])
    tail = (1 - _CERTAIN) / (2 * k)
    low, high = np.quantile(solved[1:] - likely[1:], [tail, 1 - tail], axis=0)
    agree = not (((low > 0) | (high < 0)) & (apart >= LEAST_DISAGREEMENT)).any()
    return Mix(black_box, found, float(apart.max()), bool(agree), accuracy, confidence)


def _accuracy(rows: FloatArray, mixes: FloatArray, n: int, rng: np.random.Generator) -> Estimate:
    """Of these n images, and so with what chance adds to n of them."""
    right = np.einsum("rk,rkk->r", mixes, rows)
    among = rng.binomial(n, np.clip(right[1:], 0, 1)) / n
    return _interval(np.concatenate([right[:1], among]), n)


def _interval(values: FloatArray, n: int) -> Estimate:
    """The first is the estimate, the others are draws."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values[1:], [tail, 1 - tail])
    value = float(values[0])
    return Estimate(value, min(float(low), value), max(float(high), value), n, METHOD)


def _logs(probs: FloatArray) -> FloatArray:
    return np.log(np.maximum(probs, _FAINTEST))


def _ratios(logs: FloatArray, draws: FloatArray, shares: FloatArray) -> FloatArray:
    """(R, N, K) how likely images are under each class; of each image the largest is 1."""
    scores = draws[:, None, :1] * logs + draws[:, None, 1:] - np.log(shares)
    scores -= scores.max(axis=2, keepdims=True)
    return np.asarray(np.exp(scores), dtype=np.float64)


def _most_likely(
    ratios: FloatArray, weights: FloatArray, beside: FloatArray, means: FloatArray,
    start: FloatArray,
) -> FloatArray:  # fmt: skip
    """(R, K) mixes by expectation maximisation. weights: (R, N); beside: (R, K), of the classes."""
    r, _, k = ratios.shape
    ratios = np.concatenate([ratios, np.broadcast_to(means, (r, k, k))], axis=1)
    weights = np.concatenate([weights, beside], axis=1)
    weights = weights / weights.sum(axis=1, keepdims=True)
    # never 0 at the start, from where nothing would lead back
    mixes = np.tile(np.maximum(start, 1e-3) / np.maximum(start, 1e-3).sum(), (r, 1))
    for _ in range(_STEPS):
        per_image = weights / np.matmul(ratios, mixes[..., None])[..., 0]
        new = mixes * np.matmul(per_image[:, None, :], ratios)[:, 0]
        moved = float(np.abs(new - mixes).max())
        mixes = new
        if moved < _CLOSE:
            break
    return np.asarray(mixes / mixes.sum(axis=1, keepdims=True), dtype=np.float64)


def _calibrate(logs: FloatArray, truth: IntArray) -> tuple[FloatArray, FloatArray]:
    """Scale and biases (of all classes but the first), and their covariance.

    The likelihood has a normal prior of one standard deviation around 'nothing to correct', or it
    would have no maximum where every image is named rightly. Newton's method, halving steps.
    """
    m, k = logs.shape
    theta = np.zeros(k)
    theta[0] = 1.0
    prior = theta.copy()
    columns = np.zeros((m, k, k))  # of the scores by the parameters
    columns[:, :, 0] = logs
    columns[:, np.arange(1, k), np.arange(1, k)] = 1.0

    def loss(at: FloatArray) -> tuple[float, FloatArray]:
        scores = columns @ at
        scores -= scores.max(axis=1, keepdims=True)
        powers = np.exp(scores)
        total = powers.sum(axis=1)
        own = scores[np.arange(m), truth] - np.log(total)
        return 0.5 * float(((at - prior) ** 2).sum()) - float(own.sum()), powers / total[:, None]

    value, probs = loss(theta)
    for _ in range(100):
        expected = np.einsum("mk,mkp->mp", probs, columns)
        slope = theta - prior + (expected - columns[np.arange(m), truth]).sum(axis=0)
        curve = np.einsum("mk,mkp,mkq->pq", probs, columns, columns) - expected.T @ expected
        curve += np.eye(k)
        step = np.linalg.solve(curve, slope)
        if np.abs(step).max() < 1e-9:
            break
        size = 1.0
        while size > 1e-6 and loss(theta - size * step)[0] > value:
            size /= 2
        theta = theta - size * step
        value, probs = loss(theta)
    return theta, np.linalg.inv(curve)
