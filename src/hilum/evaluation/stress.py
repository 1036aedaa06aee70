"""Stress tests: how a classifier does on radiographs as another hospital would have made them.

stress_run gives the predictions, summarise_stress the measures; measure_stress is both. A study
pools the predictions of several runs in between.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from hilum.classifier.classifier import Classifier, check_labels
from hilum.classifier.provenance import doubt_of
from hilum.codec import read_plain, write_plain
from hilum.errors import EvaluationError
from hilum.evaluation.evaluate import describe_classifier, describe_data
from hilum.evaluation.findings import OVER_FINDINGS, Known
from hilum.evaluation.measures import OVERALL, samples_of
from hilum.labels import LabelTree, Rule
from hilum.predictions import Predictions
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.image import read_radiograph
from hilum.radiographs.pixels import Progress, in_parallel
from hilum.records import Estimate, FloatArray, IntArray, PixelArray
from hilum.statistics import metrics
from hilum.statistics.intervals import RESAMPLES, percentile_interval, resample, wilson
from hilum.transforms.corrupt import (
    CORRUPTIONS,
    STRENGTHS,
    corrupt,
    select_corruptions,
)

STRESS_FILE = "stress.json"


@dataclass(frozen=True, slots=True)
class StressMeasures:
    """Three measures of one thing, or the drops of the three.

    Where labels are findings alone, accuracy is the share of findings called rightly, the AUROC is
    the mean over findings, and there is nothing to balance.
    """

    accuracy: Estimate
    balanced_accuracy: Estimate
    macro_auroc: Estimate


MEASURES = ("accuracy", "balanced_accuracy", "macro_auroc")


@dataclass(frozen=True, slots=True)
class StressMean:
    """A mean over several corrupted copies of the same images.

    measures: the mean of each measure. drop: the measure on the clean images less that mean,
    above 0 where it is worse under stress; its interval is paired, from the same resamples of
    images on both sides.
    """

    measures: StressMeasures
    drop: StressMeasures


@dataclass(frozen=True, slots=True)
class StressLevel:
    """One corruption at one strength, 1 to 5; amount: what that is in its physical quantity."""

    strength: int
    amount: float
    measures: StressMeasures


@dataclass(frozen=True, slots=True)
class CorruptionStress:
    """One corruption at all strengths that were tested; fields as of transforms.Corruption.

    mean: over these strengths.
    """

    name: str
    family: str
    quantity: str
    augmented_by: str
    levels: tuple[StressLevel, ...]
    mean: StressMean


@dataclass(frozen=True, slots=True)
class Stress:
    """How a classifier holds under corruptions of the images of one split.

    n: images. strengths: of 1 to 5. seed: of the corruptions and the bootstrap. clean: on the
    images as they are. stressed: the mean over all corruptions, each of which weighs the same;
    its accuracy is the stressed accuracy, by which recipes are compared. new_kinds: the same over
    corruptions of kinds that no augmentation of training has, or None without such. rule, data,
    classifier: as in the Evaluation of the same images; empty for several runs together.
    """

    n: int
    split: str
    strengths: tuple[int, ...]
    seed: int
    clean: StressMeasures
    stressed: StressMean
    new_kinds: StressMean | None
    corruptions: tuple[CorruptionStress, ...]
    rule: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    classifier: dict[str, Any] = field(default_factory=dict)

    FORMAT: ClassVar[int] = 1

    @property
    def worst(self) -> CorruptionStress:
        """The corruption with the lowest mean accuracy."""
        return min(self.corruptions, key=lambda c: c.mean.measures.accuracy.value or 0.0)


def write_stress(stress: Stress, out: Path) -> None:
    """Write stress.json into a folder. Raises EvaluationError where it cannot be written."""
    write_plain(out / STRESS_FILE, stress, error=EvaluationError, indent=2)


def read_stress(path: Path) -> Stress:
    """Read a stress.json. Raises EvaluationError if it is missing, damaged or foreign."""
    return read_plain(path, Stress, what="a stress test", error=EvaluationError)


#: Takes (R, N) counts of resamples, and gives (R,) values.
_Measure = Callable[[IntArray], FloatArray]

#: Bytes of corrupted pixels held at a time.
_HELD = 64_000_000

#: A corruption by name and a strength, or a kind of shift and the number of a draw.
Setting = tuple[str, int]


@dataclass(frozen=True)
class StressRun:
    """What a classifier says of N radiographs as they are and of changed copies of them.

    truth: (N,) class indices. clean, and stressed by Setting: of the same images in the same
    order. marks: (N, F) of the tree's findings, where it has some.
    """

    truth: IntArray
    clean: Predictions
    stressed: Mapping[Setting, Predictions]
    marks: IntArray | None = None

    @property
    def places(self) -> dict[str, list[int]]:
        """By name of a Setting, the places of its copies; the clean images are copy 0."""
        found: dict[str, list[int]] = {}
        for place, (name, _) in enumerate(self.stressed, start=1):
            found.setdefault(name, []).append(place)
        return found


def measure_stress(
    classifier: Classifier,
    dataset: Dataset,
    split: str | IntArray = "val",
    *,
    rule: Rule | None = None,
    strengths: Sequence[int] = STRENGTHS,
    progress: Progress | None = None,
) -> Stress:
    """Measure a classifier on the images of a split as they are and under corruptions.

    split: its name, 'all', or (N,) positions in the data set, recorded as 'some'. rule: None takes
    the classifier's. The other arguments and the errors are those of stress_run.
    """
    model, rows, about = subject_of(classifier, dataset, split, rule)
    run = stress_run(model, dataset, rows, strengths=strengths, progress=progress)
    return replace(summarise_stress(model.tree, run, about["split"]), **about)


def subject_of(
    classifier: Classifier, dataset: Dataset, split: str | IntArray, rule: Rule | None
) -> tuple[Classifier, IntArray, dict[str, Any]]:
    """Whom and what measure_stress tests: the classifier by that rule, the rows of the split.

    And what a result says of both: split, rule, data and classifier.
    """
    model = classifier if rule is None else replace(classifier, rule=rule)
    rows = dataset.indices(split) if isinstance(split, str) else split
    return model, rows, {
        "split": split if isinstance(split, str) else "some",
        "rule": model.rule,
        "data": describe_data(dataset),
        "classifier": describe_classifier(model),
    }  # fmt: skip


def stress_run(
    classifier: Classifier,
    dataset: Dataset,
    rows: IntArray,
    *,
    corruptions: Sequence[str] | None = None,
    strengths: Sequence[int] = STRENGTHS,
    seed: int = 0,
    progress: Progress | None = None,
) -> StressRun:
    """Classify radiographs as they are and under every corruption at every strength.

    rows: (N,) positions in the data set, N ≥ 1; they and the seed settle what is drawn, so that two
    classifiers meet the same images, whichever others are tested beside them. corruptions: names;
    None takes all. strengths: of 1 to 5, each once.

    Every file is decoded once, corrupted at its own size, and only then preprocessed. The gate is
    not asked: it would take longer than all the rest. Raises EvaluationError where the labels
    differ or nothing is asked for, and DataError for an unknown corruption or strength, or files
    that cannot be read.
    """
    chosen = CORRUPTIONS if corruptions is None else select_corruptions(corruptions)
    if not strengths or len(set(strengths)) < len(strengths):
        raise EvaluationError("A stress test needs strengths from 1 to 5, each once.")
    settings = [(corruption, strength) for corruption in chosen for strength in strengths]

    def changed(image: PixelArray, row: int) -> Iterator[PixelArray]:
        return (corrupt(image, c, strength, seed=seed, index=row) for c, strength in settings)

    keys = [(corruption.name, strength) for corruption, strength in settings]
    return classify_copies(classifier, dataset, rows, keys, changed, "Stress tests", progress)


def classify_copies(
    classifier: Classifier,
    dataset: Dataset,
    rows: IntArray,
    keys: Sequence[Setting],
    changed: Callable[[PixelArray, int], Iterable[PixelArray]],
    title: str,
    progress: Progress | None = None,
) -> StressRun:
    """Classify radiographs as they are and as changed copies.

    changed: from a radiograph (H, W) uint8 at its own size, and its position in the data set, to
    its copies, in the order of keys. title: for progress. The rest and the errors as of
    stress_run.
    """
    check_labels(classifier, dataset)
    if not len(rows):
        raise EvaluationError(f"{title} need an image.")
    model = replace(classifier, gate=None)
    copies = 1 + len(keys)
    height, width = classifier.preprocessing.image_size
    step = max(1, _HELD // (copies * height * width))
    parts: list[Predictions] = []

    def made(row: int) -> PixelArray:
        image = read_radiograph(dataset.records[row].path)
        ready = classifier.preprocessing.to_pixels
        return np.stack([ready(image), *map(ready, changed(image, row))])

    for start in range(0, len(rows), step):
        held = [int(row) for row in rows[start : start + step]]
        pixels = np.concatenate(in_parallel(made, held, "", None))
        names = [dataset.records[row].name for row in held for _ in range(copies)]
        parts.append(model.predict_pixels(pixels, names))
        if progress:
            progress(title, start + len(held), len(rows))
    by_copy = [
        Predictions.join([part.take(slice(i, None, copies)) for part in parts])
        for i in range(copies)
    ]
    stressed = dict(zip(keys, by_copy[1:], strict=True))
    marks = doubt_of(classifier.provenance).settle(dataset.marks[rows])
    return StressRun(dataset.labels[rows], by_copy[0], stressed, marks)


def summarise_stress(tree: LabelTree, run: StressRun, split: str, seed: int = 0) -> Stress:
    """Every measure of a stress test, with its interval. A pure function.

    run: as stress_run gives it, or of several runs one after the other. split: recorded as it is.
    Accuracies carry Wilson intervals, all else bootstrap intervals, stratified by true class; of a
    drop it is paired. All take the images as independent: give each only once.
    """
    settings = list(run.stressed)
    replicates = Replicates(tree, run, seed)
    known = {corruption.name: corruption for corruption in CORRUPTIONS}
    found = []
    for name, places in run.places.items():
        corruption = known[name]
        levels = [
            StressLevel(s, corruption.amounts[s - 1], replicates.one(place))
            for place in places
            for s in [settings[place - 1][1]]
        ]
        found.append(
            CorruptionStress(
                name=name,
                family=corruption.family,
                quantity=corruption.quantity,
                augmented_by=corruption.augmented_by,
                levels=tuple(levels),
                mean=replicates.mean(places),
            )
        )
    new = [1 + i for i, (name, _) in enumerate(settings) if not known[name].augmented_by]
    return Stress(
        n=len(run.truth),
        split=split,
        strengths=tuple(sorted({strength for _, strength in settings})),
        seed=seed,
        clean=replicates.one(0),
        stressed=replicates.mean(list(range(1, 1 + len(settings)))),
        new_kinds=replicates.mean(new) if new else None,
        corruptions=tuple(found),
    )


class Replicates:
    """Every measure of every copy of the images, on them all and on the same R resamples of them.

    values: by measure, (1 + S, 1 + R): copy 0 is the clean one, column 0 all images. A measure
    that these images do not define has its reason instead.
    """

    def __init__(self, tree: LabelTree, run: StressRun, seed: int) -> None:
        said = (run.clean, *run.stressed.values())
        self.n = len(run.truth)
        measures_of = self._of_choice if tree.decisions else self._of_findings
        measures = measures_of(tree, run, said)
        every = np.ones((1, self.n), dtype=np.int64)
        blocks: dict[str, list[FloatArray]] = {n: [] for n in MEASURES if not self.missing[n]}
        for counts in (every, *resample(self.n, run.truth, seed, RESAMPLES)):
            for name, found in blocks.items():
                found.append(np.stack([of(counts) for of in measures[name]]))
        self.values = {name: np.hstack(found) for name, found in blocks.items()}

    def _of_choice(
        self, tree: LabelTree, run: StressRun, said: Sequence[Predictions]
    ) -> dict[str, list[_Measure]]:
        samples = [samples_of(tree, run.truth, copy)[0] for copy in said]
        self.successes = [int((s.predicted == s.truth).sum()) for s in samples]
        matrix = metrics.confusion_matrix(run.truth, run.clean.predicted, len(tree.classes))
        self.missing = {name: OVERALL[name].undefined(matrix, tree.classes) for name in MEASURES}
        return {n: [partial(OVERALL[n].replicates, s) for s in samples] for n in MEASURES}

    def _of_findings(
        self, tree: LabelTree, run: StressRun, said: Sequence[Predictions]
    ) -> dict[str, list[_Measure]]:
        assert run.marks is not None, "a tree of findings has marks"
        known = [Known.of(tree, run.truth, run.marks, copy) for copy in said]
        self.successes = []
        self.missing = dict.fromkeys(MEASURES, known[0].reason)
        self.missing["balanced_accuracy"] = "findings are no classes to balance"
        names = {"accuracy": "right_findings", "macro_auroc": "macro_auroc"}
        return {
            name: [partial(OVER_FINDINGS[own].replicates, of) for of in known]
            for name, own in names.items()
        }

    def one(self, copy: int) -> StressMeasures:
        """The measures of one copy."""
        found = self._measures({name: v[copy] for name, v in self.values.items()})
        if not self.successes:
            return found
        return replace(found, accuracy=wilson(self.successes[copy], self.n))

    def mean(self, copies: Sequence[int]) -> StressMean:
        """The mean over copies, each of which weighs the same, and the drop from the clean one."""
        means = {name: v[copies].mean(axis=0) for name, v in self.values.items()}
        # rounded, because equal counts shall give a drop of 0, and not of -10⁻¹⁷
        drops = {name: np.round(v[0] - means[name], 12) for name, v in self.values.items()}
        return StressMean(self._measures(means), self._measures(drops))

    def _measures(self, values: Mapping[str, FloatArray]) -> StressMeasures:
        found = {
            name: percentile_interval(float(values[name][0]), values[name][1:], self.n)
            if name in values
            else Estimate.undefined(self.missing[name], self.n)
            for name in MEASURES
        }
        return StressMeasures(**found)
