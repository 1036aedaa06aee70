"""Claims weighed: what the cases say of each, and whether that shows it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np

from hilum.errors import EvaluationError, examples
from hilum.evaluation.bands import cut_cells
from hilum.evaluation.measures import (
    OneAgainstRest,
    Sample,
    influence_of_label,
    influence_overall,
)
from hilum.judging.cases import Cases
from hilum.judging.claims import SHARES, Claim
from hilum.judging.evaluated import ASSESSED
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
from hilum.statistics.influence import Influence, numbered
from hilum.studies.measures import OF_A_LABEL, OVERALL, Measure, one_against_rest
from hilum.table import Column, Columns, Row, Table
from hilum.wording import p_value

Status = Literal["shown", "not shown", "contradicted"]


@dataclass(frozen=True)
class Judged:
    """A claim, judged.

    status: shown where its test's p, after Holm's correction for all claims judged together, is at
    most 0.025 one-sided; contradicted where that of the opposite is, without correction. p: as it
    is; p_adjusted: corrected. bound: what the evidence was weighed against. evidence: see there.
    of: which cases the evidence counts, such as 'of covid'; '' is all. is_difference: whether what
    is measured is a difference, of models or of subgroups.
    """

    claim: str
    status: Status
    bound: float
    evidence: Evidence
    p: float | None
    p_adjusted: float | None
    of: str = ""
    is_difference: bool = False

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


#: Fewer cases say nothing of how far probabilities are off.
_CALIBRATED = 100

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
        apart = claim.other or claim.commonest or bool(claim.across)
        judged.append(Judged(claim.text, status, bound, evidence, p, q, _counted(claim), apart))
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
                "" if claim.p_of_status is None else p_value(claim.p_of_status),
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


def _groups(cases: Cases, of: BoolArray) -> IntArray | None:
    """Patients, numbered, of some cases. of: (N,)."""
    if cases.groups is None:
        return None
    return numbered(np.asarray(cases.groups, dtype=object)[of].astype(str).tolist())


def _weigh(claim: Claim, cases: Cases, other: Cases | None) -> tuple[float, Evidence]:
    """What it is weighed against, and the evidence."""
    measure = claim.measure
    if measure is None:
        return claim.bound, _weigh_calibration(cases.take(cases.sampled(ASSESSED)), claim.bound)
    if measure.is_auroc and cases.kind == "labels":
        return claim.bound, Evidence.none("there are no scores, only classes")
    if claim.across:
        return claim.bound, _weigh_across(claim, measure, cases)
    if claim.other:
        if other is None:
            raise EvaluationError(f"'{claim.text}': there is no other model; give --against.")
        return claim.bound, _weigh_against(measure, claim.bound, cases, other)
    if claim.commonest:
        counts = np.bincount(cases.truth, minlength=len(cases.tree.classes))
        of, right = _share(measure, cases)
        always = cases.truth == counts.argmax()
        found = weigh_paired_shares(right, always, 0.0, _groups(cases, of))
        return float(counts.max() / counts.sum()), found
    return claim.bound, _weigh_bound(measure, cases, claim.bound)


def _weigh_bound(measure: Measure, cases: Cases, bound: float) -> Evidence:
    if measure.kind in SHARES:
        of, hits = _share(measure, cases)
        return weigh_share(hits[of], bound, _groups(cases, of))
    of, found = _influence(measure, cases)
    groups, perfect, error_at = _groups(cases, of), None, None
    if groups is None and measure.is_auroc and not np.isnan(found.value):
        sides = measure.sides(cases.tree, cases.truth, cases.predictions, cases.marks)
        pairs = [(int(s.positive.sum()), int((~s.positive).sum())) for s in sides.values()]
        fewest = min(pairs, key=min)
        perfect = perfect_area(*fewest)
        error_at = area_error(*fewest) if measure.target else None
    elif groups is None and measure.kind == "balanced accuracy":
        perfect = perfect_mean(np.bincount(cases.truth, minlength=len(cases.tree.classes)).tolist())
    return weigh_measure(
        found, bound, groups, least=measure.least, perfect=perfect, error_at=error_at
    )


def _side(name: str | None, cases: Cases) -> tuple[BoolArray, OneAgainstRest]:
    """Of which cases a label or finding is asked (N,), and it against the rest, of these."""
    assert name is not None
    return one_against_rest(cases.tree, name, cases.truth, cases.predictions, cases.marks)


def _share(measure: Measure, cases: Cases) -> tuple[BoolArray, BoolArray]:
    """Which cases a share is of (N,), and which of all are counted for it (N,)."""
    if measure.target is None:
        right = np.asarray(cases.predictions.predicted == cases.truth, dtype=bool)
        return np.ones(len(cases), dtype=bool), right
    rows, side = _side(measure.target, cases)
    positive, called = (np.zeros(len(rows), dtype=bool) for _ in range(2))
    positive[rows], called[rows] = side.positive, side.called
    if measure.kind == "recall":
        return positive, called
    if measure.kind == "precision":
        return called, positive
    return rows & ~positive, ~called


def _influence(measure: Measure, cases: Cases) -> tuple[BoolArray, Influence]:
    """Which cases a measure is of (N,), and the influence values of these."""
    if measure.target is not None:
        rows, side = _side(measure.target, cases)
        return rows, influence_of_label(OF_A_LABEL[measure.kind], side)
    n, said = len(cases), cases.predictions
    everything = np.ones(n, dtype=bool)
    if measure.kind in OVERALL:
        sample = Sample(cases.truth, said.predicted, said.probs, cases.tree.classes)
        return everything, influence_overall(OVERALL[measure.kind], sample)
    values, each = [], np.zeros((len(cases.tree.findings), n))  # the mean of their areas
    for finding in cases.tree.findings:
        rows, side = _side(finding.name, cases)
        area = influence_of_label(OF_A_LABEL["auroc"], side)
        values.append(area.value)
        each[finding.index, rows] = area.each * n / max(int(rows.sum()), 1)
    return everything, Influence(float(np.mean(values)), each.mean(axis=0))


def _weigh_against(measure: Measure, bound: float, cases: Cases, other: Cases) -> Evidence:
    if measure.is_auroc and other.kind == "labels":
        return Evidence.none("the other model has no scores, only classes")
    if measure.kind in ("accuracy", "recall", "specificity"):
        of, hits = _share(measure, cases)
        _, others = _share(measure, other)
        return weigh_paired_shares(hits[of], others[of], bound, _groups(cases, of))
    of, mine = _influence(measure, cases)
    _, theirs = _influence(measure, other)
    return weigh_difference(mine, theirs, bound, _groups(cases, of))


def _weigh_across(claim: Claim, measure: Measure, cases: Cases) -> Evidence:
    """All subgroups against each other: the pair that differs most clearly decides."""
    cells = cases.attributes.get(claim.across)
    if cells is None:
        known = examples(list(cases.attributes)) or "none"
        raise EvaluationError(f"'{claim.text}': there are no subgroups '{claim.across}': {known}.")
    index = cut_cells(claim.across, cells).index
    of, hits = _share(measure, cases)
    found = []
    for a, b in combinations(np.unique(index[of & (index >= 0)]).tolist(), 2):
        both = of & np.isin(index, (a, b))
        found.append(weigh_alike(hits[both], index[both] == b, claim.bound, _groups(cases, both)))
    if not found:
        return Evidence.none("there are not two subgroups with such cases")
    # alike where every pair is (an intersection-union test); apart where one is, times the pairs
    widest = max(found, key=lambda e: abs(e.value or 0.0))
    above = max(e.above if e.above is not None else 1.0 for e in found)
    below = min(1.0, len(found) * min(e.below if e.below is not None else 1.0 for e in found))
    needed = [e.needed for e in found]
    most = None if None in needed else max(n for n in needed if n is not None)
    return replace(widest, above=above, below=below, needed=most)


def _weigh_calibration(cases: Cases, bound: float) -> Evidence:
    n, said = len(cases), cases.predictions
    if cases.kind not in ("probabilities", "logits"):
        return Evidence.none("the scores are no probabilities")
    if n < _CALIBRATED:
        return Evidence.none(
            f"fewer than {_CALIBRATED} cases cannot tell how far probabilities are off", n=n
        )
    taken = said.probs[np.arange(n), said.predicted]
    right = said.predicted == cases.truth
    bins = scores.equal_mass_bins(taken)

    def error(counts: IntArray) -> FloatArray:
        return scores.calibration_errors(taken, right, bins, counts)

    groups = _groups(cases, np.ones(n, dtype=bool))
    return replace(weigh_resampled(error, n, bound, groups), needed=None)
