"""A trained classifier: the only way from radiographs to probabilities.

Training's monitoring, evaluation, the command line and everything later go through this module,
so that preprocessing cannot drift between them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from scipy.special import softmax
from torch import nn

from hilum.device import as_channels_last, choose_device
from hilum.errors import ClassifierError, DataError, LabelError
from hilum.files import safe_name, sha256, write_atomically
from hilum.labels import FLAT, LabelTree, Rule, Strategy
from hilum.networks.registry import create_network_to_load
from hilum.radiographs.image import read_radiograph, scale_to_8_bit
from hilum.radiographs.layouts import list_images
from hilum.radiographs.pixels import Progress, in_parallel
from hilum.records import FloatArray, PixelArray, Predictions
from hilum.transforms.preprocess import Preprocessing

Images = (
    str | Path | npt.NDArray[np.generic] | Sequence[str | Path] | Sequence[npt.NDArray[np.generic]]
)

_CHUNK = 512  # radiographs decoded at a time: bounds memory for folders of any size


class NetworkEntry(BaseModel):
    """One network in classifier.json: registered name, outputs, weights file and its SHA-256."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    outputs: int = Field(ge=2)
    weights: str = Field(pattern=r"^[\w.-]+\.safetensors$")
    sha256: str


class ClassifierFile(BaseModel):
    """What classifier.json holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    labels: list[Any]
    strategy: Strategy
    rule: Rule
    preprocessing: Preprocessing
    networks: dict[str, NetworkEntry]
    provenance: dict[str, Any]


@dataclass
class Classifier:
    """Networks, the label tree they decide, and what turns an image into their input.

    networks: one module per decision of the strategy, by the decision's name. network_names:
    their registered names. provenance: where it came from, as plain JSON values.
    """

    tree: LabelTree
    strategy: Strategy
    rule: Rule
    preprocessing: Preprocessing
    networks: dict[str, nn.Module]
    network_names: dict[str, str]
    provenance: dict[str, Any] = field(default_factory=dict)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def __post_init__(self) -> None:
        for network in self.networks.values():
            as_channels_last(network, self.device).eval()

    # ---- use -------------------------------------------------------------------------------

    def predict(self, images: Images, progress: Progress | None = None) -> Predictions:
        """Classify radiographs.

        images: a file, a folder (every image below it), a list of files, one array (H, W), an
        array (N, H, W), or a list of arrays (H, W) of any size; arrays are grey, uint8, or
        uint16, which is scaled as a 16-bit file is.
        Raises DataError listing the files that cannot be read (of the 512 that are decoded
        together), or for arrays of another form.
        """
        names, sources = _sources(images)
        if not sources:
            raise DataError(f"{images}: no images found.")
        parts: list[Predictions] = []
        for start in range(0, len(sources), _CHUNK):
            chunk = sources[start : start + _CHUNK]
            pixels = np.stack(in_parallel(self._pixels, chunk, "", None))
            parts.append(self.predict_pixels(pixels, names[start : start + _CHUNK]))
            if progress:
                progress("Predicting", min(start + _CHUNK, len(sources)), len(sources))
        return _joined(parts)

    def predict_pixels(
        self, pixels: PixelArray, names: Sequence[str] = (), progress: Progress | None = None
    ) -> Predictions:
        """Classify pixels that were already resized by this classifier's preprocessing.

        pixels: (N, H, W) uint8, N ≥ 1, with (H, W) its image_size.
        """
        height, width = self.preprocessing.image_size
        if pixels.ndim != 3 or pixels.shape[1:] != (height, width) or pixels.dtype != np.uint8:
            raise DataError(
                f"Expected uint8 pixels of shape (N, {height}, {width}), "
                f"found {pixels.dtype} {pixels.shape}."
            )
        probs_of = {
            name: softmax(
                compute_logits(network, pixels, self.preprocessing, self.device, progress=progress),
                axis=1,
            )
            for name, network in self.networks.items()
        }
        if self.strategy == "flat":
            probs = probs_of[FLAT]
            decision_probs = self.tree.decision_probs(probs)
            predicted = probs.argmax(axis=1).astype(np.int64)
        else:
            probs = self.tree.leaf_probs(probs_of)
            decision_probs = probs_of
            predicted = self.tree.choose(probs_of, self.rule)
        found = tuple(names) if len(names) else ("",) * len(pixels)
        return Predictions(found, probs, decision_probs, predicted)

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

    def save(self, folder: Path | str) -> None:
        """Write weights (safetensors) and classifier.json into a folder, the JSON last."""
        folder = Path(folder)
        entries: dict[str, NetworkEntry] = {}
        for decision in self.tree.networks(self.strategy):
            network = self.networks[decision.name]
            state = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
            data = safetensors.torch.save(state)
            file = f"{safe_name(decision.name)}.safetensors"
            write_atomically(folder / file, data)
            entries[decision.name] = NetworkEntry(
                name=self.network_names[decision.name],
                outputs=len(decision.options),
                weights=file,
                sha256=sha256(data),
            )
        content = ClassifierFile(
            labels=self.tree.to_json(),
            strategy=self.strategy,
            rule=self.rule,
            preprocessing=self.preprocessing,
            networks=entries,
            provenance=self.provenance,
        )
        text = content.model_dump_json(indent=2) + "\n"
        write_atomically(folder / "classifier.json", text.encode())

    @classmethod
    def load(cls, path: Path | str, *, device: str = "auto") -> "Classifier":
        """Read a classifier from its folder, or from the folder of the run that trained it.

        Raises ClassifierError where files are missing, damaged (by their SHA-256) or do not fit.
        """
        folder = classifier_folder(path)
        content = _read_file(folder / "classifier.json")
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
            networks[decision.name] = _load_network(folder, entry, content.preprocessing)
        return cls(
            tree=tree,
            strategy=content.strategy,
            rule=content.rule,
            preprocessing=content.preprocessing,
            networks=networks,
            network_names={name: content.networks[name].name for name in networks},
            provenance=content.provenance,
            device=choose_device(device),
        )


def compute_logits(
    network: nn.Module,
    pixels: PixelArray,
    preprocessing: Preprocessing,
    device: torch.device,
    *,
    batch_size: int = 64,
    progress: Progress | None = None,
) -> FloatArray:
    """Run a network over stored pixels in evaluation mode, in float32.

    pixels: (N, H, W) uint8. Returns (N, options) float64. The network's mode is restored.
    """
    was_training = network.training
    network.eval()
    outputs: list[torch.Tensor] = []
    with torch.inference_mode():
        for start in range(0, len(pixels), batch_size):
            batch = torch.from_numpy(np.array(pixels[start : start + batch_size])).to(device)
            x = preprocessing.to_input(batch).contiguous(memory_format=torch.channels_last)
            outputs.append(network(x).float().cpu())
            if progress:
                progress("Predicting", min(start + batch_size, len(pixels)), len(pixels))
    network.train(was_training)
    return torch.cat(outputs).numpy().astype(np.float64)


def classifier_folder(path: Path | str) -> Path:
    """The folder of a classifier, given it or the run that trained it. Raises ClassifierError."""
    path = Path(path)
    for folder in (path, path / "classifier"):
        if (folder / "classifier.json").is_file():
            return folder
    if (path / "run.json").is_file():
        raise ClassifierError(
            f"{path}: this run has not finished, so it has no classifier yet; "
            "finish it with `hilum train DATA --out RUN --resume`."
        )
    raise ClassifierError(f"{path}: neither a classifier (classifier.json) nor a training run.")


def _read_file(path: Path) -> ClassifierFile:
    try:
        return ClassifierFile.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise ClassifierError(f"{path}: damaged, or not Hilum's ({first}).") from None


def _load_network(folder: Path, entry: NetworkEntry, preprocessing: Preprocessing) -> nn.Module:
    file = folder / entry.weights
    try:
        data = file.read_bytes()
    except OSError:
        raise ClassifierError(f"{file}: the weights are missing.") from None
    if sha256(data) != entry.sha256:
        raise ClassifierError(f"{file}: damaged: its SHA-256 is not the one in classifier.json.")
    network = create_network_to_load(
        entry.name, outputs=entry.outputs, image_size=preprocessing.image_size
    )
    try:
        network.load_state_dict(safetensors.torch.load(data))
    except (SafetensorError, RuntimeError) as error:
        raise ClassifierError(
            f"{file}: these weights do not fit the network '{entry.name}' ({error})."
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


def _joined(parts: Sequence[Predictions]) -> Predictions:
    def joined(arrays: Sequence[Mapping[str, FloatArray]]) -> dict[str, FloatArray]:
        return {name: np.concatenate([a[name] for a in arrays]) for name in arrays[0]}

    return Predictions(
        tuple(name for part in parts for name in part.names),
        np.concatenate([p.probs for p in parts]),
        joined([p.decision_probs for p in parts]),
        np.concatenate([p.predicted for p in parts]),
    )
