"""What a calibrated classifier promises: thresholds that are chosen on its validation images.

All are chosen as Decider.promised_predictions says: on shifted copies where it carries such.
"""

from collections.abc import Iterable

from hilum.classifier.decider import Decider
from hilum.classifier.operating_points import (
    OperatingPoint,
    finding_of,
    fit_operating_point,
    parse_operating_points,
)
from hilum.classifier.risk_control import MISSED, RiskControl, fit_risk_control
from hilum.classifier.threshold import PRESETS
from hilum.predictions import Predictions
from hilum.records import PRESENT, IntArray
from hilum.statistics.findings import Side, as_choice


def fitted_points(classifier: Decider, texts: Iterable[str]) -> tuple[OperatingPoint, ...]:
    """Operating points with thresholds.

    texts: such as 'covid: recall>=0.95', of a class, of DECISION/OPTION or of a finding; or a
    preset alone, for every label and finding. Raises ClassifierError where the classifier was not
    calibrated, LabelError for a label that the tree lacks, EvaluationError for demands that cannot
    be read and a preset that is for no label.
    """
    texts, tree = tuple(texts), classifier.tree
    if not texts:
        return ()
    alone = [text for text in texts if text.strip() in PRESETS]
    of_classes = [text for text in texts if finding_of(text, tree) is None]
    if not tree.decisions and tree.findings:
        of_classes = [text for text in of_classes if text not in alone]
    wanted = parse_operating_points(of_classes, tree)
    truth, known = classifier.promised_predictions()
    points = [fit_operating_point(point, tree, truth, known) for point in wanted]
    for name, side in finding_sides(classifier).items():
        own = [text for text in texts if (of := finding_of(text, tree)) and of.name == name]
        points += [
            fit_operating_point(point, side.tree, side.truth, side.predictions)
            for point in parse_operating_points([*alone, *own], side.tree)
        ]
    return tuple(points)


def finding_sides(classifier: Decider, *, promised: bool = True) -> dict[str, Side]:
    """What it says of each finding on the validation images, as a choice; {} without any.

    promised: on their shifted copies, where it carries such.
    """
    known = _known(classifier, promised)
    if known is None:
        return {}
    return {finding.name: as_choice(finding, *known) for finding in classifier.tree.findings}


def risk_control(classifier: Decider, missed: float = MISSED) -> RiskControl | None:
    """From which probability on findings cannot be ruled out; None without validation images.

    missed: the mean share of an image's findings that may be missed, in (0, 1).
    """
    known = _known(classifier, promised=True)
    if known is None:
        return None
    truth, marks, predictions = known
    present = classifier.tree.finding_truths(truth, marks) == PRESENT
    return fit_risk_control(predictions.finding_probs, present, missed)


def _known(classifier: Decider, promised: bool) -> tuple[IntArray, IntArray, Predictions] | None:
    """Classes, marks and predictions of the validation images; None where no marks are kept."""
    validation = classifier.validation
    if validation is None or validation.marks is None:
        return None
    if not promised or validation.shifted is None:
        truth, predictions = classifier.validation_predictions()
        return truth, validation.marks, predictions
    truth, predictions = classifier.promised_predictions()
    return truth, validation.marks[validation.shifted.rows], predictions
