"""The tests of one run: what may have changed, each with its chance, all together at one level."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from hilum.classifier.arrivals import Arrivals, judge_arrivals, material_chances
from hilum.records import FloatArray
from hilum.statistics.comparison import holm
from hilum.statistics.drift import (
    Departure,
    departure_from_mix,
    departure_of_counts,
    departure_within,
)
from hilum.watching.baseline import FEATURES, GATE, OUTPUTS, Baseline, Sums

#: The chance that a run raises an alarm though nothing has changed.
LEVEL = 0.01

#: What an alarm takes beside certainty: so many standard deviations within a class, or this much
#: of the images predicted as another class.
LEAST_SIZE, LEAST_MOVED = 0.25, 0.05

Period = Literal["run", "pooled"]

MIX, FLAGGED, ODDER = "mix", "flagged", "odder"

#: What is asked by each test.
ASKED = {
    FLAGGED: "more unlike training images than the gate allows",
    ODDER: "odder than training images as a whole",
    GATE: "what the gate sees, class by class",
    FEATURES: "where networks place them, class by class",
    OUTPUTS: "what networks say of them, class by class",
    MIX: "how many are predicted as each class",
}
#: The tests of whether images of a class look as they did: where one speaks, the mix of classes
#: explains nothing, and neither is an accuracy estimated.
OF_LOOKS = (FLAGGED, ODDER, GATE, FEATURES, OUTPUTS)


@dataclass(frozen=True, slots=True)
class Test:
    """One test.

    key: of ASKED. question: the finding that it is about, '' of the classes or all. period: the
    images of this run, or those of the last runs together. n: images. p_value: the chance of as
    much, had nothing changed. adjusted: by Holm's method, for all tests of the run. size: how much
    has changed: standard deviations within a class (GATE, FEATURES, OUTPUTS), or a share (of
    images predicted as another class, flagged, or of pairs that are odder). matters: whether that
    is enough for an alarm. alarm: whether it is raised.
    """

    key: str
    question: str
    period: Period
    n: int
    p_value: float
    adjusted: float
    size: float
    matters: bool
    alarm: bool = False

    @property
    def asked(self) -> str:
        """In words."""
        return ASKED[self.key] + (f" ({self.question})" if self.question else "")


def judge(
    baseline: Baseline,
    periods: Mapping[Period, Sums],
    *,
    level: float = LEVEL,
    expected: FloatArray | None = None,
) -> tuple[tuple[Test, ...], Arrivals | None]:
    """Test what may have changed. Returns the tests, and what the gate says of this run's images.

    periods: of this run, and perhaps of the last runs together. level: in (0, 1), the chance that
    any test raises an alarm though nothing has changed. expected: (K,) shares of the classes; None
    takes those of the validation images.
    """
    found = [
        test
        for period, sums in periods.items()
        for test in _tests(baseline, period, sums, expected)
    ]
    adjusted = holm([test.p_value for test in found])
    tests = tuple(
        replace(test, adjusted=p, alarm=p <= level and test.matters)
        for test, p in zip(found, adjusted, strict=True)
        if p is not None
    )
    return tests, judge_arrivals(baseline.gate, periods["run"].tally)


def _tests(
    baseline: Baseline, period: Period, sums: Sums, expected: FloatArray | None
) -> Iterator[Test]:
    def test(key: str, question: str, found: Departure, least: float) -> Test:
        matters = found.size >= least
        return Test(
            key, question, period, sums.n, found.p_value, found.p_value, found.size, matters
        )

    seen = {view.name for view in baseline.views}
    arrivals = judge_arrivals(baseline.gate, sums.tally)
    if arrivals is not None:
        for key, (p, size, matters) in material_chances(arrivals).items():
            if key == FLAGGED or GATE not in seen:  # of which that would be the weaker test
                yield Test(key, "", period, sums.n, p, p, size, matters)
    for view in baseline.views:
        mean = np.array(sums.means[view.key])
        name = view.question.name if view.question and view.name == OUTPUTS else ""
        yield test(view.name, name, departure_within(view.moments, mean, sums.n), LEAST_SIZE)
    for question in baseline.questions:
        counts = np.array(sums.predicted[question.name], dtype=np.int64)
        if expected is None or question.name:
            moved = departure_of_counts(counts, question.known.confusion.sum(axis=0))
        else:
            moved = departure_from_mix(counts, question.known.confusion, expected)
        yield test(MIX, question.name, moved, LEAST_MOVED)
