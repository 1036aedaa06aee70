"""The report's section on stress tests: how it does on images made another way."""

from typing import Any

from hilum.evaluation.external import ExternalDrop
from hilum.evaluation.stress import Stress, StressMean
from hilum.evaluation.subgroups import Attribute, Subgroup
from hilum.records import Estimate
from hilum.reporting.figures.evaluation import stress_chart
from hilum.reporting.runs import Run, SplitResult
from hilum.reporting.sections.assessed import (
    Assessed,
    assessed,
    lacking,
    name_external,
    name_images,
)
from hilum.reporting.sections.results import confusion_table
from hilum.reporting.subject import Subject
from hilum.reporting.summary import percent


def show_stress(subject: Subject) -> dict[str, Any]:
    """Per stress test its sentences, a chart for each family of corruptions, and all figures."""
    shown: list[dict[str, Any]] = []
    lacking: list[str] = []
    for run in subject.runs:
        tested = [(r, r.stress) for r in (*run.results, *run.external) if r.stress]
        for result, stress in tested:
            title = f"{run.name}, {name_images(run, result)}"
            shown.append({"title": title, **_show_stress(stress, f"stress{len(shown)}")})
        if not tested:
            lacking.append(run.name)
    return {"shown": shown, "lacking": lacking, "measured": bool(shown)}


def _show_stress(stress: Stress, key: str) -> dict[str, Any]:
    families = dict.fromkeys(corruption.family for corruption in stress.corruptions)
    charts = []
    for i, family in enumerate(families):
        members = [c for c in stress.corruptions if c.family == family]
        svg = stress_chart(members, stress.clean.accuracy, key=f"{key}-{i}", family=family)
        charts.append((family, svg))
    means = [("all corruptions", stress.stressed)]
    if stress.new_kinds:
        means.append(("kinds that no augmentation of training has", stress.new_kinds))
    return {
        "n": stress.n,
        "sentence": _sentence(stress),
        "charts": charts,
        "clean": stress.clean,
        "means": [_mean(name, mean) for name, mean in means],
        "rows": [
            {**_mean(c.name, c.mean), "quantity": c.quantity, "augmented_by": c.augmented_by}
            for c in sorted(stress.corruptions, key=lambda c: -(c.mean.drop.accuracy.value or 0))
        ],
        "strengths": stress.strengths,
        "levels": [
            {
                "name": c.name,
                "cells": [(f"{level.amount:g}", level.measures.accuracy) for level in c.levels],
            }
            for c in stress.corruptions
        ],
    }


def _mean(name: str, mean: StressMean) -> dict[str, Any]:
    return {
        "name": name,
        "accuracy": mean.measures.accuracy,
        "drop": mean.drop.accuracy,
        "balanced": mean.measures.balanced_accuracy,
        "auroc": mean.measures.macro_auroc,
    }


def _sentence(stress: Stress) -> str:
    worst, tested = stress.worst, len(stress.corruptions)
    found = (
        f"The accuracy is {_words(stress.clean.accuracy)} on the {stress.n:,} images as they are, "
        f"and {_words(stress.stressed.measures.accuracy)} on average under {tested} "
        f"corruption{'s' * (tested != 1)}"
    )
    drop = stress.stressed.drop.accuracy
    if drop.low is None or drop.high is None:
        reason = drop.reason.removeprefix("no interval: ")
        found += f"; the difference has no interval ({reason})."
    elif drop.excludes_zero:
        way = "lower" if drop.low > 0 else "higher"
        found += f": {way} by {_points(drop)} percentage points."
    else:
        found += ": no difference that these images show."
    if tested > 1:
        found += (
            f" It is lowest under {worst.name}, {_words(worst.mean.measures.accuracy)} on average "
            "over its strengths."
        )
    return found


def _words(estimate: Estimate) -> str:
    if estimate.value is None:
        return f"undefined ({estimate.reason})"
    if estimate.low is None or estimate.high is None:
        return percent(estimate.value)
    return f"{percent(estimate.value)} ({percent(estimate.low)} to {percent(estimate.high)})"


def _points(drop: Estimate) -> str:
    ends = sorted(abs(100 * end) for end in (drop.low or 0.0, drop.high or 0.0))
    return f"{abs(100 * (drop.value or 0.0)):.1f} ({ends[0]:.1f} to {ends[1]:.1f})"


#: How the measures begin that are told in words where they differ; the table holds all.
_MAIN = ("balanced accuracy", "macro AUROC", "recall")


def show_external(subject: Subject) -> dict[str, Any]:
    """Per run and other data set the figures inside and outside, with what fell between them."""
    return {
        "lacking": [run.name for run in subject.runs if not run.external],
        "measured": any(run.external for run in subject.runs),
        "shown": [_show_external(run, result) for run in subject.runs for result in run.external],
    }


def _show_external(run: Run, result: SplitResult) -> dict[str, Any]:
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


def show_subgroups(subject: Subject) -> dict[str, Any]:
    """Per evaluation a sentence on every attribute, those that differ first, and the tables."""
    items = [item for item in assessed(subject) if item.assessment.subgroups]
    return {**lacking(subject, items), "shown": [_show_subgroups(item) for item in items]}


def _show_subgroups(item: Assessed) -> dict[str, Any]:
    subgroups = item.assessment.subgroups
    attributes = sorted(subgroups.attributes if subgroups else (), key=lambda a: not a.differs)
    return {
        "title": item.title,
        "classes": item.run.tree.classes,
        "attributes": [_attribute(attribute) for attribute in attributes],
    }


def _attribute(attribute: Attribute) -> dict[str, Any]:
    def shortfall(subgroup: Subgroup) -> tuple[bool, float]:
        return subgroup.name != attribute.worst, (subgroup.accuracy.value or 0) - subgroup.expected

    groups = attribute.subgroups
    return {
        "name": attribute.name,
        "sentence": attribute.sentence,
        "differs": attribute.differs,
        "unknown": attribute.unknown,
        # An order by accuracy would suggest a difference where the data show none.
        "groups": sorted(groups, key=shortfall) if attribute.differs else groups,
    }
