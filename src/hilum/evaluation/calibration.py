"""Whether a classifier's probabilities mean what they say."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hilum.evaluation.measures import Sample, samples_of
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.records import BoolArray, Estimate, FloatArray, IntArray
from hilum.statistics import calibration as scores
from hilum.statistics.calibration import calibration_intercept, calibration_slope
from hilum.statistics.intervals import CONFIDENCE, RESAMPLES, bootstrap, bootstrap_change, wilson


@dataclass(frozen=True, slots=True)
class Bin:
    """A point of a reliability diagram.

    mean_prob: mean predicted probability of its images. observed: how often it came true, with
    its Wilson interval; its n is the number of images.
    """

    mean_prob: float
    observed: Estimate


@dataclass(frozen=True, slots=True)
class Reliability:
    """A reliability diagram in bins of equal mass, by rising probability, and its error.

    ece: expected calibration error, root mean square and debiased, as
    statistics.calibration.calibration_errors defines it.
    """

    bins: tuple[Bin, ...]
    ece: Estimate


@dataclass(frozen=True, slots=True)
class OptionCalibration(Reliability):
    """The probability of one class or option, with its reliability diagram.

    intercept: 0 is right, below 0 the probability is too high on the whole. slope: 1 is right,
    below 1 it is too extreme. support: how many images are truly of it.
    """

    intercept: Estimate
    slope: Estimate
    support: int


@dataclass(frozen=True, slots=True)
class ChoiceCalibration:
    """The calibration of a choice: between all classes, or between a decision's options.

    n: how many images. top_label: of the option that was taken. brier: in [0, 2], 0 is perfect.
    brier_skill: 1 is perfect, 0 no better than the shares of the options. log_loss: in nats.
    """

    options: tuple[str, ...]
    n: int
    top_label: Reliability
    brier: Estimate
    brier_skill: Estimate
    log_loss: Estimate
    per_option: dict[str, OptionCalibration]


@dataclass(frozen=True, slots=True)
class Calibration:
    """How well a classifier is calibrated on n images: over the classes and at each decision.

    intervals: confidence, resamples and seed behind the bootstrap intervals.
    """

    n: int
    classes: ChoiceCalibration
    decisions: dict[str, ChoiceCalibration]
    intervals: dict[str, int | float]


@dataclass(frozen=True, slots=True)
class MeasureChange:
    """A measure before and after, and after - before with its paired interval."""

    before: Estimate
    after: Estimate
    difference: Estimate


@dataclass(frozen=True, slots=True)
class ChoiceChange:
    """What became of the top label's calibration error, the Brier score and the log loss."""

    ece: MeasureChange
    brier: MeasureChange
    log_loss: MeasureChange


@dataclass(frozen=True, slots=True)
class CalibrationChange:
    """What a recalibration changed, over the classes and at each decision."""

    classes: ChoiceChange
    decisions: dict[str, ChoiceChange]


Measure = Callable[[IntArray], FloatArray]


def measure_calibration(
    tree: LabelTree, truth: IntArray, predictions: Predictions, seed: int = 0
) -> Calibration:
    """How well probabilities agree with what was observed. A pure function; seed: of the bootstrap.

    The main number is the expected calibration error of the top label: of the probability of the
    class that each image was given (by the classifier's rule; at a decision, its most probable
    option), against how often it was right.

    Errors and scores carry bootstrap intervals over all images, not within classes: the class
    shares are part of what calibration depends on. Observed shares carry Wilson intervals,
    intercepts and slopes Wald intervals, the usual ones of a logistic regression, because resamples
    of few images are often separable. All hold for the class shares of these images: where disease
    is rarer, probabilities that were right here are too high.
    """
    of_classes, alone = samples_of(tree, truth, predictions)
    return Calibration(
        n=len(of_classes.truth),
        classes=_measure_choice(of_classes, seed),
        decisions={name: _measure_choice(choice, seed) for name, choice in alone.items()},
        intervals={"confidence": CONFIDENCE, "resamples": RESAMPLES, "seed": seed},
    )


def compare_calibration(
    tree: LabelTree, truth: IntArray, before: Predictions, after: Predictions
) -> CalibrationChange:
    """What a recalibration, such as temperature scaling, did to the main measures.

    The difference after - before is bootstrapped in pairs, both on the same resampled images.
    """
    old, olds = samples_of(tree, truth, before)
    new, news = samples_of(tree, truth, after)
    return CalibrationChange(
        classes=_compare_choice(old, new),
        decisions={name: _compare_choice(olds[name], news[name]) for name in olds},
    )


def _measure_choice(choice: Sample, seed: int) -> ChoiceCalibration:
    n, scores = len(choice.truth), _scores(choice)
    skill = (
        bootstrap(scores["brier_skill"], n, seed=seed)
        if len(np.unique(choice.truth)) > 1
        else Estimate.undefined("images of one kind only" if n else "no images", n)
    )
    per_option = {}
    for k, option in enumerate(choice.options):
        happened, probs = choice.truth == k, choice.probs[:, k]
        drawn = _measure_reliability(probs, happened, seed)
        per_option[option] = OptionCalibration(
            bins=drawn.bins,
            ece=drawn.ece,
            intercept=calibration_intercept(happened, probs),
            slope=calibration_slope(happened, probs),
            support=int(happened.sum()),
        )
    return ChoiceCalibration(
        options=choice.options,
        n=n,
        top_label=_measure_reliability(*_top_label(choice), seed),
        brier=bootstrap(scores["brier"], n, seed=seed),
        brier_skill=skill,
        log_loss=bootstrap(scores["log_loss"], n, seed=seed),
        per_option=per_option,
    )


def _top_label(choice: Sample) -> tuple[FloatArray, BoolArray]:
    """(N,) the probability of the option that was taken, and whether it was right."""
    taken = choice.probs[np.arange(len(choice.truth)), choice.predicted]
    return taken, choice.predicted == choice.truth


def _scores(choice: Sample) -> dict[str, Measure]:
    truth, probs = choice.truth, choice.probs
    return {
        "brier": lambda counts: scores.brier_scores(truth, probs, counts),
        "brier_skill": lambda counts: scores.brier_skills(truth, probs, counts),
        "log_loss": lambda counts: scores.log_losses(truth, probs, counts),
    }


def _error(probs: FloatArray, happened: BoolArray) -> Measure:
    bins = scores.equal_mass_bins(probs)
    return lambda counts: scores.calibration_errors(probs, happened, bins, counts)


def _measure_reliability(probs: FloatArray, happened: BoolArray, seed: int) -> Reliability:
    bins = scores.equal_mass_bins(probs)
    return Reliability(
        bins=tuple(
            Bin(float(probs[bins == b].mean()), _share(happened[bins == b]))
            for b in np.unique(bins)
        ),
        ece=bootstrap(_error(probs, happened), len(probs), seed=seed),
    )


def _share(happened: BoolArray) -> Estimate:
    return wilson(int(happened.sum()), len(happened))


def _compare_choice(old: Sample, new: Sample) -> ChoiceChange:
    n, before, after = len(old.truth), _scores(old), _scores(new)
    before["ece"], after["ece"] = _error(*_top_label(old)), _error(*_top_label(new))

    def change(name: str) -> MeasureChange:
        return MeasureChange(*bootstrap_change(before[name], after[name], n))

    return ChoiceChange(ece=change("ece"), brier=change("brier"), log_loss=change("log_loss"))
