"""Claims weighed: what the cases say of each, and whether that shows it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from hilum.errors import EvaluationError, examples
from hilum.evaluation.bands import Bands, cut_cells
from hilum.evaluation.measures import (
    OneAgainstRest,
    Sample,
    influence_of_label,
    influence_overall,
)
from hilum.judging.cases import Cases
from hilum.judging.claims import SHARES, Claim
from hilum.judging.evaluated import ASSESSED
from hilum.labels import LabelTree
from hilum.records import BoolArray, Estimate, FloatArray, IntArray
from hilum.statistics import calibration as scores
from hilum.statistics.comparison import holm
from hilum.statistics.evidence import (
    ALPHA,
    Evidence,
    area_error,
    perfect_area,
    perfect_mean,
    weigh_alike,
    weigh_difference,
    weigh_measure,
    weigh_paired_shares,
    weigh_resampled,
    weigh_share,
)
from hilum.statistics.findings import as_choice
from hilum.statistics.influence import Influence, influence_of_area, numbered
from hilum.statistics.targets import Target
from hilum.studies.measures import OF_A_LABEL, OVERALL, Measure
from hilum.table import Column, Columns, Row, Table

Status = Literal["shown", "not shown", "contradicted"]


@dataclass(frozen=True)
class Judged:
    """A claim, judged.

    status: shown where its test's p, after Holm's correction for all claims judged together, is at
    most 0.025 one-sided; contradicted where that of the opposite is, without correction. p: as it
    is; p_adjusted: corrected. bound: what the evidence was weighed against. evidence: see there.
    of: which cases the evidence counts, such as 'of covid'; '' is all.
    """

    claim: str
    status: Status
    bound: float
    evidence: Evidence
    p: float | None
    p_adjusted: float | None
    of: str = ""

    @property
    def needed(self) -> str:
        """How many cases would show it, and which; '' where that is not known."""
        number = self.evidence.needed if self.status == "not shown" else None
        if number is None or number <= self.evidence.n:  # other claims beside it ask for more
            return ""
        return f"{number:,} {self.of}".strip()

    @property
    def p_of_status(self) -> float | None:
        """What the status stands on: the corrected p, or of what is contradicted the opposite's."""
        if self.status != "contradicted":
            return self.p_adjusted
        given = [p for p in (self.evidence.above, self.evidence.below) if p is not None]
        return min(given)

    @property
    def is_difference(self) -> bool:
        """Whether what is measured is a difference, of models or of subgroups."""
        bound = self.claim.casefold().rpartition(">")[2].rpartition("<")[2].strip(" =")
        return bound.startswith(("other", "commonest", "majority")) or " alike " in bound


#: Of which cases shares of a label are.
_COUNTED = {"recall": "of {}", "specificity": "not of {}", "precision": "called {}"}


def judge_claims(claims: Sequence[Claim], cases: Cases, other: Cases | None = None) -> list[Judged]:
    """Judge claims of cases, in their order. other: the same cases as another model has them.

    Raises EvaluationError where a claim asks for what is not there.
    """
    found = [(claim, *_weigh(claim, cases, other)) for claim in claims]
    towards = [e.above if c.above else e.below for c, _, e in found]
    against = [e.below if c.above else e.above for c, _, e in found]
    adjusted = holm(towards)
    judged = []
    for (claim, bound, evidence), p, q, opposite in zip(
        found, towards, adjusted, against, strict=True
    ):
        status: Status = "not shown"
        if q is not None and q <= ALPHA:
            status = "shown"
        elif opposite is not None and opposite <= ALPHA:
            status = "contradicted"
        judged.append(Judged(claim.text, status, bound, evidence, p, q, _counted(claim)))
    return judged


def claims_table(claims: Sequence[Judged]) -> Table:
    """A row for each claim."""
    rows: list[Row] = []
    for claim in claims:
        found = claim.evidence
        value = Estimate(found.value, found.low, found.high, found.n, found.test)
        rows.append(
            [
                claim.claim,
                claim.status,
                value if found.value is not None else None,
                "" if claim.p_of_status is None else f"{claim.p_of_status:.2g}",
                claim.needed,
                "difference: " * claim.is_difference + found.test if found.test else found.reason,
            ]
        )
    columns: Columns = [
        Column("claim", "text", wrap=True), Column("", "text"), "measured", "p",
        Column("cases needed", "text", wrap=True), Column("test", "text", wrap=True),
    ]  # fmt: skip
    return Table("What may be claimed", columns, rows)


