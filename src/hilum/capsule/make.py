"""Making a capsule of a run."""

import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hilum import __version__
from hilum.capsule.aggregate import Asked, aggregate, choose_cases
from hilum.capsule.archive import CLASSIFIER, HOME, Home, pack
from hilum.classifier.classifier import Classifier
from hilum.classifier.promised import fitted_points
from hilum.classifier.threshold import PRESETS
from hilum.codec import to_plain
from hilum.errors import EvaluationError
from hilum.evaluation.evaluate import describe_classifier
from hilum.evaluation.external import internal_folder
from hilum.evaluation.files import EVALUATION_FILE, PREDICTIONS_FILE, read_evaluation
from hilum.evaluation.predictions_file import read_predictions

#: What stays of what a classifier says of its origin, and of the data that trained it.
_ORIGIN, _DATA = ("name", "finished"), ("name", "fingerprint", "synthetic")


@dataclass(frozen=True, slots=True)
class Made:
    """A capsule that was made. files: what it holds, by name, in bytes. split: of home's figures.

    points: the operating points that travel, with home's thresholds.
    """

    path: Path
    hash: str
    files: dict[str, int]
    split: str
    home: Home


def make_capsule(source: Path, out: Path, *, operate: Sequence[str] = ()) -> Made:
    """Write a capsule: what another hospital needs to measure a classifier on its own images.

    source: the folder of a run, or of a classifier, that was evaluated. Its figures are those of
    the split test, or else of val. operate: operating points beside the presets.

    It holds networks, temperatures, labels, preprocessing, the gate (which describes training
    images by means, a covariance and their distances), thresholds, and home's figures as
    aggregates. It does not hold validation images' logits or classes, features, digests or
    thumbnails of training images, nor notes, paths and file names.

    Raises EvaluationError where there is no fitting evaluation, or too few images in it; where the
    labels are findings, or a network is the user's own code; ClassifierError where the classifier
    cannot be read, or points are asked for and it was not calibrated.
    """
    classifier = Classifier.load(source, device="cpu")
    tree = classifier.tree
    if tree.findings:
        raise EvaluationError(
            f"A capsule is of classes to choose from; '{tree}' has findings, which cannot travel "
            "in one yet."
        )
    own = [name for name in classifier.network_names.values() if ":" in name]
    if own:
        raise EvaluationError(
            f"A capsule holds no code, so it cannot hold the network '{own[0]}' of your own."
        )
    folder = internal_folder(source)
    if folder is None:
        raise EvaluationError(
            f"{source}: has no evaluation of test or val to compare with; run hilum evaluate "
            f"{source} DATA first."
        )
    evaluation = read_evaluation(folder / EVALUATION_FILE)
    if evaluation.classifier != describe_classifier(classifier):
        raise EvaluationError(
            f"{folder}: is of another training than the classifier; evaluate it again."
        )
    truth, predictions = read_predictions(folder / PREDICTIONS_FILE, tree)
    points = _points(classifier, operate)
    found = aggregate(
        tree,
        choose_cases(tree, truth, predictions),
        points,
        rule=evaluation.rule,
        strategy=classifier.strategy,
    )
    home = Home(found, points)
    files = _files(_bare(replace(classifier, rule=evaluation.rule)), home)
    sizes = {name: len(data) for name, data in files.items()}
    return Made(out, pack(files, __version__, out), sizes, evaluation.split, home)


def _bare(classifier: Classifier) -> Classifier:
    """What is needed to classify, and to see whether images are like those of training."""
    origin = classifier.provenance
    data = origin.get("data") or {}
    facts = {key: origin[key] for key in _ORIGIN if key in origin}
    return replace(
        classifier,
        validation=None,
        reference=None,
        thumbnails=None,
        gate=replace(classifier.gate, about={}) if classifier.gate else None,
        provenance={**facts, "data": {key: data[key] for key in _DATA if key in data}},
    )


def _points(classifier: Classifier, operate: Sequence[str]) -> tuple[Asked, ...]:
    """The operating points whose demands could be met.

    A threshold lies midway between the probabilities of two validation images; it is rounded, by
    its logit, to a hundredth.
    """
    if classifier.validation is None and not operate:
        return ()
    found = []
    for point in fitted_points(classifier, [*PRESETS, *operate]):
        chosen = point.chosen
        if chosen and chosen.satisfied and chosen.threshold and 0 < chosen.threshold < 1:
            logit = round(math.log(chosen.threshold / (1 - chosen.threshold)), 2)
            found.append(Asked(str(point), point.target, 1 / (1 + math.exp(-logit))))
    return tuple(found)


def _files(classifier: Classifier, home: Home) -> dict[str, bytes]:
    text = json.dumps(to_plain(home), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with tempfile.TemporaryDirectory(prefix="hilum-capsule-") as folder:
        classifier.save(folder)
        files = sorted(Path(folder).iterdir())
        return {HOME: text.encode(), **{f"{CLASSIFIER}/{f.name}": f.read_bytes() for f in files}}
