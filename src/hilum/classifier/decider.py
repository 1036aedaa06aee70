"""From what networks say to answers: all of a classifier but its networks and what runs them.

It needs no PyTorch: where something else runs the networks, none is loaded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hilum.classifier.files import ClassifierFile, read_part
from hilum.classifier.gate import Gate
from hilum.classifier.reference import Reference
from hilum.classifier.thumbnails import Thumbnails
from hilum.classifier.validation import Validation
from hilum.decisions import FLAT
from hilum.display import Displayed
from hilum.errors import ClassifierError, LabelError
from hilum.labels import LabelTree, Rule, Strategy
from hilum.predictions import Predictions
from hilum.radiographs.gather import Images, gather_images, image_name
from hilum.radiographs.image import Source, read_radiograph
from hilum.radiographs.pixels import Progress, in_parallel
from hilum.records import FloatArray, IntArray, PixelArray, Pixels
from hilum.settings import Promises
from hilum.transforms.preprocess import Preprocessing, check_pixels

#: What calibration gives a classifier: the files and what reads them. Weights never have such a
#: name, because safe_name leaves no dot in one.
PARTS: dict[str, tuple[str, Any]] = {
    "validation": ("validation.logits.safetensors", Validation),
    "reference": ("reference.features.safetensors", Reference),
    "gate": ("gate.pictures.safetensors", Gate),
    "thumbnails": ("training.thumbnails.safetensors", Thumbnails),
}

_CHUNK = 512  # radiographs decoded at a time: bounds memory for folders of any size


@dataclass(repr=False)
class Decider(Displayed):
    """The label tree, what turns an image into a network's input, and what logits mean.

    What runs the networks gives _logits, weights_sha256 and device_type.

    Args:
        tree: The labels.
        strategy: 'flat' or 'cascade'.
        rule: How probabilities become a class: 'route' or 'argmax'.
        preprocessing: What makes an image a network's input.
        network_names: The registered names of the networks, by the decision's name.
        provenance: Where it came from, as plain JSON values.
        temperatures: By network, what the logits of its options are divided by, and by finding
            what its own is; 1 where none is given.
        thresholds: By finding, from which probability on it is called present; 0.5 where none is
            given.
        validation: What the networks said of images that trained none of them, if calibrated.
        reference: What it remembers of its training images, if calibrated.
        gate: Judges whether an image is like them, if calibrated.
        thumbnails: Pictures of what it remembers, where its recipe keeps them.
    """

    tree: LabelTree
    strategy: Strategy
    rule: Rule
    preprocessing: Preprocessing
    network_names: dict[str, str]
    provenance: dict[str, Any] = field(default_factory=dict)
    temperatures: dict[str, float] = field(default_factory=dict)
    thresholds: dict[str, float] = field(default_factory=dict)
    validation: Validation | None = None
    reference: Reference | None = None
    gate: Gate | None = None
    thumbnails: Thumbnails | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of probabilities."""
        return self.tree.classes

    @property
    def classes_(self) -> npt.NDArray[np.str_]:
        """(C,) the names of the classes, as scikit-learn calls them."""
        return np.array(self.tree.classes)

    def predict(self, images: Images, progress: Progress | None = None) -> Predictions:
        """Classify radiographs.

        Args:
            images: A file, a folder (every image below it), a PIL image, an array, a data set, or
                a list of such. An array is grey (H, W), RGB (H, W, 3) or RGBA (H, W, 4), and alone
                also a batch (N, H, W) or (N, H, W, 3); of uint8, of uint16, which is scaled as a
                16-bit file is, of other integers in 0 to 255, or of floats in [0, 1].
            progress: Called with what is done, how many are done, and of how many.

        Returns:
            The predictions of N images, in their order.

        Raises:
            DataError: Files cannot be read, of which it names those among the 512 that are
                decoded together; arrays have another form, or it is not known which of their
                values is white; or there is no image.
        """
        sources = gather_images(images)
        names = [image_name(source) for source in sources]
        parts: list[Predictions] = []
        for start in range(0, len(sources), _CHUNK):
            chunk = sources[start : start + _CHUNK]
            if len(chunk) == 1:  # starting threads would take longer than what they do
                read = [self._pixels(chunk[0])]
            else:
                read = in_parallel(self._pixels, chunk, "", None)
            parts.append(self.predict_pixels(np.stack(read), names[start : start + _CHUNK]))
            if progress:
                progress("Predicting", min(start + _CHUNK, len(sources)), len(sources))
        return Predictions.join(parts)

    def predict_proba(self, images: Images) -> FloatArray:
        """The class probabilities alone, as scikit-learn calls them.

        Args:
            images: As of predict.

        Returns:
            (N, C) in [0, 1], columns in the order of classes; rows sum to 1.

        Raises:
            DataError: As of predict.
        """
        return self.predict(images).probs

    def predict_pixels(
        self, pixels: Pixels, names: Sequence[str] = (), progress: Progress | None = None
    ) -> Predictions:
        """Classify pixels that were already resized by this classifier's preprocessing.

        Args:
            pixels: (N, H, W) uint8, N ≥ 1, with (H, W) its image_size.
            names: Of the N images, or none.
            progress: As of predict.

        Returns:
            The predictions of N images, in their order.

        Raises:
            DataError: The pixels have another shape or type.
        """
        check_pixels(pixels, self.preprocessing.image_size)
        decided = self.decide(self._logits(pixels, progress), names)
        if self.gate is None:
            return decided
        return replace(decided, gate_p_values=self.gate.judge(pixels).p_values)

    def _logits(self, pixels: Pixels, progress: Progress | None) -> dict[str, FloatArray]:
        """What each network says of stored pixels: (N, options) by network."""
        raise NotImplementedError

    def weights_sha256(self) -> dict[str, str]:
        """The SHA-256 of each network's weights as safetensors, by the decision's name."""
        raise NotImplementedError

    @property
    def device_type(self) -> str:
        """The kind of device that it computes on: 'cpu', 'cuda' or 'mps'."""
        raise NotImplementedError

    def decide(self, logits: Mapping[str, FloatArray], names: Sequence[str] = ()) -> Predictions:
        """Turn logits into predictions, under the classifier's temperatures and rule.

        Args:
            logits: (N, options) by network.
            names: Of the N images, or none.

        Returns:
            The predictions of N images, in their order.
        """
        options, given = {}, {}
        for decision in self.tree.networks(self.strategy):
            values, k = logits[decision.name], len(decision.options)
            if k:
                temperature = self.temperatures.get(decision.name, 1.0)
                options[decision.name] = _softmax(values[:, :k] / temperature)
            for finding, own in zip(decision.findings, values[:, k:].T, strict=True):
                given[finding.name] = _sigmoid(own / self.temperatures.get(finding.name, 1.0))
        n = len(next(iter(logits.values())))
        if not self.tree.decisions:
            probs, predicted = np.ones((n, 1)), np.zeros(n, dtype=np.int64)
        elif self.strategy == "flat":
            probs = options[FLAT]
            options = self.tree.decision_probs(probs)
            predicted = probs.argmax(axis=1).astype(np.int64)
        else:
            probs = self.tree.leaf_probs(options)
            predicted = self.tree.choose(options, self.rule)
        findings = tuple(finding.name for finding in self.tree.findings)
        finding_probs = self.tree.finding_probs(probs, given)
        return Predictions(
            tuple(names) if len(names) else ("",) * n,
            probs,
            options,
            predicted,
            classes=self.tree.classes,
            options=self.tree.options,
            findings=findings,
            finding_probs=finding_probs,
            present=finding_probs >= [self.thresholds.get(name, 0.5) for name in findings],
        )

    def without_temperatures(self, predictions: Predictions) -> Predictions:
        """What this classifier's predictions would be at temperature 1.

        Args:
            predictions: Of this classifier.

        Returns:
            Those of the same images.
        """
        of = {FLAT: predictions.probs} if self.strategy == "flat" else predictions.decision_probs
        logits = {}
        with np.errstate(divide="ignore", invalid="ignore"):
            # log 0 is minus infinity, and softmax gives 0 back
            for decision in self.tree.networks(self.strategy):
                columns = []
                if decision.options:
                    temperature = self.temperatures.get(decision.name, 1)
                    columns = list((np.log(of[decision.name]) * temperature).T)
                for finding in decision.findings:
                    reached = predictions.probs[:, finding.classes].sum(axis=1)
                    given = np.minimum(predictions.finding_probs[:, finding.index] / reached, 1)
                    given = np.where(reached > 0, given, 0.5)  # it does not count there
                    odds = np.log(given) - np.log1p(-given)
                    columns.append(odds * self.temperatures.get(finding.name, 1))
                logits[decision.name] = np.column_stack(columns)
        return replace(self, temperatures={}).decide(logits, predictions.names)

    def validation_predictions(self) -> tuple[IntArray, Predictions]:
        """What the classifier says of the validation images that it was calibrated on.

        Returns:
            Their true classes (M,), and the predictions.

        Raises:
            ClassifierError: The classifier was not calibrated.
        """
        if self.validation is None:
            raise ClassifierError(
                "This classifier carries no validation figures to choose by. Give it some: "
                "hilum calibrate CLASSIFIER DATA --split val"
            )
        return self.validation.truth, self.decide(self.validation.logits)

    def promised_predictions(self) -> tuple[IntArray, Predictions]:
        """What thresholds and prediction sets are chosen on, so that they hold elsewhere.

        Returns:
            As validation_predictions, but of one shifted copy of each image (of up to 1,000 of
            them); of the images themselves where the classifier carries no such figures, as those
            of earlier versions do not.

        Raises:
            ClassifierError: The classifier was not calibrated.
        """
        if self.validation is None or self.validation.shifted is None:
            return self.validation_predictions()
        shifted = self.validation.shifted
        return self.validation.truth[shifted.rows], self.decide(shifted.logits)

    @property
    def holds(self) -> Promises | None:
        """For which films what it was fitted to holds; None where it was not calibrated."""
        if self.validation is None:
            return None
        return "alike" if self.validation.shifted is None else "elsewhere"

    def _pixels(self, source: Source) -> PixelArray:
        return self.preprocessing.to_pixels(read_radiograph(source))


