"""Is my data sound? Every check on a data set, and what the results mean."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hilum.auditing.describe import Description, describe, description_findings
from hilum.auditing.duplicates import Duplicates, find_duplicates
from hilum.auditing.findings import Finding, by_importance
from hilum.auditing.leaks import duplicate_findings, patient_findings
from hilum.auditing.occurrence import Occurrence, occurrence, occurrence_findings
from hilum.auditing.patients import (
    PatientInfo,
    Resemblance,
    neighbour_resemblance,
    patient_groups,
    patients_across_splits,
)
from hilum.auditing.provenance import Match, match_sources, provenance_findings
from hilum.auditing.shortcuts import (
    SIDE,
    Shortcut,
    by_finding,
    left_findings,
    measure_shortcuts,
    shortcut_findings,
    strength,
)
from hilum.codec import write_plain
from hilum.display import Displayed
from hilum.errors import DataError, plural
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.image import Header
from hilum.radiographs.pixels import Thumbnail
from hilum.records import ABSENT, IntArray, LazyPixels, PixelArray, Pixels, Progress
from hilum.table import Column, Columns, Row, Table

SYNTHETIC = Finding(
    "note",
    "synthetic",
    "These are synthetic phantoms",
    "Every image was computed, none is of a patient: the audit shows that the software works.",
)


@dataclass(frozen=True, slots=True)
class Left:
    """The shortcuts of the images as a recipe trains on them: augmented and standardised."""

    recipe: str
    shortcuts: tuple[Shortcut, ...]
    by_finding: dict[str, tuple[Shortcut, ...]] = field(default_factory=dict)


@dataclass(frozen=True, repr=False)
class Audit(Displayed):
    """The results of all checks.

    findings: ordered by how much they matter. resemblance: of neighbouring files, measured only
    where no patient is known. seconds: how long each part took. left: what a recipe's augmentation
    leaves of the shortcuts, where one was asked about. shortcuts: of the classes; none where there
    is nothing to choose. occurrence, by_finding: of the findings of images, if the labels have
    any: what the images have, and how well each is told by what is not lung.
    """

    data: dict[str, Any]
    findings: tuple[Finding, ...]
    description: Description
    provenance: tuple[Match, ...]
    duplicates: Duplicates
    patients: PatientInfo
    resemblance: Resemblance | None
    shortcuts: tuple[Shortcut, ...]
    seconds: dict[str, float] = field(default_factory=dict)
    left: Left | None = None
    occurrence: Occurrence | None = None
    by_finding: dict[str, tuple[Shortcut, ...]] = field(default_factory=dict)

    def balance(self) -> str:
        """In words how often each class comes, or each finding where there are no classes."""
        told = None if self.description.tree.decisions else self.occurrence
        return told.in_words() if told else self.description.ratio()

    def _in_one_line(self) -> str:
        found = Counter(finding.severity for finding in self.findings)
        counts = ", ".join(f"{n} {severity}" for severity, n in found.items())
        return f"Audit of {self.data['name']}: {counts}"

    def _in_full(self) -> Iterator[str | Table]:
        rows: list[Row] = [
            [f.severity, f.title, f"{f.meaning} {f.advice}".strip()]
            for f in self.findings
            if f.severity != "passed"
        ]
        columns: Columns = ["", Column("finding", "text"), Column("what it means", "text")]
        yield Table(f"Audit of {self.data['name']}", columns, rows)

    def to_plain(self) -> dict[str, Any]:
        """For the codec: what audit.json holds."""
        return {
            "format": 1,
            "hilum": version("hilum"),
            "data": self.data,
            "findings": self.findings,
            "description": self.description,
            "provenance": self.provenance,
            "duplicates": self.duplicates,
            "patients": self.patients,
            "neighbours": self.resemblance,
            "shortcuts": self.shortcuts,
            "left": self.left,
            **(
                {"occurrence": self.occurrence, "shortcuts_by_finding": self.by_finding}
                if self.occurrence
                else {}
            ),
            "seconds": {part: round(s, 2) for part, s in self.seconds.items()},
        }


def run_audit(
    dataset: Dataset,
    *,
    seed: int = 0,
    trained: tuple[str, Callable[[PixelArray], LazyPixels]] | None = None,
    progress: Progress | None = None,
) -> Audit:
    """Run every check on a data set.

    Shortcuts are looked for in the training split, which is what a network learns from (in all
    images where there is none). seed: of the resampling behind the intervals. trained: the name of
    a recipe, and what makes (N, H, W) uint8 of such pixels as its training sees them
    (transforms.augment.training_view): then it is measured which shortcuts that leaves.
    Raises DataError where files cannot be read.
    """
    seconds: dict[str, float] = {}

    @contextmanager
    def timed(part: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        seconds[part] = time.perf_counter() - start

    with timed("decoding"):
        pixels = dataset.pixels(Thumbnail(SIDE), progress)
    with timed("description"):
        description = describe(dataset, pixels, progress)
        told = occurrence(dataset)
        matches = match_sources(dataset.counts(), layout=dataset.layout, digests=dataset.digests)
    with timed("duplicates"):
        duplicates = find_duplicates(dataset, progress=progress)
    with timed("patients"):
        patients = patient_groups(dataset.records, dataset.patients_from)
        across = patients_across_splits(dataset.records, patients)
        resemblance = None if patients.count else neighbour_resemblance(dataset, pixels, seed=seed)
    with timed("shortcuts"):
        rows = dataset.indices("train" if "train" in dataset.splits else "all")

        def look(
            pixels: Pixels, headers: Sequence[Header] | None
        ) -> tuple[tuple[Shortcut, ...], dict[str, tuple[Shortcut, ...]]]:
            def at(
                labels: IntArray, classes: Sequence[str], rows: IntArray
            ) -> tuple[Shortcut, ...]:
                return measure_shortcuts(
                    pixels,
                    headers,
                    labels,
                    classes,
                    rows=rows,
                    groups=patients.patients,
                    seed=seed,
                    progress=progress,
                )

            tree = dataset.tree
            of_classes = at(dataset.labels, tree.classes, rows) if tree.decisions else ()
            truths = {f.name: f.truth(dataset.labels, dataset.marks) for f in tree.findings}
            return of_classes, {
                name: at(truth, ("negative", name), rows[truth[rows] >= ABSENT])
                for name, truth in truths.items()
            }

        shortcuts, of_findings = look(pixels, description.headers)
        left = None
        if trained:
            recipe, as_trained = trained
            left = Left(recipe, *look(as_trained(pixels), None))
    read = Finding(
        "note",
        "layout",
        f"Read as {dataset.layout}: what was left out or decided",
        " ".join(dataset.notes),
        evidence=tuple(left.in_words() for left in dataset.left_out),
    )
    findings = [
        *([read] if dataset.notes else []),
        *([_damaged(dataset)] if dataset.damaged else []),
        *([SYNTHETIC] if dataset.synthetic else provenance_findings(matches)),
        *duplicate_findings(duplicates, dataset.splits),
        # every phantom is another patient
        *(
            []
            if dataset.synthetic
            else patient_findings(patients, across, resemblance, dataset.records)
        ),
        *(shortcut_findings(shortcuts) if shortcuts else []),
        *by_finding({n: shortcut_findings(of_findings[n]) for n in _strongest(of_findings)}),
        *_of_left(left, shortcuts, of_findings),
        *(occurrence_findings(told) if told else []),
        *description_findings(description),
    ]
    data = {
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        "content": dataset.content,
        "synthetic": dataset.synthetic,
        **dataset.reading(),
        "labels": dataset.tree.to_json(),
    }
    return Audit(
        data,
        by_importance(findings),
        description,
        matches,
        duplicates,
        patients,
        resemblance,
        shortcuts,
        seconds,
        left,
        told,
        of_findings,
    )


def _strongest(of_findings: Mapping[str, Sequence[Shortcut]]) -> list[str]:
    """The findings, those first that are told best by what is not lung."""
    return sorted(of_findings, key=lambda name: -strength(of_findings[name]))


def _of_left(
    left: Left | None,
    shortcuts: Sequence[Shortcut],
    of_findings: Mapping[str, Sequence[Shortcut]],
) -> list[Finding]:
    """What a recipe's augmentation leaves, of the classes and of the findings."""
    if left is None:
        return []
    of_classes = left_findings(left.recipe, shortcuts, left.shortcuts) if shortcuts else []
    each = {
        name: left_findings(left.recipe, of_findings[name], left.by_finding[name])
        for name in _strongest(left.by_finding)
    }
    return [*of_classes, *by_finding(each)]


def _damaged(dataset: Dataset) -> Finding:
    files = tuple(f"{name}: {reason}" for name, reason in dataset.damaged.items())
    total = len(files) + len(dataset.records)
    return Finding(
        "warning",
        "damaged",
        f"{plural(len(files), 'file')} of {total:,} cannot be read",
        "Nothing else here is about them, and training refuses them.",
        "Repair or remove them, or train and evaluate with --skip-damaged, which records that "
        "they were left out.",
        files,
    )


def write_audit(audit: Audit, out: Path) -> Path:
    """Write OUT/audit.json and return its path. Raises DataError where that is not possible."""
    path = out / "audit.json"
    # A file name that is not valid Unicode cannot stand in UTF-8: its odd bytes become '?'.
    write_plain(path, audit, error=DataError, indent=2, errors="replace")
    return path
