"""Pictures for notebooks: radiographs, what a network answers to them, and where it was wrong.

Each function returns what Jupyter draws when it is the last line of a cell.
"""

from collections.abc import Sequence
from pathlib import PurePath

import numpy as np

from hilum.classifier.classifier import Classifier
from hilum.errors import DataError
from hilum.explanation.attribution import METHOD_NAMES
from hilum.explanation.errors import ErrorGallery
from hilum.explanation.explain import Explanation
from hilum.explanation.feature_maps import (
    compute_feature_maps,
    describe_feature_maps,
    draw_feature_maps,
)
from hilum.labels import FLAT
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.image import image_source
from hilum.records import IntArray
from hilum.reporting.figures.charts import shorten
from hilum.reporting.notebook.parts import (
    Card,
    Shown,
    cards,
    heading,
    paragraph,
    png_card,
    radiograph_card,
    sentence,
    show,
    table,
)


def show_samples(dataset: Dataset, split: str = "train", each: int = 6) -> Shown:
    """Radiographs of every class, at even steps through the split, so that none is picked by hand.

    each: how many of a class. Raises DataError where there is no such split.
    """
    rows, parts, told = dataset.indices(split), [], []
    for label, name in enumerate(dataset.tree.classes):
        chosen = _spread(rows[dataset.labels[rows] == label], each)
        parts.append(heading(name) + cards(_radiographs(dataset, chosen)))
        told.append(f"{len(chosen)} of {name}")
    return show("".join(parts), f"Radiographs of {split}: {', '.join(told)}.")


def show_predictions(
    classifier: Classifier, dataset: Dataset, split: str = "val", most: int = 24
) -> Shown:
    """Radiographs of a split at even steps, with the truth, the prediction and its probability.

    most: how many are shown. Raises DataError where there is no such split.
    """
    rows = _spread(dataset.indices(split), most)
    said = classifier.predict_pixels(dataset.pixels(classifier.preprocessing)[rows])
    classes, truth = classifier.tree.classes, dataset.labels[rows]
    captions = []
    for true, predicted, probs in zip(truth, said.predicted, said.probs, strict=True):
        verdict = f"{classes[predicted]} ({probs[predicted]:.0%})"
        right = predicted == true
        captions.append(f"✓ {verdict}" if right else f"✗ {verdict}, truly {classes[true]}")
    wrong = int((said.predicted != truth).sum())
    alt = f"{len(rows)} radiographs of {split}, {wrong} of them misclassified."
    return show(cards(_radiographs(dataset, rows, captions)) + paragraph(alt), alt)


def show_feature_maps(
    classifier: Classifier,
    dataset: Dataset,
    names: str | Sequence[str],
    *,
    layer: str | None = None,
    decision: str | None = None,
) -> Shown:
    """What a layer answers to a radiograph, one cell a channel; or to two, side by side.

    names: one or two, as in dataset.records. layer: of list_layers by name; None takes the last
    convolution. decision: whose network; None takes the first.
    Raises DataError for an image that is not there, EvaluationError for a layer or decision.
    """
    wanted = (names,) if isinstance(names, str) else tuple(names)
    if len(wanted) not in (1, 2):
        raise DataError(f"Feature maps are shown of one radiograph or two; found {len(wanted)}.")
    rows = _rows(dataset, wanted)
    pixels = dataset.pixels(classifier.preprocessing)[rows]
    maps = compute_feature_maps(classifier, pixels, layer=layer, decision=decision)
    short = [shorten(name, 60) for name in wanted]
    alt = describe_feature_maps(maps, tuple(short))
    picture = png_card(draw_feature_maps(maps.maps[0] if len(rows) == 1 else maps.maps), alt, alt)
    return show(cards([*_radiographs(dataset, rows, short), picture]), alt)


