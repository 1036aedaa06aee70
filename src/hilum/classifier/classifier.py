"""A trained classifier: the only way from radiographs to probabilities.

Training's monitoring, evaluation, the command line and everything later go through this module,
so that preprocessing cannot drift between them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from hilum.classifier.decider import PARTS, Decider, read_facts
from hilum.classifier.files import (
    ClassifierFile,
    FindingEntry,
    NetworkEntry,
    classifier_folder,
    read_classifier_file,
    write_part,
)
from hilum.classifier.inference import compute_logits, compute_logits_and_features
from hilum.classifier.reference import FeatureArray
from hilum.classifier.weights import load_network, pack_weights
from hilum.device import as_channels_last, choose_device
from hilum.display import facts_table, paragraphs
from hilum.errors import ClassifierError, EvaluationError, HilumError
from hilum.files import filled_folder, safe_name, sha256, write_atomically
from hilum.networks.ensemble import split_network
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.pixels import Progress
from hilum.records import FloatArray, Pixels
from hilum.table import Row, Table


@dataclass(repr=False, kw_only=True)
class Classifier(Decider):
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
        temperatures: By network, what the logits of its options are divided by, and by finding
            what its own is; 1 where none is given.
        thresholds: By finding, from which probability on it is called present; 0.5 where none is
            given.
        validation: What the networks said of images that trained none of them, if calibrated.
        reference: What it remembers of its training images, if calibrated.
        gate: Judges whether an image is like them, if calibrated.
        thumbnails: Pictures of what it remembers, where its recipe keeps them.
        device: Where it computes.
    """

    networks: dict[str, nn.Module]
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def __post_init__(self) -> None:
        for network in self.networks.values():
            as_channels_last(network, self.device).eval()

    def _logits(self, pixels: Pixels, progress: Progress | None) -> dict[str, FloatArray]:
        return {
            name: compute_logits(
                network, pixels, self.preprocessing, self.device, progress=progress
            )
            for name, network in self.networks.items()
        }

    def look(
        self, pixels: Pixels, progress: Progress | None = None
    ) -> tuple[dict[str, FloatArray], FeatureArray]:
        """What the networks say of stored pixels, and where these lie among the remembered images.

        Args:
            pixels: As of predict_pixels.
            progress: As of predict.

        Returns:
            The logits, (N, options) by network, and (N, D) float32, as of Reference.embed.

        Raises:
            ClassifierError: It remembers no training images.
        """
        if self.reference is None:
            raise ClassifierError("This classifier does not remember its training images.")
        both = {
            name: compute_logits_and_features(
                network, pixels, self.preprocessing, self.device, progress=progress
            )
            for name, network in self.networks.items()
        }
        logits = {name: found for name, (found, _) in both.items()}
        return logits, self.reference.embed({name: found for name, (_, found) in both.items()})

    def weights_sha256(self) -> dict[str, str]:
        """The SHA-256 of each network's weights as safetensors, by the decision's name."""
        return {
            name: sha256(pack_weights(network.state_dict()))
            for name, network in self.networks.items()
        }

    @property
    def device_type(self) -> str:
        """The kind of device that it computes on: 'cpu', 'cuda' or 'mps'."""
        return self.device.type

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
        """Write weights (safetensors) and classifier.json into a folder, the JSON after them.

        Files of parts that an earlier classifier left there, and this one lacks, are removed.

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
                outputs=decision.outputs,
                weights=written.file,
                sha256=written.sha256,
                temperature=self.temperatures.get(name, 1.0),
                members=len(members),
                mirror=mirror,
            )
        parts = {
            name: write_part(folder, file, part.to_bytes())
            for name, (file, _) in PARTS.items()
            if (part := getattr(self, name)) is not None
        }
        content = ClassifierFile(
            labels=self.tree.to_json(),
            strategy=self.strategy,
            rule=self.rule,
            preprocessing=self.preprocessing,
            networks=entries,
            findings={
                f.name: FindingEntry(
                    temperature=self.temperatures.get(f.name, 1.0),
                    threshold=self.thresholds.get(f.name, 0.5),
                )
                for f in self.tree.findings
            },
            **parts,
            provenance=self.provenance,
        )
        text = content.model_dump_json(indent=2) + "\n"
        write_atomically(folder / "classifier.json", text.encode())
        for name, (file, _) in PARTS.items():
            if name not in parts:
                (folder / file).unlink(missing_ok=True)

    @classmethod
    def load(
        cls, path: Path | str, *, device: str = "auto", allow_code: bool = False
    ) -> "Classifier":
        """Read a classifier from its folder, that of the run that trained it, or from a hub.

        Args:
            path: The folder, or ``hf://OWNER/NAME@REVISION``, of which the revision may be left
                out; huggingface_hub then fetches the files that its cache does not have.
            device: 'auto', 'cpu', 'cuda', 'cuda:1' or 'mps'.
            allow_code: Import a network of the user's own (``module:Class``), which runs that
                module; the environment variable HILUM_ALLOW_CODE allows it by module.

        Returns:
            The classifier, on the device.

        Raises:
            ClassifierError: Files are missing, damaged (by their SHA-256) or do not fit; or there
                is no such repository, or no way to it.
        """
        folder = classifier_folder(path)
        content = read_classifier_file(folder)
        facts = read_facts(folder, content)
        networks = {
            name: load_network(folder, content.networks[name], content.preprocessing, allow_code)
            for name in facts["network_names"]
        }
        return cls(**facts, networks=networks, device=choose_device(device))

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
                ("pictures of training images", len(self.thumbnails) if self.thumbnails else None),
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
