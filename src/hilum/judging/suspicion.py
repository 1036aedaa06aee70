"""What a table looks wrong by: columns exchanged, scores of the other class, ties."""

from collections.abc import Iterator

import numpy as np

from hilum.errors import plural
from hilum.judging.cases import Cases
from hilum.records import BoolArray, FloatArray
from hilum.statistics.evidence import ALPHA, perfect_area, weigh_measure
from hilum.statistics.influence import influence_of_area, numbered


def look_wrong(cases: Cases) -> list[str]:
    """Notes on what is rather a mistake in the table than a property of the model."""
    said, truth = cases.predictions, cases.truth
    notes = []
    if cases.kind != "labels":
        sides = list(_sides(cases))
        for name, known, positive, scores in sides:
            area = _clearly_below(cases, known, positive, scores, len(sides))
            if area is not None:
                notes.append(
                    f"Scores of '{name}' are lower where it is the truth than where it is not "
                    f"(AUROC {area:.2f}): do high scores mean something else, or are columns "
                    "exchanged (--columns, --classes)?"
                )
    if not cases.tree.decisions or cases.kind == "labels":
        return notes
    likeliest = said.probs.argmax(axis=1)
    if (likeliest == truth).all() and (said.predicted != truth).any():
        notes.append(
            "The truth is the most probable class of every case, what was predicted is not: are "
            "the two columns exchanged?"
        )
    tied = int(((said.probs == said.probs.max(axis=1, keepdims=True)).sum(axis=1) > 1).sum())
    if tied and (said.predicted == likeliest).all():
        notes.append(
            f"Of {plural(tied, 'case')} no class is more probable than every other; the first of "
            "these is taken for the predicted one."
        )
    return notes


def _sides(cases: Cases) -> Iterator[tuple[str, BoolArray, BoolArray, FloatArray]]:
    """Of each class (of two the second) and finding: its name, cases, truth and scores (N,)."""
    said, classes = cases.predictions, cases.tree.classes
    everything = np.ones(len(cases), dtype=bool)
    if cases.tree.decisions:
        for k in range(len(classes) == 2, len(classes)):
            yield classes[k], everything, cases.truth == k, said.probs[:, k]
    for finding in cases.tree.findings:
        marks = cases.marks[:, finding.index]
        yield finding.name, marks >= 0, marks == 1, said.finding_probs[:, finding.index]


def _clearly_below(
    cases: Cases, known: BoolArray, positive: BoolArray, scores: FloatArray, tests: int
) -> float | None:
    """The area under the ROC curve where chance hardly explains that it lies below a half."""
    positives = int(positive[known].sum())
    found = influence_of_area(positive[known], -scores[known])
    if not found.value > 0.5:  # also where it is undefined
        return None
    groups = cases.groups
    own = None if groups is None else numbered([g for g, k in zip(groups, known, strict=True) if k])
    perfect = perfect_area(positives, int(known.sum()) - positives)
    p = weigh_measure(found, 0.5, own, perfect=perfect).above
    return 1 - found.value if p is not None and p * tests <= ALPHA else None
