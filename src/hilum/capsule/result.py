"""What leaves a hospital, and nothing else: every field of it is named here.

A result is made by filling these fields, not by taking keys out of something larger. There is no
place in them for a file, a patient, a path, a note, the name of a data set, or what is said of one
image. Numbers have three decimals; counts are ranges where they are small.
"""

import re
from dataclasses import dataclass
from typing import ClassVar

from hilum.capsule.ranges import Count, share
from hilum.records import Estimate

DIGITS = 3

#: What a hospital may call itself.
SITE = re.compile(r"[\w .,()&'-]{0,60}")


def rounded(value: float) -> float:
    """With DIGITS decimals; never -0."""
    return round(float(value), DIGITS) + 0.0


@dataclass(frozen=True, slots=True)
class Figure:
    """A measure with its 95 % interval; None where it is not defined or has none."""

    value: float | None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, estimate: Estimate) -> "Figure":
        """An estimate without its words, rounded."""
        bounds = (estimate.value, estimate.low, estimate.high)
        return cls(*(None if b is None else rounded(b) for b in bounds))

    @classmethod
    def of_count(cls, part: Count, n: int) -> "Figure":
        """The share of n images that a count tells of, by share."""
        return cls.of(share(part, part.rest(n)))

    def estimate(self, n: int = 0) -> Estimate:
        """As tables show it."""
        if self.value is None:
            return Estimate.undefined("not told, or not defined there", n)
        return Estimate(self.value, self.low, self.high, n)


@dataclass(frozen=True, slots=True)
class OfClass:
    """A class against the rest.

    n: how many images are truly of it. called: how many of them were taken for each class, by its
    name: a row of the confusion matrix.
    """

    n: int
    called: dict[str, Count]
    recall: Figure
    specificity: Figure
    precision: Figure
    auroc: Figure


@dataclass(frozen=True, slots=True)
class Bin:
    """A point of a calibration curve: n images, their mean probability, how often it came true."""

    n: int
    mean_prob: float
    observed: Figure


@dataclass(frozen=True, slots=True)
class Curve:
    """Whether probabilities come true. intercept, slope: None for that of the class taken."""

    ece: Figure
    bins: tuple[Bin, ...]
    intercept: Figure | None = None
    slope: Figure | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """An operating point chosen at home. found, spared: of its positives and negatives."""

    name: str
    positives: int
    negatives: int
    found: Count
    spared: Count
    sensitivity: Figure
    specificity: Figure


@dataclass(frozen=True, slots=True)
class Group:
    """A subgroup of n images, and how many of them were classified rightly."""

    name: str
    n: int
    right: Count
    accuracy: Figure


@dataclass(frozen=True, slots=True)
class OfAttribute:
    """The subgroups by one attribute.

    rest: images that are in none of them, because theirs is unknown, small, or told with a small
    one. differs: whether the data show that some do worse, given the true class; None where that
    cannot be tested.
    """

    groups: tuple[Group, ...]
    rest: int
    differs: bool | None


@dataclass(frozen=True, slots=True)
class OfGate:
    """What the gate says of n images together; as classifier.arrivals.Arrivals.

    p_value: None where what is flagged is told as a range, since it would give that away.
    """

    n: int
    flagged: Count
    share: Figure
    expected: float
    p_value: float | None
    odder: Figure
    odder_p_value: float
    warning: bool


@dataclass(frozen=True, slots=True)
class Aggregates:
    """What is told of a classifier on n images.

    patients: how many, where all are known. left_out: classes with too few images, of which none
    is counted anywhere. decisions: the mean AUROC of each. curves: of each class. attributes, gate:
    nothing at home.
    """

    n: int
    patients: int | None
    left_out: tuple[str, ...]
    classes: dict[str, OfClass]
    accuracy: Figure
    balanced_accuracy: Figure
    macro_auroc: Figure
    decisions: dict[str, Figure]
    brier: Figure
    log_loss: Figure
    top_label: Curve
    curves: dict[str, Curve]
    points: tuple[Point, ...]
    attributes: dict[str, OfAttribute]
    gate: OfGate | None


@dataclass(frozen=True, slots=True)
class Change:
    """A measure at home's temperatures and at local ones, and after less before."""

    before: Figure
    after: Figure
    difference: Figure


@dataclass(frozen=True, slots=True)
class Recalibration:
    """Temperatures fitted on the images there, by network.

    ece, brier, log_loss: of images that the temperature was not fitted on, in two halves.
    """

    home: dict[str, float]
    local: dict[str, float]
    ece: Change
    brier: Change
    log_loss: Change


@dataclass(frozen=True, slots=True)
class SiteResult:
    """What a hospital sends.

    capsule: the hash of what was run. site: what the hospital calls itself, as it said on the
    command line; '' where it did not. day: of the run. hilum: the version. home: what the capsule
    says of the hospital it comes from. there: of this one. recalibration: None where nothing could
    be fitted.
    """

    capsule: str
    site: str
    day: str
    hilum: str
    home: Aggregates
    there: Aggregates
    recalibration: Recalibration | None


@dataclass(frozen=True, slots=True)
class Signed:
    """A result with its signature. key, signature: Ed25519, in Base64."""

    result: SiteResult
    key: str
    signature: str

    FORMAT: ClassVar[int] = 1
