"""What one network decides: a choice between options, findings, or both."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hilum.records import ABSENT, MISSING, PRESENT, UNCERTAIN, BoolArray, FloatArray, IntArray

ROOT = "root"
FLAT = "flat"

#: What an image of which a finding is not known is taken for; left out, it is neither learned from
#: nor measured on for that finding.
TakenFor = Literal["leave-out", "present", "absent"]


@dataclass(frozen=True, slots=True)
class Doubt:
    """What findings are taken for that are uncertain, or of which nothing is said."""

    uncertain: TakenFor = "leave-out"
    unmentioned: TakenFor = "leave-out"

    def settle(self, marks: IntArray) -> IntArray:
        """Marks (N, F) in which such findings are present or absent, unless they are left out."""
        settled = np.array(marks, dtype=np.int64)
        for mark, taken in ((UNCERTAIN, self.uncertain), (MISSING, self.unmentioned)):
            if taken != "leave-out":
                settled[settled == mark] = PRESENT if taken == "present" else ABSENT
        return settled

    def in_words(self) -> str:
        """In a sentence; '' where both are left out."""
        kinds = (("uncertain", self.uncertain), ("of which nothing is said", self.unmentioned))
        taken = [f"those {kind} as {what}" for kind, what in kinds if what != "leave-out"]
        return f"Findings are taken as in training: {' and '.join(taken)}." if taken else ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is present or absent, beside all other findings.

    index: its column among the tree's findings. below: the label whose finding it is, or 'root'.
    classes: the indices of the classes of which it is asked; an image of another does not have it.
    """

    name: str
    index: int
    below: str
    classes: tuple[int, ...]

    def truth(self, labels: IntArray, marks: IntArray) -> IntArray:
        """Whether images have it: (N,) PRESENT, ABSENT, or below 0 where that is not known.

        labels: (N,) class indices. marks: (N, F) of all findings. An image of a class of which it
        is not asked does not have it.
        """
        asked = np.isin(labels, self.classes)
        return np.asarray(np.where(asked, marks[:, self.index], ABSENT), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Decision:
    """What one network decides: a choice between options, findings, or both.

    name: 'root', the label that it divides, or 'flat' for the one decision over all classes.
    options: what it chooses between, none or at least two. members: for each option the class
    indices below it. findings: what it says to be present or absent. Its network's outputs are
    those of the options, and then of the findings.
    """

    name: str
    options: tuple[str, ...]
    members: tuple[tuple[int, ...], ...]
    findings: tuple[Finding, ...] = ()

    @property
    def outputs(self) -> int:
        """How many numbers its network gives for an image."""
        return len(self.options) + len(self.findings)

    @property
    def answers(self) -> tuple[str, ...]:
        """The names of its network's outputs: of the options, and then of the findings."""
        return (*self.options, *(finding.name for finding in self.findings))

    def asks(self, labels: IntArray) -> BoolArray:
        """(N,) of which class indices its network has something to say: an option or a finding."""
        asked = {c for f in self.findings for c in f.classes}
        return np.asarray((self.targets(labels) >= 0) | np.isin(labels, list(asked)))

    def targets(self, labels: IntArray) -> IntArray:
        """Which option each class index belongs to: (N,) indices, -1 where it belongs to none."""
        table = {c: i for i, classes in enumerate(self.members) for c in classes}
        return np.array([table.get(int(label), -1) for label in labels], dtype=np.int64)

    def shares(self, labels: IntArray, marks: IntArray) -> FloatArray:
        """What its network should say of images: (N, outputs), 1, 0, or NaN where it is not known.

        labels: (N,) class indices. marks: (N, F) of the tree's findings, PRESENT, ABSENT or below
        0 where it is not known.
        """
        chosen = self.targets(labels)[:, None]
        options = np.where(chosen < 0, np.nan, chosen == np.arange(len(self.options)))
        columns = [
            np.where(
                np.isin(labels, f.classes) & (marks[:, f.index] >= 0), marks[:, f.index], np.nan
            )
            for f in self.findings
        ]
        return np.column_stack([options, *columns]).astype(np.float64)
