"""A trained classifier: the only way from radiographs to probabilities.

Training's monitoring, evaluation, the command line and everything later go through this module,
so that preprocessing cannot drift between them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import softmax
from torch import nn

from hilum.classifier.files import (
    ClassifierFile,
    NetworkEntry,
    classifier_folder,
    load_network,
    pack_weights,
    read_classifier_file,
    read_part,
    write_part,
)
from hilum.classifier.gate import Gate
from hilum.classifier.inference import compute_logits
from hilum.classifier.reference import Reference
from hilum.classifier.validation import Validation
from hilum.device import as_channels_last, choose_device
from hilum.display import Displayed, facts_table, paragraphs
from hilum.errors import ClassifierError, EvaluationError, HilumError, LabelError
from hilum.files import filled_folder, safe_name, write_atomically
from hilum.labels import FLAT, LabelTree, Rule, Strategy
from hilum.networks.ensemble import split_network
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.gather import Images, gather_images, image_name
from hilum.radiographs.image import Source, read_radiograph
from hilum.radiographs.pixels import Progress, in_parallel
from hilum.records import FloatArray, IntArray, PixelArray, Predictions
from hilum.table import Row, Table
from hilum.transforms.preprocess import Preprocessing, check_pixels

#: What calibration gives a classifier: the files and what reads them. Weights never have such a
#: name, because safe_name leaves no dot in one.
_PARTS: dict[str, tuple[str, Any]] = {
    "validation": ("validation.logits.safetensors", Validation),
    "reference": ("reference.features.safetensors", Reference),
    "gate": ("gate.pictures.safetensors", Gate),
}

_CHUNK = 512  # radiographs decoded at a time: bounds memory for folders of any size


@dataclass(repr=False)
class Classifier(Displayed):
    """Networks, the label tree they decide, and what turns an image into their input.

    Args:
        tree: The labels.
        strategy: 'flat' or 'cascade'.
        rule: How probabilities become a class: 'route' or 'argmax'.
        preprocessing: What makes an image a network's input.
        networks: One module per decision of the strategy, by the decision's name; members of an
            ensemble are joined in one (networks/ensemble.py).
        network_names: Their registered names.
        provenance: Where it came from, as plain JSON values.
        temperatures: By network, what its logits are divided by; 1 where none is given.
        validation: What the networks said of images that trained none of them, if calibrated.
        reference: What it remembers of its training images, if calibrated.
        gate: Judges whether an image is like them, if calibrated.
        device: Where it computes.
    """

    tree: LabelTree
    strategy: Strategy
    rule: Rule
    preprocessing: Preprocessing
    networks: dict[str, nn.Module]
    network_names: dict[str, str]
    provenance: dict[str, Any] = field(default_factory=dict)
    temperatures: dict[str, float] = field(default_factory=dict)
    validation: Validation | None = None
    reference: Reference | None = None
    gate: Gate | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def __post_init__(self) -> None:
        for network in self.networks.values():
            as_channels_last(network, self.device).eval()

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of probabilities."""
        return self.tree.classes

    @property
    def classes_(self) -> npt.NDArray[np.str_]:
        """(C,) the names of the classes, as scikit-learn calls them."""
        return np.array(self.tree.classes)

    # ---- use -------------------------------------------------------------------------------

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
        self, pixels: PixelArray, names: Sequence[str] = (), progress: Progress | None = None
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

    def _logits(self, pixels: PixelArray, progress: Progress | None) -> dict[str, FloatArray]:
        """What each network says of stored pixels: all that another runtime does otherwise."""
        return {
            name: compute_logits(
                network, pixels, self.preprocessing, self.device, progress=progress
            )
            for name, network in self.networks.items()
        }

    def decide(self, logits: Mapping[str, FloatArray], names: Sequence[str] = ()) -> Predictions:
        """Turn logits into predictions, under the classifier's temperatures and rule.

        Args:
            logits: (N, options) by network.
            names: Of the N images, or none.

        Returns:
            The predictions of N images, in their order.
        """
        probs_of = {
            name: softmax(values / self.temperatures.get(name, 1.0), axis=1)
            for name, values in logits.items()
        }
        if self.strategy == "flat":
            probs = probs_of[FLAT]
            decision_probs = self.tree.decision_probs(probs)
            predicted = probs.argmax(axis=1).astype(np.int64)
        else:
            probs = self.tree.leaf_probs(probs_of)
            decision_probs = probs_of
            predicted = self.tree.choose(probs_of, self.rule)
        found = tuple(names) if len(names) else ("",) * len(probs)
        return Predictions(
            found,
            probs,
            decision_probs,
            predicted,
            classes=self.tree.classes,
            options=self.tree.options,
        )

    def without_temperatures(self, predictions: Predictions) -> Predictions:
        """What this classifier's predictions would be at temperature 1.

        Args:
            predictions: Of this classifier.

        Returns:
            Those of the same images.
        """
        of = {FLAT: predictions.probs} if self.strategy == "flat" else predictions.decision_probs
        with np.errstate(divide="ignore"):  # log 0 is minus infinity, and softmax gives 0 back
            logits = {name: np.log(of[name]) * self.temperatures.get(name, 1) for name in of}
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

    def _pixels(self, source: Source) -> PixelArray:
        return self.preprocessing.to_pixels(read_radiograph(source))

    # ---- files -----------------------------------------------------------------------------

    def save_new(self, folder: Path | str, beside: Mapping[str, bytes] | None = None) -> None:
        """Write the classifier as save does, into a folder that is new or empty, or not at all.

        Args:
            folder: Made where it is not there.
            beside: Other files of the folder, by name.

        Raises:
            ClassifierError: The folder holds something, or cannot be written.
        """
        try:
            with filled_folder(Path(folder)):
                for name, data in (beside or {}).items():
                    write_atomically(Path(folder) / name, data)
                self.save(folder)
        except OSError as error:
            reason = error.strerror or error
            raise ClassifierError(f"{folder}: cannot be written ({reason}).") from None

    def save(self, folder: Path | str) -> None:
        """Write weights (safetensors) and classifier.json into a folder, the JSON last.

        Args:
            folder: Made where it is not there.
        """
        folder = Path(folder)
        entries: dict[str, NetworkEntry] = {}
        for decision in self.tree.networks(self.strategy):
            name = decision.name
            weights = pack_weights(self.networks[name].state_dict())
            members, mirror = split_network(self.networks[name])
            written = write_part(folder, f"{safe_name(name)}.safetensors", weights)
            entries[name] = NetworkEntry(
                name=self.network_names[name],
                outputs=len(decision.options),
                weights=written.file,
                sha256=written.sha256,
                temperature=self.temperatures.get(name, 1.0),
                members=len(members),
                mirror=mirror,
            )
        parts = {
            name: write_part(folder, file, part.to_bytes())
            for name, (file, _) in _PARTS.items()
            if (part := getattr(self, name)) is not None
        }
        content = ClassifierFile(
            labels=self.tree.to_json(),
            strategy=self.strategy,
            rule=self.rule,
            preprocessing=self.preprocessing,
            networks=entries,
            **parts,
            provenance=self.provenance,
        )
        text = content.model_dump_json(indent=2) + "\n"
        write_atomically(folder / "classifier.json", text.encode())

    @classmethod
    def load(
        cls, path: Path | str, *, device: str = "auto", allow_code: bool = False
    ) -> "Classifier":
        """Read a classifier from its folder, or from the folder of the run that trained it.

        Args:
            path: The folder.
            device: 'auto', 'cpu', 'cuda', 'cuda:1' or 'mps'.
            allow_code: Import a network of the user's own (``module:Class``), which runs that
                module; the environment variable HILUM_ALLOW_CODE allows it by module.

        Returns:
            The classifier, on the device.

        Raises:
            ClassifierError: Files are missing, damaged (by their SHA-256) or do not fit.
        """
        folder = classifier_folder(path)
        content = read_classifier_file(folder)
        try:
            tree = LabelTree.from_json(content.labels)
        except LabelError as error:
            raise ClassifierError(f"{folder}: {error}") from None
        networks: dict[str, nn.Module] = {}
        for decision in tree.networks(content.strategy):
            entry = content.networks.get(decision.name)
            if entry is None or entry.outputs != len(decision.options):
                raise ClassifierError(
                    f"{folder}: classifier.json has no fitting network for the decision "
                    f"'{decision.name}' ({', '.join(decision.options)})."
                )
            networks[decision.name] = load_network(folder, entry, content.preprocessing, allow_code)
        parts = {}
        for name, (_, kind) in _PARTS.items():
            entry = getattr(content, name)
            if entry is not None:
                data = read_part(folder, entry.file, entry.sha256, "a part of the classifier is")
                parts[name] = kind.from_bytes(data, str(folder / entry.file))
        return cls(
            tree=tree,
            strategy=content.strategy,
            rule=content.rule,
            preprocessing=content.preprocessing,
            networks=networks,
            network_names={name: content.networks[name].name for name in networks},
            provenance=content.provenance,
            temperatures={name: content.networks[name].temperature for name in networks},
            **parts,
            device=choose_device(device),
        )

    # ---- in words --------------------------------------------------------------------------

    def _in_one_line(self) -> str:
        networks = ", ".join(dict.fromkeys(self.network_names.values()))
        height, width = self.preprocessing.image_size
        calibrated = "calibrated" if self.validation else "not calibrated"
        name = f"'{self.provenance['name']}' " if "name" in self.provenance else ""
        return (
            f"Classifier {name}of {self.tree}: {self.strategy}, "
            f"{networks}, {height} x {width} pixels, {calibrated}"
        )

    def _in_full(self) -> Iterator[str | Table]:
        data = self.provenance.get("data") or {}
        yield facts_table(
            [
                ("rule", self.rule),
                ("trained on", data.get("name")),
                ("finished", self.provenance.get("finished")),
                ("gate", "there" if self.gate else "none"),
                ("device", self.device),
            ]
        )
        rows: list[Row] = [
            [name, self.network_names[name], sum(p.numel() for p in network.parameters()),
             self.temperatures.get(name, 1.0)]
            for name, network in self.networks.items()
        ]  # fmt: skip
        yield Table("Networks", ["decision", "network", "parameters", "temperature"], rows)
        yield paragraphs(*(str(note) for note in self.provenance.get("notes", [])))


def check_labels(
    classifier: Classifier, dataset: Dataset, error: type[HilumError] = EvaluationError
) -> None:
    """Raise error unless a data set has the labels of a classifier, in its order."""
    if dataset.tree != classifier.tree:
        raise error(
            f"The classifier decides between '{classifier.tree}', but the labels of "
            f"{dataset.root} are '{dataset.tree}': open them with tree=classifier.tree."
        )
