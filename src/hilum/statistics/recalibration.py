"""Calibration intercept and slope: is a probability too high on the whole, or too extreme?"""

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq, minimize
from scipy.special import expit, logit

from hilum.records import Estimate, FloatArray
from hilum.statistics.intervals import CONFIDENCE

BoolArray = npt.NDArray[np.bool_]

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
    intercept = float(brentq(score, -reach, reach, xtol=1e-12))
    fitted = expit(intercept + offsets)
    return _wald(intercept, float((fitted * (1 - fitted)).sum()), len(happened))


def calibration_slope(happened: BoolArray, probs: FloatArray) -> Estimate:
    """What the logit of the probabilities must be multiplied by to be neither extreme nor timid.

    happened, probs, source: as calibration_intercept.
    The slope of a logistic regression of the event on the logit: 1 is right, below 1 the
    probabilities are too extreme, above 1 too timid. With its Wald interval; undefined where
    there is no finite one: the event always or never came about, or some threshold tells
    the images with it from those without.
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

    found = minimize(
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
