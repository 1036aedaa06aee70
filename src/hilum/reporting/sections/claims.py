"""What may be claimed of a model whose predictions were judged."""

from typing import Any

from hilum.judging.scores import KINDS
from hilum.reporting.subject import Subject


def show_claims(subject: Subject) -> list[dict[str, Any]] | None:
    """Per judgement its claims and its verdict; None where nothing was judged so."""
    return [
        {
            "run": run,
            "judgement": run.judgement,
            "table": run.judgement.table(),
            "kind": KINDS[run.judgement.kind],
        }
        for run in subject.runs
        if run.judgement is not None
    ] or None
