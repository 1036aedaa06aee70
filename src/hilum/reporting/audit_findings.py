"""What an audit says of the findings of images, as tables: for its page and the command line."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from hilum.auditing.audit import Audit
from hilum.auditing.describe import Description
from hilum.auditing.occurrence import Occurrence
from hilum.records import PRESENT, Estimate
from hilum.table import Column, Columns, Row, Rows, Table
from hilum.wording import PERCENT, Cell


def findings_tables(audit: Audit) -> tuple[Table, ...]:
    """How often findings come, how many, together, and how well what is not lung tells them.

    None where the labels have no findings.
    """
    told = audit.occurrence
    if told is None:
        return ()
    return (
        _prevalence(told),
        _cardinality(told),
        _together(told),
        shortcuts_table(audit.by_finding),
    )


def images_by_kind(described: Description) -> dict[str, list[int]]:
    """The images of each class, where there are several, and those that have each finding."""
    tree, records = described.tree, described.records
    found = {
        name: [i for i, r in enumerate(records) if r.label == k]
        for k, name in enumerate(tree.classes if tree.decisions else ())
    }
    for finding in tree.findings:
        has = [i for i, r in enumerate(records) if r.marks[finding.index] == PRESENT]
        found[finding.name] = has
    return found


def _prevalence(told: Occurrence) -> Table:
    numbers = ("present", "absent", "uncertain", "not said")
    columns: Columns = ["finding", Column("prevalence", style=PERCENT), *numbers]
    rows: Rows = [
        [name, p.share, p.present, p.absent, p.uncertain, p.missing]
        for name, p in told.each.items()
    ]
    return Table("How often each finding is present", columns, rows)


def _cardinality(told: Occurrence) -> Table:
    return Table("Findings per image", ["findings", "images"], [*told.cardinality.items()])


def _together(told: Occurrence) -> Table:
    def cell(a: str, b: str) -> Cell | str:
        lift = told.lift[a][b]
        small = "" if a == b or lift is None else f"× {lift:.1f}"
        return Cell(told.together[a][b], small=small)

    names = list(told.each)
    columns: Columns = ["with", *(Column(name, wrap=True) for name in names)]
    rows: list[Row] = [[a, *(cell(a, b) for b in names)] for a in names]
    return Table("Images that have both", columns, rows)


class Seen(Protocol):
    """What a logistic regression saw, and how well it told classes or a finding from that."""

    @property
    def name(self) -> str: ...
    @property
    def auroc(self) -> Estimate: ...


def shortcuts_table(by_finding: Mapping[str, Sequence[Seen]]) -> Table:
    """A row for each finding: how well it is told from what is not lung."""
    kinds = next(iter(by_finding.values()), ())
    columns: Columns = ["finding", *(Column(s.name, wrap=True) for s in kinds)]
    rows: Rows = [[name, *(s.auroc for s in found)] for name, found in by_finding.items()]
    return Table("What tells each finding: AUROC, 0.5 is chance", columns, rows)
