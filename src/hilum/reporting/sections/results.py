"""The report's sections on results, each as plain values for the template."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hilum.evaluation.files import ClassMeasures, Evaluation
from hilum.evaluation.measures import OF_A_LABEL, OVERALL
from hilum.records import Estimate, FloatArray, IntArray
from hilum.reporting.runs import Run, SplitResult
from hilum.reporting.subject import Subject
from hilum.reporting.summary import cautions, listed
from hilum.statistics.comparison import mcnemar_exact
from hilum.statistics.intervals import bootstrap


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
            (measure.label, [cell(result.evaluation.overall[key]) for _, result in evaluated])
            for key, measure in OVERALL.items()
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
                "cells": [cell(getattr(values, measure)) for measure in OF_A_LABEL],
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
        "measures": [measure.label for measure in OF_A_LABEL.values()],
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
        named = [(m.label, evaluation.overall[key]) for key, m in OVERALL.items()]
        for values in evaluation.per_class.values():
            named += [(m.label, getattr(values, key)) for key, m in OF_A_LABEL.items()]
        for label, estimate in named:
            name = label if label[:2].isupper() else label[0].lower() + label[1:]
            if estimate.method and name not in found.setdefault(estimate.method, []):
                found[estimate.method].append(name)
    proper = {"wilson": "Wilson"}
    return [(proper.get(method, method), listed(names)) for method, names in found.items()]


#: Takes (R, n) counts, how often each image is drawn, and gives (R,) values.
Measure = Callable[[IntArray], FloatArray]


def compare_pairs(subject: Subject) -> dict[str, Any] | None:
    """Every run against the first, on every split whose radiographs both were evaluated on.

    None for a single run. different: what could not be compared, because the radiographs, their
    truth or the classes differ or single predictions are missing.
    """
    if not subject.several:
        return None
    first, *others = subject.runs
    pairs: list[dict[str, Any]] = []
    different: list[str] = []
    for split in splits_evaluated([first]):
        one = first.result(split)
        for run in others:
            two = run.result(split)
            if one is None or two is None:
                continue
            if same_images(one, two):
                pairs.append({"split": split, "a": first, "b": run, **_compare(one, two)})
            else:
                different.append(f"{first.name} and {run.name} on {split}")
    return {"pairs": pairs, "different": different}


def same_images(one: SplitResult, two: SplitResult) -> bool:
    """Whether two evaluations are of the same radiographs with the same true classes."""
    a, b = one.verdicts, two.verdicts
    return (
        bool(a)
        and a.keys() == b.keys()
        and set(one.evaluation.classes) == set(two.evaluation.classes)
        and all(verdict.truth == b[name].truth for name, verdict in a.items())
    )


def _compare(one: SplitResult, two: SplitResult) -> dict[str, Any]:
    names = list(one.verdicts)
    classes = one.evaluation.classes
    truth = np.array([classes.index(one.verdicts[n].truth) for n in names], dtype=np.int64)
    right_a = np.array([float(one.verdicts[n].correct) for n in names])
    right_b = np.array([float(two.verdicts[n].correct) for n in names])
    measures: list[tuple[str, Callable[[FloatArray], Measure]]] = [
        ("Accuracy", _share),
        ("Balanced accuracy", lambda right: _mean_of_classes(right, truth)),
    ]
    rows = [
        {
            "name": name,
            "a": _value(measure, right_a),
            "b": _value(measure, right_b),
            # Images are drawn within their classes, as for the intervals of single measures.
            "difference": bootstrap(measure(right_b - right_a), len(names), strata=truth),
        }
        for name, measure in measures
    ]
    for k, name in enumerate(classes):
        own = truth == k
        if own.any():
            rows.append(_recall(f"Recall of {name}", right_a[own], right_b[own]))
    return {
        "n": len(names),
        "rows": rows,
        "test": mcnemar_exact(right_a == 1, right_b == 1),
        "both": int((right_a * right_b).sum()),
        "neither": int(((1 - right_a) * (1 - right_b)).sum()),
    }


def _recall(name: str, right_a: FloatArray, right_b: FloatArray) -> dict[str, Any]:
    difference = bootstrap(_share(right_b - right_a), len(right_a))
    return {
        "name": name,
        "a": Estimate(float(right_a.mean()), n=len(right_a)),
        "b": Estimate(float(right_b.mean()), n=len(right_b)),
        "difference": difference,
    }


def _value(measure: Callable[[FloatArray], Measure], right: FloatArray) -> Estimate:
    counts = np.ones((1, len(right)), dtype=np.int64)
    return Estimate(float(measure(right)(counts)[0]), n=len(right))


def _share(values: FloatArray) -> Measure:
    """The mean of values over drawn images, as bootstrap asks for it."""
    return lambda counts: counts @ values / counts.sum(axis=1)


def _mean_of_classes(values: FloatArray, truth: IntArray) -> Measure:
    """The mean over classes of the means within each; strata keep the sizes of the classes."""
    found = np.unique(truth)
    sizes = {int(k): int((truth == k).sum()) for k in found}
    weights = np.array([1 / (len(found) * sizes[int(k)]) for k in truth])
    return lambda counts: counts @ (values * weights)
