"""What stops a training before it starts: images or patients in two splits, images with two labels.

Only checks that take no time are made: byte-identical files and the patients that names or tables
tell. `hilum audit` looks for more.
"""

from collections.abc import Collection
from typing import get_args

from hilum.audit.duplicates import find_identical
from hilum.audit.findings import Finding
from hilum.audit.leaks import duplicate_findings, patient_findings
from hilum.audit.patients import patient_groups, patients_across_splits
from hilum.errors import DataError, nearest
from hilum.radiographs.dataset import Dataset
from hilum.recipe import Allowed

_CODES: dict[str, Allowed] = {"leak": "leakage", "label-conflict": "label-conflicts"}


def check_soundness(dataset: Dataset, allow: Collection[str] = ()) -> list[str]:
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
            files = "".join(f"\n  {line}" for line in finding.evidence)
            raise DataError(
                f"{dataset.root}: {finding.title}. {finding.meaning} {finding.advice} "
                f"To train all the same: --allow {word}{files}"
            )
        notes.append(f"Trained although (--allow {word}): {finding.title}. {finding.meaning}")
    return notes


def _critical(dataset: Dataset) -> list[Finding]:
    patients = patient_groups(dataset.records)
    across = patients_across_splits(dataset.records, patients)
    found = duplicate_findings(find_identical(dataset), dataset.records)
    if across:
        found += patient_findings(patients, across, None, dataset.records)
    return [f for f in found if f.severity == "critical" and f.code in _CODES]
