"""The report's section on calibration: whether the probabilities are what they say."""

from collections.abc import Mapping
from typing import Any

from hilum.classifier.files import read_classifier_file
from hilum.evaluation.calibration import CalibrationChange, ChoiceCalibration, ChoiceChange
from hilum.evaluation.curves import OptionCurves
from hilum.records import Estimate
from hilum.reporting.figures.evaluation import curve_charts, reliability_diagram
from hilum.reporting.runs import Run
from hilum.reporting.sections.assessed import Assessed, assessed, lacking
from hilum.reporting.subject import Subject


def show_roc(subject: Subject) -> dict[str, Any]:
    """ROC and precision-recall curves per evaluation: of the classes, and of each decision."""
    items = assessed(subject)
    return {**lacking(subject, items), "shown": [_show_roc(item) for item in items]}


def _show_roc(item: Assessed) -> dict[str, Any]:
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


_MEASURES = (
    ("Calibration error of the predicted class", "ece"),
    ("Brier score", "brier"),
    ("Brier skill", "brier_skill"),
    ("Log loss, nats", "log_loss"),
)


def show_calibration(subject: Subject) -> dict[str, Any]:
    """Per evaluation the errors with intervals, what scaling changed in them, and diagrams."""
    items = assessed(subject)
    return {**lacking(subject, items), "shown": [_show(item) for item in items]}


def was_scaled(change: CalibrationChange) -> bool:
    """Whether temperature scaling changed anything: with too few images it leaves all as it was."""
    choices = (change.classes, *change.decisions.values())
    return any(choice.log_loss.before != choice.log_loss.after for choice in choices)


def _show(item: Assessed) -> dict[str, Any]:
    calibration, change = item.assessment.calibration, item.assessment.temperature
    choices = {"all classes": calibration.classes}
    scaled = change if change and was_scaled(change) else None
    changes = {"all classes": scaled.classes} if scaled else {}
    if len(calibration.decisions) > 1:  # else the only decision is between all classes
        choices |= calibration.decisions
        changes |= scaled.decisions if scaled else {}
    return {
        "title": item.title,
        "warning": item.warning,
        "folded": item.folded,
        "missing": item.missing("temperature"),
        "choices": list(choices),
        "counts": [choice.n for choice in choices.values()],
        "rows": [
            (name, [_measure(choice, key) for choice in choices.values()])
            for name, key in _MEASURES
        ],
        "temperatures": _temperatures(item.run) if change else [],
        "change": _main_change(scaled.classes) if scaled else None,
        "changes": [
            {"choice": choice, "measure": name, "cells": cells}
            for choice, changed in changes.items()
            for name, cells in _changes(changed)
        ],
        "diagrams": [
            (
                name,
                reliability_diagram(
                    choice.top_label, of=_of(name), key=f"{item.key}-reliability{i}"
                ),
            )
            for i, (name, choice) in enumerate(choices.items())
            if choice.top_label.bins
        ],
        "options": [
            {
                "choice": name,
                "option": option,
                "support": found.support,
                "cells": [found.ece, found.intercept, found.slope],
            }
            for name, choice in choices.items()
            for option, found in choice.per_option.items()
        ],
    }


def _temperatures(run: Run) -> list[tuple[str, float, str]]:
    """What the outputs of each network are divided by, and why it is 1 where it was not fitted."""
    if run.classifier is None:
        return []
    content = read_classifier_file(run.classifier)
    fits = (content.provenance.get("calibration") or {}).get("temperatures") or {}
    return [
        (name, entry.temperature, str((fits.get(name) or {}).get("reason") or ""))
        for name, entry in content.networks.items()
    ]


def _main_change(change: ChoiceChange) -> str:
    """What scaling did to the log loss over all classes, which it is fitted to lower."""
    before, after, difference = (
        getattr(change.log_loss, name) for name in ("before", "after", "difference")
    )
    if before.value is None or after.value is None or difference.value is None:
        return ""
    text = f"The log loss over all classes went from {before.value:.3f} to {after.value:.3f}"
    if difference.low is None or difference.high is None:
        return f"{text}."
    return (
        f"{text}, a change of {difference.value:+.3f} "
        f"({difference.low:+.3f} to {difference.high:+.3f})."
    )


def _of(choice: str) -> str:
    where = "" if choice == "all classes" else f" at the decision {choice}"
    return f"what is predicted{where}"


def _measure(choice: ChoiceCalibration, key: str) -> Estimate:
    found: Estimate = choice.top_label.ece if key == "ece" else getattr(choice, key)
    return found


def _changes(changed: ChoiceChange) -> list[tuple[str, list[Estimate]]]:
    found = []
    for name, key in _MEASURES:
        if change := getattr(changed, key, None):
            found.append((name, [change.before, change.after, change.difference]))
    return found
