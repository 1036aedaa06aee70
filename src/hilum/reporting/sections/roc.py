"""The report's section on how well classes are told apart, whatever the threshold."""

from collections.abc import Mapping
from typing import Any

from hilum.evaluation.curves import OptionCurves
from hilum.reporting.figures.calibration import curve_charts
from hilum.reporting.sections.assessed import Assessed, assessed, lacking
from hilum.reporting.subject import Subject


def show_roc(subject: Subject) -> dict[str, Any]:
    """ROC and precision-recall curves per evaluation: of the classes, and of each decision."""
    items = assessed(subject)
    return {**lacking(subject, items), "shown": [_show(item) for item in items]}


def _show(item: Assessed) -> dict[str, Any]:
    curves = item.assessment.curves
    # A tree without nesting has one decision, which is between its classes.
    decisions = curves.decisions if len(curves.decisions) > 1 else {}
    return {
        "title": item.title,
        "classes": _charts(curves.classes, f"{item.key}-classes"),
        "decisions": [
            {"name": name, **_charts(options, f"{item.key}-d{i}")}
            for i, (name, options) in enumerate(decisions.items())
        ],
    }


def _charts(curves: Mapping[str, OptionCurves], key: str) -> dict[str, Any]:
    # Of two options each curve is the other's, turned round: the second says it all.
    drawn = dict(list(curves.items())[1:]) if len(curves) == 2 else dict(curves)
    defined = {name: option for name, option in drawn.items() if option.roc is not None}
    return {
        "charts": [
            chart
            for kind in ("roc", "pr")
            for chart in (curve_charts(drawn, kind=kind, key=f"{key}-{kind}") if defined else [])
        ],
        "rows": [
            {
                "name": name,
                "n": option.n,
                "positives": option.positives,
                "cells": [option.auroc, option.average_precision],
            }
            for name, option in curves.items()
        ],
    }
