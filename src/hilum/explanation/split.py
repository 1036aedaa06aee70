"""Explain how a classifier did on a split: every error, and how far its heat maps can be trusted.

How much is drawn and checked is bounded by counts, so that a split of 600 radiographs takes about
as long as one of 60: some two minutes on one core with COVINet at 150 x 150.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Final

import numpy as np

from hilum.classifier.classifier import Classifier
from hilum.codec import read_plain, write_plain
from hilum.errors import EvaluationError, HilumError
from hilum.evaluation.files import EVALUATION_FILE, PREDICTIONS_FILE, read_evaluation
from hilum.evaluation.predictions_file import read_predictions, read_told
from hilum.explanation.attribution import METHODS, Method
from hilum.explanation.errors import PICTURED, ErrorGallery, collect_errors
from hilum.explanation.feature_maps import (
    compute_feature_maps,
    describe_feature_maps,
    draw_feature_maps,
)
from hilum.explanation.localisation import Localisation, measure_localisation
from hilum.explanation.network import deciding_network, last_network
from hilum.explanation.overlay import Drawing, draw_attributions
from hilum.explanation.questions import Question, ask_questions
from hilum.explanation.sanity import SanityCheck, check_sanity
from hilum.files import ODD_NAMES, sha256
from hilum.predictions import Predictions
from hilum.radiographs.dataset import Dataset, open_dataset
from hilum.radiographs.pixels import Progress
from hilum.records import IntArray, LazyPixels, Pixels
from hilum.training.folder import as_divided

#: Beside evaluation.json.
EXPLANATIONS_FILE: Final = "explanations.json"


@dataclass(frozen=True, slots=True)
class Example:
    """A radiograph that was classified rightly: its class, the class's probability, its maps.

    truth: or a finding that was rightly called present, and its probability.
    """

    name: str
    truth: str
    probability: float
    drawings: tuple[Drawing, ...]


@dataclass(frozen=True, slots=True)
class FeaturePair:
    """Feature maps of a misclassified radiograph (left) beside those of its counterpart.

    counterpart: the nearest rightly classified radiograph of the predicted class. png: bytes.
    """

    name: str
    counterpart: str
    decision: str
    layer: str
    png: bytes
    alt: str


@dataclass(frozen=True, slots=True)
class SplitExplanation:
    """What explain_split found.

    gallery: every error. sanity: of the gallery's method, for each network. localisation: of
    every method, choice and finding; "not measured" where no place is known. checked_on: the split
    whose radiographs the two were measured on. examples: rightly classified radiographs of each
    class. pair: of the surest error that has a counterpart, or None. notes: what was left out.
    predictions: SHA-256 of the predictions.csv that it explains; '' where that is no file.
    """

    split: str
    n: int
    gallery: ErrorGallery
    sanity: tuple[SanityCheck, ...]
    localisation: tuple[Localisation, ...]
    checked_on: str
    examples: tuple[Example, ...]
    pair: FeaturePair | None
    notes: tuple[str, ...] = ()
    predictions: str = ""

    FORMAT: ClassVar[int] = 1


def write_explanations(explanation: SplitExplanation, out: Path) -> None:
    """Write explanations.json into a folder. Raises EvaluationError where that cannot be done."""
    write_plain(out / EXPLANATIONS_FILE, explanation, error=EvaluationError, errors=ODD_NAMES)


def read_explanations(path: Path) -> SplitExplanation:
    """Read an explanations.json. Raises EvaluationError if it is missing, damaged or foreign."""
    return read_plain(
        path, SplitExplanation, what="explanations", error=EvaluationError, errors=ODD_NAMES
    )


#: Of the heat maps of errors, and so the one that is checked.
METHOD: Final[Method] = "occlusion"
#: The randomisation check: radiographs, and random networks.
CHECKED: Final = 4
DRAWS: Final = 2
#: How many images the localisation scores of each choice and finding rest on, at most.
SCORED: Final = 16
#: Rightly classified radiographs: of each class, and altogether.
PER_CLASS: Final = 2
MOST_EXAMPLES: Final = 12


def explain_split(
    classifier: Classifier,
    dataset: Dataset,
    split: str = "val",
    out: Path | None = None,
    *,
    predictions: Predictions | None = None,
    pictured: int = PICTURED,
    checked: SplitExplanation | None = None,
    progress: Progress | None = None,
) -> SplitExplanation:
    """Every error of a split, some right answers, and how far to trust the maps of both.

    dataset: with the classifier's own labels. out: a folder for explanations.json, such as that
    of the evaluation, or None. predictions: of the split's radiographs in the order of the data
    set, where they are there already. pictured: how many errors get pictures; all are listed.
    checked: an explanation of another split by the same classifier, whose checks of the maps are
    taken over, because they take most of the time and are about the classifier. Raises
    EvaluationError where labels or predictions do not fit or the folder's predictions.csv is
    damaged, DataError where there is no such split.
    """
    rows = dataset.indices(split)
    pixels = LazyPixels.of_rows(dataset.pixels(classifier.preprocessing, progress), rows)
    names = [dataset.records[row].name for row in rows]
    if predictions is None:
        predictions = classifier.predict_pixels(pixels, names, progress)
    gallery = collect_errors(
        classifier, dataset, split,
        predictions=predictions, method=METHOD, pictured=pictured, progress=progress,
    )  # fmt: skip
    truth = dataset.labels[rows]
    asked = ask_questions(classifier, truth, dataset.marks[rows], predictions)
    examples, notes = _draw_examples(classifier, asked, pixels, names, progress)
    pair = _draw_pair(classifier, pixels, names, gallery)
    if gallery.cases and pair is None:
        notes.append("No pictured error has a counterpart to compare its feature maps with.")
    if checked is None:
        sanity = _check_maps(classifier, pixels, truth, progress)
        localisation = measure_localisation(
            classifier, dataset, split, methods=METHODS, n=SCORED, progress=progress
        )
        checked_on = split
    else:
        sanity, localisation = checked.sanity, checked.localisation
        checked_on = checked.checked_on
    found = SplitExplanation(
        split, len(rows), gallery, sanity, localisation, checked_on, examples, pair, tuple(notes)
    )
    if out is not None:
        found = replace(found, predictions=_digest_beside(out, predictions))
        write_explanations(found, out)
    return found


def _digest_beside(out: Path, predictions: Predictions) -> str:
    """The digest of a folder's predictions.csv, if it holds these predictions; else ''."""
    table = out / PREDICTIONS_FILE
    if not table.is_file():
        return ""
    digest = sha256(table.read_bytes())
    _, found = read_predictions(table)
    same = found.names == predictions.names and all(
        np.array_equal(getattr(found, of), getattr(predictions, of))
        for of in ("predicted", "present")
    )
    return digest if same else ""