def _softmax(logits: FloatArray) -> FloatArray:
    """(N, options) as probabilities; SciPy's would take a fifth of a second to import."""
    powers: FloatArray = np.exp(logits - logits.max(axis=1, keepdims=True))
    powers /= powers.sum(axis=1, keepdims=True)
    return powers


def _sigmoid(logits: FloatArray) -> FloatArray:
    """Each number as a probability, without overflow."""
    powers = np.exp(-np.abs(logits))
    probs: FloatArray = np.where(logits >= 0, 1.0, powers) / (1 + powers)
    return probs


def read_facts(folder: Path, content: ClassifierFile) -> dict[str, Any]:
    """The fields of a Decider, from a classifier's folder and its classifier.json.

    Raises ClassifierError where the labels are wrong, a decision has no fitting network, or a file
    of what calibration gave is missing or damaged.
    """
    try:
        tree = LabelTree.from_json(content.labels)
    except LabelError as error:
        raise ClassifierError(f"{folder}: {error}") from None
    names = [decision.name for decision in tree.networks(content.strategy)]
    for decision in tree.networks(content.strategy):
        entry = content.networks.get(decision.name)
        if entry is None or entry.outputs != decision.outputs:
            raise ClassifierError(
                f"{folder}: classifier.json has no fitting network for the decision "
                f"'{decision.name}' ({', '.join(decision.answers)})."
            )
    parts = {}
    for name, (_, kind) in PARTS.items():
        part = getattr(content, name)
        if part is not None:
            data = read_part(folder, part.file, part.sha256, "a part of the classifier is")
            parts[name] = kind.from_bytes(data, str(folder / part.file))
    pictures, remembered = (len(parts.get(name, ())) for name in ("thumbnails", "reference"))
    if pictures and pictures != remembered:
        raise ClassifierError(
            f"{folder}: damaged: thumbnails of {pictures} images, features of {remembered}."
        )
    return {
        "tree": tree,
        "strategy": content.strategy,
        "rule": content.rule,
        "preprocessing": content.preprocessing,
        "network_names": {name: content.networks[name].name for name in names},
        "provenance": content.provenance,
        "temperatures": {name: content.networks[name].temperature for name in names}
        | {name: finding.temperature for name, finding in content.findings.items()},
        "thresholds": {name: finding.threshold for name, finding in content.findings.items()},
        **parts,
    }
