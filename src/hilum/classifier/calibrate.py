"""Calibrate a classifier: what it learns from images that trained none of its networks.

It keeps their logits, so that operating points and prediction sets can be chosen later without the
images; gets a temperature per network, so that its probabilities can be taken at their word; and
remembers features of training images, so that it can tell what is unlike all of them.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from hilum.classifier.classifier import Classifier, check_labels
from hilum.classifier.gate import fit_gate
from hilum.classifier.inference import compute_features, compute_logits
from hilum.classifier.promised import finding_sides
from hilum.classifier.provenance import doubt_of
from hilum.classifier.reference import MAX_IMAGES, Reference
from hilum.classifier.shifted import MOST_SHIFTED, shifted_pixels
from hilum.classifier.temperature import fit_temperature
from hilum.classifier.threshold import best_f1_threshold
from hilum.classifier.thumbnails import Thumbnails
from hilum.classifier.validation import Keys, ShiftedLogits, Validation, image_keys
from hilum.codec import to_plain
from hilum.decisions import Decision
from hilum.errors import ClassifierError, DataError
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.pixels import Progress
from hilum.records import (
    MISSING,
    PRESENT,
    FloatArray,
    IntArray,
    LazyPixels,
    PixelArray,
    Pixels,
    evenly_spaced,
)
from hilum.settings import Promises
from hilum.statistics.confident import contradicted_labels


def calibrate_on(
    classifier: Classifier,
    dataset: Dataset,
    split: str,
    *,
    remembered: str | None = "train",
    promises: Promises = "elsewhere",
    progress: Progress | None = None,
) -> Classifier:
    """Calibrate on a split, and remember the images of another.

    split: images that trained none of the networks; what `evaluate` says of them afterwards is no
    evidence. remembered: the split that trained it, or None to leave the reference and the gate
    as they are; of other data than those that trained it no thumbnails are kept. promises: as of
    calibrate. Raises ClassifierError where the split is the one to be remembered or trained the
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
            classifier, dataset, pixels, training_rows=training_rows,
            thumbnails=own and classifier.thumbnails is not None, progress=progress,
        )  # fmt: skip
    return calibrate(
        classifier,
        dataset,
        pixels,
        validation_rows=rows,
        split=split,
        promises=promises,
        progress=progress,
    )


def calibrate(
    classifier: Classifier,
    dataset: Dataset,
    pixels: PixelArray,
    *,
    validation_rows: IntArray,
    split: str,
    promises: Promises = "elsewhere",
    progress: Progress | None = None,
) -> Classifier:
    """The same classifier with temperatures, and the figures that operating points are chosen by.

    pixels: (N, H, W) uint8 of the whole data set under the classifier's preprocessing.
    validation_rows: (M,) positions of images that trained none of the networks. split: what they
    are called. It also keeps where they lie among the training images, and their gate p-values, if
    the classifier remembers those: remember comes first. promises: 'elsewhere' also asks the
    networks about a shifted copy of each image (of up to 1,000 at equal steps), and fits what is
    fitted on these; 'alike' on the images. Where their files can no longer be read it is 'alike',
    and provenance says why. Under the rule 'route' the predicted classes stay as they are.
    """
    truth, marks = dataset.labels[validation_rows], dataset.marks[validation_rows]
    marks = doubt_of(classifier.provenance).settle(marks)
    own_pixels = LazyPixels.of_rows(pixels, validation_rows)
    logits, embedded = _logits_and_places(classifier, own_pixels, progress)
    gate = classifier.gate if len(truth) else None
    p_values = None if gate is None else gate.judge(own_pixels).p_values.astype(np.float32)
    shifted, missing = None, ""
    if promises == "elsewhere" and len(truth):
        some = evenly_spaced(len(truth), MOST_SHIFTED)
        try:
            copies = shifted_pixels(
                dataset, validation_rows[some], classifier.preprocessing, progress
            )
            shifted = ShiftedLogits(some, _logits(classifier, copies, progress))
        except DataError:  # which names files, and this travels
            missing = "the files of validation images can no longer be read"
    temperatures, fits = {}, {}

    def fit(decision: Decision, name: str, columns: _Columns, targets: IntArray) -> None:
        own = columns(logits[decision.name])
        elsewhere = None
        if shifted is not None:
            elsewhere = shifted.rows, columns(shifted.logits[decision.name])
        temperatures[name], fits[name] = _fit(own, targets, elsewhere)

    for decision in classifier.tree.networks(classifier.strategy):
        k = len(decision.options)
        if k:
            fit(decision, decision.name, partial(_first, k), decision.targets(truth))
        for at, finding in enumerate(decision.findings, start=k):
            asked = np.isin(truth, finding.classes)
            targets = np.where(asked, marks[:, finding.index], MISSING)
            fit(decision, finding.name, partial(_against_absent, at), targets)
    about = {**_about(dataset), "split": split, "n": len(truth)}
    keys = _keys(dataset, validation_rows)
    found = {**about, "temperatures": fits, "holds": "alike" if shifted is None else "elsewhere"}
    if missing:
        found["reason"] = missing
    of_findings = marks if classifier.tree.findings else None
    fitted = replace(
        classifier,
        temperatures=temperatures,
        thresholds={},
        validation=Validation(truth, logits, about, keys, shifted, of_findings, embedded, p_values),
        provenance={**classifier.provenance, "calibration": found},
    )
    return replace(fitted, thresholds=_thresholds(fitted))


