"""An evaluation as a whole: measured, written, compared with other data, and recorded."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hilum.classifier.classifier import Classifier
from hilum.classifier.conformal import COVERAGE, check_coverage
from hilum.classifier.hub import refuse_to_write
from hilum.codec import to_plain
from hilum.errors import EvaluationError
from hilum.evaluation.assess import Assessment, assess
from hilum.evaluation.external import ExternalDrop, internal_folder, read_internal, write_external
from hilum.evaluation.files import PREDICTIONS_FILE, Evaluation
from hilum.evaluation.ledger import Look, record_look
from hilum.evaluation.overlap import is_external
from hilum.evaluation.shift import Shift, measure_shift, write_shift
from hilum.evaluation.stress import Stress, measure_stress, write_stress
from hilum.files import safe_name
from hilum.labels import parse_rule
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.pixels import Progress
from hilum.statistics.two_by_two import parse_prevalence
from hilum.training.folder import as_divided
from hilum.transforms.corrupt import QUICK_STRENGTHS, STRENGTHS


@dataclass(frozen=True)
class EvaluationRun:
    """What evaluate_run found, and the folder that it was written to.

    external: against the classifier's own data, where there is such an evaluation. stress, shift:
    where they were asked for. looks: at the same images so far, this one last; none where not
    recorded.
    """

    out: Path
    data: str
    evaluation: Evaluation
    assessment: Assessment
    external: ExternalDrop | None
    stress: Stress | None
    shift: Shift | None
    looks: tuple[Look, ...]

    def to_plain(self) -> dict[str, Any]:
        """The evaluation's own keys, and beside them assessment, external, stress and shift."""
        parts = {"assessment": self.assessment, "external": self.external}
        asked = {"stress": self.stress, "shift": self.shift}
        return {**to_plain(self.evaluation), **parts, **{k: v for k, v in asked.items() if v}}


def evaluate_run(
    folder: Path,
    classifier: Classifier,
    dataset: Dataset,
    split: str = "val",
    *,
    out: Path | None = None,
    rule: str | None = None,
    operate: Sequence[str] = (),
    prevalence: Sequence[str] = (),
    coverage: float = COVERAGE,
    internal: Path | None = None,
    stress: Literal["full", "quick"] | None = None,
    shift: bool = False,
    progress: Progress | None = None,
) -> EvaluationRun:
    """Evaluate a classifier on a split, write every file of it, and record the look.

    folder: the run, or the classifier's folder, that the classifier was loaded from. dataset: with
    the classifier's labels; its images are divided as the run divided them, where they are the
    same. out: None takes evaluation/SPLIT in the folder, and for other data than the classifier's
    evaluation/external-NAME-SPLIT. rule, operate, prevalence: as text. internal: the evaluation to
    compare with; None takes, for other data, the run's own of test or else of val. split: where it
    is not there and the data are not divided, all images are evaluated. stress: whether
    to measure it on corrupted copies too, in five strengths or in two. shift: whether on copies
    in which several things change at once. The rest as of assess.
    Raises EvaluationError where something asked for does not fit the classifier or its labels,
    DataError where the split does not exist, or an image cannot be read.
    """
    shares = parse_prevalence(prevalence, classifier.tree)
    chosen = parse_rule(rule) if rule else None
    check_coverage(coverage)
    if internal and not internal_folder(internal):
        raise EvaluationError(f"{internal}: holds no evaluation to compare with.")
    dataset = as_divided(dataset, folder)
    split = dataset.split_or_all(split)
    external = is_external(classifier, dataset)
    if out is None:
        refuse_to_write(folder)
        name = f"external-{safe_name(dataset.name)}-{split}" if external else split
        out = folder / "evaluation" / name
    table = out / PREDICTIONS_FILE
    before = table.read_bytes() if table.is_file() else None
    evaluation, assessment = assess(
        classifier,
        dataset,
        split,
        rule=chosen,
        operate=operate,
        prevalence=shares,
        coverage=coverage,
        out=out,
        progress=progress,
    )
    stressed = None
    if stress:
        strengths = STRENGTHS if stress == "full" else QUICK_STRENGTHS
        stressed = measure_stress(
            classifier, dataset, split, rule=chosen, strengths=strengths, progress=progress
        )
        write_stress(stressed, out)
    moved = None
    if shift:
        moved = measure_shift(classifier, dataset, split, rule=chosen, progress=progress)
        write_shift(moved, out)
    known = before == table.read_bytes()
    looks = record_look(folder, classifier, dataset, evaluation, known=known)
    inside = read_internal(internal or folder) if external or internal else None
    drop = write_external(inside, evaluation, out) if inside else None
    return EvaluationRun(out, dataset.name, evaluation, assessment, drop, stressed, moved, looks)
