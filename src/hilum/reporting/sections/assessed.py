"""What was assessed beyond the confusion matrix, in the order in which every section tells it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from hilum.evaluation.assess import SAME_IMAGES, Assessment
from hilum.reporting.runs import Run, SplitResult
from hilum.reporting.subject import Subject


@dataclass(frozen=True)
class Assessed:
    """An evaluation that has an assessment.

    key: a prefix of ids, unique in the page. folded: it is of the images that thresholds were
    chosen on, and others are at hand, so that it is folded away where that makes it too good.
    """

    run: Run
    result: SplitResult
    assessment: Assessment
    key: str
    folded: bool

    @property
    def title(self) -> str:
        """The run and the images, such as 'covinet-cascade, test'."""
        return f"{self.run.name}, {name_images(self.run, self.result)}"

    @property
    def warning(self) -> str | None:
        """What must stand above all figures that a choice on these very images makes too good."""
        return SAME_IMAGES if self.assessment.same_images else None

    def missing(self, *parts: str) -> list[str]:
        """Why parts of the assessment are not there, a sentence each."""
        return [
            f"Not measured: {_NAMES[part]}, because {self.assessment.missing[part]}."
            for part in parts
            if part in self.assessment.missing
        ]


#: What a reader calls the parts that an assessment can lack.
_NAMES = {
    "temperature": "what temperature scaling changed",
    "operating": "operating points",
    "conformal": "prediction sets",
    "gate": "the gate",
}


def assessed(subject: Subject) -> list[Assessed]:
    """Every assessment, run by run.

    First those on new images of its own data, then on data from elsewhere, and last on the images
    that thresholds were chosen on.
    """
    found: list[Assessed] = []
    for run in subject.runs:
        parts = [(r, r.assessment) for r in (*run.results, *run.external) if r.assessment]
        parts.sort(key=lambda part: part[1].same_images)
        others = any(not assessment.same_images for _, assessment in parts)
        for result, assessment in parts:
            folded = assessment.same_images and others
            found.append(Assessed(run, result, assessment, f"a{len(found)}", folded))
    return found


def lacking(subject: Subject, shown: Collection[Assessed]) -> dict[str, Any]:
    """Which runs a section has nothing about, and whether it has something about others."""
    told = {id(item.run) for item in shown}
    names = [run.name for run in subject.runs if id(run) not in told]
    return {"lacking": names, "measured": len(names) < len(subject.runs)}


def name_images(run: Run, result: SplitResult) -> str:
    """Which images were evaluated: the split, and of data from elsewhere their name before it."""
    if result not in run.external:
        return result.split
    return f"{name_external(result)} (from elsewhere)"


def name_external(result: SplitResult) -> str:
    """The data and the split of an evaluation of data from elsewhere."""
    return f"{result.evaluation.data.get('name') or 'data without a name'}, {result.split}"
