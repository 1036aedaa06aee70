"""What a calibrated classifier promises: thresholds that are chosen on its validation images.

All are chosen as Decider.promised_predictions says: on shifted copies where it carries such.
"""

from collections.abc import Iterable

import numpy as np

from hilum.classifier.decider import Decider
from hilum.classifier.operating_points import (
    OperatingPoint,
    finding_of,
    fit_operating_point,
    parse_operating_points,
)
from hilum.classifier.risk_control import MISSED, RiskControl, fit_risk_control
from hilum.classifier.threshold import PRESETS
from hilum.decisions import Finding
from hilum.records import PRESENT
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
    for finding in tree.findings:
        own = [text for text in texts if finding_of(text, tree) == finding]
        side = finding_side(classifier, finding)
        if side is not None:
            points += [
                fit_operating_point(point, side.tree, side.truth, side.predictions)
                for point in parse_operating_points([*alone, *own], side.tree)
            ]
    return tuple(points)


def finding_side(classifier: Decider, finding: Finding, *, promised: bool = True) -> Side | None:
    """What it says of a finding on the validation images, as a choice; None without any.

    promised: on their shifted copies, where it carries such.
    """
    validation = classifier.validation
    if validation is None or validation.marks is None:
        return None
    if not promised or validation.shifted is None:
        truth, predictions = classifier.validation_predictions()
        return as_choice(finding, truth, validation.marks, predictions)
    truth, predictions = classifier.promised_predictions()
    return as_choice(finding, truth, validation.marks[validation.shifted.rows], predictions)


def risk_control(classifier: Decider, missed: float = MISSED) -> RiskControl | None:
    """From which probability on findings cannot be ruled out; None without validation images.

    missed: the mean share of an image's findings that may be missed, in (0, 1).
    """
    validation = classifier.validation
    if validation is None or validation.marks is None:
        return None
    truth, predictions = classifier.promised_predictions()
    marks = validation.marks
    if validation.shifted is not None:
        marks = marks[validation.shifted.rows]
    present = [f.truth(truth, marks) == PRESENT for f in classifier.tree.findings]
    return fit_risk_control(predictions.finding_probs, np.column_stack(present), missed)
