"""The file that travels: a zip of a classifier, what home measured, and a manifest of it all.

The manifest names the SHA-256 of every file; the capsule's hash is the SHA-256 of the manifest. A
capsule is data: nothing in it is run but the networks that Hilum itself has.
"""

import json
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hilum.capsule.aggregate import Asked
from hilum.capsule.fitting import misfit
from hilum.capsule.result import Aggregates
from hilum.classifier.classifier import Classifier
from hilum.codec import from_plain, read_plain, to_plain
from hilum.errors import DataError, EvaluationError
from hilum.fetching.unpack import Limits, unpack
from hilum.files import is_file, new_file, sha256
from hilum.labels import LabelTree
from hilum.parsing import read_json
from hilum.statistics.targets import Target

MANIFEST = "manifest.json"
CLASSIFIER = "classifier"
HOME = "home.json"

#: A capsule has a file for each network, and a few more; weights do not compress.
_LIMITS = Limits(files=300, ratio=3)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a capsule holds. hilum: the version that made it. files: SHA-256 by name."""

    hilum: str
    files: dict[str, str]

    FORMAT: ClassVar[int] = 1


@dataclass(frozen=True, slots=True)
class Home:
    """What a capsule says beside the classifier: home's figures, and thresholds chosen there."""

    aggregates: Aggregates
    points: tuple[Asked, ...]

    FORMAT: ClassVar[int] = 1


@dataclass(frozen=True)
class Capsule:
    """An opened capsule. hash: SHA-256 of its manifest, in hexadecimal."""

    hash: str
    manifest: Manifest
    classifier: Classifier
    home: Home


def pack(files: Mapping[str, bytes], hilum: str, out: Path) -> str:
    """Write files, by name, and their manifest as a capsule; returns its hash.

    Equal files give an equal capsule. Raises EvaluationError where it cannot be written.
    """
    manifest = Manifest(hilum, {name: sha256(data) for name, data in sorted(files.items())})
    text = (json.dumps(to_plain(manifest), indent=1) + "\n").encode()
    try:
        with new_file(out) as file, zipfile.ZipFile(file, "w") as archive:
            for name, data in {MANIFEST: text, **files}.items():
                archive.writestr(zipfile.ZipInfo(name), data)
    except OSError as error:
        raise EvaluationError(f"Cannot write {out}: {error.strerror}.") from None
    return sha256(text)


@contextmanager
def opened(path: Path, device: str = "cpu") -> Iterator[Capsule]:
    """A capsule, unpacked for as long as it is used, after every file of it was checked.

    Raises EvaluationError where it is missing, damaged, changed, or not in this format.
    """
    if not is_file(path):
        raise EvaluationError(f"{path}: there is no such capsule.")
    if not zipfile.is_zipfile(path):
        raise EvaluationError(
            f"{path}: is no ZIP archive, as a capsule is; ask for the capsule again."
        )
    with tempfile.TemporaryDirectory(prefix="hilum-capsule-") as folder:
        into = Path(folder) / "capsule"
        try:
            unpack(path, into, limits=_LIMITS)
        except DataError as error:
            raise EvaluationError(str(error)) from None
        yield _read(path, into, device)


def _read(path: Path, folder: Path, device: str) -> Capsule:
    if not (folder / MANIFEST).is_file():
        raise EvaluationError(f"{path}: is no capsule; make one with hilum capsule make.")
    text = (folder / MANIFEST).read_bytes()
    plain = read_json(folder / MANIFEST, EvaluationError)
    manifest = from_plain(Manifest, plain, what=f"a capsule ({path})", error=EvaluationError)
    there = {
        file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()
    }
    del there[MANIFEST]
    with zipfile.ZipFile(path) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")} - {MANIFEST}
    wrong = sorted((there.keys() | names) ^ manifest.files.keys())
    wrong = wrong or [n for n, f in there.items() if sha256(f.read_bytes()) != manifest.files[n]]
    if wrong:
        raise EvaluationError(
            f"{path}: was changed or damaged: '{wrong[0]}' is not what its manifest says; ask for "
            "the capsule again."
        )
    home = read_plain(folder / HOME, Home, what="what home measured", error=EvaluationError)
    classifier = Classifier.load(folder / CLASSIFIER, device=device)
    if wrong_in_home := _misfit(home, classifier.tree):
        raise EvaluationError(
            f"{path}: home's figures do not fit together or to its classifier ({wrong_in_home}); "
            "ask whoever made the capsule."
        )
    return Capsule(sha256(text), manifest, classifier, home)


def _misfit(home: Home, tree: LabelTree) -> str | None:
    """What no `hilum capsule make` writes; None where all fits."""
    for point in home.points:
        Target.parse(point.target, tree)
        if not 0 < point.threshold < 1:
            return f"the threshold of {point.name}"
    decisions = [decision.name for decision in tree.decisions]
    return misfit(home.aggregates, tree.classes, decisions, [p.name for p in home.points])
