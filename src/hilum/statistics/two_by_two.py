"""A yes-or-no answer against the truth: four counts, and the four measures made of them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hilum.errors import EvaluationError, LabelError, nearest
from hilum.labels import LabelTree
from hilum.notation import Node
from hilum.records import BoolArray, Estimate
from hilum.statistics.intervals import mover_ratio, wilson
from hilum.statistics.targets import Target, labels_of

#: The measures, in the order of tables.
MEASURES = ("sensitivity", "specificity", "ppv", "npv")


@dataclass(frozen=True, slots=True)
class Measures:
    """Sensitivity (recall), specificity, positive (precision) and negative predictive value.

    The predictive values hold at the share of positives in the data that they were measured on.
    """

    sensitivity: Estimate
    specificity: Estimate
    ppv: Estimate
    npv: Estimate


@dataclass(frozen=True, slots=True)
class TwoByTwo:
    """How many images were called positive or negative, rightly (t) or wrongly (f)."""

    tp: int
    fp: int
    tn: int
    fn: int

    @classmethod
    def count(cls, positive: BoolArray, called: BoolArray) -> "TwoByTwo":
        """positive: (N,) the truth. called: (N,) whether an image was called positive."""
        return cls(
            tp=int((positive & called).sum()),
            fp=int((~positive & called).sum()),
            tn=int((~positive & ~called).sum()),
            fn=int((positive & ~called).sum()),
        )

    @property
    def n(self) -> int:
        """How many images."""
        return self.tp + self.fp + self.tn + self.fn

    def measures(self) -> Measures:
        """The four measures with Wilson intervals; undefined, with a reason, where nothing is."""

        def share(part: int, whole: int, none: str) -> Estimate:
            return wilson(part, whole) if whole else Estimate.undefined(none, self.n)

        return Measures(
            sensitivity=share(self.tp, self.tp + self.fn, "no positive image"),
            specificity=share(self.tn, self.tn + self.fp, "no negative image"),
            ppv=share(self.tp, self.tp + self.fp, "no image was called positive"),
            npv=share(self.tn, self.tn + self.fn, "no image was called negative"),
        )


#: Sums of prevalences that are 1 on paper may come out a hair above it.
_ROUNDING = 1e-9


def parse_prevalence(texts: Iterable[str] | str, tree: LabelTree) -> dict[str, float]:
    """Read 'covid=0.02', one or several, apart or joined by commas.

    The name is a label of the tree or a finding, whose prevalence is its share of all images, or
    DECISION/OPTION, whose prevalence is its share of the images that belong to the decision. Raises
    EvaluationError for another form or range, a name given twice, or prevalences that cannot be
    true together; LabelError for a name that the tree lacks.
    """
    found: dict[str, float] = {}
    parts = [part for text in ([texts] if isinstance(texts, str) else texts)
             for part in text.split(",")]  # fmt: skip
    for part in parts:
        name, equals, number = part.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not equals or math.isnan(value):
            raise EvaluationError(
                f"Cannot read the prevalence '{part.strip()}': write LABEL=SHARE, for example "
                "covid=0.02."
            )
        name = check_name(name, tree)
        check_prevalence(value, name)
        if name in found:
            raise EvaluationError(f"The prevalence of '{name}' is given twice.")
        found[name] = value
    _check_together(found, tree)
    return found


def check_name(text: str, tree: LabelTree) -> str:
    """The name of a finding, or of a target. Raises LabelError for one that the tree lacks."""
    name, findings = text.strip(), [finding.name for finding in tree.findings]
    known = [*findings, *labels_of(tree)]
    if name not in known and "/" not in name:
        raise LabelError(f"There is no label or finding '{name}'.{nearest(name, known)}")
    return name if name in findings else Target.parse(name, tree).name


def check_prevalence(value: float, name: str) -> None:
    """Raise EvaluationError unless a prevalence lies above 0 and below 1."""
    if not 0 < value < 1:
        raise EvaluationError(
            f"The prevalence of '{name}' is {value:g}; it must lie above 0 and below 1, "
            "for example 0.02."
        )


def predictive_values(
    sensitivity: Estimate, specificity: Estimate, prevalence: float
) -> tuple[Estimate, Estimate]:
    """Positive and negative predictive value at a prevalence, by Bayes' theorem.

    sensitivity, specificity: of the positive and the negative images, so independent. prevalence:
    above 0 and below 1, taken as known. Returns (PPV, NPV).

    PPV = 1 / (1 + (1 - prevalence) / prevalence x (1 - specificity) / sensitivity), and NPV alike;
    the interval is that of the ratio, by MOVER-R. The delta method on the logit scale (Mercaldo et
    al. 2007, doi:10.1002/sim.2677) has no variance at a sensitivity or specificity of 1, and a
    simulation from counts takes no intervals that allow for a chosen threshold.

    It assumes that sensitivity and specificity stay the same at the other prevalence. Where the
    patients differ in more than how many are ill (milder disease, other illnesses), they do not.
    Source: Newcombe 2016, doi:10.1177/0962280213502144
    """
    check_prevalence(prevalence, "the finding")
    odds = (1 - prevalence) / prevalence
    return (
        _predictive_value(specificity, sensitivity, odds, "no image is called positive"),
        _predictive_value(sensitivity, specificity, 1 / odds, "no image is called negative"),
    )


def _predictive_value(spared: Estimate, caught: Estimate, odds: float, never: str) -> Estimate:
    """1 / (1 + odds x (1 - spared) / caught)."""
    n = spared.n + caught.n
    if spared.value is None or caught.value is None:
        return Estimate.undefined(spared.reason or caught.reason, n)
    if spared.value == 1 and caught.value == 0:
        return Estimate.undefined(never, n)
    if spared.low is None or spared.high is None or caught.low is None or caught.high is None:
        value = 1 / (1 + odds * (1 - spared.value) / caught.value) if caught.value else 0.0
        return Estimate(value, n=n, method="mover", reason=spared.reason or caught.reason)
    ratio, least, most = mover_ratio(
        (1 - spared.value, 1 - spared.high, 1 - spared.low),
        (caught.value, caught.low, caught.high),
    )
    if caught.value == 0:
        # The ratio is infinite; its least value is where everything that may be caught is.
        least = (1 - spared.high) / caught.high
    return Estimate(
        1 / (1 + odds * ratio), 1 / (1 + odds * most), 1 / (1 + odds * least), n, "mover"
    )


def _check_together(found: dict[str, float], tree: LabelTree) -> None:
    def least(name: str, nodes: tuple[Node, ...], most: float) -> float:
        """The least prevalence that the labels below a label imply; refuses more than most."""
        total = 0.0
        for node in nodes:
            given = found.get(node.name)
            most_here = 1.0 if given is None else given
            below = least(node.name, node.children, most_here)
            for finding in node.findings:  # who has it is of the label
                share = found.get(finding, 0.0)
                if share > most_here + _ROUNDING:
                    raise EvaluationError(
                        f"The prevalence of '{finding}' is {share:g}, more than that of "
                        f"'{node.name}', of which alone it is asked: {most_here:g}."
                    )
                below = max(below, share)
            total += below if given is None else given
        if total > most + _ROUNDING:
            raise EvaluationError(
                f"The prevalences of the labels below '{name}' add up to {total:g}, more than "
                f"its own {most:g}."
            )
        return total

    least("root", tree.children, 1.0)
    for decision in tree.decisions:
        total = sum(found.get(f"{decision.name}/{option}", 0.0) for option in decision.options)
        if total > 1 + _ROUNDING:
            raise EvaluationError(
                f"The prevalences of the options of '{decision.name}' add up to {total:g}, "
                "more than 1."
            )


def standardise(estimates: Sequence[Estimate], weights: Sequence[float]) -> Estimate:
    """The weighted mean of estimates of independent strata, with its interval.

    estimates: one per stratum, such as the recall of each class. weights: the strata's sizes in the
    population that is compared with; a stratum of weight 0 does not count. With the recalls of
    classes it is the accuracy that a set with those class sizes would have. The interval is made of
    the distances of the estimates' own bounds, squared and added (MOVER). Undefined where a stratum
    that counts is; without bounds where one has none. Raises EvaluationError for unequal numbers,
    weights below 0, or none above. Source: Zou and Donner 2008, doi:10.1002/sim.3095
    """
    total = sum(weights)
    if len(estimates) != len(weights) or min(weights, default=-1.0) < 0 or total <= 0:
        raise EvaluationError(
            f"Expected a weight of 0 or more for each of {len(estimates)} strata, and one above "
            f"0; found {list(weights)}."
        )
    terms = [(e, w / total) for e, w in zip(estimates, weights, strict=True) if w]
    n = sum(e.n for e, _ in terms)
    value = below = above = 0.0
    reason = ""
    for estimate, weight in terms:
        if estimate.value is None:
            return Estimate.undefined(estimate.reason, n)
        value += weight * estimate.value
        if estimate.low is None or estimate.high is None:
            reason = estimate.reason or "no interval: a stratum has none"
            continue
        below += (weight * (estimate.value - estimate.low)) ** 2
        above += (weight * (estimate.high - estimate.value)) ** 2
    if reason:
        return Estimate(value, n=n, method="mover", reason=reason)
    return Estimate(value, value - math.sqrt(below), value + math.sqrt(above), n, "mover")
