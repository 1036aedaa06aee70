"""What images have, where they may have several findings: how often, how many, and together."""

from dataclasses import dataclass
from itertools import permutations

import numpy as np

from hilum.auditing.findings import Finding
from hilum.errors import plural
from hilum.radiographs.dataset import Dataset
from hilum.records import ABSENT, MISSING, PRESENT, UNCERTAIN, Estimate
from hilum.statistics.intervals import wilson
from hilum.wording import PERCENT

#: A finding that comes with another in such a share of its images can hardly be told from it.
_INSEPARABLE = 0.9
_FEWEST = 10


@dataclass(frozen=True, slots=True)
class Prevalence:
    """How many images have a finding, have it not, and of how many it is uncertain or not said.

    share: of those of which it is known; the interval takes every image as a patient of its own.
    """

    present: int
    absent: int
    uncertain: int
    missing: int
    share: Estimate


@dataclass(frozen=True, slots=True)
class Occurrence:
    """The findings of N images.

    each: by finding. cardinality: images by their number of findings, from '0' on. mean: findings
    per image. together: images that have both, of each pair (of a finding with itself, those that
    have it). lift: how many times as often as if they came independently; None where one of them
    never comes among the images of which both are known.
    """

    each: dict[str, Prevalence]
    cardinality: dict[str, int]
    mean: float
    together: dict[str, dict[str, int]]
    lift: dict[str, dict[str, float | None]]

    def in_words(self) -> str:
        """Findings per image, and the share of each, the most frequent first."""
        shares = sorted(self.each.items(), key=lambda item: -(item[1].share.value or 0))
        named = (f"{n} {PERCENT.number(p.share.value)}" for n, p in shares if p.share.value)
        return f"{self.mean:.2f} findings per image: {', '.join(named)}"


def occurrence(dataset: Dataset) -> Occurrence | None:
    """What the images of a data set have; None where its labels have no findings.

    An image of a class of which a finding is not asked does not have it.
    """
    findings = dataset.tree.findings
    if not findings:
        return None
    names = [finding.name for finding in findings]
    marks = dataset.tree.finding_truths(dataset.labels, dataset.marks)
    present, known = marks == PRESENT, marks >= ABSENT
    counts = {mark: (marks == mark).sum(axis=0) for mark in (PRESENT, ABSENT, UNCERTAIN, MISSING)}
    numbers = present.sum(axis=1)
    both = present.T.astype(np.int64) @ present
    # of the images of which the other one is known, too
    having = present.T.astype(np.int64) @ known
    of_both = known.T.astype(np.int64) @ known
    expected = having * having.T / np.maximum(of_both, 1)
    return Occurrence(
        {
            name: Prevalence(
                int(counts[PRESENT][k]),
                int(counts[ABSENT][k]),
                int(counts[UNCERTAIN][k]),
                int(counts[MISSING][k]),
                wilson(int(counts[PRESENT][k]), int(known[:, k].sum())),
            )
            for k, name in enumerate(names)
        },
        {str(n): int((numbers == n).sum()) for n in range(int(numbers.max()) + 1)},
        float(numbers.mean()),
        {a: {b: int(both[i, j]) for j, b in enumerate(names)} for i, a in enumerate(names)},
        {
            a: {
                b: float(both[i, j] / expected[i, j]) if expected[i, j] else None
                for j, b in enumerate(names)
            }
            for i, a in enumerate(names)
        },
    )


def occurrence_findings(found: Occurrence) -> list[Finding]:
    """What is not known of findings, and which of them can hardly be told apart."""
    result = []
    unknown = {n: (p.uncertain, p.missing) for n, p in found.each.items()}
    uncertain, missing = (sum(n[k] for n in unknown.values()) for k in (0, 1))
    if uncertain or missing:
        result.append(
            Finding(
                "note",
                "findings-unknown",
                f"Of findings {uncertain:,} are uncertain, and of {missing:,} nothing is said",
                "Such an image counts neither way for that finding, in training and in figures.",
                "A recipe's uncertain and unmentioned take them as present or absent instead.",
                tuple(
                    f"{name}: {u:,} uncertain, of {m:,} nothing is said"
                    for name, (u, m) in unknown.items()
                    if u or m
                ),
            )
        )
    tied = [
        f"{a}: {PERCENT.number(found.together[a][b] / own.present)} of "
        f"{plural(own.present, 'image')} also have {b}"
        for (a, own), (b, _) in permutations(found.each.items(), 2)
        if own.present >= _FEWEST and found.together[a][b] >= _INSEPARABLE * own.present
    ]
    if tied:
        result.append(
            Finding(
                "note",
                "findings-tied",
                f"{plural(len(tied), 'finding')} hardly ever without another: {tied[0]}",
                "A network can call the one by the looks of the other, and no figure on these "
                "data tells.",
                "Look at the images that have one of the two alone.",
                tuple(tied),
            )
        )
    return result
