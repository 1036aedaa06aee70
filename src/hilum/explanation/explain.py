"""Why does a classifier decide as it does? Pictures of radiographs, and the facts beside them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from hilum.classifier.classifier import Classifier, check_labels
from hilum.codec import write_plain
from hilum.decisions import Decision
from hilum.errors import EvaluationError
from hilum.explanation.attribution import METHODS, Method, parse_method
from hilum.explanation.errors import parting
from hilum.explanation.explained import Explanation, ImageExplanation, Picture
from hilum.explanation.feature_maps import (
    compute_feature_maps,
    describe_feature_maps,
    draw_feature_maps,
)
from hilum.explanation.localisation import Localisation, measure_localisation
from hilum.explanation.neighbours import (
    Neighbour,
    as_neighbours,
    nearest_correct,
    nearest_training,
    say_truth,
)
from hilum.explanation.network import (
    deciding_network,
    find_network,
    last_network,
)
from hilum.explanation.overlay import draw_attributions
from hilum.explanation.pictures import thumbnail_png
from hilum.explanation.questions import ask_questions
from hilum.explanation.sanity import check_sanity
from hilum.files import ODD_NAMES, safe_name, write_atomically
from hilum.given import Data, Trained, as_classifier
from hilum.prediction.stream import Answers
from hilum.prediction.table import Table
from hilum.predictions import Predictions
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.gather import Images, gather_images, image_name
from hilum.radiographs.image import read_picture
from hilum.radiographs.pixels import Progress
from hilum.records import PixelArray, several
from hilum.stores import on_disk
from hilum.training.folder import as_pair

#: How many images the localisation scores of each choice and finding rest on, at most.
SCORED: Final = 24

EXPLANATION_FILE: Final = "explanation.json"
#: How many radiographs are explained at a time: each makes several pictures to look at.
MOST_IMAGES: Final = 200
#: How many of them the randomisation check looks at.
CHECKED: Final = 4
#: How many of the nearest training radiographs are named.
NEAREST: Final = 3

NO_CLAIM: Final = "A map shows what moved this classifier's decision, not where a disease is."


def explain(
    classifier: Trained,
    images: Images,
    out: Path | str | None = None,
    *,
    methods: str | Iterable[str] = METHODS,
    layer: str | None = None,
    decision: str | None = None,
    pair: bool = False,
    dataset: Data | None = None,
    sanity: bool = False,
    progress: Progress | None = None,
) -> Explanation:
    """Explain radiographs: attributions and feature maps of every decision on the way to the class.

    Each attribution explains the option on the way to the predicted class; where a decision that
    was asked for is not on that way, its most probable option. Of findings those are explained
    that are called present, or without classes the most probable one where none is.

    Args:
        classifier: What is explained, or the folder of it or of its run.
        images: As of Classifier.predict: files, folders, PIL images, arrays, or lists of them.
        out: A folder, which is made, for PNG files and explanation.json; None writes nothing.
        methods: Of attribution, one or several; see attribution.METHODS.
        layer: For feature maps and Grad-CAM; None takes the last convolution.
        decision: Only this one, or only this finding; None takes every decision on the way.
        pair: Whether to draw the feature maps of two images side by side.
        dataset: With the classifier's labels, or its path; gives the nearest training radiographs,
            the truth of images that belong to it, for a misclassified one the comparison with the
            nearest rightly classified one of the predicted class, and, of phantoms or where there
            are boxes, localisation scores.
        sanity: Whether to check that the maps depend on what was learned; it takes a while.
        progress: Called with what is done, how much of it, and of how much.

    Returns:
        What was found, with the pictures; all of it is in the folder too, if one is given.

    Raises:
        HilumError: For a method, layer, decision or image that is not there or does not fit.
    """
    chosen = tuple(parse_method(method) for method in dict.fromkeys(several(methods)))
    if dataset is None:
        classifier = as_classifier(classifier)
    else:
        classifier, dataset = as_pair(classifier, dataset, progress)
        check_labels(classifier, dataset)
    files = gather_images(images)
    if len(files) > MOST_IMAGES:
        raise EvaluationError(
            f"Found {len(files)} images to explain: give 1 to {MOST_IMAGES} of them."
        )
    if pair and len(files) != 2:
        raise EvaluationError(f"A pair is two images; found {len(files)}.")
    names = tuple(image_name(f) or f"image {i}" for i, f in enumerate(files, start=1))
    read = [read_picture(f, colour=classifier.gate is not None) for f in files]
    coloured = np.array([picture.coloured for picture in read])
    pixels = np.stack([classifier.preprocessing.to_pixels(picture.pixels) for picture in read])
    predictions = classifier.predict_pixels(pixels, names)
    answers = Answers(tuple(map(Path, names)), ("",) * len(files), predictions, coloured)
    referrals = [p.referral for p in Table.of(classifier).predictions(answers)]
    job = _Job(classifier, names, pixels, predictions, chosen, layer, progress)
    networks = (
        classifier.tree.networks(classifier.strategy)
        if decision is None
        else (find_network(classifier, decision),)
    )
    pictures = [[job.draw_radiograph(i)] for i in range(len(files))]
    for network in networks:
        for i, made in job.explain_network(network, decision).items():
            pictures[i] += made
    if pair:
        last = last_network(classifier, int(predictions.predicted[0]))
        pictures[0].append(job.draw_maps(0, last, (pixels[1], names[1])))
    truths: list[str | None] = [None] * len(files)
    neighbours: list[tuple[Neighbour, ...]] = [()] * len(files)
    localisation: tuple[Localisation, ...] = ()
    if dataset is not None:
        places = {record.path.resolve(): row for row, record in enumerate(dataset.records)}
        # -1: not one of its images
        records = [places.get(f.resolve(), -1) if isinstance(f, Path) else -1 for f in files]
        own = [dataset.records[row] if row >= 0 else None for row in records]
        truths = [say_truth(dataset.tree, r.label, r.marks) if r else None for r in own]
        neighbours = job.find_training_images(dataset, records)
        for i, counterpart in job.compare_errors(dataset, records).items():
            pictures[i].append(counterpart)
        localisation = measure_localisation(
            classifier, dataset, dataset.splits[-1], methods=chosen, n=SCORED, progress=progress
        )
    checks = tuple(
        check_sanity(classifier, pixels[:CHECKED], method=m, decision=n.name, progress=progress)
        for n in (networks if sanity else ())
        for m in chosen
    )
    found = Explanation(
        classifier=str(classifier.provenance.get("name", "")),
        images=tuple(
            ImageExplanation(
                names[i],
                one.predicted,
                one.probs,
                one.decisions,
                truths[i],
                tuple(pictures[i]),
                neighbours[i],
                referrals[i],
                one.findings,
                one.present,
            )
            for i, one in enumerate(predictions)
        ),
        localisation=localisation,
        sanity=checks,
        notes=(NO_CLAIM, *(str(note) for note in classifier.provenance.get("notes", []))),
    )
    if out is not None:
        _write(found, on_disk(out))
    return found


@dataclass(frozen=True, slots=True)
class _Job:
    """The radiographs to explain, read once, and what is asked of them."""

    classifier: Classifier
    names: tuple[str, ...]
    pixels: PixelArray
    predictions: Predictions
    methods: tuple[Method, ...]
    layer: str | None
    progress: Progress | None

    def explain_network(self, network: Decision, asked: str | None) -> dict[int, list[Picture]]:
        """Attributions and feature maps of a network, for the images that it answers something of.

        asked: the decision or finding that alone is to be explained, in all images.
        """
        answers = self._answers(network, asked)
        if not answers:
            return {}
        at = np.array([i for i, _ in answers])
        made: dict[int, list[Picture]] = {i: [] for i, _ in answers}
        for method in self.methods:
            drawn = draw_attributions(
                self.classifier, self.pixels[at], [self.names[i] for i in at],
                np.array([k for _, k in answers]), network=network, method=method,
                layer=self.layer, progress=self.progress,
            )  # fmt: skip
            for (i, k), d in zip(answers, drawn, strict=True):
                own = (d.option,) * (k >= len(network.options))
                file = self._file(i, network.name, *own, method)
                made[i].append(
                    Picture("attribution", file, d.png, d.alt, d.decision, d.option, d.method)
                )
        for i, pictures in made.items():
            pictures.append(self.draw_maps(i, network))
        return made

    def _answers(self, network: Decision, asked: str | None) -> list[tuple[int, int]]:
        """What is explained of a network: images, and for each an index among its answers."""
        said, first = self.predictions, len(network.options)
        places = {f.name: (f.index, first + k) for k, f in enumerate(network.findings)}
        if asked in places:
            return [(i, places[asked][1]) for i in range(len(self.names))]
        found: list[tuple[int, int]] = []
        options = network.targets(said.predicted)
        for i, option in enumerate(options.tolist()):
            if option >= 0:
                found.append((i, option))
            elif asked is not None and first and network.name in said.decision_probs:
                found.append((i, int(said.decision_probs[network.name][i].argmax())))
            shown = np.flatnonzero(said.present[i])
            if places and not len(shown) and (asked or not self.classifier.tree.decisions):
                shown = said.finding_probs[i].argmax(keepdims=True)
            found += [(i, k) for own, k in places.values() if own in shown]
        return found

    def draw_radiograph(self, i: int) -> Picture:
        """What the network is given, after crop, contrast and resizing."""
        png = thumbnail_png(self.pixels[i], 176)
        alt = f"{self.names[i]} as the classifier sees it"
        return Picture("radiograph", self._file(i, "radiograph"), png, alt)

    def draw_maps(
        self, i: int, network: Decision, beside: tuple[PixelArray, str] | None = None
    ) -> Picture:
        """The feature maps of an image, alone or beside those of another (H, W) by its name."""
        kind = "pair" if beside else "feature-maps"
        shown = [(self.pixels[i], self.names[i]), *([beside] if beside else [])]
        maps = compute_feature_maps(
            self.classifier, np.stack([p for p, _ in shown]), layer=self.layer,
            decision=network.name,
        )  # fmt: skip
        return Picture(
            kind, self._file(i, network.name, kind), draw_feature_maps(maps.maps),
            describe_feature_maps(maps, tuple(name for _, name in shown)), network.name,
            layer=maps.layer,
        )  # fmt: skip

    def find_training_images(
        self, dataset: Dataset, records: Sequence[int]
    ) -> list[tuple[Neighbour, ...]]:
        """The nearest training radiographs of each image (see nearest_training)."""
        found: list[tuple[Neighbour, ...]] = [()] * len(self.names)
        last = [last_network(self.classifier, int(k)) for k in self.predictions.predicted]
        for network in dict.fromkeys(last):
            mine = [i for i, own in enumerate(last) if own == network]
            near = nearest_training(
                self.classifier, dataset, self.pixels[mine], [records[i] for i in mine],
                decision=network.name, k=NEAREST, progress=self.progress,
            )  # fmt: skip
            for i, rows, distances in zip(mine, *near, strict=True):
                found[i] = as_neighbours(dataset, rows, distances)
        return found

    def compare_errors(self, dataset: Dataset, records: Sequence[int]) -> dict[int, Picture]:
        """Each misclassified image of the data beside the nearest right one of its split."""
        made: dict[int, Picture] = {}
        stored = dataset.pixels(self.classifier.preprocessing, self.progress)
        images: dict[str, list[int]] = {}
        there = np.flatnonzero(np.array(records) >= 0)
        rows = np.array(records)[there]
        mine = ask_questions(
            self.classifier, dataset.labels[rows], dataset.marks[rows], self.predictions[there]
        )
        for i in sorted({int(there[q.at[k]]) for q in mine for k in q.wrong}):
            images.setdefault(dataset.records[records[i]].split, []).append(i)
        for split, own in sorted(images.items()):
            rows = dataset.indices(split)
            said = self.classifier.predict_pixels(stored[rows], (), self.progress)
            asked = ask_questions(self.classifier, dataset.labels[rows], dataset.marks[rows], said)
            for question, i in ((q, i) for q in asked for i in own if i not in made):
                place = np.flatnonzero(rows[question.at] == records[i])
                if not np.isin(place, question.wrong).any():
                    continue
                k, predicted = int(place[0]), question.predictions.predicted
                erred = parting(question.tree, int(question.truth[k]), int(predicted[k]))
                network = deciding_network(self.classifier, question.finding or erred.name)
                (near,) = nearest_correct(
                    self.classifier, stored[rows[question.at]], question.truth, predicted, [k],
                    decision=network.name, progress=self.progress,
                )  # fmt: skip
                if near is not None:
                    row = rows[question.at[near]]
                    made[i] = self.draw_maps(i, network, (stored[row], dataset.records[row].name))
        return made

    def _file(self, i: int, *parts: str) -> str:
        """A plain file name that no two pictures share, whatever the image is called."""
        stem = safe_name(Path(self.names[i]).stem)[:40]
        return "-".join([f"{i + 1:03d}", stem, *(safe_name(part) for part in parts)]) + ".png"


def _write(found: Explanation, out: Path) -> None:
    """The pictures first, so that an explanation.json that is there is whole."""
    try:
        for image in found.images:
            for picture in image.pictures:
                write_atomically(out / picture.file, picture.png)
    except OSError as error:
        raise EvaluationError(f"Cannot write to {out}: {error.strerror}.") from None
    write_plain(out / EXPLANATION_FILE, found, error=EvaluationError, indent=2, errors=ODD_NAMES)
