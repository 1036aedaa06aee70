"""What a run holds, as named conditions: they decide how far an item of a checklist is filled.

A condition says that the report holds something, not that it is good.
"""

from collections.abc import Callable, Mapping

from hilum.reporting.assessment_section import measured
from hilum.reporting.data_section import known_source
from hilum.reporting.runs import Run
from hilum.reporting.subject import Subject

Condition = Callable[[Subject, Run], bool]


def _measured(part: str) -> Condition:
    return lambda subject, run: measured(run, part)


CONDITIONS: Mapping[str, Condition] = {
    "always": lambda subject, run: True,
    # the data
    "counts": lambda subject, run: bool(run.data.get("counts")),
    "split": lambda subject, run: bool(run.data.get("split")),
    "source": lambda subject, run: known_source(run) is not None,
    "audit": lambda subject, run: subject.audit is not None and not subject.audit["other"],
    # the training
    "networks": lambda subject, run: bool(run.info.get("networks")),
    "recipe": lambda subject, run: bool(run.recipe),
    "preprocessing": lambda subject, run: run.image_size is not None,
    "history": lambda subject, run: bool(run.history),
    "versions": lambda subject, run: bool(run.info.get("versions")),
    # the results
    "results": lambda subject, run: bool(run.results),
    "test": lambda subject, run: run.result("test") is not None,
    "intervals": lambda subject, run: any(
        result.evaluation.accuracy.low is not None for result in run.results
    ),
    "pictures": lambda subject, run: (
        subject.images is not None and any(result.verdicts for result in run.results)
    ),
    # beyond the confusion matrix
    "calibration": _measured("calibration"),
    "operating-points": _measured("operating"),
    "gate": _measured("gate"),
    "subgroups": _measured("subgroups"),
    "external": _measured("external"),
    "explanations": _measured("explanation"),
}


def holding(subject: Subject) -> frozenset[str]:
    """The names of the conditions that hold for every run of a report."""
    return frozenset(
        name
        for name, holds in CONDITIONS.items()
        if all(holds(subject, run) for run in subject.runs)
    )
