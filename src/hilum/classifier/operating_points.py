"""Operating points: which threshold a stakeholder's demands lead to, and what it does.

Whoever fears the spread of a disease weighs the recall of the infectious class; whoever has few
beds weighs precision and specificity. An operating point is chosen on validation data, travels
with the classifier, and is measured on other data.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from hilum.classifier.threshold import PRESETS, Chosen, Demand, choose_threshold
from hilum.decisions import Finding
from hilum.errors import EvaluationError, nearest
from hilum.labels import LabelTree
from hilum.predictions import Predictions
from hilum.records import BoolArray, Estimate, IntArray
from hilum.statistics.checks import check_predictions
from hilum.statistics.findings import choice_of, predicted_choice
from hilum.statistics.intervals import mover_difference
from hilum.statistics.targets import Target, positive_labels
from hilum.statistics.two_by_two import MEASURES, Measures, TwoByTwo


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What is demanded of a label or an option and, once it is fitted, the threshold.

    target: a label of the tree, or DECISION/OPTION (see statistics.targets.Target). preset: the
    name that the demands go by, if they have one. chosen: None until fit_operating_point.
    """

    target: str
    demands: tuple[Demand, ...]
    preset: str | None = None
    chosen: Chosen | None = None

    @classmethod
    def parse(cls, text: str, tree: LabelTree) -> "OperatingPoint":
        """Read 'covid: recall>=0.95', 'infected/covid: specificity>=0.9, precision>=0.8' or
        'covid: clinic'.

        Raises LabelError for a label or option that the tree lacks, EvaluationError for demands
        that cannot be read or that name one measure twice.
        """
        name, colon, wish = text.rpartition(":")
        if not colon:
            raise EvaluationError(
                f"Cannot read the operating point '{text.strip()}': write LABEL: MEASURE>=VALUE, "
                "for example 'covid: recall>=0.95', or LABEL: PRESET."
                f"{nearest(text.strip(), PRESETS)}"
            )
        target, wish = Target.parse(name, tree).name, wish.strip()
        if wish in PRESETS:
            return cls(target, PRESETS[wish], wish)
        if wish and all(letter.isalpha() or letter in "-_ " for letter in wish):
            raise EvaluationError(f"There is no preset '{wish}'.{nearest(wish, PRESETS)}")
        demands = tuple(Demand.parse(part) for part in wish.split(","))
        measures = [demand.measure for demand in demands]
        for measure in measures:
            if measures.count(measure) > 1:
                raise EvaluationError(f"'{text.strip()}' demands a {measure} twice.")
        return cls(target, demands)

    def __str__(self) -> str:
        """What parse reads back to an equal point, but for what was chosen."""
        return f"{self.target}: {self.preset or ', '.join(str(d) for d in self.demands)}"


def parse_operating_points(texts: Iterable[str], tree: LabelTree) -> tuple[OperatingPoint, ...]:
    """Read several; a preset alone stands for itself at every label that is a finding.

    A finding is a label that is not a name for "nothing found". What is given twice counts once.
    Raises as OperatingPoint.parse does, and EvaluationError where a preset finds no label.
    """
    points: list[OperatingPoint] = []
    for text in texts:
        preset = text.strip()
        if preset not in PRESETS:
            points.append(OperatingPoint.parse(text, tree))
            continue
        if not positive_labels(tree):
            raise EvaluationError(
                f"Every label of '{tree}' is a name for \"nothing found\": write which one "
                f"'{preset}' is meant for, as in '{tree.classes[0]}: {preset}'."
            )
        points += [
            OperatingPoint(label, PRESETS[preset], preset) for label in positive_labels(tree)
        ]
    return tuple(dict.fromkeys(points))


def finding_of(text: str, tree: LabelTree) -> Finding | None:
    """The finding that an operating point, or its target, is of; None where it is of a class."""
    name = text.partition(":")[0].strip()
    return next((finding for finding in tree.findings if finding.name == name), None)


@dataclass(frozen=True, slots=True)
class OperatingResult:
    """An operating point on other images than those it was chosen on.

    counts: of the images that the question is asked of. measured: with Wilson intervals, at the
    share of positives in these images. drop: what was expected less what was measured, so that
    above 0 is worse; its interval allows for both. A drop of a predictive value holds a different
    share of positives, too.
    """

    counts: TwoByTwo
    measured: Measures
    drop: Measures


def fit_operating_point(
    point: OperatingPoint, tree: LabelTree, truth: IntArray, predictions: Predictions
) -> OperatingPoint:
    """The point with its threshold, chosen on validation data.

    truth: (M,) class indices of images that trained nothing. predictions: of the same images.
    An option is judged on the images that belong to its decision.
    Raises EvaluationError as check_predictions does, LabelError for a label the tree lacks.
    """
    check_predictions(tree, truth, predictions)
    target = Target.parse(point.target, tree)
    judged = target.judged(truth)
    positive, scores = target.positive(truth)[judged], target.scores(predictions)[judged]
    return replace(point, chosen=choose_threshold(positive, scores, point.demands))


def apply_operating_point(
    point: OperatingPoint, tree: LabelTree, predictions: Predictions
) -> BoolArray:
    """Which of N images the point calls positive: (N,).

    Of an option DECISION/OPTION: which it would, if the decision were reached. tree: in which a
    finding, too, may be the point's target.
    Raises EvaluationError where the point was not fitted, or its demands could not be met: what
    comes nearest to them is not what was asked for.
    """
    if not _fitted(point).satisfied:
        raise EvaluationError(f"'{point}' cannot be applied. {_fitted(point).reason}")
    if finding := finding_of(point.target, tree):
        return _call(point, choice_of(finding.name), predicted_choice(finding, predictions))
    return _call(point, tree, predictions)


def measure_operating_point(
    point: OperatingPoint, tree: LabelTree, truth: IntArray, predictions: Predictions
) -> OperatingResult:
    """What a fitted point does on other images; also one whose demands could not be met.

    truth: (N,) class indices. predictions: of the same images.
    Raises EvaluationError where the point has no threshold, or as check_predictions does.
    """
    check_predictions(tree, truth, predictions)
    target, expected = Target.parse(point.target, tree), _fitted(point).expected
    judged = target.judged(truth)
    called = _call(point, tree, predictions)
    counts = TwoByTwo.count(target.positive(truth)[judged], called[judged])
    measured = counts.measures()
    drop: list[Estimate] = [
        mover_difference(getattr(expected, name), getattr(measured, name)) for name in MEASURES
    ]
    return OperatingResult(counts, measured, Measures(*drop))


def _fitted(point: OperatingPoint) -> Chosen:
    if point.chosen is None:
        raise EvaluationError(
            f"'{point}' has no threshold yet: choose it on validation data (fit_operating_point)."
        )
    return point.chosen


def _call(point: OperatingPoint, tree: LabelTree, predictions: Predictions) -> BoolArray:
    chosen = _fitted(point)
    if chosen.threshold is None:
        raise EvaluationError(f"'{point}' has no threshold: {chosen.reason}.")
    called: BoolArray = Target.parse(point.target, tree).scores(predictions) >= chosen.threshold
    return called
