"""Which images a person should label, as a table to fill in; and what their labels then tell."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hilum.errors import DataError, examples, plural
from hilum.files import ODD_NAMES, from_cell, to_cell, write_atomically
from hilum.predictions import Predictions
from hilum.records import Estimate, FloatArray
from hilum.statistics.stratified import choose_to_label, expected_width, stratified_share
from hilum.watching.baseline import Question

LABELS_FILE = "label-these.csv"

#: How many images are to be labelled, if nothing else is said, and the fewest.
LABELS, LEAST_LABELS = 40, 10

_PATH, _STRATUM, _IMAGES = "path", "stratum", "images in it"


@dataclass(frozen=True, slots=True)
class ToLabel:
    """Images to label. names: of L images. strata: (L,) from 0, by how sure their answers are.

    images: how many each stratum has. width: of the interval of the accuracy to reckon with, and
    random: that of as many images drawn from all.
    """

    names: tuple[str, ...]
    strata: tuple[int, ...]
    images: tuple[int, ...]
    width: float
    random: float


def choose(names: Sequence[str], right: FloatArray, labels: int, *, seed: int = 0) -> ToLabel:
    """Choose the images whose labels tell most. right: (N,) how sure each answer is to be right."""
    chosen, strata = choose_to_label(right, labels, seed=seed)
    count = len(chosen)
    return ToLabel(
        tuple(names[i] for i in chosen),
        tuple(strata[chosen].tolist()),
        tuple(np.bincount(strata).tolist()),
        expected_width(right, strata, count),
        expected_width(right, np.zeros_like(strata), count),
    )


def columns_of(question: Question) -> tuple[str, str]:
    """The names of the columns of what is predicted, and of the truth, which is to be filled in."""
    behind = f" {question.name}" if question.name else ""
    return f"predicted{behind}", f"truth{behind}"


def write_labels(
    file: Path, chosen: ToLabel, questions: Sequence[Question], predictions: Predictions
) -> bool:
    """Write the table to fill in, unless somebody has begun to; whether it was written.

    Raises DataError where it cannot be written, or what is there cannot be read.
    """
    if file.is_file() and _is_begun(file):
        return False
    columns = [name for question in questions for name in columns_of(question)]
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow([_PATH, *columns, _STRATUM, _IMAGES])
    at = {name: i for i, name in enumerate(predictions.names)}
    said = [_said(question, predictions) for question in questions]
    for name, stratum in zip(chosen.names, chosen.strata, strict=True):
        cells = [cell for of in said for cell in (of[at[name]], "")]
        table.writerow([to_cell(name), *cells, stratum, chosen.images[stratum]])
    try:
        write_atomically(file, out.getvalue().encode("utf-8", ODD_NAMES))
    except OSError as error:
        raise DataError(f"{file}: cannot be written ({error.strerror or error}).") from None
    return True


def _said(question: Question, predictions: Predictions) -> list[str]:
    chosen = question.said(predictions).predicted.tolist()
    return [to_cell(question.classes[k]) for k in chosen]


def _is_begun(file: Path) -> bool:
    rows = _rows(file)
    return any(cell for row in rows for name, cell in row.items() if name.startswith("truth"))


def _rows(file: Path) -> list[dict[str, str]]:
    try:
        with file.open(encoding="utf-8-sig", errors=ODD_NAMES, newline="") as text:
            lines = list(csv.reader(text, strict=True))
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror or error}).") from None
    except csv.Error as error:
        raise DataError(f"{file}: is no table of labels ({error}).") from None
    head = lines[0] if lines else []
    if not {_PATH, _STRATUM, _IMAGES} <= set(head):
        raise DataError(
            f"{file}: is no table of labels: it lacks a column of {_PATH}, {_STRATUM}, {_IMAGES}. "
            f"hilum watch writes one, {LABELS_FILE}, to fill in."
        )
    for number, line in enumerate(lines[1:], start=2):
        if any(line) and len(line) != len(head):
            raise DataError(
                f"{file}, row {number}: expected {len(head)} cells as in the first row, found "
                f"{len(line)}."
            )
    rows = [line for line in lines[1:] if any(line)]
    found = [
        {name: from_cell(cell.strip()) for name, cell in zip(head, row, strict=True)}
        for row in rows
    ]
    for names in (filter(None, head), (row[_PATH] for row in found)):
        if several := [name for name, count in Counter(names).items() if count > 1]:
            raise DataError(f"{file}: {examples(several)} stands in it more than once; keep one.")
    return found


def read_labels(
    file: Path, questions: Sequence[Question], predictions: Predictions
) -> Mapping[str, Estimate]:
    """By question, the share of all images that were to choose from that is answered rightly.

    file: as write_labels wrote it, with truths filled in. Rows without one are left out: what a
    person cannot tell is then as if it had not been drawn. Undefined, with the reason, where fewer
    than LEAST_LABELS have a truth, or none of a stratum. Raises DataError where it is no such
    table, or of other images or another classifier, or a truth is no class.
    """
    rows, at = _rows(file), {name: i for i, name in enumerate(predictions.names)}
    foreign = [row[_PATH] for row in rows if row[_PATH] not in at]
    if foreign:
        raise DataError(
            f"{file}: {plural(len(foreign), 'image')} in it are not among those that are watched "
            f"({examples(foreign)}): give the images that it was written for."
        )
    found = {}
    for question in questions:
        predicted, truth = columns_of(question)
        said = _said(question, predictions)
        right: dict[int, list[bool]] = {}
        sizes: dict[int, int] = {}
        for row in rows:
            if from_cell(said[at[row[_PATH]]]) != row.get(predicted):
                raise DataError(
                    f"{file}: {row[_PATH]} was predicted otherwise when it was written: by another "
                    "classifier. Let hilum watch write it anew."
                )
            try:
                stratum, size = int(row[_STRATUM]), int(row[_IMAGES])
            except ValueError:
                raise DataError(f"{file}: the stratum of {row[_PATH]} is no number.") from None
            if sizes.setdefault(stratum, size) != size:
                raise DataError(
                    f"{file}: stratum {stratum} has {sizes[stratum]} images in one row and {size} "
                    "in another; let hilum watch write it anew."
                )
            if answer := row.get(truth, ""):
                if answer not in question.classes:
                    raise DataError(
                        f"{file}: the {truth} of {row[_PATH]} is '{answer}'; expected one of "
                        f"{', '.join(question.classes)}, or nothing."
                    )
                right.setdefault(stratum, []).append(answer == row[predicted])
        if min(sizes.values(), default=1) < 1 or sum(sizes.values()) != len(said):
            raise DataError(
                f"{file}: its strata have {sum(sizes.values())} images, and {len(said)} are "
                "watched: give the images that it was written for, and leave rows without a truth "
                "in it."
            )
        found[question.name] = _share(right, sizes)
    return found


def _share(right: Mapping[int, list[bool]], sizes: Mapping[int, int]) -> Estimate:
    n = sum(len(of) for of in right.values())
    if n < LEAST_LABELS:
        return Estimate.undefined(f"{plural(n, 'label')}; {LEAST_LABELS} are needed", n)
    if lacking := sorted(sizes.keys() - right.keys()):
        return Estimate.undefined(f"no image of stratum {lacking[0]} has a label", n)
    strata = sorted(sizes)
    return stratified_share(
        np.array([sum(right[h]) for h in strata]),
        np.array([len(right[h]) for h in strata]),
        np.array([sizes[h] for h in strata]),
    )
