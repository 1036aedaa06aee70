"""The report's section on abstention: what is referred, and what is no such radiograph at all."""

from typing import Any

from hilum.classifier.conformal import ConformalResult
from hilum.evaluation.gate import GateScore
from hilum.reporting.sections.assessed import Assessed, assessed, lacking
from hilum.reporting.subject import Subject


def show_abstention(subject: Subject) -> dict[str, Any]:
    """Per evaluation its prediction sets and its gate, or why they were not measured."""
    items = assessed(subject)
    return {**lacking(subject, items), "shown": [_show(item) for item in items]}


def _show(item: Assessed) -> dict[str, Any]:
    found = item.assessment
    return {
        "title": item.title,
        "missing": item.missing("conformal", "gate"),
        "sets": _sets(found.conformal) if found.conformal else None,
        "gate": _gate(found.gate) if found.gate else None,
    }


def _sets(found: ConformalResult) -> dict[str, Any]:
    conformal = found.conformal
    return {
        "coverage": conformal.coverage,
        "needed": conformal.needed,
        "always": [
            (name, n)
            for name, n in zip(conformal.classes, conformal.counts, strict=True)
            if name in conformal.always
        ],
        "classes": [
            {
                "name": name,
                "threshold": threshold,
                "n": n,
                "forced": name in conformal.always,
                "covered": found.covered_by_class[name],
            }
            for name, threshold, n in zip(
                conformal.classes, conformal.thresholds, conformal.counts, strict=True
            )
        ],
        # Coverage is promised of each class; what falls short of it is said, not left to the eye.
        "short": [
            name
            for name, share in found.covered_by_class.items()
            if share.high is not None and share.high < conformal.coverage
        ],
        "rows": [
            ("The set holds the true class", found.covered),
            ("Classes in a set, on average", found.set_size),
            ("Referred: several classes in the set, or none", found.referred),
            ("No class in the set", found.empty),
            ("Accuracy on what is not referred", found.answered),
            ("Accuracy on all, without referral", found.accuracy),
            ("Not referred, but the set's class is not the predicted one", found.differing),
        ],
    }


def _gate(found: GateScore) -> dict[str, Any]:
    rates = [(kind, rate) for kind, rate in found.detected.items() if rate.value is not None]
    return {
        "wanted": found.wanted,
        "false_alarms": found.false_alarms,
        # More alarms than it was set to give mean that these images are unlike its own.
        "unlike": found.false_alarms.low is not None and found.false_alarms.low > found.wanted,
        "rows": sorted(rates, key=lambda row: row[1].value or 0.0),
        "missed": [
            (kind, rate) for kind, rate in rates if rate.value is not None and rate.value < 1
        ],
    }
