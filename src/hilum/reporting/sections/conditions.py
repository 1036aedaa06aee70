"""What a run holds, as named conditions: they decide how far an item of a checklist is filled.

A condition says that the report shows something, not that it is good.
"""

from collections.abc import Callable, Mapping

from hilum.evaluation.assess import Assessment
from hilum.evaluation.subgroups import Attribute
from hilum.explanation.split_results import EXPLANATIONS_FILE
from hilum.reporting.runs import Run
from hilum.reporting.sections.calibration import was_scaled
from hilum.reporting.sections.data import known_source
from hilum.reporting.subject import Subject

Condition = Callable[[Subject, Run], bool]


def _assessed(shown: Callable[[Assessment], object]) -> Condition:
    """Whether the report shows something of an assessment of the run's own data."""
    return lambda subject, run: any(
        result.assessment is not None and bool(shown(result.assessment)) for result in run.results
    )


def _compared(assessment: Assessment) -> list[Attribute]:
    """The attributes whose subgroups were compared, not only counted."""
    subgroups = assessment.subgroups
    return [a for a in subgroups.attributes if a.p is not None] if subgroups else []


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
    "calibration": _assessed(lambda found: found.calibration),
    "temperature": _assessed(lambda found: found.temperature and was_scaled(found.temperature)),
    "operating-points": _assessed(
        lambda found: found.operating and any(row.result for row in found.operating.rows)
    ),
    "gate": _assessed(lambda found: found.gate),
    "subgroups": _assessed(_compared),
    "sources": _assessed(lambda found: any(a.name == "source" for a in _compared(found))),
    "external": lambda subject, run: bool(run.external),
    "explanations": lambda subject, run: any(
        (run.folder / "evaluation" / result.split / EXPLANATIONS_FILE).is_file()
        for result in run.results
    ),
}


def holding(subject: Subject) -> frozenset[str]:
    """The names of the conditions that hold for every run of a report."""
    return frozenset(
        name
        for name, holds in CONDITIONS.items()
        if all(holds(subject, run) for run in subject.runs)
    )
