"""Findings that cannot be ruled out, so that few of those that are present are missed.

Conformal risk control: of the findings that images have, the mean share that is not among those
that cannot be ruled out is at most the chosen one, on average over validation sets, if validation
images and new ones are exchangeable. No property of the classifier is needed.

Source: Angelopoulos et al. 2024, Conformal risk control, arXiv:2208.02814.
"""

from dataclasses import dataclass

import numpy as np

from hilum.errors import EvaluationError
from hilum.records import BoolArray, Estimate, FloatArray
from hilum.statistics.intervals import bootstrap

#: The mean share of an image's findings that may be missed.
MISSED = 0.10


@dataclass(frozen=True)
class RiskControl:
    """From which probability on a finding cannot be ruled out.

    missed: the share that may be missed, in (0, 1). threshold: in [0, 1]; 0, so that nothing is
    ruled out, where there are too few images. n: images with a finding that it rests on.
    """

    missed: float
    threshold: float
    n: int

    def possible(self, probs: FloatArray, called: BoolArray) -> BoolArray:
        """(N, F) which findings cannot be ruled out: what is called present is among them.

        probs: (N, F) in [0, 1]. called: (N, F).
        """
        held: BoolArray = (probs >= self.threshold) | called
        return held


def fit_risk_control(probs: FloatArray, present: BoolArray, missed: float = MISSED) -> RiskControl:
    """Choose the threshold on images that did not train the classifier.

    probs: (M, F). present: (M, F) which findings are known to be present; images without any do not
    count. The largest threshold t with (n R(t) + 1) / (n + 1) <= missed, where R(t) is the mean
    over the n images of the share of their findings below t.
    Raises EvaluationError for a share out of range.
    """
    if not 0 < missed < 1:
        raise EvaluationError(f"A share lies between 0 and 1, for example 0.1; got {missed}.")
    having = present.any(axis=1)
    own, here = probs[having], present[having]
    n = len(own)
    if not n or 1 / (n + 1) > missed:
        return RiskControl(missed, 0.0, n)
    # R(t) grows by weight / n as t passes the probability of a finding that is present
    weights = (here / here.sum(axis=1, keepdims=True))[here]
    scores = own[here]
    order = np.argsort(scores, kind="stable")
    risks = (np.cumsum(weights[order]) + 1) / (n + 1)
    allowed = int(np.searchsorted(risks, missed, side="right"))  # how many may lie below it
    ranked = scores[order]
    return RiskControl(missed, float(ranked[min(allowed, len(ranked) - 1)]), n)


@dataclass(frozen=True)
class RiskResult:
    """How it did on other images.

    control: the threshold. n: images. missed: mean share of the findings that an image has which
    were ruled out, over the images that have some. possible: mean number that cannot be ruled out.
    """

    control: RiskControl
    n: int
    missed: Estimate
    possible: Estimate


def measure_risk_control(
    control: RiskControl, probs: FloatArray, called: BoolArray, present: BoolArray
) -> RiskResult:
    """Measure what is missed on images that did not choose the threshold.

    probs: (N, F). called: (N, F) as present. present: (N, F) which are known to be so.
    """
    held = control.possible(probs, called)
    having = present.any(axis=1)
    shares = (present & ~held)[having].sum(axis=1) / present[having].sum(axis=1)
    n = len(shares)
    missed = (
        bootstrap(lambda counts: counts @ shares / n, n)
        if n
        else Estimate.undefined("no image with a finding")
    )
    sizes, total = held.sum(axis=1), len(held)
    possible = bootstrap(lambda counts: counts @ sizes / total, total)
    return RiskResult(control, total, missed, possible)
