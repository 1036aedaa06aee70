"""How a classifier may do elsewhere: on films in which several things change at once.

Held-out films of the same folders cannot tell what changes at the next hospital, and a stress
test changes one thing at a time. Here each film is changed in several ways at once, and its
acquisition is exchanged with that of another class's film, which a network that tells the classes
by how they were photographed does not withstand. How well this ranks recipes by what they do at
sites that they have not seen was measured on phantoms: docs/default-recipe.md.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from hilum.classifier.classifier import Classifier
from hilum.classifier.conformal import COVERAGE, fit_conformal, measure_conformal
from hilum.classifier.operating_points import (
    OperatingPoint,
    fit_operating_point,
    measure_operating_point,
    parse_operating_points,
)
from hilum.classifier.shifted import ShiftedFilms
from hilum.classifier.threshold import PRESETS
from hilum.codec import read_plain, write_plain
from hilum.errors import EvaluationError
from hilum.evaluation.overlap import chosen_on
from hilum.evaluation.stress import (
    Replicates,
    StressMean,
    StressMeasures,
    StressRun,
    classify_copies,
    subject_of,
)
from hilum.labels import LabelTree, Rule
from hilum.predictions import Predictions
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.pixels import Progress
from hilum.records import Estimate, IntArray
from hilum.settings import Promises
from hilum.statistics.intervals import wilson

SHIFT_FILE = "shift.json"
#: Changed copies of each film and kind.
DRAWS = 4


@dataclass(frozen=True, slots=True)
class Promise:
    """What was settled on the classifier's validation images, and what is kept of it.

    name: of the prediction sets or the operating point. measure: 'coverage', 'sensitivity' or
    'specificity'. promised: by the validation images; None where these say nothing. clean: on the
    films as they are. kinds: by kind of shift, over all copies: shares of films, with Wilson
    intervals over films.
    """

    name: str
    measure: str
    promised: float | None
    clean: Estimate
    kinds: dict[str, Estimate]

    @property
    def hardest(self) -> Estimate:
        """Under the kind that keeps the least of it."""
        return min(self.kinds.values(), key=lambda found: found.value or 0.0)


@dataclass(frozen=True, slots=True)
class Shift:
    """How a classifier does on the films of one split as they are and as elsewhere they may be.

    n: films. draws: copies of each film and kind. seed: of the changes and the bootstrap. clean: on
    the films as they are. kinds: by kind (transforms.shift), the mean over its copies; its drop is
    paired. Without a second class among the films there is nothing to exchange, and only
    'composite'. rule, data, classifier: as in the Evaluation of the same films. promises: what
    becomes of prediction sets and of operating points; none of a classifier that was not calibrated
    or was calibrated on these films. holds: for which films they were chosen, as of an Assessment.
    """

    n: int
    split: str
    draws: int
    seed: int
    clean: StressMeasures
    kinds: dict[str, StressMean]
    rule: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    classifier: dict[str, Any] = field(default_factory=dict)
    promises: tuple[Promise, ...] = ()
    holds: Promises | None = None

    FORMAT: ClassVar[int] = 1

    @property
    def hardest(self) -> str:
        """The kind with the lowest accuracy."""
        return min(self.kinds, key=lambda kind: self.kinds[kind].measures.accuracy.value or 0.0)


def write_shift(shift: Shift, out: Path) -> None:
    """Write shift.json into a folder. Raises EvaluationError where it cannot be written."""
    write_plain(out / SHIFT_FILE, shift, error=EvaluationError, indent=2)


def read_shift(path: Path) -> Shift:
    """Read a shift.json. Raises EvaluationError if it is missing, damaged or foreign."""
    return read_plain(path, Shift, what="a test of shifted films", error=EvaluationError)


def measure_shift(
    classifier: Classifier,
    dataset: Dataset,
    split: str | IntArray = "val",
    *,
    rule: Rule | None = None,
    draws: int = DRAWS,
    progress: Progress | None = None,
) -> Shift:
    """Measure a classifier on the films of a split as they are and shifted.

    split: its name, 'all', or (N,) positions in the data set, recorded as 'some'. rule: None takes
    the classifier's. The other arguments and the errors are those of shift_run.
    """
    model, rows, about = subject_of(classifier, dataset, split, rule)
    run = shift_run(model, dataset, rows, draws=draws, progress=progress)
    kept = () if chosen_on(model, dataset)[rows].any() else keep_promises(model, run)
    found = summarise_shift(model.tree, run, about["split"])
    return replace(found, **about, promises=kept, holds=model.holds if kept else None)


def shift_run(
    classifier: Classifier,
    dataset: Dataset,
    rows: IntArray,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Progress | None = None,
) -> StressRun:
    """Classify films as they are and shifted in every way, so many times each.

    rows: (N,) positions in the data set, N ≥ 1; they and the seed settle what is drawn, so that two
    classifiers meet the same films (ShiftedFilms). draws: at least 1. Returns what stress_run does,
    by (kind, draw).
    Raises EvaluationError where the labels differ or nothing is asked for, and DataError where
    files cannot be read.
    """
    if draws < 1:
        raise EvaluationError("Shifted films need at least one draw.")
    films = ShiftedFilms(dataset, rows, draws=draws, seed=seed)
    return classify_copies(
        classifier, dataset, rows, films.keys, films.every, "Shifted films", progress
    )


def keep_promises(classifier: Classifier, run: StressRun) -> tuple[Promise, ...]:
    """What shifted films leave of the prediction sets and of the two usual operating points.

    Both are chosen as everywhere (Decider.promised_predictions); where the classifier carries no
    validation images, or they are too few, nothing was promised.
    """
    if classifier.validation is None or not classifier.tree.decisions:
        return ()
    tree, known = classifier.tree, classifier.promised_predictions()
    by_kind: dict[str, list[Predictions]] = {}
    for (kind, _), predictions in run.stressed.items():
        by_kind.setdefault(kind, []).append(predictions)

    def promise(
        name: str, measure: str, promised: float | None, share: Callable[[Predictions], Estimate]
    ) -> Promise:
        kinds = {kind: _over_copies([share(p) for p in each]) for kind, each in by_kind.items()}
        return Promise(name, measure, promised, share(run.clean), kinds)

    sets = fit_conformal(tree, *known, COVERAGE)
    found = [
        promise(
            f"prediction sets for {COVERAGE:.0%}",
            "coverage",
            COVERAGE,
            lambda predictions: measure_conformal(sets, run.truth, predictions).covered,
        )
    ]
    for wanted in parse_operating_points(PRESETS, tree):
        point = fit_operating_point(wanted, tree, *known)
        if point.chosen is None or point.chosen.threshold is None:
            continue
        for measure in ("sensitivity", "specificity"):
            found.append(
                promise(
                    str(point),
                    measure,
                    getattr(point.chosen.expected, measure).value,
                    partial(_of_point, point, tree, run.truth, measure),
                )
            )
    return tuple(found)


def _of_point(
    point: OperatingPoint, tree: LabelTree, truth: IntArray, measure: str, predictions: Predictions
) -> Estimate:
    found: Estimate = getattr(
        measure_operating_point(point, tree, truth, predictions).measured, measure
    )
    return found


def _over_copies(each: Sequence[Estimate]) -> Estimate:
    """The share of films over all copies of them, with its interval over films."""
    values = [found.value for found in each if found.value is not None]
    if len(values) < len(each):
        return next(found for found in each if found.value is None)
    n = each[0].n
    return wilson(sum(values) / len(values) * n, n)


def summarise_shift(tree: LabelTree, run: StressRun, split: str, seed: int = 0) -> Shift:
    """Every measure of shifted films, with its interval: as summarise_stress does. Pure."""
    replicates = Replicates(tree, run, seed)
    return Shift(
        n=len(run.truth),
        split=split,
        draws=len(run.stressed) // len(run.places),
        seed=seed,
        clean=replicates.one(0),
        kinds={kind: replicates.mean(places) for kind, places in run.places.items()},
    )