_Columns = Callable[[FloatArray], FloatArray]


def _first(k: int, logits: FloatArray) -> FloatArray:
    """Of a network's outputs (M, outputs) those of its options, (M, k)."""
    return logits[:, :k]


def _against_absent(at: int, logits: FloatArray) -> FloatArray:
    """The logit of a finding as those of a choice between its absence and presence, (M, 2)."""
    return np.column_stack([np.zeros(len(logits)), logits[:, at]])


def _thresholds(classifier: Classifier) -> dict[str, float]:
    """By finding, from which probability on it is called present; F1 is highest so.

    Those of which there are too few images keep 0.5, and are left out.
    """
    found = {}
    for name, side in finding_sides(classifier).items():
        scores = side.predictions.probs[:, 1]
        threshold = best_f1_threshold(scores, side.truth == PRESENT)
        if threshold is not None:
            found[name] = threshold
    return found


def _logits(
    classifier: Classifier, pixels: Pixels, progress: Progress | None
) -> dict[str, FloatArray]:
    return {
        name: compute_logits(
            network, pixels, classifier.preprocessing, classifier.device, progress=progress
        )
        for name, network in classifier.networks.items()
    }


def _logits_and_places(
    classifier: Classifier, pixels: Pixels, progress: Progress | None
) -> tuple[dict[str, FloatArray], npt.NDArray[np.float16] | None]:
    """Also where images lie among the remembered ones; None where none are remembered."""
    if classifier.reference is None or not len(pixels):
        return _logits(classifier, pixels, progress), None
    logits, embedded = classifier.look(pixels, progress)
    return logits, embedded.astype(np.float16)


def _fit(
    logits: FloatArray, targets: IntArray, elsewhere: tuple[IntArray, FloatArray] | None
) -> tuple[float, dict[str, Any]]:
    """A network's temperature, and what provenance says of it.

    Of images whose label the network contradicts (statistics.confident) the shifted copies do not
    count: a temperature fitted to wrong labels makes a network too unsure. Where shifted copies
    cannot tell, the images themselves do, and 'alike' is what they say.
    """
    mine = targets >= 0
    alike = fit_temperature(logits[mine], targets[mine])
    if elsewhere is None:
        return alike.value, to_plain(alike)
    suspect = np.zeros(len(targets), dtype=bool)
    suspect[mine] = contradicted_labels(softmax(logits[mine] / alike.value, axis=1), targets[mine])
    rows, copies = elsewhere
    kept = mine[rows] & ~suspect[rows]
    found = fit_temperature(copies[kept], targets[rows][kept])
    value = alike.value if found.reason and found.value == 1 else found.value
    left_out = int((suspect & mine)[rows].sum())
    about = {**to_plain(found), "value": value, "left_out": left_out, "alike": to_plain(alike)}
    return value, about


def remember(
    classifier: Classifier,
    dataset: Dataset,
    pixels: PixelArray,
    *,
    training_rows: IntArray,
    thumbnails: bool = False,
    progress: Progress | None = None,
) -> Classifier:
    """The same classifier with what it remembers of its training images: a reference and a gate.

    pixels: as for calibrate. training_rows: (M,) positions of the images that trained it, of
    which up to 5,000 at equal steps are kept. thumbnails: whether it gets pictures of them, which
    are of patients. The gate is left out where there are too few images
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
    validation = classifier.validation
    if validation is not None:  # these were of what it remembered before
        validation = replace(validation, embedded=None, gate_p_values=None)
    return replace(
        classifier,
        reference=Reference.fit(
            features, labels, rows, _about(dataset), _keys(dataset, rows),
            marks=dataset.marks[rows] if dataset.tree.findings else None,
        ),
        gate=gate,
        validation=validation,
        thumbnails=Thumbnails.shrink(seen, _about(dataset)) if thumbnails else None,
        provenance={**classifier.provenance, "gate": {"n": len(rows), **missing}},
    )  # fmt: skip


def _keys(dataset: Dataset, rows: IntArray) -> Keys:
    return image_keys([dataset.digests[row] for row in rows])


def _about(dataset: Dataset) -> dict[str, Any]:
    return {"name": dataset.name, "fingerprint": dataset.fingerprint}
