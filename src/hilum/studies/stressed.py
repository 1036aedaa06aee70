"""Variants under stress: held-out images as another hospital would have made them.

Every run is also tested on some of its held-out images under every corruption of stress tests, at
two strengths, and on shifted copies, in which several things change at once. What is compared is
the stressed accuracy, the mean over all corrupted copies, and the shifted accuracy beside it. Of
labels that are findings alone it is their mean AUROC in the accuracy's place, here as below.
Clean images choose what suits this hospital; the changed ones tell what may suit another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from hilum.classifier.classifier import Classifier
from hilum.codec import read_plain, write_plain
from hilum.errors import EvaluationError
from hilum.evaluation.shift import shift_run
from hilum.evaluation.stress import StressRun, stress_run
from hilum.predictions import Predictions
from hilum.radiographs.dataset import Dataset
from hilum.records import Estimate, evenly_spaced
from hilum.statistics.comparison import corrected_resampled_t, holm, mean_over_runs
from hilum.statistics.power import ALPHA
from hilum.studies.measures import Measure
from hilum.transforms.corrupt import CORRUPTIONS, QUICK_STRENGTHS

STRESSED_FILE = "stressed.json"
#: Beside the families of corruptions: what is changed at once.
SHIFTED = "several at once"


@dataclass(frozen=True, slots=True)
class StressedRun:
    """One run under stress.

    n: images, the same ones for every variant. clean: accuracy on them as they are. corruptions:
    by name, the mean accuracy over the strengths. shifts: by kind, the mean over the copies; runs
    of before have none. fingerprint: of the data as divided.
    """

    FORMAT: ClassVar = 1

    n: int
    clean: float
    corruptions: Mapping[str, float]
    fingerprint: str
    shifts: Mapping[str, float] = field(default_factory=dict)

    @property
    def accuracy(self) -> float:
        """The stressed accuracy: every corruption weighs the same."""
        return float(np.mean(list(self.corruptions.values())))

    @property
    def families(self) -> dict[str, float]:
        """The mean over the corruptions of each family, exposure, framing, …, and over shifts."""
        names: dict[str, list[float]] = {}
        for corruption in CORRUPTIONS:
            if corruption.name in self.corruptions:
                found = names.setdefault(corruption.family, [])
                found.append(self.corruptions[corruption.name])
        if self.shifts:
            names[SHIFTED] = list(self.shifts.values())
        return {family: float(np.mean(values)) for family, values in names.items()}


@dataclass(frozen=True, slots=True)
class StressedVariant:
    """A variant's runs under stress: means over them, with the corrected resampled t interval.

    runs: the stressed accuracy of each. n: images of a run. clean: accuracy on the same images as
    they are. families: by family of corruptions.
    """

    n: int
    runs: tuple[float, ...]
    clean: Estimate
    stressed: Estimate
    families: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class StressedComparison:
    """The paired difference of two variants' stressed accuracies, a less b, over runs.

    p: two-sided; p_adjusted: by Holm's method over the comparisons of the study. None without an
    interval.
    """

    DERIVED: ClassVar = ("shown",)

    a: str
    b: str
    difference: Estimate
    p: float | None
    p_adjusted: float | None

    @property
    def shown(self) -> bool:
        """Whether the interval leaves 0 out and the adjusted p is below 0.05."""
        enough = self.p_adjusted is not None and self.p_adjusted < ALPHA
        return enough and self.difference.excludes_zero


def measure_under_stress(run: Path, part: Dataset, images: int, device: str) -> StressedRun:
    """Test a finished run on held-out images under every corruption, and write it down.

    run: its folder; what is found there already, of the same data and as many images, is taken.
    part: the data as the run divides them. images: how many of what it holds out, evenly spaced,
    so that every class has its share.
    """
    file = run / "evaluation" / STRESSED_FILE
    rows = part.indices("val")
    rows = rows[evenly_spaced(len(rows), images)]
    if file.is_file():
        try:
            found = read_stressed(file)
            if found.shifts and (found.n, found.fingerprint) == (len(rows), part.fingerprint):
                return found
        except EvaluationError:
            pass  # a damaged one is made anew
    headline = Measure.parse(None, part.tree)

    def measured(of: StressRun, said: Predictions) -> float:
        value = headline.of(part.tree, of.truth, said, of.marks)
        if value is None:
            raise EvaluationError(
                f"The {headline.label} is undefined on the {len(rows)} images that are tested "
                "under stress: give the study more of them, as in stress = 200."
            )
        return value

    def means(of: StressRun) -> dict[str, float]:
        """By corruption or kind of shift, the mean over its strengths or draws."""
        found: dict[str, list[float]] = {}
        for (name, _), said in of.stressed.items():
            found.setdefault(name, []).append(measured(of, said))
        return {name: float(np.mean(values)) for name, values in found.items()}

    classifier = uncalibrated(run, device)
    tested = stress_run(classifier, part, rows, strengths=QUICK_STRENGTHS)
    result = StressedRun(
        n=len(rows),
        clean=measured(tested, tested.clean),
        corruptions=means(tested),
        fingerprint=part.fingerprint,
        shifts=means(shift_run(classifier, part, rows)),
    )
    write_plain(file, result, error=EvaluationError, indent=2)
    return result


def uncalibrated(run: Path, device: str) -> Classifier:
    """The classifier of a run without what was fitted on the very fold that it is measured on.

    That is its temperatures, and the thresholds of findings, which are then called from 0.5 on.
    """
    return replace(Classifier.load(run, device=device), temperatures={}, thresholds={})


def read_stressed(file: Path) -> StressedRun:
    """Read what measure_under_stress wrote. Raises EvaluationError if missing or damaged."""
    return read_plain(file, StressedRun, what="a run under stress", error=EvaluationError)


def summarise_stressed(runs: Sequence[StressedRun], test_train_ratio: float) -> StressedVariant:
    """The runs of one variant together.

    runs: at least one. test_train_ratio: of all that a run held out, which is what decides how
    alike the runs are; the images under stress are fewer.
    """

    def mean(values: Sequence[float]) -> Estimate:
        return mean_over_runs(values, test_train_ratio)

    families = [run.families for run in runs]
    shared = [name for name in families[0] if all(name in found for found in families)]
    return StressedVariant(
        n=runs[0].n,
        runs=tuple(run.accuracy for run in runs),
        clean=mean([run.clean for run in runs]),
        stressed=mean([run.accuracy for run in runs]),
        families={name: mean([f[name] for f in families]) for name in shared},
    )


def compare_stressed(
    pairs: Sequence[tuple[str, str]],
    runs: Mapping[str, Mapping[int, StressedRun]],
    test_train_ratio: float,
) -> tuple[StressedComparison, ...]:
    """Every pair of variants that have runs in common.

    runs: by variant and number of the run; runs with the same number are paired.
    """
    found = []
    for a, b in pairs:
        both = sorted(runs[a].keys() & runs[b].keys())
        if both:
            differences = [runs[a][i].accuracy - runs[b][i].accuracy for i in both]
            test = corrected_resampled_t(differences, test_train_ratio)
            found.append(StressedComparison(a, b, test.estimate, test.p, test.p))
    adjusted = holm([c.p for c in found])
    return tuple(replace(c, p_adjusted=p) for c, p in zip(found, adjusted, strict=True))
