"""Operating points side by side: what was chosen, what was expected, and what happened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from hilum.classifier.operating_points import (
    OperatingPoint,
    OperatingResult,
    measure_operating_point,
)
from hilum.classifier.validation import HOLDS
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.records import Estimate, IntArray
from hilum.statistics.targets import Target
from hilum.statistics.two_by_two import Measures, check_prevalence, predictive_values

ELSEWHERE: Final = (
    "Predictive values at another prevalence assume that sensitivity and specificity stay the same "
    "there."
)


@dataclass(frozen=True, slots=True)
class AtPrevalence:
    """Predictive values recomputed for a prevalence: expected, and from what was measured."""

    prevalence: float
    expected_ppv: Estimate
    expected_npv: Estimate
    ppv: Estimate
    npv: Estimate


@dataclass(frozen=True, slots=True)
class OperatingRow:
    """One operating point.

    point: with what was chosen and expected. result: what happened on the evaluated images; None
    where no threshold could be chosen. at_prevalence: where a prevalence was given for its target.
    alike: on the validation images as they are, with Wilson intervals, where the threshold was
    chosen on shifted copies of them; None else, and in files of earlier versions.
    """

    point: OperatingPoint
    result: OperatingResult | None
    at_prevalence: AtPrevalence | None
    alike: Measures | None = None

    DERIVED: ClassVar[tuple[str, ...]] = ("summary",)

    def elsewhere(self, measure: str) -> tuple[float, float] | None:
        """The range of a measure to reckon with elsewhere, None where nothing is known of it.

        The intervals on shifted copies and on the images as they are, taken together.
        """
        if self.alike is None or self.point.chosen is None:
            return None
        both = [getattr(found, measure) for found in (self.point.chosen.expected, self.alike)]
        if any(one.low is None or one.high is None for one in both):
            return None
        return min(one.low for one in both), max(one.high for one in both)

    def summary(self) -> str:
        """The row in one sentence or two."""
        chosen = self.point.chosen
        if chosen is None or self.result is None or chosen.threshold is None:
            return f"{self.point}: {chosen.reason if chosen else 'not fitted'}."
        measured = self.result.measured
        text = (
            f"{self.point}: from a probability of {chosen.threshold:.3g}, sensitivity "
            f"{measured.sensitivity.in_words(2)}, specificity "
            f"{measured.specificity.in_words(2)}, PPV {measured.ppv.in_words(2)}, NPV "
            f"{measured.npv.in_words(2)}"
        )
        if self.at_prevalence:
            at = self.at_prevalence
            text += (
                f"; at a prevalence of {at.prevalence:g}, PPV {at.ppv.in_words(2)} and NPV "
                f"{at.npv.in_words(2)}"
            )
        ranges = [
            f"{measure} {found[0]:.2f} to {found[1]:.2f}"
            for measure in ("sensitivity", "specificity")
            if (found := self.elsewhere(measure))
        ]
        if ranges:
            text += f"; elsewhere reckon with {' and '.join(ranges)}"
        return f"{text}." if chosen.satisfied else f"{text}. {chosen.reason}"


@dataclass(frozen=True, slots=True)
class OperatingAssessment:
    """The operating points, in the order of their targets in the tree and then as given.

    n: how many images were evaluated. prevalence: as given, by target. same_images: whether they
    are the images that the thresholds were chosen on. notes: sentences that a reader must know; the
    first says for whom what is expected holds.
    """

    n: int
    rows: tuple[OperatingRow, ...]
    prevalence: dict[str, float]
    same_images: bool
    notes: tuple[str, ...]


def assess_operating_points(
    tree: LabelTree,
    points: Sequence[OperatingPoint],
    truth: IntArray,
    predictions: Predictions,
    prevalence: Mapping[str, float] | None = None,
    *,
    same_images: bool = False,
    alike: tuple[IntArray, Predictions] | None = None,
) -> OperatingAssessment:
    """What fitted operating points do on a split, beside what was expected of them.

    points: from fit_operating_point. prevalence: by target, for which predictive values are
    recomputed. same_images: whether the thresholds were chosen on these images; then what is
    measured is no evidence, and the notes say so. alike: truth and predictions of the validation
    images as they are, where the thresholds were chosen on shifted copies of them. Raises
    EvaluationError where a point is not fitted or a prevalence is out of range; LabelError for a
    label that the tree lacks.
    """
    prevalence = {Target.parse(k, tree).name: v for k, v in (prevalence or {}).items()}
    for name, share in prevalence.items():
        check_prevalence(share, name)
    rows = []
    for point in sorted(points, key=lambda p: _place(Target.parse(p.target, tree))):
        if point.chosen is not None and point.chosen.threshold is None:
            rows.append(OperatingRow(point, None, None))
            continue
        result = measure_operating_point(point, tree, truth, predictions)
        given = prevalence.get(point.target)
        at = None if given is None else _at(point, result, given)
        as_these = measure_operating_point(point, tree, *alike).measured if alike else None
        rows.append(OperatingRow(point, result, at, as_these))
    return OperatingAssessment(
        n=len(truth),
        rows=tuple(rows),
        prevalence=prevalence,
        same_images=same_images,
        notes=(
            HOLDS["elsewhere" if alike else "alike"],
            *_notes(rows, prevalence, same_images),
        ),
    )


def _place(target: Target) -> tuple[bool, int, int]:
    """Labels before options; of each, in the order of the classes, a label before those below."""
    return target.decision is not None, target.members[0], -len(target.members)


def _at(point: OperatingPoint, result: OperatingResult, share: float) -> AtPrevalence:
    assert point.chosen is not None  # or nothing was measured
    expected, measured = (
        predictive_values(side.sensitivity, side.specificity, share)
        for side in (point.chosen.expected, result.measured)
    )
    return AtPrevalence(share, *expected, *measured)


def _notes(
    rows: Sequence[OperatingRow], prevalence: Mapping[str, float], same_images: bool
) -> tuple[str, ...]:
    notes = []
    if same_images:
        notes.append(
            "The thresholds were chosen on these very images, so what is measured on them is too "
            "good; the expected values allow for that."
        )
    unmet = [str(row.point) for row in rows if row.point.chosen and not row.point.chosen.satisfied]
    if unmet:
        notes.append(f"Demands that could not be met: {'; '.join(unmet)}.")
    if any(row.result for row in rows):
        notes.append("Predictive values hold at the share of positives in the data they are of.")
    if prevalence:
        notes.append(ELSEWHERE)
    used = {row.point.target for row in rows}
    idle = [name for name in prevalence if name not in used]
    if idle:
        notes.append(f"No operating point uses the prevalence given for {', '.join(idle)}.")
    return tuple(notes)
