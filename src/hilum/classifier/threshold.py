"""A threshold that meets a stakeholder's demands: how these are written, and how it is chosen."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, Literal

import numpy as np

from hilum.errors import EvaluationError, nearest
from hilum.records import BoolArray, Estimate, FloatArray, IntArray
from hilum.statistics.intervals import CONFIDENCE, RESAMPLES, resample
from hilum.statistics.metrics import ratios
from hilum.statistics.two_by_two import MEASURES, Measures, TwoByTwo

Measure = Literal["sensitivity", "specificity", "ppv", "npv"]

_SYNONYMS: dict[str, Measure] = {
    "sensitivity": "sensitivity",
    "recall": "sensitivity",
    "specificity": "specificity",
    "ppv": "ppv",
    "precision": "ppv",
    "npv": "npv",
}
_DEMAND = re.compile(r"\s*([A-Za-z]+)\s*(?:>=|≥)\s*([0-9.]+)\s*")


@dataclass(frozen=True, slots=True)
class Demand:
    """A measure that must reach a value. least: above 0, at most 1."""

    measure: Measure
    least: float

    @classmethod
    def parse(cls, text: str) -> "Demand":
        """Read 'recall>=0.95'; recall is sensitivity, precision is ppv.

        Raises EvaluationError for another form, measure or range.
        """
        match = _DEMAND.fullmatch(text)
        if not match or match[2].count(".") > 1 or match[2] == ".":
            raise EvaluationError(
                f"Cannot read the demand '{text.strip()}': write MEASURE>=VALUE, for example "
                "recall>=0.95."
            )
        name, least = match[1].lower(), float(match[2])
        if name not in _SYNONYMS:
            raise EvaluationError(f"There is no measure '{match[1]}'.{nearest(name, _SYNONYMS)}")
        if not 0 < least <= 1:
            raise EvaluationError(
                f"'{text.strip()}' demands {least:g}; a demand lies above 0 and is at most 1."
            )
        return cls(_SYNONYMS[name], least)

    def __str__(self) -> str:
        return f"{self.measure}>={self.least:g}"


#: Demands with a name. 'public-health' catches nearly all ill people and then spares as many of
#: the others as it can; 'clinic' calls hardly anyone wrongly and then catches as many as it can.
PRESETS: Final[dict[str, tuple[Demand, ...]]] = {
    "public-health": (Demand("sensitivity", 0.95),),
    "clinic": (Demand("specificity", 0.90), Demand("ppv", 0.90)),
}


#: Of which images each measure is a share.
_SHARE_OF = {
    "sensitivity": "positive images",
    "specificity": "negative images",
    "ppv": "images called positive",
    "npv": "images called negative",
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """A threshold, what it gave on the images it was chosen on, and what to expect elsewhere.

    threshold: an image is called positive if its score is at least this; None where the images
    hold no positive or no negative. satisfied: whether it meets every demand on those images; if
    not, it is the nearest that can be had, and reason says how near. counts: on those images,
    which flatter. expected: on others, with the choice allowed for (see choose_threshold).
    notes: sentences on how much these images can say.
    """

    threshold: float | None
    satisfied: bool
    reason: str
    counts: TwoByTwo
    expected: Measures
    notes: tuple[str, ...] = ()


def choose_threshold(
    positive: BoolArray,
    scores: FloatArray,
    demands: Sequence[Demand],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Chosen:
    """The threshold that meets all demands and is best in the rest.

    positive: (M,) the truth. scores: (M,) probabilities in [0, 1]. demands: at least one.

    Of the thresholds that meet all demands it takes the one with
    - the highest sensitivity, then specificity, where no sensitivity is demanded;
    - the highest specificity, then sensitivity, where a sensitivity but no specificity is;
    - the highest sum of both (Youden 1950), then sensitivity, where both are.
    If none does, the one whose largest shortfall is smallest, with satisfied=False and a reason. It
    lies midway between two scores that occur (or 0 and the lowest), so that rounding moves no image
    across.

    What it gives on the images it was chosen on is too good. So the choice is repeated on resamples
    (stratified by truth); the error of each, its measure on its own resample less the same
    threshold's on all images, stands for the error made here. The expected value is the measured
    one less the mean error (the optimism), its interval the measured one less the errors'
    quantiles, and never narrower than the Wilson interval of a threshold given in advance. On
    simulated normal scores (8 to 200 positive images, twice as many negative ones) it held the
    truth in 95 % of 300 repetitions or more; about half of the optimism was left in the value with
    8 positive images, at most 0.014 with 60. Raises EvaluationError for arrays of unequal length,
    scores out of range, or no demand. Source: Youden 1950,
    doi:10.1002/1097-0142(1950)3:1<32::AID-CNCR2820030106>3.0.CO;2-3; Efron and Tibshirani 1993,
    chapter 17, doi:10.1201/9780429246593; Harrell et al. 1996,
    doi:10.1002/(SICI)1097-0258(19960229)15:4<361::AID-SIM168>3.0.CO;2-4
    """
    positive, scores = np.asarray(positive, dtype=bool), np.asarray(scores, dtype=np.float64)
    if positive.shape != scores.shape or positive.ndim != 1:
        raise EvaluationError(
            f"Truth and scores must be two lists of one length; found shapes {positive.shape} "
            f"and {scores.shape}."
        )
    if not ((scores >= 0) & (scores <= 1)).all():
        raise EvaluationError("The scores that a threshold is chosen on must lie in [0, 1].")
    if not demands:
        raise EvaluationError("A threshold needs at least one demand, for example recall>=0.95.")
    n, n_positive = len(positive), int(positive.sum())
    if n_positive in (0, n):
        kind = "negative" if n_positive else "positive"
        reason = f"no {kind} image among the {n} that the threshold is chosen on"
        nothing = Estimate.undefined(reason, n)
        counts = TwoByTwo(0, 0, 0, 0)
        return Chosen(None, False, reason, counts, Measures(*[nothing] * len(MEASURES)))

    search = _Search(positive, scores, tuple(demands))
    threshold = float(search.choose(np.ones((1, n), dtype=np.int64))[0][0])
    counts = TwoByTwo.count(positive, scores >= threshold)
    measured = counts.measures()
    errors = np.concatenate(
        [search.errors(drawn) for drawn in resample(n, positive.astype(np.int64), seed, resamples)]
    )
    expected = Measures(
        *(_correct(getattr(measured, m), errors[:, i]) for i, m in enumerate(MEASURES))
    )
    missed = [d for d in demands if (getattr(measured, d.measure).value or 0.0) < d.least]
    return Chosen(
        threshold=threshold,
        satisfied=not missed,
        reason=_refusal(demands, measured, n) if missed else "",
        counts=counts,
        expected=expected,
        notes=() if missed else tuple(_note(demand, expected, n) for demand in demands),
    )


class _Search:
    """The choice of a threshold, on R resamples at once."""

    def __init__(self, positive: BoolArray, scores: FloatArray, demands: tuple[Demand, ...]):
        self._order = np.argsort(-scores, kind="stable")
        ordered = scores[self._order]
        self._positive = positive[self._order]
        # Each distinct score is a candidate, highest first; _ends: the last image that has it.
        self._ends = np.flatnonzero(np.append(ordered[:-1] != ordered[1:], True))
        self._levels = ordered[self._ends]
        self._demands = demands
        self._p, self._n = int(positive.sum()), int((~positive).sum())
        self._tp, self._fp, _ = (a[0] for a in self._count(np.ones((1, len(scores)), np.int64)))

    def choose(self, drawn: IntArray) -> tuple[FloatArray, IntArray, IntArray]:
        """drawn: (R, M) counts. Returns (R,) thresholds and the (R,) true and false positives."""
        tp, fp, occurs = self._count(drawn)
        measures = self._measures(tp, fp)
        shortfall = np.zeros(tp.shape)
        for demand in self._demands:
            value = measures[MEASURES.index(demand.measure)]
            short = np.where(np.isnan(value), 1.0, demand.least - value)
            shortfall = np.maximum(shortfall, short)
        shortfall[~occurs] = np.inf
        best = shortfall == shortfall.min(axis=1, keepdims=True)
        index = np.where(best, self._merit(tp, fp), np.iinfo(np.int64).min).argmax(axis=1)

        lower_ones = occurs & (np.arange(len(self._levels)) > index[:, None])
        lower = np.where(lower_ones.any(axis=1), self._levels[lower_ones.argmax(axis=1)], 0.0)
        upper, rows = self._levels[index], np.arange(len(index))
        middle = (upper + lower) / 2
        # Between neighbouring numbers there is no middle.
        return np.where(middle > lower, middle, upper), tp[rows, index], fp[rows, index]

    def errors(self, drawn: IntArray) -> FloatArray:
        """(R, 4): each measure on the resample less that of the same threshold on all images."""
        threshold, tp, fp = self.choose(drawn)
        last = np.searchsorted(-self._levels, -threshold, side="right") - 1
        there = np.stack(self._measures(tp, fp), axis=1)
        return there - np.stack(self._measures(self._tp[last], self._fp[last]), axis=1)

    def _count(self, drawn: IntArray) -> tuple[IntArray, IntArray, BoolArray]:
        """True and false positives at each candidate, and whether the resample holds it."""
        ordered = drawn[:, self._order]
        called = np.cumsum(ordered, axis=1)[:, self._ends]
        tp = np.cumsum(ordered * self._positive, axis=1)[:, self._ends]
        return tp, called - tp, np.diff(called, axis=1, prepend=0) > 0

    def _measures(self, tp: IntArray, fp: IntArray) -> tuple[FloatArray, ...]:
        """In the order of MEASURES; NaN where undefined."""
        return (
            ratios(tp, np.full_like(tp, self._p)),
            ratios(self._n - fp, np.full_like(fp, self._n)),
            ratios(tp, tp + fp),
            ratios(self._n - fp, self._n - fp + self._p - tp),
        )

    def _merit(self, tp: IntArray, fp: IntArray) -> IntArray:
        """What is best in the rest, as whole numbers so that equals are equal."""
        demanded = {demand.measure for demand in self._demands}
        if "sensitivity" not in demanded:
            return tp * (self._n + 1) - fp
        if "specificity" not in demanded:
            return tp - fp * (self._p + 1)
        return (tp * self._n - fp * self._p) * (self._p + 1) + tp


def _correct(measured: Estimate, errors: FloatArray) -> Estimate:
    if measured.value is None or measured.low is None or measured.high is None:
        return measured
    method = "optimism bootstrap"
    if np.isnan(errors).any():
        reason = "no interval: some resamples leave the measure undefined"
        return Estimate(measured.value, n=measured.n, method=method, reason=reason)
    tail = (1 - CONFIDENCE) / 2
    least, most = np.quantile(errors, [tail, 1 - tail])
    value = min(max(measured.value - float(errors.mean()), 0.0), 1.0)
    low = min(measured.low, max(measured.value - float(most), 0.0), value)
    high = max(measured.high, min(measured.value - float(least), 1.0), value)
    return Estimate(value, low, high, measured.n, method)


def _refusal(demands: Sequence[Demand], measured: Measures, n: int) -> str:
    def found(demand: Demand) -> str:
        value = getattr(measured, demand.measure).value
        return f"{demand.measure} " + ("undefined" if value is None else f"{value:.3f}")

    return (
        f"No threshold meets {' and '.join(str(d) for d in demands)} on the {n} images it is "
        f"chosen on; the nearest gives {' and '.join(found(d) for d in demands)}."
    )


def _note(demand: Demand, expected: Measures, n: int) -> str:
    """How far a demand that is met is also shown."""
    estimate: Estimate = getattr(expected, demand.measure)
    met = f"{demand} is met on the {n} images that the threshold was chosen on"
    if estimate.low is None or estimate.value is None:
        return f"{met}; nothing can be said about others ({estimate.reason})."
    if estimate.low >= demand.least:
        return f"{met}, and can be expected of others ({estimate.low:.2f} or more)."
    text = f"{met}, but not shown for others, where it may be as low as {estimate.low:.2f}."
    whole = _SHARE_OF[demand.measure]
    if demand.least == 1:
        return f"{text} No number of images could show it."
    # The lower Wilson bound of k in k is k / (k + z²).
    z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
    needed = math.ceil(z * z * demand.least / (1 - demand.least))
    if estimate.n < needed:
        text += f" Even without an error that takes {needed} {whole}; there are {estimate.n}."
    return text


#: Below this many images with a finding, and without, no threshold is chosen by them.
LEAST_OF_EACH = 10


def best_f1_threshold(scores: FloatArray, present: BoolArray) -> float | None:
    """From which score on to call a finding present, so that F1 is highest.

    scores: (M,) probabilities. present: (M,) whether it truly is. Half way between two scores that
    differ; of equally good ones the highest. None where fewer than 10 images have it, or have not.
    Source: Lipton et al. 2014, doi:10.1007/978-3-662-44851-9_15
    """
    if min(present.sum(), (~present).sum()) < LEAST_OF_EACH:
        return None
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(present[order])
    f1 = 2 * hits / (np.arange(1, len(scores) + 1) + present.sum())
    ends = np.flatnonzero(np.append(ranked[:-1] > ranked[1:], True))  # equal scores go together
    last = ends[int(np.argmax(f1[ends]))]
    below = ranked[last + 1] if last + 1 < len(ranked) else 0.0
    return float((ranked[last] + below) / 2)