def show_errors(errors: ErrorGallery, dataset: Dataset) -> Shown:
    """Misclassified radiographs, each beside the nearest that is rightly what it was taken for.

    The most confident first, as many as have pictures: what moved the decision, drawn over the
    radiograph; the counterpart; and the training radiographs that the network takes for most alike.
    dataset: the one that the errors were collected on.
    """
    if not errors.cases:
        return sentence(f"Of {errors.n} radiographs of {errors.split} none was misclassified.")
    parts, told = [], []
    for case in errors.cases:
        if case.pictures is None:
            continue
        title = f"{case.name}: truly {case.truth}, called {case.predicted}"
        overlay = png_card(
            case.pictures.overlay, case.pictures.alt,
            f"{METHOD_NAMES[errors.method]}, for {case.chosen_option} at {case.decision} "
            f"({case.decision_probs[case.decision][case.chosen_option]:.0%})",
        )  # fmt: skip
        shown = [overlay]
        if case.counterpart is not None:
            rows = _rows(dataset, [case.counterpart])
            shown += _radiographs(dataset, rows, [f"nearest that is rightly {case.predicted}"])
        shown += [
            png_card(png, f"Training radiograph {near.name}", f"trained on as {near.label}")
            for near, png in zip(case.neighbours, case.pictures.neighbours, strict=True)
        ]
        parts.append(heading(title) + cards(shown))
        told.append(f"{title}.")
    tally = f"{len(errors.cases)} of {errors.n} radiographs of {errors.split} were misclassified."
    told = [tally, *errors.notes, *told]
    notes = "".join(map(paragraph, (tally, *errors.notes)))
    return show(notes + "".join(parts), " ".join(told))


def show_counterpart(
    classifier: Classifier, dataset: Dataset, errors: ErrorGallery, *, layer: str | None = None
) -> Shown:
    """The feature maps of the most confident error beside those of its counterpart.

    They come from the network that erred. Where there is no error, or nothing was rightly given
    the class that it was given, there is nothing to compare, and it says so.
    """
    for case in errors.cases:
        if case.counterpart is not None:
            decision = FLAT if classifier.strategy == "flat" else case.decision
            pair = (case.name, case.counterpart)
            return show_feature_maps(classifier, dataset, pair, layer=layer, decision=decision)
    return sentence(f"Of the errors on {errors.split} none has a counterpart to compare with.")


def show_explanation(explanation: Explanation) -> Shown:
    """What explain drew of each radiograph, and how far to trust the maps."""
    parts, told = [], []
    for image in explanation.images:
        name = PurePath(image.name).name
        title = f"{name}: called {image.predicted} ({image.probs[image.predicted]:.0%})"
        title += f", truly {image.truth}" if image.truth else ""
        drawn = [
            png_card(
                picture.png, picture.alt, " · ".join(
                    part for part in (METHOD_NAMES.get(picture.method, ""), picture.layer,
                                      picture.decision, picture.option) if part
                ) or "as the classifier sees it",
            )
            for picture in image.pictures
        ]  # fmt: skip
        parts.append(heading(title) + cards(drawn))
        told.append(f"{title}.")
    if any(score.measured for score in explanation.localisation):
        parts.append(
            table(
                "Do the maps find the findings?",
                ["method", "decision", "points at it", "mass inside", "by chance", "verdict"],
                [
                    [METHOD_NAMES[s.method], s.decision, s.pointing, s.mass, s.chance, s.verdict]
                    for s in explanation.localisation
                ],
                text=(1, 5),
            )
        )
    notes = "".join(map(paragraph, explanation.notes))
    return show("".join(parts) + notes, " ".join([*told, *explanation.notes]))


def _radiographs(
    dataset: Dataset, rows: IntArray, captions: Sequence[str] | None = None
) -> list[Card]:
    names = [dataset.records[row].name for row in rows]
    told = captions or [shorten(PurePath(name).name, 24) for name in names]
    read = image_source(dataset.root)(names)
    return [radiograph_card(*card) for card in zip(read, names, told, strict=True)]


def _rows(dataset: Dataset, names: Sequence[str]) -> IntArray:
    place = {record.name: row for row, record in enumerate(dataset.records)}
    for name in names:
        if name not in place:
            raise DataError(
                f"{dataset.root}: there is no radiograph '{name}'; names are as in dataset.records."
            )
    return np.array([place[name] for name in names], dtype=np.int64)


def _spread(rows: IntArray, most: int) -> IntArray:
    """So many rows at even steps, or all where there are not more."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).round().astype(np.int64)]
