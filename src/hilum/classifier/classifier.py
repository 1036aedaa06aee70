"""A trained classifier: the only way from radiographs to probabilities.

Training's monitoring, evaluation, the command line and everything later go through this module,
so that preprocessing cannot drift between them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
from safetensors import SafetensorError
from scipy.special import softmax
from torch import nn

from hilum.classifier.files import (
    ClassifierFile,
    NetworkEntry,
    classifier_folder,
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
from hilum.errors import ClassifierError, DataError, EvaluationError, HilumError, LabelError
from hilum.files import filled_folder, safe_name, write_atomically
from hilum.labels import FLAT, LabelTree, Rule, Strategy
from hilum.networks.ensemble import join_networks, split_network
from hilum.networks.registry import create_network_to_load
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.image import read_radiograph, scale_to_8_bit
from hilum.radiographs.layouts import list_images
from hilum.radiographs.pixels import Progress, in_parallel
from hilum.records import FloatArray, IntArray, PixelArray, Predictions
from hilum.transforms.preprocess import Preprocessing, check_pixels

Images = (
    str | Path | npt.NDArray[np.generic] | Sequence[str | Path] | Sequence[npt.NDArray[np.generic]]
)

#: What calibration gives a classifier: the files and what reads them. Weights never have such a
#: name, because safe_name leaves no dot in one.
_PARTS: dict[str, tuple[str, Any]] = {
    "validation": ("validation.logits.safetensors", Validation),
    "reference": ("reference.features.safetensors", Reference),
    "gate": ("gate.pictures.safetensors", Gate),
}

_CHUNK = 512  # radiographs decoded at a time: bounds memory for folders of any size


@dataclass
class Classifier:
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

    # ---- use -------------------------------------------------------------------------------

    def predict(self, images: Images, progress: Progress | None = None) -> Predictions:
        """Classify radiographs.

        Args:
            images: A file, a folder (every image below it), a list of files, one array (H, W), an
                array (N, H, W), or a list of arrays (H, W) of any size; arrays are grey, uint8, or
                uint16, which is scaled as a 16-bit file is.
            progress: Called with what is done, how many are done, and of how many.

        Returns:
            The predictions of N images, in their order.

        Raises:
            DataError: Files cannot be read, of which it names those among the 512 that are
                decoded together; or arrays have another form.
        """
        names, sources = _sources(images)
        if not sources:
            raise DataError(f"{images}: no images found.")
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
        return Predictions(found, probs, decision_probs, predicted)

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

    def _pixels(self, source: Path | npt.NDArray[np.generic]) -> PixelArray:
        if isinstance(source, Path):
            return self.preprocessing.to_pixels(read_radiograph(source))
        if source.ndim != 2 or source.dtype not in (np.uint8, np.uint16):
            raise DataError(
                "An image array must be grey (H, W) of uint8 or uint16, "
                f"not {source.dtype} {source.shape}."
            )
        grey = source if source.dtype == np.uint8 else scale_to_8_bit(source, "array")
        return self.preprocessing.to_pixels(np.ascontiguousarray(grey, dtype=np.uint8))

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
            networks[decision.name] = _load_network(
                folder, entry, content.preprocessing, allow_code
            )
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


def check_labels(
    classifier: Classifier, dataset: Dataset, error: type[HilumError] = EvaluationError
) -> None:
    """Raise error unless a data set has the labels of a classifier, in its order."""
    if dataset.tree != classifier.tree:
        raise error(
            f"The classifier decides between '{classifier.tree}', but the labels of "
            f"{dataset.root} are '{dataset.tree}'."
        )


def _load_network(
    folder: Path, entry: NetworkEntry, preprocessing: Preprocessing, allow_code: bool
) -> nn.Module:
    data = read_part(folder, entry.weights, entry.sha256, "the weights are")

    def create() -> nn.Module:
        return create_network_to_load(
            entry.name,
            outputs=entry.outputs,
            image_size=preprocessing.image_size,
            allow_code=allow_code,
        )

    first = create()
    try:
        weights = safetensors.torch.load(data)
        # before the others are made: a file of one network may say that it holds a hundred
        named = join_networks([first] * entry.members, mirror=entry.mirror).state_dict()
        if len(named) != len(weights):
            raise RuntimeError(f"{len(weights)} tensors instead of {len(named)}")
        members = [first, *(create() for _ in range(entry.members - 1))]
        network = join_networks(members, mirror=entry.mirror)
        network.load_state_dict(weights)
    except (SafetensorError, RuntimeError) as error:
        raise ClassifierError(
            f"{folder / entry.weights}: these weights do not fit the network '{entry.name}' "
            f"({error})."
        ) from None
    return network


def _sources(images: Images) -> tuple[list[str], list[Path | npt.NDArray[np.generic]]]:
    if isinstance(images, np.ndarray):
        arrays = [images] if images.ndim == 2 else list(images)
        return [""] * len(arrays), list(arrays)
    if isinstance(images, str | Path):
        path = Path(images)
        files = list_images(path) if path.is_dir() else [path]
        return [str(f) for f in files], list(files)
    sources = [i if isinstance(i, np.ndarray) else Path(i) for i in images]
    return ["" if isinstance(s, np.ndarray) else str(s) for s in sources], sources
