"""The files of a classifier's folder: what classifier.json holds, and reading what it names.

Every file is named in classifier.json with its SHA-256; one that does not match is refused. What
makes networks of weights is in weights.py, so that this needs no PyTorch.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import safetensors.numpy
from pydantic import BaseModel, Field
from safetensors import SafetensorError

from hilum.classifier.hub import fetch, is_on_hub
from hilum.classifier.provenance import check_facts
from hilum.errors import ClassifierError
from hilum.files import refuse_others, sha256, write_atomically
from hilum.labels import Rule, Strategy
from hilum.parsing import read_json
from hilum.stores import on_disk
from hilum.transforms.preprocess import Preprocessing


def refuse_other_files(folder: Path) -> None:
    """Raises ClassifierError for a folder that holds something, and is no classifier's."""
    if folder.is_dir() and not (folder / "classifier.json").is_file():
        refuse_others(folder, (path.name for path in folder.iterdir()), ClassifierError)


class FileEntry(BaseModel, frozen=True, extra="forbid"):
    """A file beside classifier.json, with its SHA-256."""

    file: str = Field(pattern=r"^[\w.-]+\.safetensors$")
    sha256: str


class NetworkEntry(BaseModel, frozen=True, extra="forbid"):
    """One network: registered name, outputs, weights file and its SHA-256, and its temperature.

    members: how many networks answer together, all of them in the one file. mirror: whether an
    image's mirror image is asked as well.
    """

    name: str
    outputs: int = Field(ge=1)
    weights: str = Field(pattern=r"^[\w.-]+\.safetensors$")
    sha256: str
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    members: int = Field(default=1, ge=1, le=100)
    mirror: bool = False


class FindingEntry(BaseModel, frozen=True, extra="forbid"):
    """A finding: its own temperature, and from which probability on it is called present."""

    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    threshold: float = Field(default=0.5, ge=0, le=1)


class ClassifierFile(BaseModel, frozen=True, extra="forbid"):
    """What classifier.json holds.

    findings: by name. Of the parts None is what calibration or consent did not give.
    """

    format: Literal[1] = 1
    labels: list[Any]
    strategy: Strategy
    rule: Rule
    preprocessing: Preprocessing
    networks: dict[str, NetworkEntry]
    findings: dict[str, FindingEntry] = Field(default_factory=dict)
    validation: FileEntry | None = None
    reference: FileEntry | None = None
    gate: FileEntry | None = None
    thumbnails: FileEntry | None = None
    provenance: dict[str, Any]


def classifier_folder(path: Path | str) -> Path:
    """The folder of a classifier: given it, the run that trained it, or its address on a hub.

    From a hub (hub.py) the files are fetched that the cache does not have. Raises ClassifierError.
    """
    if is_on_hub(path):
        folder = fetch(path, "classifier.json").parent
        for file in _named(read_classifier_file(folder)):
            fetch(path, file, commit=folder.name)
        return folder
    path = on_disk(path or "")
    for folder in (path, path / "classifier"):
        if (folder / "classifier.json").is_file():
            return folder
    if (path / "run.json").is_file():
        raise ClassifierError(
            f"{path}: this run has not finished, so it has no classifier yet; "
            "finish it with `hilum train DATA --out RUN --resume`."
        )
    raise ClassifierError(f"{path}: neither a classifier (classifier.json) nor a training run.")


def read_classifier_file(folder: Path) -> ClassifierFile:
    """Read classifier.json. Raises ClassifierError where it is damaged or another program's."""
    path = folder / "classifier.json"
    try:
        content = ClassifierFile.model_validate(read_json(path, ClassifierError))
        check_facts(content.provenance, path, ClassifierError)
    except (ClassifierError, ValueError) as error:  # of which pydantic's is one
        first = str(error).splitlines()[0]
        raise ClassifierError(f"{path}: damaged, or not Hilum's ({first}).") from None
    return content


def _named(content: ClassifierFile) -> Iterator[str]:
    """The files that classifier.json names."""
    yield from (entry.weights for entry in content.networks.values())
    parts = (content.validation, content.reference, content.gate, content.thumbnails)
    yield from (part.file for part in parts if part)


def read_part(folder: Path, file: str, digest: str, what: str) -> bytes:
    """A file that classifier.json names. Raises ClassifierError where it is missing or damaged."""
    path = folder / file
    try:
        data = path.read_bytes()
    except OSError:
        raise ClassifierError(f"{path}: {what} missing.") from None
    if sha256(data) != digest:
        raise ClassifierError(f"{path}: damaged: its SHA-256 is not the one in classifier.json.")
    return data


def write_part(folder: Path, file: str, data: bytes) -> FileEntry:
    """Write a file and return the entry that names it."""
    write_atomically(folder / file, data)
    return FileEntry(file=file, sha256=sha256(data))


def pack_arrays(
    name: str, facts: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]
) -> bytes:
    """Arrays as safetensors, with facts as JSON under a name in its header."""
    plain = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
    data: bytes = safetensors.numpy.save(plain, {name: json.dumps(facts)})
    return data


@contextmanager
def unpacked(
    name: str, data: bytes, source: str
) -> Iterator[tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]]:
    """The facts and arrays of pack_arrays, for as long as something is made of them.

    Raises ClassifierError, naming source, where they are damaged or do not make it.
    """
    try:
        length = int.from_bytes(data[:8], "little")
        facts = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][name])
        yield facts, safetensors.numpy.load(data)
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ClassifierError(f"{source}: damaged ({error}).") from None
