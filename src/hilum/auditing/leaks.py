"""What duplicates and patients mean: findings about images that stand where they should not."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

from hilum.auditing.duplicates import (
    Duplicates,
    Group,
    find_identical,
    find_together,
)
from hilum.auditing.findings import Finding, Severity
from hilum.auditing.patients import PatientInfo, Resemblance, patient_groups, patients_across_splits
from hilum.errors import DataError, in_lines, nearest, plural
from hilum.radiographs.dataset import Dataset
from hilum.recipe import Allowed
from hilum.records import Progress, Record

#: How many groups or files a finding names; audit.json names all.
NAMED = 20

_IDENTICAL = "identical"
_NEAR = "nearly identical"
_MIRRORED = "mirrored"


def duplicate_findings(duplicates: Duplicates, splits: Collection[str]) -> list[Finding]:
    """Leaks across splits, conflicts of labels, and repetition within a split.

    splits: those that the data have; where there is only one, nothing can be found across them.
    """
    identical = [*duplicates.exact, *duplicates.pixels]
    found = []
    for word, groups in (
        (_IDENTICAL, identical),
        (_NEAR, duplicates.near),
        (_MIRRORED, duplicates.mirrored),
    ):
        across = [g for g in groups if g.across_splits]
        if across:
            found.append(_leak(word, across))
        conflicts = [g for g in groups if g.conflicting_labels]
        if conflicts:
            found.append(_conflict(word, conflicts))
        rest = [g for g in groups if not g.across_splits and not g.conflicting_labels]
        if rest:
            found.append(_repetition(word, rest))
    if len(splits) < 2:
        found.append(
            Finding(
                "note",
                "undivided",
                f"All images are in one split, {', '.join(splits)}: no leak was looked for",
                "What will be trained on and what will be tested on is not told apart yet, so that "
                "no image and no patient can be found on both sides.",
                "Divide the images (hilum split), and audit the division: hilum audit DATA "
                "--split split.csv.",
            )
        )
    elif not any(f.code == "leak" for f in found):
        found.append(
            Finding(
                "passed",
                "leak",
                "No image stands in two splits",
                "Neither the same file, nor the same pixels, nor a close or mirrored copy.",
            )
        )
    if not any(f.code == "label-conflict" for f in found):
        found.append(
            Finding(
                "passed",
                "label-conflict",
                "No image has two labels",
                "All copies of an image agree in their class.",
            )
        )
    return found


def patient_findings(
    info: PatientInfo,
    across: dict[str, list[int]],
    resemblance: Resemblance | None,
    records: Sequence[Record],
) -> list[Finding]:
    """Patients in several splits; or, where nobody is named, whether neighbours are alike.

    across: positions of the records of each patient in more than one split. resemblance: only
    where no patient is known.
    """
    if across:
        images = sum(map(len, across.values()))
        return [
            Finding(
                "critical",
                "leak",
                f"{plural(len(across), 'patient')} in more than one split, with {images} images",
                "A network can recognise a patient instead of the disease, so figures on the "
                "later splits are too good.",
                "Make a split by patient: hilum split.",
                _lines([records[i].name for i in rows] for rows in across.values()),
            )
        ]
    if info.count:
        how = "; ".join(f"{n:,} images by {source}" for source, n in info.sources.items())
        without = f" {info.without:,} images name no patient." * bool(info.without)
        divided = len({record.split for record in records}) > 1
        severity: Severity = "warning" if info.without else "passed" if divided else "note"
        return [
            Finding(
                severity,
                "patients",
                f"{plural(info.count, 'patient')} known"
                + ", none of them in two splits" * divided
                + f"; {plural(info.without, 'image')} without one" * bool(info.without),
                f"Found in: {how}.{without}",
                "Split by patient (hilum split does)."
                + " Find out whose the others are." * bool(info.without),
            )
        ]
    return [_unknown_patients(resemblance)]


def _unknown_patients(resemblance: Resemblance | None) -> Finding:
    title = "Nothing says which images are of the same patient"
    excess = resemblance.excess if resemblance else None
    if excess is None or excess.value is None or excess.low is None or excess.high is None:
        return Finding(
            "warning",
            "patients",
            title,
            "Images of one patient may stand on both sides of any split, and nothing here can "
            "tell: file names give neither a patient nor an order.",
            "Get the patients' identifiers, or list them in a table (column patient_id).",
        )
    difference = excess.in_words()
    if excess.low > 0:
        return Finding(
            "warning",
            "patients",
            f"{title}, and neighbouring files are alike",
            f"Files with neighbouring numbers correlate {difference} more than random pairs of "
            "their class, as several images of one patient in a row would. A random split puts "
            "such neighbours on both sides, and figures on it are too good.",
            "Split by blocks of file numbers: hilum split does where patients are unknown.",
        )
    return Finding(
        "warning",
        "patients",
        title,
        "Neighbouring file numbers are no more alike than random pairs (the correlation differs "
        f"by {difference}), so the files' order gives no patients away either.",
        "Get the patients' identifiers: without them no split can be known to be clean.",
    )


def _leak(word: str, groups: Sequence[Group]) -> Finding:
    certain = word == _IDENTICAL
    return Finding(
        "critical" if certain else "warning",
        "leak",
        f"{plural(len(groups), 'group')} of {word} images across splits",
        "What is tested was trained on, so figures on the later splits are too good."
        if certain
        else "These may be copies, or images of one patient: both make figures too good.",
        "Remove the copies from all splits but one, or make a new split: hilum split.",
        _files(groups),
    )


def _conflict(word: str, groups: Sequence[Group]) -> Finding:
    certain = word == _IDENTICAL
    return Finding(
        "critical" if certain else "warning",
        "label-conflict",
        f"{plural(len(groups), 'group')} of {word} images with different labels",
        "At most one of the labels can be right, and nothing here says which."
        if certain
        else "If they are copies, at most one of the labels can be right.",
        "Look at them, and correct or remove them.",
        _files(groups),
    )


def _repetition(word: str, groups: Sequence[Group]) -> Finding:
    pairs = sum(g.pairs for g in groups)
    splits = sorted({image.split for g in groups for image in g.images})
    return Finding(
        "note",
        "duplicates" if word == _IDENTICAL else "near-duplicates",
        f"{plural(len(groups), 'group')} ({plural(pairs, 'pair')}) of {word} images within "
        f"{' and '.join(splits)}",
        "They count more than once in training, and in any figure measured on that split; a "
        "hold-out that separates them leaks.",
        "Keep them on one side of any hold-out (hilum split does), or remove the copies.",
        _files(groups),
    )


def _files(groups: Iterable[Group]) -> tuple[str, ...]:
    return _lines([image.name for image in group.images] for group in groups)


def _lines(names: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """A line for each group of images that are one, the first groups only."""
    lines = [" = ".join(group) for group in names]
    more = [f"… and {len(lines) - NAMED} more"] * (len(lines) > NAMED)
    return (*lines[:NAMED], *more)


@dataclass(frozen=True, slots=True)
class Copies:
    """Training images that another part holds too: copies, also resized, compressed or mirrored.

    groups: how many images there are. names: of the first of them, a line each.
    """

    groups: int
    names: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """What was found and what it means, without names; '' where nothing was found."""
        if not self.groups:
            return ""
        return (
            f"{plural(self.groups, 'image')} in training and in another part of the data, as "
            "copies or nearly so (another size, compressed again, mirrored): figures there are "
            "too good."
        )


def find_copies(
    dataset: Dataset, parts: Sequence[str], *, progress: Progress | None = None
) -> Copies:
    """Find the training images of which a copy, certain or likely, stands in another part.

    parts: (N,) of each record, 'train' or another; '' for one that is in none of them. Decodes
    every file as find_duplicates does, if that was not done for these files before.
    """
    together = find_together(dataset, progress=progress)
    placed = ([row for row in rows if parts[row]] for rows in together)
    torn = [rows for rows in placed if {"train"} < {parts[row] for row in rows}]
    return Copies(len(torn), _lines([dataset.records[row].name for row in g] for g in torn))


_CODES: dict[str, Allowed] = {"leak": "leakage", "label-conflict": "label-conflicts"}


def refuse_unsound(dataset: Dataset, allow: Collection[str] = ()) -> list[str]:
    """Refuse to train on data that leak, or whose labels contradict each other.

    allow: 'leakage' and 'label-conflicts' let through what they name. Returns a sentence for each
    thing that was let through, for the classifier and every report.
    Raises DataError that names the files, or for an unknown word in allow.
    """
    known = get_args(Allowed)
    for word in allow:
        if word not in known:
            raise DataError(f"There is no '{word}' to allow.{nearest(word, known)}")
    notes: list[str] = []
    for finding in _critical(dataset):
        word = _CODES[finding.code]
        if word not in allow:
            raise DataError(
                f"{dataset.root}: {finding.title}. {finding.meaning} {finding.advice} "
                f"To train all the same: --allow {word}"
                f"{in_lines(finding.evidence)}"
            )
        notes.append(f"Trained although (--allow {word}): {finding.title}. {finding.meaning}")
    return notes


def _critical(dataset: Dataset) -> list[Finding]:
    patients = patient_groups(dataset.records)
    across = patients_across_splits(dataset.records, patients)
    found = duplicate_findings(find_identical(dataset), dataset.splits)
    if across:
        found += patient_findings(patients, across, None, dataset.records)
    return [f for f in found if f.severity == "critical" and f.code in _CODES]
