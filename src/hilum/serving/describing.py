"""What a classifier says of itself before it is asked anything."""

from typing import Final

import numpy as np

from hilum.calibration.demands import PRESETS
from hilum.calibration.operating_points import fit_operating_point, parse_operating_points
from hilum.classifier import Classifier
from hilum.labels import LabelTree
from hilum.prediction.table import Table
from hilum.records import IntArray, Predictions
from hilum.serving.limits import Limits
from hilum.serving.schemas import ClassifierTold, Curve, LimitsTold, Options, ValidationFigures
from hilum.statistics.targets import Target, findings, labels_of
from hilum.statistics.two_by_two import TwoByTwo

#: In the order in which they are offered: occlusion changes nothing inside the networks.
METHODS_OFFERED: Final = ("occlusion", "gradcam", "ig")

_THRESHOLDS: Final = 101
_RESEARCH: Final = (
    "Research software, not a medical device: nothing here is a diagnosis.",
    "A class means what the label of that name meant in the training data, and no more.",
)


def describe_classifier(classifier: Classifier, table: Table, limits: Limits) -> ClassifierTold:
    """Everything of ``GET /v1/classifier``. table: what predictions are told by."""
    tree = classifier.tree
    presets: dict[str, list[dict[str, object]]] = {name: [] for name in PRESETS}
    curves: dict[str, Curve] = {}
    validation = None
    if classifier.validation is not None:
        truth, known = classifier.validation_predictions()
        about = classifier.validation.about
        validation = ValidationFigures(
            n=len(truth), split=str(about.get("split", "")), name=str(about.get("name", ""))
        )
        if findings(tree):
            for name in presets:
                points = parse_operating_points([name], tree)
                fitted = [fit_operating_point(p, tree, truth, known) for p in points]
                presets[name] = [point.to_json() for point in fitted]
        curves = {label: operating_curve(label, tree, truth, known) for label in labels_of(tree)}
    notes = classifier.provenance.get("notes", [])
    return ClassifierTold(
        name=str(classifier.provenance.get("name", "")),
        strategy=classifier.strategy,
        rule=classifier.rule,
        labels=tree.to_json(),
        classes=list(tree.classes),
        decisions=[Options(name=d.name, options=list(d.options)) for d in tree.decisions],
        networks=[
            Options(name=d.name, options=list(d.options))
            for d in tree.networks(classifier.strategy)
        ],
        image_size=list(classifier.preprocessing.image_size),
        notes=[*_RESEARCH, *map(str, notes)],
        calibrated=classifier.validation is not None,
        validation=validation,
        presets=presets,
        operating_curve=curves,
        coverage=table.conformal.coverage if table.conformal else None,
        gate=classifier.gate is not None,
        explanations=list(METHODS_OFFERED),
        neighbours=classifier.reference is not None,
        limits=LimitsTold(bytes=limits.bytes, pixels=limits.pixels, files=limits.files),
    )


def operating_curve(
    label: str, tree: LabelTree, truth: IntArray, predictions: Predictions
) -> Curve:
    """Sensitivity and specificity of a label at thresholds from 0 to 1 in steps of 0.01.

    truth: (M,) class indices of images that trained nothing. predictions: of the same images.
    """
    target = Target.parse(label, tree)
    positive, scores = target.positive(truth), target.scores(predictions)
    thresholds = np.linspace(0, 1, _THRESHOLDS).round(2)
    measures = [TwoByTwo.count(positive, scores >= t).measures() for t in thresholds]
    return Curve(
        thresholds=thresholds.tolist(),
        sensitivity=[m.sensitivity.to_json() for m in measures],
        specificity=[m.specificity.to_json() for m in measures],
    )
