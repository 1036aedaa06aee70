"""Calibrate a classifier: what it learns from images that trained none of its networks.

It keeps their logits, so that operating points and prediction sets can be chosen later without the
images; gets a temperature per network, so that its probabilities can be taken at their word; and
remembers features of training images, so that it can tell what is unlike all of them.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from hilum.classifier.classifier import Classifier, check_labels
from hilum.classifier.gate import fit_gate
from hilum.classifier.inference import compute_features, compute_logits
from hilum.classifier.provenance import doubt_of
from hilum.classifier.reference import MAX_IMAGES, Reference
from hilum.classifier.temperature import fit_temperature
from hilum.classifier.threshold import best_f1_threshold
from hilum.classifier.validation import Keys, Validation, image_keys
from hilum.codec import to_plain
from hilum.errors import ClassifierError
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.pixels import Progress
from hilum.records import MISSING, PRESENT, FloatArray, IntArray, PixelArray, evenly_spaced


def calibrate_on(
    classifier: Classifier,
    dataset: Dataset,
    split: str,
    *,
    remembered: str | None = "train",
    progress: Progress | None = None,
) -> Classifier:
    """Calibrate on a split, and remember the images of another.

    split: images that trained none of the networks; what `evaluate` says of them afterwards is no
    evidence. remembered: the split that trained it, or None to leave the reference and the gate
    as they are. Raises ClassifierError where the split is the one to be remembered or trained the
    classifier, or the labels differ; DataError where the data have no such split.
    """
    check_labels(classifier, dataset, ClassifierError)
    own = classifier.provenance.get("data", {}).get("fingerprint") == dataset.fingerprint
    if split in ("all", remembered) or (own and split == "train"):
        raise ClassifierError(
            f"The split '{split}' trained the classifier: it cannot tell how sure it may be of "
            "other images. Choose one that did not, such as val."
        )
    pixels = dataset.pixels(classifier.preprocessing, progress)
    rows = dataset.indices(split)
    if remembered is not None:
        training_rows = dataset.indices(remembered)
        classifier = remember(
            classifier, dataset, pixels, training_rows=training_rows, progress=progress
        )
    return calibrate(
        classifier, dataset, pixels, validation_rows=rows, split=split, progress=progress
    )


def calibrate(
    classifier: Classifier,
    dataset: Dataset,
    pixels: PixelArray,
    *,
    validation_rows: IntArray,
    split: str,
    progress: Progress | None = None,
) -> Classifier:
    """The same classifier with temperatures, and the figures that operating points are chosen by.

    pixels: (N, H, W) uint8 of the whole data set under the classifier's preprocessing.
    validation_rows: (M,) positions of images that trained none of the networks. split: what they
    are called. Under the rule 'route' the predicted classes stay as they are.
    """
    held_out = np.asarray(pixels[validation_rows])
    logits = {
        name: compute_logits(
            network, held_out, classifier.preprocessing, classifier.device, progress=progress
        )
        for name, network in classifier.networks.items()
    }
    truth, marks = dataset.labels[validation_rows], dataset.marks[validation_rows]
    marks = doubt_of(classifier.provenance).settle(marks)
    temperatures, fits = {}, {}

    def fit(name: str, values: FloatArray, targets: IntArray) -> None:
        mine = targets >= 0
        fitted = fit_temperature(values[mine], targets[mine])
        temperatures[name] = fitted.value
        fits[name] = to_plain(fitted)

    for decision in classifier.tree.networks(classifier.strategy):
        values, k = logits[decision.name], len(decision.options)
        if k:
            fit(decision.name, values[:, :k], decision.targets(truth))
        for finding, own in zip(decision.findings, values[:, k:].T, strict=True):
            asked = np.isin(truth, finding.classes)
            against_absent = np.column_stack([np.zeros_like(own), own])
            fit(finding.name, against_absent, np.where(asked, marks[:, finding.index], MISSING))
    about = {**_about(dataset), "split": split, "n": len(truth)}
    classifier = replace(classifier, temperatures=temperatures, thresholds={})
    return replace(
        classifier,
        thresholds=_thresholds(classifier, truth, marks, logits),
        validation=Validation(
            truth,
            logits,
            about,
            _keys(dataset, validation_rows),
            marks if classifier.tree.findings else None,
        ),
        provenance={**classifier.provenance, "calibration": {**about, "temperatures": fits}},
    )


def _thresholds(
    classifier: Classifier, truth: IntArray, marks: IntArray, logits: dict[str, FloatArray]
) -> dict[str, float]:
    """By finding, from which probability on it is called present; F1 is highest so.

    Those of which there are too few images keep 0.5, and are left out.
    """
    probs = classifier.decide(logits).finding_probs
    found = {}
    for finding in classifier.tree.findings:
        present = finding.truth(truth, marks)
        known = present >= 0
        threshold = best_f1_threshold(probs[known, finding.index], present[known] == PRESENT)
        if threshold is not None:
            found[finding.name] = threshold
    return found


def remember(
    classifier: Classifier,
    dataset: Dataset,
    pixels: PixelArray,
    *,
    training_rows: IntArray,
    progress: Progress | None = None,
) -> Classifier:
    """The same classifier with what it remembers of its training images: a reference and a gate.

    pixels: as for calibrate. training_rows: (M,) positions of the images that trained it, of
    which up to 5,000 at equal steps are kept. The gate is left out where there are too few images
    to set its false-alarm rate by, or where they are all alike; provenance tells.
    """
    rows = training_rows[evenly_spaced(len(training_rows), MAX_IMAGES)]
    seen, labels = np.asarray(pixels[rows]), dataset.labels[rows]
    features = {
        name: compute_features(
            network, seen, classifier.preprocessing, classifier.device, progress=progress
        )
        for name, network in classifier.networks.items()
    }
    try:
        gate, missing = fit_gate(seen, labels, about=_about(dataset)), {}
    except ClassifierError as error:  # too few images, or all alike
        gate, missing = None, {"reason": str(error)}
    return replace(
        classifier,
        reference=Reference.fit(features, labels, rows, _about(dataset), _keys(dataset, rows)),
        gate=gate,
        provenance={**classifier.provenance, "gate": {"n": len(rows), **missing}},
    )


def _keys(dataset: Dataset, rows: IntArray) -> Keys:
    return image_keys([dataset.digests[row] for row in rows])


def _about(dataset: Dataset) -> dict[str, Any]:
    return {"name": dataset.name, "fingerprint": dataset.fingerprint}