def _counted(claim: Claim) -> str:
    measure = claim.measure
    if measure is None or measure.target is None:
        return ""
    return _COUNTED.get(measure.kind, "").format(measure.target)


@dataclass(frozen=True)
class _Choice:
    """The choice that a claim is about: all classes, or a finding. kept: (N,) of the cases."""

    tree: LabelTree
    truth: IntArray
    sample: Sample
    kept: BoolArray
    cases: Cases

    @classmethod
    def of(cls, claim: Claim, cases: Cases) -> "_Choice":
        tree, truth, said = cases.tree, cases.truth, cases.predictions
        kept = np.ones(len(cases), dtype=bool)
        if claim.finding:
            side = as_choice(tree.finding(claim.finding), truth, cases.marks, said)
            tree, truth, said, kept = side.tree, side.truth, side.predictions, side.known
        cases = replace(cases, tree=tree, truth=truth, predictions=said)
        sample = Sample(truth, said.predicted, said.probs, tree.classes)
        return cls(tree, truth, sample, kept, cases)

    def groups(self, of: BoolArray | None = None) -> IntArray | None:
        """Patients, numbered, of these images or of some of them."""
        own = self.cases.groups
        if own is None:
            return None
        found = np.asarray(own, dtype=object)[self.kept]
        return numbered([str(g) for g in (found if of is None else found[of])])


def _weigh(claim: Claim, cases: Cases, other: Cases | None) -> tuple[float, Evidence]:
    """What it is weighed against, and the evidence."""
    if claim.measure is None:
        some = cases.take(cases.sampled(ASSESSED))
        return claim.bound, _weigh_calibration(_Choice.of(claim, some), claim.bound)
    choice = _Choice.of(claim, cases)
    if claim.measure.is_auroc and cases.kind == "labels":
        return claim.bound, Evidence.none("there are no scores, only classes")
    if claim.across:
        return claim.bound, _weigh_across(claim, choice)
    if claim.other:
        if other is None:
            raise EvaluationError(f"'{claim.text}': there is no other model; give --against.")
        return claim.bound, _weigh_against(claim, choice, _Choice.of(claim, other))
    if claim.commonest:
        counts = np.bincount(choice.truth, minlength=len(choice.tree.classes))
        right, always = _right(choice), choice.truth == counts.argmax()
        found = weigh_paired_shares(right, always, 0.0, choice.groups())
        return float(counts.max() / counts.sum()), found
    return claim.bound, _weigh_bound(claim.measure, choice, claim.bound)


def _right(choice: _Choice) -> BoolArray:
    return np.asarray(choice.sample.predicted == choice.truth, dtype=bool)


def _weigh_bound(measure: Measure, choice: _Choice, bound: float) -> Evidence:
    if measure.kind in SHARES:
        of, hits = _share(measure, choice)
        return weigh_share(hits[of], bound, choice.groups(of))
    found = influence(measure, choice)
    counts = np.bincount(choice.truth, minlength=len(choice.tree.classes)).tolist()
    perfect = error_at = None
    if measure.is_auroc and not np.isnan(found.value):
        pairs = [
            (int(s.positive.sum()), int((~s.positive).sum()))
            for s in measure.sides(choice.tree, choice.truth, choice.cases.predictions).values()
        ]
        fewest = min(pairs, key=min)
        if choice.groups() is None:
            perfect, error_at = perfect_area(*fewest), area_error(*fewest)
            error_at = error_at if measure.target else None
    elif measure.kind == "balanced accuracy" and choice.groups() is None:
        perfect = perfect_mean(counts)
    return weigh_measure(
        found, bound, choice.groups(), least=measure.least, perfect=perfect, error_at=error_at
    )


def _share(measure: Measure, choice: _Choice) -> tuple[BoolArray, BoolArray]:
    """Which images a share is of (N,), and which of all are counted for it (N,)."""
    if measure.target is None:
        return np.ones(len(choice.truth), dtype=bool), _right(choice)
    rows, side = _one_against_rest(measure, choice)
    positive, called = (np.zeros(len(rows), dtype=bool) for _ in range(2))
    positive[rows], called[rows] = side
    if measure.kind == "recall":
        return positive, called
    if measure.kind == "precision":
        return called, positive
    return rows & ~positive, ~called


