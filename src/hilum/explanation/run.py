"""Explain the evaluations that lie in the folder of a run, where its data are at hand."""

from pathlib import Path

from hilum.classifier import Classifier
from hilum.errors import EvaluationError, HilumError
from hilum.evaluation.files import (
    EVALUATION_FILE,
    PREDICTIONS_FILE,
    read_evaluation,
    read_predictions,
)
from hilum.explanation.split import explain_split
from hilum.explanation.split_results import (
    EXPLANATIONS_FILE,
    SplitExplanation,
    read_explanations,
)
from hilum.radiographs.dataset import Dataset, open_dataset
from hilum.radiographs.pixels import Progress
from hilum.training.division import as_divided


def missing_explanations(run: Path) -> list[Path]:
    """The folders of a run's evaluations without explanations, or with ones from before them."""
    found = []
    for table in sorted(run.glob(f"evaluation/*/{PREDICTIONS_FILE}")):
        there = table.with_name(EXPLANATIONS_FILE)
        outdated = there.is_file() and there.stat().st_mtime < table.stat().st_mtime
        if table.with_name(EVALUATION_FILE).is_file() and (outdated or not there.is_file()):
            found.append(table.parent)
    return found


def explain_run(
    run: Path, data: Path, *, device: str = "auto", progress: Progress | None = None
) -> dict[str, str]:
    """Write explanations.json beside each evaluation of a run that has none of its own date.

    run: a run, or the folder of a classifier. data: what it was evaluated on. The checks of the
    maps are made once and taken over by further splits. Returns, for each folder of an evaluation
    that could not be explained, the reason: its data are others, or it does not fit them.
    """
    missing = missing_explanations(run)
    if not missing:
        return {}
    try:
        classifier = Classifier.load(run, device=device)
        dataset = open_dataset(data, tree=classifier.tree, every_class=False, progress=progress)
        dataset = as_divided(dataset, run)
    except HilumError as error:
        return {folder.name: str(error) for folder in missing}
    checked = _made_before(run, missing)
    refused: dict[str, str] = {}
    for folder in missing:
        try:
            checked = _explain_folder(classifier, dataset, folder, checked, progress)
        except HilumError as error:
            refused[folder.name] = str(error)
    return refused


def _made_before(run: Path, missing: list[Path]) -> SplitExplanation | None:
    """An explanation that is up to date, and whose checks of the maps can be taken over."""
    kept = [
        p for p in sorted(run.glob(f"evaluation/*/{EXPLANATIONS_FILE}")) if p.parent not in missing
    ]
    return read_explanations(kept[0]) if kept else None


def _explain_folder(
    classifier: Classifier,
    dataset: Dataset,
    folder: Path,
    checked: SplitExplanation | None,
    progress: Progress | None,
) -> SplitExplanation:
    evaluation = read_evaluation(folder / EVALUATION_FILE)
    if evaluation.data.get("fingerprint") != dataset.fingerprint:
        raise EvaluationError(
            f"{folder.name} was evaluated on {evaluation.data.get('name', 'other data')}, and "
            f"{dataset.root} is not the same data."
        )
    truth, predictions = read_predictions(folder / PREDICTIONS_FILE)
    rows = dataset.indices(evaluation.split)
    names = tuple(dataset.records[row].name for row in rows)
    if predictions.names != names or truth.tolist() != dataset.labels[rows].tolist():
        raise EvaluationError(
            f"{folder / PREDICTIONS_FILE} does not list the radiographs of '{evaluation.split}' in "
            f"{dataset.root}: evaluate again."
        )
    return explain_split(
        classifier,
        dataset,
        evaluation.split,
        folder,
        predictions=predictions,
        checked=checked,
        progress=progress,
    )
