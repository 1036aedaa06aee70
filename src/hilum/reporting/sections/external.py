"""The report's section on data from elsewhere: how much worse a classifier does there."""

from typing import Any

from hilum.evaluation.external import ExternalDrop
from hilum.reporting.evaluations import SplitResult
from hilum.reporting.runs import Run
from hilum.reporting.sections.assessed import name_external
from hilum.reporting.sections.results import confusion_table
from hilum.reporting.subject import Subject

#: How the measures begin that are told in words where they differ; the table holds all.
_MAIN = ("balanced accuracy", "macro AUROC", "recall")


def show_external(subject: Subject) -> dict[str, Any]:
    """Per run and other data set the figures inside and outside, with what fell between them."""
    return {
        "lacking": [run.name for run in subject.runs if not run.external],
        "measured": any(run.external for run in subject.runs),
        "shown": [_show(run, result) for run in subject.runs for result in run.external],
    }


def _show(run: Run, result: SplitResult) -> dict[str, Any]:
    evaluation = result.evaluation
    name = name_external(result)
    return {
        "title": f"{run.name} on {name}",
        "name": name,
        "notes": evaluation.notes,
        "n": evaluation.n,
        "accuracy": evaluation.accuracy,
        "drop": _drop(result.drop) if result.drop else None,
        "matrix": confusion_table(evaluation.classes, evaluation.confusion_matrix),
    }


def _drop(drop: ExternalDrop) -> dict[str, Any]:
    accuracy, *others = drop.drops
    inside = drop.internal
    return {
        "inside": f"{inside['n']:,} images of {inside.get('name') or 'the run’s own data'}, "
        f"{inside['split']}",
        "notes": drop.notes,
        "sentences": [
            accuracy.sentence,
            *(d.sentence for d in others if d.shown and d.name.startswith(_MAIN)),
        ],
        "rows": drop.drops,
    }
