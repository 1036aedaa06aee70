"""A finding: something about the data that whoever trains on them should know."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

Severity = Literal["critical", "warning", "note", "passed"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)

#: Among equally severe findings, those that undo most of what is measured come first.
_CODES = (
    "leak", "label-conflict", "provenance", "shortcut", "patients", "source-confounded",
    "small-split", "near-duplicates", "duplicates", "imbalance", "shortcut-possible",
    "shortcut-brightness", "findings-tied", "findings-unknown",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of an audit.

    severity: 'critical' makes figures on these data false or says that they mean something else;
    'warning' makes them worse or better than they should be; 'note' is good to know; 'passed' is
    a check that found nothing. code: the kind, for programs. title: one line. meaning: what it
    means. advice: what to do; '' where there is nothing to do. evidence: files or figures, one a
    line.
    """

    severity: Severity
    code: str
    title: str
    meaning: str
    advice: str = ""
    evidence: tuple[str, ...] = ()


def by_importance(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings, those that matter most first; equals stay in the order in which they came."""

    def rank(finding: Finding) -> tuple[int, int]:
        code = _CODES.index(finding.code) if finding.code in _CODES else len(_CODES)
        return SEVERITIES.index(finding.severity), code

    return tuple(sorted(findings, key=rank))
