"""The report's sections on results, each as plain values for the template."""

from collections.abc import Callable, Sequence
from typing import Any

from hilum.evaluation.results import MEASURES, ClassMeasures, Evaluation
from hilum.records import Estimate
from hilum.reporting.evaluations import SplitResult
from hilum.reporting.runs import Run
from hilum.reporting.subject import Subject
from hilum.reporting.summary import cautions, listed

#: What a reader calls the measures.
_NAMES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "macro_auroc": "AUROC, mean over classes",
    "precision": "Precision (PPV)",
    "recall": "Recall (sensitivity)",
    "specificity": "Specificity",
    "f1": "F1",
    "auroc": "AUROC",
}
_OVERALL = ("accuracy", "balanced_accuracy", "macro_auroc")


def splits_evaluated(runs: Sequence[Run]) -> list[str]:
    """The splits that any run was evaluated on, in the order in which they are told."""
    return list(dict.fromkeys(r.split for run in runs for r in run.results))


def result_sections(subject: Subject) -> list[dict[str, Any]]:
    """Confusion matrices, measures and decisions, per split and run."""
    return [_split_section(split, subject.runs) for split in splits_evaluated(subject.runs)]


# ---- parts ---------------------------------------------------------------------------------


def _split_section(split: str, runs: Sequence[Run]) -> dict[str, Any]:
    evaluated = [(run, result) for run in runs if (result := run.result(split)) is not None]
    notes: list[str] = []  # why measures are undefined: each reason is told once, at the end

    def cell(estimate: Estimate) -> dict[str, Any]:
        if estimate.value is not None:
            return {"estimate": estimate, "note": None}
        if estimate.reason not in notes:
            notes.append(estimate.reason)
        return {"estimate": estimate, "note": notes.index(estimate.reason) + 1}

    return {
        "split": split,
        "overall": [
            (_NAMES[key], [cell(getattr(result.evaluation, key)) for _, result in evaluated])
            for key in _OVERALL
        ],
        "runs": [_result(run, result, cell) for run, result in evaluated],
        "methods": _methods([result.evaluation for _, result in evaluated]),
        "notes": notes,
    }


def _result(
    run: Run, result: SplitResult, cell: Callable[[Estimate], dict[str, Any]]
) -> dict[str, Any]:
    evaluation = result.evaluation

    def rows(measures: dict[str, ClassMeasures]) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "support": values.support,
                "cells": [cell(getattr(values, measure)) for measure in MEASURES],
            }
            for name, values in measures.items()
        ]

    return {
        "run": run.name,
        "rule": evaluation.rule,
        "n": evaluation.n,
        "errors": evaluation.errors,
        "cautions": cautions(run, result),
        "matrix": confusion_table(evaluation.classes, evaluation.confusion_matrix),
        "measures": [_NAMES[measure] for measure in MEASURES],
        "per_class": rows(evaluation.per_class),
        "decisions": [
            {
                "name": name,
                "options": listed(decision.options),
                "n": decision.n,
                "accuracy": cell(decision.accuracy),
                "caused": decision.errors_caused,
                "matrix": confusion_table(decision.options, decision.confusion_matrix),
            }
            for name, decision in evaluation.decisions.items()
        ],
    }


def confusion_table(names: Sequence[str], matrix: Sequence[Sequence[int]]) -> dict[str, Any]:
    """A confusion matrix with the share of each cell in its row; None in a row without images."""
    return {
        "names": list(names),
        "rows": [
            {
                "name": name,
                "total": sum(row),
                "cells": [
                    {"count": n, "share": n / sum(row) if sum(row) else None, "hit": i == j}
                    for j, n in enumerate(row)
                ],
            }
            for i, (name, row) in enumerate(zip(names, matrix, strict=True))
        ],
    }


def _methods(evaluations: Sequence[Evaluation]) -> list[tuple[str, str]]:
    """Which measures carry which kind of interval: [('Wilson', 'accuracy and recall'), …]."""
    found: dict[str, list[str]] = {}
    for evaluation in evaluations:
        named = [(key, getattr(evaluation, key)) for key in _OVERALL]
        for values in evaluation.per_class.values():
            named += [(key, getattr(values, key)) for key in MEASURES]
        for key, estimate in named:
            name = _NAMES[key] if _NAMES[key][:2].isupper() else _NAMES[key].lower()
            name = name.replace("(ppv)", "(PPV)")
            if estimate.method and name not in found.setdefault(estimate.method, []):
                found[estimate.method].append(name)
    proper = {"wilson": "Wilson"}
    return [(proper.get(method, method), listed(names)) for method, names in found.items()]
