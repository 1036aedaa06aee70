"""From predictions and the truth to what may be told of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hilum.capsule.ranges import (
    LEAST,
    SMALL,
    Count,
    Row,
    Shared,
    share,
    split_in_two,
    split_line,
    total,
)
from hilum.capsule.result import (
    Aggregates,
    Bin,
    Curve,
    Figure,
    Group,
    OfAttribute,
    OfClass,
    OfGate,
    Point,
    rounded,
)
from hilum.classifier.arrivals import Arrivals, judge_arrivals
from hilum.classifier.gate import Gate
from hilum.errors import EvaluationError, plural
from hilum.evaluation.bands import Bands
from hilum.evaluation.calibration import OptionCalibration, Reliability, measure_calibration
from hilum.evaluation.evaluate import evaluate_predictions
from hilum.evaluation.subgroups import measure_subgroups
from hilum.labels import LabelTree, Rule, Strategy
from hilum.predictions import Predictions
from hilum.records import BoolArray, IntArray
from hilum.statistics.targets import Target
from hilum.statistics.two_by_two import standardise

#: Of fewer images in all nothing is told.
FEWEST = 30

#: A bin of a calibration curve has so many, or it is the only one: of fewer most counts are small.
BIN = 4 * SMALL

#: Nothing is told of images of fewer patients, where these are known.
PATIENTS = SMALL


@dataclass(frozen=True, slots=True)
class Asked:
    """An operating point with the threshold that home chose. name: as OperatingPoint writes it."""

    name: str
    target: str
    threshold: float


@dataclass(frozen=True, slots=True)
class Cases:
    """N images that are told of.

    rows: (N,) their positions among those that were given. truth: (N,) class indices. predictions:
    of them. patients: (N,) numbers, None where not all are known. left_out: classes of too few.
    """

    rows: IntArray
    truth: IntArray
    predictions: Predictions
    patients: IntArray | None
    left_out: tuple[str, ...]


def choose_cases(
    tree: LabelTree,
    truth: IntArray,
    predictions: Predictions,
    patients: Sequence[str] | None = None,
) -> Cases:
    """The images of classes that have enough of them: LEAST, and PATIENTS where these are known.

    Raises EvaluationError where fewer than FEWEST images, or PATIENTS, are left.
    """
    known = None if patients is None else np.unique(np.array(patients), return_inverse=True)[1]
    enough = np.array([_enough(truth == k, known) for k in range(len(tree.classes))])
    rows = np.flatnonzero(enough[truth]).astype(np.int64)
    own = None if known is None else known[rows]
    few = tuple(name for name, enough_of in zip(tree.classes, enough, strict=True) if not enough_of)
    if len(rows) < FEWEST:
        raise EvaluationError(
            f"{plural(len(rows), 'image')} of classes with at least {LEAST} images (and "
            f"{PATIENTS} patients) are too few to be told of without telling of single ones: "
            f"{FEWEST} are needed."
        )
    return Cases(rows, truth[rows], predictions.take(rows), own, few)


def _enough(member: BoolArray, patients: IntArray | None) -> bool:
    """Whether images are so many, and of so many patients, that they can be told of."""
    several = patients is None or len(np.unique(patients[member])) >= PATIENTS
    return int(member.sum()) >= LEAST and several


def aggregate(
    tree: LabelTree,
    cases: Cases,
    points: Sequence[Asked],
    *,
    rule: Rule,
    strategy: Strategy,
    attributes: Mapping[str, Bands] | None = None,
    gate: Gate | None = None,
) -> Aggregates:
    """What may be told of a classifier on some images. A pure function.

    attributes: subgroups of the images, by names and of names that may be told. gate: that gave
    predictions their p-values; None tells nothing of it.
    """
    truth, predictions = cases.truth, cases.predictions
    measured = evaluate_predictions(
        tree, truth, predictions, rule=rule, strategy=strategy, split="all"
    )
    calibration = measure_calibration(tree, truth, predictions).classes
    matrix = np.array(measured.confusion_matrix)
    sizes = matrix.sum(axis=1).tolist()
    held = [k for k, size in enumerate(sizes) if size]
    shared = Shared([Row(int(matrix[k, k]), sizes[k]) for k in held])
    right = dict(zip(held, shared.first, strict=True))
    cells = {k: _row(matrix[k].tolist(), k, right[k]) for k in held}
    rows = {tree.classes[k]: dict(zip(tree.classes, cells[k], strict=True)) for k in held}
    of = {tree.classes[k]: sizes[k] for k in held}
    classes = {
        name: OfClass(
            of[name], rows[name], *class_shares(rows, of, name),
            auroc=Figure.of(measured.per_class[name].auroc),
        )
        for name in rows
    }  # fmt: skip
    accuracy, balanced = overall_shares(rows, of)
    return Aggregates(
        n=len(truth),
        patients=None if cases.patients is None else len(np.unique(cases.patients)),
        left_out=cases.left_out,
        classes=classes,
        accuracy=accuracy,
        balanced_accuracy=balanced,
        macro_auroc=Figure.of(measured.overall["macro_auroc"]),
        decisions={
            name: Figure.of(decision.overall["macro_auroc"])
            for name, decision in measured.decisions.items()
        },
        brier=Figure.of(calibration.brier),
        log_loss=Figure.of(calibration.log_loss),
        top_label=_curve(calibration.top_label, shared),
        curves={
            tree.classes[k]: _curve(
                calibration.per_option[tree.classes[k]], Shared([Row(sizes[k], sizes[k])])
            )
            for k in held
        },
        points=tuple(_point(asked, tree, truth, predictions) for asked in points),
        attributes=_attributes(tree, cases, attributes or {}, shared),
        gate=_gate(judge_arrivals(gate, predictions.gate_p_values)) if gate else None,
    )


def _row(cells: Sequence[int], k: int, right: Count) -> list[Count]:
    """A row of the confusion matrix: rightly called as `right` tells, the others to fit it."""
    wrong = right.rest(sum(cells))
    others = [n for j, n in enumerate(cells) if j != k]
    if len(others) == 1:
        told = [wrong]
    elif wrong.exact:
        told = list(split_line(others))
    else:
        told = [Count(0, wrong.high) for _ in others]
    return [*told[:k], right, *told[k:]]


#: The rows of a confusion matrix, as far as they are told, by their class.
Matrix = Mapping[str, Mapping[str, Count]]


def class_shares(
    rows: Matrix, sizes: Mapping[str, int], name: str
) -> tuple[Figure, Figure, Figure]:
    """Recall, specificity and precision for a class. sizes: the sums of rows."""
    right, others = rows[name][name], sum(sizes.values()) - sizes[name]
    called_too = total([row[name] for truth, row in rows.items() if truth != name])
    called_too = Count(called_too.low, min(called_too.high, others))
    return (
        Figure.of_count(right, sizes[name]),
        Figure.of(share(called_too.rest(others), called_too)),
        Figure.of(share(right, called_too)),
    )


def overall_shares(rows: Matrix, sizes: Mapping[str, int]) -> tuple[Figure, Figure]:
    """Accuracy and balanced accuracy. sizes: the sums of rows."""
    right = {name: row[name] for name, row in rows.items()}
    recalls = [share(count, count.rest(sizes[name])) for name, count in right.items()]
    accuracy = Figure.of_count(total(list(right.values())), sum(sizes.values()))
    return accuracy, Figure.of(standardise(recalls, [1.0] * len(recalls)))


def _curve(found: Reliability, shared: Shared) -> Curve:
    bins: list[tuple[int, int, float]] = []  # n, how often it came true, sum of probabilities
    for b in found.bins:
        n, value = b.observed.n, b.observed.value or 0.0
        bins.append((n, round(value * n), b.mean_prob * n))
        if len(bins) > 1 and bins[-2][0] < BIN:
            bins[-2:] = [_joined(*bins[-2:])]
    if len(bins) > 1 and bins[-1][0] < BIN:
        bins[-2:] = [_joined(*bins[-2:])]
    told = shared.add([Row(part, n) for n, part, _ in bins])
    points = tuple(
        Bin(n, rounded(probs / n), Figure.of_count(count, n))
        for (n, _, probs), count in zip(bins, told or (), strict=bool(told))
    )
    if not isinstance(found, OptionCalibration):
        return Curve(Figure.of(found.ece), points)
    return Curve(Figure.of(found.ece), points, Figure.of(found.intercept), Figure.of(found.slope))


def _joined(a: tuple[int, int, float], b: tuple[int, int, float]) -> tuple[int, int, float]:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


def _point(asked: Asked, tree: LabelTree, truth: IntArray, predictions: Predictions) -> Point:
    target = Target.parse(asked.target, tree)
    judged = target.judged(truth)
    positive = target.positive(truth)[judged]
    called = target.scores(predictions)[judged] >= asked.threshold
    positives, negatives = int(positive.sum()), int((~positive).sum())
    found = split_in_two(int((positive & called).sum()), positives)
    spared = split_in_two(int((~positive & ~called).sum()), negatives)
    return Point(
        name=asked.name,
        positives=positives,
        negatives=negatives,
        found=found,
        spared=spared,
        sensitivity=Figure.of_count(found, positives),
        specificity=Figure.of_count(spared, negatives),
    )


def _attributes(
    tree: LabelTree, cases: Cases, attributes: Mapping[str, Bands], shared: Shared
) -> dict[str, OfAttribute]:
    right = cases.predictions.predicted == cases.truth
    kept: dict[str, Bands] = {}
    told: dict[str, tuple[list[Row], tuple[Count, ...]]] = {}
    for name, bands in attributes.items():
        shown = _shown(bands, cases.patients)
        own = Bands.of(
            [bands.names[g] if g in shown else None for g in bands.index.tolist()],
            bands.names,
        )
        rows = [
            Row(int(right[own.index == g].sum()), int((own.index == g).sum()))
            for g in range(len(own.names))
        ]
        beyond = own.index < 0
        rest = Row(int(right[beyond].sum()), int(beyond.sum()))
        counts = shared.add(rows, rest) if len(rows) > 1 else None
        if counts is not None:
            kept[name], told[name] = own, (rows, counts)
    tested = measure_subgroups(tree, cases.truth, cases.predictions, kept)
    return {
        found.name: OfAttribute(
            groups=tuple(
                Group(group.name, row.n, count, Figure.of_count(count, row.n))
                for group, row, count in zip(found.subgroups, *told[found.name], strict=True)
            ),
            rest=found.unknown,
            differs=None if found.adjusted_p is None else found.differs,
        )
        for found in tested.attributes
    }


def _shown(bands: Bands, patients: IntArray | None) -> list[int]:
    """The subgroups that are told of, so that not a few images are left beside them."""
    sizes = {g: int((bands.index == g).sum()) for g in range(len(bands.names))}
    shown = [g for g in sizes if _enough(bands.index == g, patients)]
    while shown and 0 < len(bands.index) - sum(sizes[g] for g in shown) < SMALL:
        shown.remove(min(shown, key=lambda g: sizes[g]))
    return shown


def _gate(found: Arrivals | None) -> OfGate | None:
    if found is None:
        return None
    flagged = split_in_two(found.flagged, found.n)
    return OfGate(
        n=found.n,
        flagged=flagged,
        share=Figure.of_count(flagged, found.n),
        expected=rounded(found.expected),
        p_value=rounded(found.p_value) if flagged.exact else None,
        odder=Figure.of(found.odder),
        odder_p_value=rounded(found.odder_p_value),
        warning=bool(found.warning),
    )


#: What subgroups may be told of, and how each of their values is called, in lower case. What is
#: not here is not told: data sets write anything into such columns.
VOCABULARY: dict[str, Mapping[str, str]] = {
    "image size": {name: name for name in ("small", "medium", "large")},
    "brightness": {name: name for name in ("dark", "medium", "bright")},
    "contrast": {name: name for name in ("low", "medium", "high")},
    "age": {
        name: name
        for name in (
            "under 18", "18 to 39", "40 to 64", "65 and over", "under 2", "2 to 11", "12 to 17"
        )
    },
    "sex": {
        "f": "female", "female": "female", "w": "female", "woman": "female",
        "m": "male", "male": "male", "man": "male",
    },
    "view": {
        "pa": "PA", "ap": "AP", "ap supine": "AP", "ap erect": "AP", "frontal": "frontal",
        "ll": "lateral", "rl": "lateral", "l": "lateral", "lateral": "lateral",
    },
}  # fmt: skip


def in_vocabulary(attributes: Mapping[str, Bands]) -> dict[str, Bands]:
    """Subgroups under names that may be told; what has no such name is unknown.

    The bounds of thirds, which are values of single images, are cut off their names.
    """
    found = {}
    for name, words in VOCABULARY.items():
        if name in attributes:
            bands = attributes[name]
            called = [words.get(text.partition(" (")[0].casefold()) for text in bands.names]
            values = [None if g < 0 else called[g] for g in bands.index.tolist()]
            found[name] = Bands.of(values, tuple(dict.fromkeys(words.values())))
    return found


def of_rows(attributes: Mapping[str, Bands], rows: IntArray) -> dict[str, Bands]:
    """The subgroups of some of the images."""
    return {name: replace(bands, index=bands.index[rows]) for name, bands in attributes.items()}
