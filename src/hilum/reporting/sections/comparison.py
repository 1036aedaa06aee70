"""The report's section that compares runs on the same radiographs, image by image."""

from collections.abc import Callable
from typing import Any

import numpy as np

from hilum.records import Estimate, FloatArray, IntArray
from hilum.reporting.evaluations import SplitResult
from hilum.reporting.sections.results import splits_evaluated
from hilum.reporting.subject import Subject
from hilum.statistics.comparison import mcnemar_exact
from hilum.statistics.intervals import bootstrap

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
