"""Temperature scaling: one number per network that makes its probabilities mean what they say.

It divides the logits, so it changes how sure a network is and never which option it prefers.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy
from scipy.special import logsumexp, softmax

from hilum.errors import EvaluationError
from hilum.records import FloatArray, IntArray
from hilum.statistics.checks import check_classes

#: Below this many images nothing is fitted. Fitting the one number where 1 was already right
#: costs about 1 / (2 M) nats per new image (maximum likelihood, one parameter): 0.02 at 30 images,
#: which simulations confirm; on fewer it soon costs more than that, and more than it can repair.
LEAST_IMAGES = 30

#: Fitted temperatures stay in this range. Published ones lie between about 0.5 and 5; one outside
#: this range says more about a few images than about the network.
BOUNDS = (0.1, 20.0)


@dataclass(frozen=True, slots=True)
class Temperature:
    """A temperature T and what it did: probs = softmax(logits / T).

    value: above 0; above 1 it makes a network less sure, below 1 surer, and 1 leaves it alone.
    n: images it was fitted on. nll_before, nll_after: mean negative log-likelihood (nats) of those
    images at T = 1 and at the value; None without images. reason: why nothing was fitted, or why
    the value is a bound; '' where the value is the minimum of the likelihood.
    """

    value: float
    n: int
    nll_before: float | None
    nll_after: float | None
    reason: str = ""


def fit_temperature(logits: FloatArray, targets: IntArray) -> Temperature:
    """The temperature under which held-out images are most likely.

    logits: (M, K) of images that the network was not trained on. targets: (M,) true options, 0 to K
    - 1; leave out images that do not belong to the decision.

    Nothing is fitted (T = 1, with the reason) where the images cannot say which is right: with
    fewer than 30, or none of an option; where the network is right about every one, so that the
    likelihood grows for ever as T falls to 0; or no better than a guess, so that it does as T
    rises. Else the minimum of the negative log-likelihood, which is convex in 1/T, cut to 0.1 to
    20. Raises EvaluationError for other shapes, logits that are not finite, or a target out of
    range. Source: Guo et al. 2017, On calibration of modern neural networks, arXiv:1706.04599
    """
    logits, targets = np.asarray(logits, dtype=np.float64), np.asarray(targets)
    _check(logits, targets)
    n = len(targets)
    if n == 0:
        return Temperature(1.0, 0, None, None, f"no images; {LEAST_IMAGES} are needed")
    before = _nll(logits, targets, 1.0)
    slope = _slope_of_nll(logits, targets)
    reason = _reason_not_to_fit(logits, targets, slope)
    if reason:
        return Temperature(1.0, n, before, before, reason)
    lowest, highest = BOUNDS
    if slope(1 / lowest) <= 0:
        value, reason = lowest, f"the likelihood is highest below the bound {lowest:g}"
    elif slope(1 / highest) >= 0:
        value, reason = highest, f"the likelihood is highest above the bound {highest:g}"
    else:
        value = 1 / float(scipy.optimize.brentq(slope, 1 / highest, 1 / lowest, xtol=1e-12))
    return Temperature(value, n, before, _nll(logits, targets, value), reason)


def _reason_not_to_fit(
    logits: FloatArray, targets: IntArray, slope: Callable[[float], float]
) -> str:
    n, options = logits.shape
    if n < LEAST_IMAGES:
        return f"only {n} images; {LEAST_IMAGES} are needed"
    absent = options - len(np.unique(targets))
    if absent:
        return f"{absent} of the {options} options have no image"
    if (logits[np.arange(n), targets] >= logits.max(axis=1)).all():
        return "every image is decided rightly, so the likelihood has no maximum"
    if slope(0.0) >= 0:
        return "the network does no better than a guess, so the likelihood has no maximum"
    return ""


def _nll(logits: FloatArray, targets: IntArray, temperature: float) -> float:
    scaled = logits / temperature
    chosen = scaled[np.arange(len(targets)), targets]
    return float((logsumexp(scaled, axis=1) - chosen).mean())


def _slope_of_nll(logits: FloatArray, targets: IntArray) -> Callable[[float], float]:
    """The derivative of the mean negative log-likelihood by 1/T; it never falls."""
    chosen = logits[np.arange(len(targets)), targets]

    def slope(inverse: float) -> float:
        expected = (softmax(inverse * logits, axis=1) * logits).sum(axis=1)
        return float((expected - chosen).mean())

    return slope


def _check(logits: FloatArray, targets: IntArray) -> None:
    if logits.ndim != 2 or logits.shape[1] < 2 or targets.shape != logits.shape[:1]:
        raise EvaluationError(
            "A temperature is fitted on (M, K) logits, K at least 2, and (M,) targets; "
            f"found shapes {logits.shape} and {targets.shape}."
        )
    if not np.isfinite(logits).all():
        raise EvaluationError("A temperature needs finite logits; some are infinite or NaN.")
    check_classes("target", targets, logits.shape[1])
