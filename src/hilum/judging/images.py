"""The images of cases, where they are at hand: subgroups by how they look, copies in training."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from hilum.auditing.duplicates import find_together
from hilum.auditing.shortcuts import SIDE, measure_shortcuts, shortcut_findings
from hilum.classifier.arrivals import judge_arrivals
from hilum.classifier.gate import fit_gate, images_needed
from hilum.errors import EvaluationError, examples, plural
from hilum.evaluation.bands import Bands
from hilum.evaluation.evaluate import patients_of
from hilum.evaluation.subgroups import collect_attributes
from hilum.judging.cases import Cases
from hilum.judging.leaks import Leak, leak_of
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.pixels import Thumbnail
from hilum.records import IntArray, LazyPixels, Progress
from hilum.transforms.preprocess import Preprocessing

#: What the gate sees of images, as of classifiers of the default recipe.
_GATE = Preprocessing(image_size=(112, 112))


@dataclass(frozen=True)
class Seen:
    """What images tell of cases.

    cases: with the patients of their records, where the table names none. bands: subgroups by
    size, brightness, contrast and what the records say. leak: cases of which a copy, or the
    patient, is among other images of train; None where the data have no such. notes: what else
    tells the classes apart in these images, and whether they are unlike those of train.
    """

    cases: Cases
    bands: Mapping[str, Bands]
    leak: Leak | None
    notes: tuple[str, ...] = ()


def look_at(cases: Cases, dataset: Dataset, progress: Progress | None = None) -> Seen:
    """Find the images of cases, by their names. Raises EvaluationError where some have none."""
    rows = _rows(cases, dataset)
    known = patients_of(dataset, rows)
    if cases.groups is None and known is not None:
        cases = replace(cases, groups=known)
    bands = collect_attributes(dataset, rows, progress)
    records = dataset.records
    mine = np.zeros(len(records), dtype=bool)
    mine[rows] = True
    train = np.array([record.split == "train" for record in records]) & ~mine
    notes = _shortcuts(cases, dataset, rows, progress)
    if not train.any():
        return Seen(cases, bands, None, notes)
    notes += _unlike(dataset, rows, np.flatnonzero(train), progress)
    copied = np.zeros(len(records), dtype=bool)
    for together in find_together(dataset, progress=progress):
        copied[together] = train[together].any()
    patients = {r.group for r, trained in zip(records, train, strict=True) if trained} - {None}
    theirs = np.array([records[row].group in patients for row in rows], dtype=bool)
    both = len({records[row].group for row in rows} & patients) if patients else None
    table = f"the training images in {dataset.name}"
    leak = leak_of(cases, table, copied[rows], copied[rows] | theirs, both, looked=True)
    return Seen(cases, bands, leak, notes)


def _shortcuts(
    cases: Cases, dataset: Dataset, rows: IntArray, progress: Progress | None
) -> tuple[str, ...]:
    """What is no finding and tells the classes apart in these images, in words."""
    if not cases.tree.decisions:
        return ()
    labels = np.zeros(len(dataset.records), dtype=np.int64)
    labels[rows] = cases.truth
    pixels = dataset.pixels(Thumbnail(SIDE), progress)
    groups = [record.group for record in dataset.records]
    found = measure_shortcuts(
        pixels, None, labels, cases.tree.classes, rows=np.sort(rows), groups=groups,
        progress=progress,
    )  # fmt: skip
    told = [f for f in shortcut_findings(found) if f.severity in ("critical", "warning")]
    return tuple(f"{f.title}. {f.meaning}" for f in told)


def _unlike(
    dataset: Dataset, rows: IntArray, trained: IntArray, progress: Progress | None
) -> tuple[str, ...]:
    """Whether the images are, as a set, unlike those of train; nothing where these are too few."""
    if len(trained) < images_needed():
        return ()
    pixels = dataset.pixels(_GATE, progress)
    gate = fit_gate(LazyPixels.of_rows(pixels, trained), dataset.labels[trained])
    found = judge_arrivals(
        gate, gate.judge(LazyPixels.of_rows(pixels, rows)).p_values, of=dataset.name
    )
    return (found.warning,) if found and found.warning else ()


def _rows(cases: Cases, dataset: Dataset) -> IntArray:
    """The record of each case (N,): by its name, or its file's name with or without its ending."""

    def forms(name: str) -> tuple[str, str, str]:
        file = name.replace("\\", "/").rsplit("/", 1)[-1]
        return name, file, file.rsplit(".", 1)[0]

    of_records = [forms(record.name) for record in dataset.records]
    best: list[int] = []
    for form in range(3):
        names = [of[form] for of in of_records]
        twice = {name for name, n in Counter(names).items() if n > 1}
        at = {name: row for row, name in enumerate(names) if name not in twice}
        found = [at.get(forms(name)[form], -1) for name in cases.predictions.names]
        if min(found) >= 0:
            return np.array(found, dtype=np.int64)
        best = min(best or found, found, key=lambda rows: rows.count(-1))
    missing = [n for n, row in zip(cases.predictions.names, best, strict=True) if row < 0]
    raise EvaluationError(
        f"{plural(len(missing), 'case')} of {cases.name} have no image in {dataset.root}, or not "
        f"one alone: {examples(missing)}. The column of cases should name files as they are there."
    )
