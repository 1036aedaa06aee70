"""The report's sections on results, each as plain values for the template."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hilum.errors import HilumError
from hilum.evaluation.results import MEASURES, ClassMeasures, Evaluation
from hilum.records import Estimate, PixelArray
from hilum.reporting.figures import Interval, interval_chart, radiograph_uri
from hilum.reporting.runs import Run, SplitResult, Verdict
from hilum.reporting.summary import cautions, listed, percent

#: Gives the (H, W) uint8 pixels of radiographs by their names in the data set.
ImageSource = Callable[[Sequence[str]], list[PixelArray]]

#: How many radiographs the grid shows at most.
GRID_LIMIT = 48

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


def accuracy_chart(runs: Sequence[Run]) -> str | None:
    """Every run's accuracy on every split as intervals on one scale, or None without any."""
    rows = []
    for split in _splits(runs):
        for run in runs:
            result = run.result(split)
            accuracy = result.evaluation.accuracy if result else None
            if accuracy is not None and accuracy.value is not None:
                rows.append(
                    Interval(f"{run.name} · {split}", accuracy.value, accuracy.low, accuracy.high)
                )
    if not rows:
        return None
    words = "; ".join(
        f"{r.name}: {percent(r.value)}"
        + (
            f", {percent(r.low)} to {percent(r.high)}"
            if r.low is not None and r.high is not None
            else ""
        )
        for r in rows
    )
    alt = f"Accuracy with 95 % intervals. {words}."
    return interval_chart(rows, quantity="accuracy", key="accuracy", alt=alt)


def result_sections(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Confusion matrices, measures and decisions, per split and run."""
    return [_split_section(split, runs) for split in _splits(runs)]


def grid_section(runs: Sequence[Run], images: ImageSource | None) -> dict[str, Any]:
    """The radiographs of the validation split with truth and predictions, errors first.

    Where val was not evaluated, the first split that was. Raises HilumError if `images` gives
    another number of radiographs than it was asked for.
    """
    split = next((s for s in _splits(runs) if any(_verdicts(r, s) for r in runs)), None)
    if split is None:
        return {"split": None, "cards": []}
    shown: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        for name, verdict in _verdicts(run, split).items():
            shown.setdefault(name, []).append({"run": run.name, "verdict": verdict})
    cards = [
        {
            "name": name,
            "truth": given[0]["verdict"].truth,
            "given": given,
            "errors": sum(not g["verdict"].correct for g in given),
        }
        for name, given in shown.items()
    ]
    cards.sort(key=lambda card: -card["errors"])
    wrong = sum(card["errors"] > 0 for card in cards)
    chosen = cards[:GRID_LIMIT] if images is not None else []
    if images is not None:
        pixels = images([card["name"] for card in chosen])
        if len(pixels) != len(chosen):
            raise HilumError(
                f"The report asked for {len(chosen)} radiographs and was given {len(pixels)}."
            )
        for card, picture in zip(chosen, pixels, strict=True):
            card["uri"] = radiograph_uri(picture)
            card["height"], card["width"] = picture.shape
            card["alt"] = f"Radiograph {card['name']}: true {card['truth']}; " + "; ".join(
                f"{g['run']} says {g['verdict'].predicted}, "
                + ("right" if g["verdict"].correct else "wrong")
                for g in card["given"]
            )
    return {
        "split": split,
        "cards": chosen,
        "pictures": images is not None,
        "total": len(cards),
        "wrong": wrong,
        "wrong_shown": sum(card["errors"] > 0 for card in chosen),
        "several": len(runs) > 1,
    }


# ---- parts ---------------------------------------------------------------------------------


def _splits(runs: Sequence[Run]) -> list[str]:
    """The splits that any run was evaluated on, in the order in which they are told."""
    return list(dict.fromkeys(r.split for run in runs for r in run.results))


def _verdicts(run: Run, split: str) -> Mapping[str, Verdict]:
    result = run.result(split)
    return result.verdicts if result else {}


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
        "matrix": _matrix(evaluation.classes, evaluation.confusion_matrix),
        "measures": [_NAMES[measure] for measure in MEASURES],
        "per_class": rows(evaluation.per_class),
        "decisions": [
            {
                "name": name,
                "options": listed(decision.options),
                "n": decision.n,
                "accuracy": cell(decision.accuracy),
                "caused": decision.errors_caused,
                "matrix": _matrix(decision.options, decision.confusion_matrix),
            }
            for name, decision in evaluation.decisions.items()
        ],
    }


def _matrix(names: Sequence[str], matrix: Sequence[Sequence[int]]) -> dict[str, Any]:
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