def _one_against_rest(
    measure: Measure, choice: _Choice
) -> tuple[BoolArray, tuple[BoolArray, BoolArray]]:
    target = Target.parse(str(measure.target), choice.tree)
    rows = target.judged(choice.truth)
    called = np.isin(choice.sample.predicted, target.members)
    if target.decision is not None:
        said = choice.cases.predictions.decision_probs[target.decision]
        called = said.argmax(axis=1) == target.option
    return rows, (target.positive(choice.truth)[rows], called[rows])


def influence(measure: Measure, choice: _Choice) -> Influence:
    """The influence values of any measure."""
    n = len(choice.truth)
    if measure.is_auroc:
        sides = measure.sides(choice.tree, choice.truth, choice.cases.predictions)
        found = [influence_of_area(side.positive, side.scores) for side in sides.values()]
        whole = [f.each for f in found]
        if measure.target is not None:
            rows = Target.parse(measure.target, choice.tree).judged(choice.truth)
            spread = np.zeros(n)
            spread[rows] = found[0].each * n / rows.sum()
            whole = [spread]
        value = float(np.mean([f.value for f in found]))
        return Influence(value, np.mean(whole, axis=0))
    if measure.target is None:
        return influence_overall(OVERALL[measure.kind], choice.sample)
    rows, (positive, called) = _one_against_rest(measure, choice)
    side = OneAgainstRest(positive, called, np.zeros(len(positive)))
    found_here = influence_of_label(OF_A_LABEL[measure.kind], side)
    each = np.zeros(n)
    each[rows] = found_here.each * n / rows.sum()
    return Influence(found_here.value, each)


def _weigh_against(claim: Claim, choice: _Choice, other: _Choice) -> Evidence:
    measure = claim.measure
    assert measure is not None
    if measure.is_auroc and other.cases.kind == "labels":
        return Evidence.none("the other model has no scores, only classes")
    if measure.kind in ("accuracy", "recall", "specificity"):
        of, hits = _share(measure, choice)
        _, others = _share(measure, other)
        return weigh_paired_shares(hits[of], others[of], claim.bound, choice.groups(of))
    return weigh_difference(
        influence(measure, choice), influence(measure, other), claim.bound, choice.groups()
    )


def _weigh_across(claim: Claim, choice: _Choice) -> Evidence:
    """All subgroups against each other: the pair that differs most clearly decides."""
    cells = choice.cases.attributes.get(claim.across)
    if cells is None:
        known = examples(list(choice.cases.attributes)) or "none"
        raise EvaluationError(f"'{claim.text}': there are no subgroups '{claim.across}': {known}.")
    bands: Bands = cut_cells(claim.across, cells)
    index = bands.index[choice.kept]
    assert claim.measure is not None
    of, hits = _share(claim.measure, choice)
    pairs = [
        (a, b)
        for a in range(len(bands.names))
        for b in range(a + 1, len(bands.names))
        if (of & (index == a)).any() and (of & (index == b)).any()
    ]
    if not pairs:
        return Evidence.none("there are not two subgroups with such cases")
    found = []
    for a, b in pairs:
        both = of & np.isin(index, (a, b))
        found.append(weigh_alike(hits[both], index[both] == b, claim.bound, choice.groups(both)))
    # alike where every pair is (an intersection-union test); apart where one is, times the pairs
    widest = max(found, key=lambda e: abs(e.value or 0.0))
    above = max(e.above if e.above is not None else 1.0 for e in found)
    below = min(1.0, len(found) * min(e.below if e.below is not None else 1.0 for e in found))
    needed = [e.needed for e in found]
    most = None if None in needed else max(n for n in needed if n is not None)
    return replace(widest, above=above, below=below, needed=most)


def _weigh_calibration(choice: _Choice, bound: float) -> Evidence:
    cases = choice.cases
    if cases.kind not in ("probabilities", "logits"):
        return Evidence.none("the scores are no probabilities")
    if len(choice.truth) < 100:
        return Evidence.none(
            "fewer than 100 cases cannot tell how far probabilities are off", n=len(choice.truth)
        )
    taken = choice.sample.probs[np.arange(len(choice.truth)), choice.sample.predicted]
    right = _right(choice)
    bins = scores.equal_mass_bins(taken)

    def error(counts: IntArray) -> FloatArray:
        return scores.calibration_errors(taken, right, bins, counts)

    found = weigh_resampled(error, len(taken), bound, choice.groups())
    return replace(found, needed=None)
