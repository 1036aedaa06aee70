"""The sections on what goes beyond the confusion matrix, where it was not measured.

What was measured has sections of its own. A part counts as measured where assessment.json of any
evaluated split holds it.
"""

from collections.abc import Callable
from typing import Any

from hilum.reporting.runs import Run
from hilum.reporting.subject import Subject

#: Parts of assessment.json, by the section of the report that tells them.
PARTS: dict[str, tuple[str, ...]] = {
    "calibration": ("calibration",),
    "operating-points": ("operating", "curves", "decision_curves"),
    "abstention": ("conformal", "gate"),
    "explanations": ("explanation", "subgroups"),
}


def measured(run: Run, part: str) -> bool:
    """Whether a part of assessment.json is there for any split of a run."""
    return any(result.assessment.get(part) is not None for result in run.results)


def state_of(section: str) -> Callable[[Subject], dict[str, Any]]:
    """What makes the content of one of these sections: which runs lack it, and why parts do."""

    def collect(subject: Subject) -> dict[str, Any]:
        lacking = [
            run.name
            for run in subject.runs
            if not any(measured(run, part) for part in PARTS[section])
        ]
        reasons = {
            f"{part.replace('_', ' ')}: {why}"
            for run in subject.runs
            for result in run.results
            for part, why in (result.assessment.get("missing") or {}).items()
            if part in PARTS[section]
        }
        return {
            "lacking": lacking,
            "measured": len(lacking) < len(subject.runs),
            "reasons": sorted(reasons),
        }

    return collect
