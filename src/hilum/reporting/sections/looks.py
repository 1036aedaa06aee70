"""The report's section on the test-set ledger: how often test images were looked at."""

from typing import Any

from hilum.evaluation.ledger import Look, describe_looks, read_ledger
from hilum.reporting.page import moment
from hilum.reporting.runs import Run
from hilum.reporting.subject import Subject


def show_looks(subject: Subject) -> list[dict[str, Any]]:
    """Per run what its ledger says of each test set, and every look in order."""
    return [_show(run) for run in subject.runs]


def describe_ledger(run: Run) -> list[str]:
    """A sentence on each test set that a run's classifier was evaluated on; of the last look."""
    looks = ledger_of(run)
    last = {look.images: look for look in looks}.values()
    return [
        describe_looks([k for k in looks[: looks.index(look) + 1] if k.is_of_same_images(look)])
        for look in last
    ]


def ledger_of(run: Run) -> tuple[Look, ...]:
    """Every recorded look of a run's classifier; none where it has no classifier or ledger."""
    return read_ledger(run.classifier) if run.classifier else ()


def _show(run: Run) -> dict[str, Any]:
    looks = ledger_of(run)
    settings = list(dict.fromkeys((look.weights, look.rule) for look in looks))
    return {
        "name": run.name,
        "finished": run.classifier is not None,
        "sentences": describe_ledger(run),
        "rows": [
            {
                "when": moment(look.when),
                "look": look,
                "setting": settings.index((look.weights, look.rule)) + 1,
            }
            for look in looks
        ],
    }
