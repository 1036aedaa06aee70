"""What a report is about: runs, what is at hand beside them, and which evaluations it tells of."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from hilum.errors import EvaluationError
from hilum.evaluation.assess import SAME_IMAGES, Assessment
from hilum.evaluation.compare import PairedComparison, compare_predictions
from hilum.evaluation.files import PREDICTIONS_FILE
from hilum.evaluation.label_errors import LabelErrors
from hilum.evaluation.predictions_file import read_told
from hilum.records import PixelArray
from hilum.reporting.runs import Run, SplitResult

#: Gives the (H, W) uint8 pixels of radiographs by their names in the data set.
ImageSource = Callable[[Sequence[str]], list[PixelArray]]

#: What a reader calls the parts that an assessment can lack.
_PARTS = {
    "temperature": "what temperature scaling changed",
    "operating": "operating points",
    "conformal": "prediction sets",
    "gate": "the gate",
}


@dataclass(frozen=True)
class Assessed:
    """An evaluation that has an assessment.

    folded: it is of the images that thresholds were chosen on, and others are at hand, so that it
    is folded away where that makes it too good. finding: the one that it is of; '' of the whole.
    """

    run: Run
    result: SplitResult
    assessment: Assessment
    folded: bool
    finding: str = ""

    @property
    def title(self) -> str:
        """The run and the images, such as 'covinet-cascade, test'; before them the finding."""
        told = f"{self.finding}: " if self.finding else ""
        return f"{told}{self.run.name}, {name_images(self.run, self.result)}"

    @property
    def chooses(self) -> bool:
        """Whether it tells of a choice: between classes, or of a finding's presence."""
        return bool(self.finding) or self.result.evaluation.chooses

    @property
    def warning(self) -> str | None:
        """What must stand above all figures that a choice on these very images makes too good."""
        return SAME_IMAGES if self.assessment.same_images else None

    def missing(self, *parts: str) -> list[str]:
        """Why parts of the assessment are not there, a sentence each."""
        return [
            f"Not measured: {_PARTS[part]}, because {self.assessment.missing[part]}."
            for part in parts
            if part in self.assessment.missing
        ]


@dataclass(frozen=True)
class Subject:
    """What every section is made from.

    runs: at least one. images: the pictures, or None where they are not at hand. audit: what
    read_audit of the section on the data found, or None. label_errors: from held-out predictions,
    or None.
    """

    runs: tuple[Run, ...]
    images: ImageSource | None = None
    audit: dict[str, Any] | None = None
    label_errors: LabelErrors | None = None

    @property
    def several(self) -> bool:
        """Whether names of runs are needed to tell figures apart."""
        return len(self.runs) > 1

    @property
    def splits(self) -> list[str]:
        """The splits that any run was evaluated on, in the order in which they are told."""
        return list(dict.fromkeys(r.split for run in self.runs for r in run.results))

    @cached_property
    def compared(self) -> dict[str, Any] | None:
        """Every run against the first, on every split whose radiographs both were evaluated on.

        None for a single run. different: what could not be compared, because the radiographs, their
        truth or the classes differ or single predictions are missing.
        """
        if not self.several:
            return None
        first, *others = self.runs
        read = cache(lambda folder: read_told(folder / PREDICTIONS_FILE))
        pairs: list[PairedComparison] = []
        different: list[str] = []
        for one in first.results:
            for run in others:
                if run.result(one.split) is None:
                    continue
                try:
                    a, b = (read(r.folder / "evaluation" / one.split) for r in (first, run))
                    pair = compare_predictions(a, b, (first.name, run.name), one.split)
                except EvaluationError:
                    different.append(f"{first.name} and {run.name} on {one.split}")
                else:
                    pairs.append(pair)
        return {"pairs": pairs, "different": different}

    def assessed(self) -> list[Assessed]:
        """Every assessment, run by run.

        First those on new images of its own data, then on data from elsewhere, and last on the
        images that thresholds were chosen on.
        """
        found: list[Assessed] = []
        for run in self.runs:
            parts = [(r, r.assessment) for r in (*run.results, *run.external) if r.assessment]
            parts.sort(key=lambda part: part[1].same_images)
            others = any(not assessment.same_images for _, assessment in parts)
            for result, assessment in parts:
                folded = assessment.same_images and others
                found.append(Assessed(run, result, assessment, folded))
                found += [
                    Assessed(run, result, own, folded, name)
                    for name, own in assessment.findings.items()
                ]
        return found

    def section(
        self,
        tell: Callable[[Assessed], dict[str, Any]],
        *,
        parts: Collection[str] = (),
        where: Callable[[Assessment], object] = lambda found: True,
        whole: bool = False,
    ) -> dict[str, Any]:
        """A section that tells of each choice assessed, and which runs it has nothing about.

        tell: what it tells of one. parts: of an assessment whose lack it explains. where: which
        assessments it tells of. whole: also of findings together, of which the gate judges.
        """
        items = [
            item for item in self.assessed() if where(item.assessment) and (whole or item.chooses)
        ]
        shown = [{"of": item, "missing": item.missing(*parts), **tell(item)} for item in items]
        return {**self.lacking([item.run for item in items]), "shown": shown}

    def lacking(self, told: Collection[Run]) -> dict[str, Any]:
        """Which runs a section has nothing about, and whether it has something about others."""
        names = [run.name for run in self.runs if not any(run is t for t in told)]
        return {"lacking": names, "measured": len(names) < len(self.runs)}


def name_images(run: Run, result: SplitResult) -> str:
    """Which images were evaluated: the split, and of data from elsewhere their name before it."""
    external = any(result is other for other in run.external)
    return f"{name_external(result)} (from elsewhere)" if external else result.split


def name_external(result: SplitResult) -> str:
    """The data and the split of an evaluation of data from elsewhere."""
    return f"{result.evaluation.data.get('name') or 'data without a name'}, {result.split}"