def _check_maps(
    classifier: Classifier, pixels: Pixels, truth: IntArray, progress: Progress | None
) -> tuple[SanityCheck, ...]:
    """The randomisation check of every network, on radiographs that belong to its decision."""
    belong = {
        network.name: np.flatnonzero(network.asks(truth))
        for network in classifier.tree.networks(classifier.strategy)
    }
    return tuple(
        check_sanity(
            classifier, pixels[_spread(members, CHECKED)], method=METHOD, decision=name,
            draws=DRAWS, every_step=False, progress=progress,
        )
        for name, members in belong.items()
        if len(members)
    )  # fmt: skip


def _draw_examples(
    classifier: Classifier,
    asked: Sequence[Question],
    pixels: Pixels,
    names: Sequence[str],
    progress: Progress | None,
) -> tuple[tuple[Example, ...], list[str]]:
    """Rightly classified radiographs of each class, spread over the split and not chosen by hand.

    And of each finding some in which it was rightly called present. Each is explained by the last
    network on the way to its class, or by that of its finding. Returns what was left out, too.
    """
    # of a finding there is nothing to see where it is absent
    wanted = [(q, label) for q in asked for label in range(bool(q.finding), len(q.tree.classes))]
    each = max(1, min(PER_CLASS, MOST_EXAMPLES // len(wanted)))
    notes = []
    shown: list[tuple[Question, int, int]] = []
    for q, label in wanted:
        name = q.tree.classes[label]
        right = np.flatnonzero((q.truth == label) & (q.predictions.predicted == label))
        if len(right) == 0:
            what = "was rightly called present" if q.finding else "was classified rightly"
            notes.append(f"No radiograph of {name} {what}.")
        elif len(shown) + each > MOST_EXAMPLES:
            notes.append(f"No right answer is shown of {name}: {MOST_EXAMPLES} are shown in all.")
        else:
            shown += [(q, label, int(i)) for i in _spread(right, each)]
    drawings: list[list[Drawing]] = [[] for _ in shown]
    networks = [
        deciding_network(classifier, q.finding) if q.finding else last_network(classifier, label)
        for q, label, _ in shown
    ]
    for network in classifier.tree.networks(classifier.strategy):
        mine = [k for k, own in enumerate(networks) if own == network]
        if not mine:
            continue
        at = [int(q.at[i]) for q, _, i in (shown[k] for k in mine)]
        given = [q.answers(network, q.truth[[i]])[0] for q, _, i in (shown[k] for k in mine)]
        for method in METHODS:
            drawn = draw_attributions(
                classifier, pixels[at], [names[i] for i in at], np.array(given), network=network,
                method=method, progress=progress,
            )  # fmt: skip
            for k, drawing in zip(mine, drawn, strict=True):
                drawings[k].append(drawing)
    examples = (
        Example(
            names[q.at[i]], q.tree.classes[label], float(q.predictions.probs[i, label]), tuple(d)
        )
        for (q, label, i), d in zip(shown, drawings, strict=True)
    )
    return tuple(examples), notes


def _draw_pair(
    classifier: Classifier, pixels: Pixels, names: Sequence[str], gallery: ErrorGallery
) -> FeaturePair | None:
    """The feature maps of the first error that has a counterpart, beside the counterpart's."""
    case = next((case for case in gallery.cases if case.counterpart is not None), None)
    if case is None or case.counterpart is None:
        return None
    both = [names.index(case.name), names.index(case.counterpart)]
    decision = deciding_network(classifier, case.decision).name
    maps = compute_feature_maps(classifier, pixels[both], decision=decision)
    alt = describe_feature_maps(maps, (case.name, case.counterpart))
    png = draw_feature_maps(maps.maps)
    return FeaturePair(case.name, case.counterpart, decision, maps.layer, png, alt)


def _spread(positions: IntArray, n: int) -> IntArray:
    """At most n of them, from the middles of n equal parts."""
    n = min(n, len(positions))
    return positions[((np.arange(n) + 0.5) * len(positions) / n).astype(np.int64)]


def missing_explanations(run: Path) -> list[Path]:
    """The folders of a run's evaluations without explanations, or with ones of other predictions.

    What holds is known by content, since copying and unpacking change the times of files.
    """
    return [
        table.parent
        for table in sorted(run.glob(f"evaluation/*/{PREDICTIONS_FILE}"))
        if table.with_name(EVALUATION_FILE).is_file() and not _is_explained(table)
    ]


def _is_explained(table: Path) -> bool:
    try:
        found = read_explanations(table.with_name(EXPLANATIONS_FILE))
    except EvaluationError:  # it is missing, damaged or of another version: made anew
        return False
    return found.predictions == sha256(table.read_bytes())


def explain_run(
    run: Path, data: Path, *, device: str = "auto", progress: Progress | None = None
) -> dict[str, str]:
    """Write explanations.json beside each evaluation of a run that has none of its predictions.

    run: a run, or the folder of a classifier. data: what it was evaluated on. The checks of the
    maps are made once and taken over by further splits. Returns, for each folder of an evaluation
    that could not be explained, the reason: its data are others, or it does not fit them.
    """
    missing = missing_explanations(run)
    if not missing:
        return {}
    try:
        classifier = Classifier.load(run, device=device)
        about = [read_evaluation(folder / EVALUATION_FILE).data for folder in missing]
        dataset = open_dataset(
            data, tree=classifier.tree, every_class=False, progress=progress,
            skip_damaged=any("damaged" in found for found in about),
        )  # fmt: skip
        dataset = as_divided(dataset, run)
    except HilumError as error:
        return {folder.name: str(error) for folder in missing}
    # the checks of an explanation that is up to date are taken over
    kept = [p for p in run.glob(f"evaluation/*/{EXPLANATIONS_FILE}") if p.parent not in missing]
    checked = read_explanations(min(kept)) if kept else None
    refused: dict[str, str] = {}
    for folder in missing:
        try:
            checked = _explain_folder(classifier, dataset, folder, checked, progress)
        except HilumError as error:
            refused[folder.name] = str(error)
    return refused


def _explain_folder(
    classifier: Classifier,
    dataset: Dataset,
    folder: Path,
    checked: SplitExplanation | None,
    progress: Progress | None,
) -> SplitExplanation:
    evaluation = read_evaluation(folder / EVALUATION_FILE)
    if evaluation.data.get("fingerprint") != dataset.fingerprint:
        raise EvaluationError(
            f"{folder.name} was evaluated on {evaluation.data.get('name', 'other data')}, and "
            f"{dataset.root} is not the same data."
        )
    truth, predictions, marks = read_told(folder / PREDICTIONS_FILE)
    rows = dataset.indices(evaluation.split)
    names = tuple(dataset.records[row].name for row in rows)
    labels, known = dataset.labels[rows], dataset.marks[rows]
    found = [finding.truth(labels, known) for finding in dataset.tree.findings]
    if (
        predictions.names != names
        or truth.tolist() != labels.tolist()
        or any(np.maximum(own, -1).tolist() != marks[:, k].tolist() for k, own in enumerate(found))
    ):
        raise EvaluationError(
            f"{folder / PREDICTIONS_FILE} does not list the radiographs of '{evaluation.split}' in "
            f"{dataset.root}: evaluate again."
        )
    return explain_split(
        classifier, dataset, evaluation.split, folder,
        predictions=predictions, checked=checked, progress=progress,
    )  # fmt: skip
