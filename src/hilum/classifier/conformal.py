"""Prediction sets: every class that cannot be ruled out at a chosen coverage.

Split-conformal and class-conditional (Mondrian): of the images of *each* class, the set holds the
true class in at least the chosen share, on average over validation sets, if validation images and
new ones are exchangeable (alike, and from as many different patients). No property of the
classifier is needed: a poor one gets large sets. An image whose set holds one class can be
answered; several, or none, mean that a radiologist should look.

MAPIE 1.6 does this for the coverage of all classes together and for conditions on the image, but
not for each class, hence these few lines; the tests compare them with MAPIE's, class by class.

Sources: Vovk 2012, Conditional validity of inductive conformal predictors, PMLR 25:475; Sadinle
et al. 2019, doi:10.1080/01621459.2017.1395341 (the score); Angelopoulos and Bates 2023,
doi:10.1561/2200000101.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from hilum.errors import EvaluationError
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.records import BoolArray, Estimate, FloatArray, IntArray
from hilum.statistics.checks import check_predictions
from hilum.statistics.intervals import bootstrap, wilson

COVERAGE = 0.90


@dataclass(frozen=True)
class Conformal:
    """The probability from which each class belongs to the set.

    coverage: chosen, in (0, 1). classes: names, in order. thresholds: per class, in [0, 1]; 0
    where the class had too few images for the coverage, so that every set holds it.
    counts: per class, how many images the threshold rests on.
    """

    coverage: float
    classes: tuple[str, ...]
    thresholds: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def needed(self) -> int:
        """The fewest images of a class that the coverage can be reached with: 9 for 0.90."""
        return math.ceil(_unrounded(self.coverage / (1 - self.coverage)))

    @property
    def always(self) -> tuple[str, ...]:
        """The classes that every set holds, for want of validation images."""
        named = zip(self.classes, self.counts, strict=True)
        return tuple(name for name, n in named if n < self.needed)

    def sets(self, probs: FloatArray) -> BoolArray:
        """(N, C) whether each class is in each image's set. probs: (N, C).

        Raises EvaluationError for another number of classes.
        """
        if probs.ndim != 2 or probs.shape[1] != len(self.classes):
            raise EvaluationError(
                f"The prediction sets are of {len(self.classes)} classes "
                f"({', '.join(self.classes)}); found probabilities of shape {probs.shape}."
            )
        held: BoolArray = probs >= np.array(self.thresholds)
        return held

    def to_plain(self) -> dict[str, Any]:
        """{"coverage", "needed", "classes": {name: {"threshold", "n", "always"}}}."""
        rows = zip(self.classes, self.thresholds, self.counts, strict=True)
        return {
            "coverage": self.coverage,
            "needed": self.needed,
            "classes": {
                name: {"threshold": threshold, "n": n, "always": name in self.always}
                for name, threshold, n in rows
            },
        }

    @classmethod
    def from_plain(cls, data: dict[str, Any]) -> dict[str, Any]:
        """The fields, from what to_plain gives."""
        classes = data["classes"]
        return {
            "coverage": data["coverage"],
            "classes": list(classes),
            "thresholds": [c["threshold"] for c in classes.values()],
            "counts": [c["n"] for c in classes.values()],
        }


def check_coverage(coverage: float) -> None:
    """Raises EvaluationError for a coverage out of (0, 1)."""
    if not 0 < coverage < 1:
        raise EvaluationError(f"A coverage lies between 0 and 1, for example 0.9; got {coverage}.")


def fit_conformal(
    tree: LabelTree, truth: IntArray, predictions: Predictions, coverage: float = COVERAGE
) -> Conformal:
    """Choose the thresholds on images that did not train the classifier.

    truth: (N,) class indices. coverage: the share of each class's images whose set is to hold
    their class, in (0, 1). A class's threshold is the k-th largest probability that images of the
    class were given for it, k = ceil((n + 1) coverage); where k > n it is 0.
    Raises EvaluationError for a coverage out of range or what check_predictions refuses.
    """
    check_coverage(coverage)
    check_predictions(tree, truth, predictions)
    thresholds, counts = [], []
    for k in range(len(tree.classes)):
        given = np.sort(predictions.probs[truth == k, k])[::-1]
        rank = math.ceil(_unrounded((len(given) + 1) * coverage))
        thresholds.append(float(given[rank - 1]) if rank <= len(given) else 0.0)
        counts.append(len(given))
    return Conformal(coverage, tree.classes, tuple(thresholds), tuple(counts))


@dataclass(frozen=True)
class ConformalResult:
    """How the prediction sets did on N other images.

    conformal: the thresholds. n: number of images. covered: share whose set holds the true class;
    covered_by_class: the same per class. set_size: mean number of classes in a set. referred:
    share whose set holds several classes or none; empty: share whose set holds none. answered:
    accuracy of the set's only class, on what is not referred. accuracy: of the predicted class, on
    all images. differing: share of what is not referred whose only class is not the predicted one.
    """

    conformal: Conformal
    n: int
    covered: Estimate
    covered_by_class: dict[str, Estimate]
    set_size: Estimate
    referred: Estimate
    empty: Estimate
    answered: Estimate
    accuracy: Estimate
    differing: Estimate


def measure_conformal(
    conformal: Conformal, truth: IntArray, predictions: Predictions
) -> ConformalResult:
    """Measure coverage and usefulness of the sets on images that did not choose the thresholds.

    truth: (N,) class indices, N ≥ 1. Raises EvaluationError where they do not fit.
    """
    n = len(truth)
    if n == 0 or len(predictions) != n:
        raise EvaluationError(
            f"Expected one true class per image and at least one image; found {n} classes and "
            f"{len(predictions)} images."
        )
    sets = conformal.sets(predictions.probs)
    sizes = sets.sum(axis=1)
    hits = sets[np.arange(n), truth]
    one = sizes == 1
    answers = sets.argmax(axis=1)
    by_class = {
        name: _share(hits, truth == k, f"no image of '{name}'")
        for k, name in enumerate(conformal.classes)
    }
    nothing = "every image is referred"
    everything = np.ones(n, dtype=bool)
    return ConformalResult(
        conformal=conformal,
        n=n,
        covered=_share(hits, everything),
        covered_by_class=by_class,
        set_size=bootstrap(lambda counts: counts @ sizes / n, n),
        referred=_share(~one, everything),
        empty=_share(sizes == 0, everything),
        answered=_share(answers == truth, one, nothing),
        accuracy=_share(predictions.predicted == truth, everything),
        differing=_share(answers != predictions.predicted, one, nothing),
    )


@dataclass(frozen=True)
class Referral:
    """Which of N images a radiologist should look at. reasons: N texts, '' where not referred."""

    referred: BoolArray
    reasons: tuple[str, ...]


ODD = "not such a radiograph"
SEVERAL = "several classes"
NONE = "no class"


def refer(sets: BoolArray, flagged: BoolArray | None = None) -> Referral:
    """Abstain where the gate flags an image, or its set holds several classes or none.

    sets: (N, C), of Conformal.sets. flagged: (N,), of the gate; without it, none. What the gate
    flags is referred for that, whatever its set: probabilities of such an image mean nothing.
    Raises EvaluationError where the lengths differ.
    """
    sizes = sets.sum(axis=1)
    odd = np.zeros(len(sets), dtype=bool) if flagged is None else flagged
    if odd.shape != (len(sets),):
        raise EvaluationError(f"Expected {len(sets)} flags, one per image; found {odd.shape}.")
    reasons = tuple(
        ODD if is_odd else SEVERAL if size > 1 else NONE if size == 0 else ""
        for is_odd, size in zip(odd.tolist(), sizes.tolist(), strict=True)
    )
    return Referral(np.array([bool(r) for r in reasons], dtype=bool), reasons)


def _share(property_: BoolArray, among: BoolArray, reason: str = "") -> Estimate:
    n = int(among.sum())
    if n == 0:
        return Estimate.undefined(reason)
    return wilson(int((property_ & among).sum()), n)


def _unrounded(value: float) -> float:
    """What rounding put a hair above a whole number falls back to it, so that ceil is right."""
    return value - 1e-9
