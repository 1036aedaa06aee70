"""What the report's sections say of findings: each as a choice, and all of them together."""

from collections.abc import Iterator, Mapping
from typing import Any

from hilum.errors import plural
from hilum.evaluation.files import Evaluation
from hilum.evaluation.findings import OVER_FINDINGS
from hilum.labels import LabelTree
from hilum.records import Estimate
from hilum.reporting.evaluation_charts import reliability_diagram
from hilum.reporting.runs import Run, SplitResult
from hilum.statistics.findings import NEGATIVE
from hilum.table import Column, Columns, Row, Table
from hilum.wording import NARROW, PERCENT, PLAIN, Cell, bare, listed

#: Of more findings the cells of a matrix are small, and its column heads stand upright.
_FEW = 5
#: How many of the commonest mistakes are named.
_COMMONEST = 4

_COLUMNS: Columns = [
    Column("finding", wrap=True), "present",
    *(Column(name, style=NARROW, wrap=True) for name in (
        "AUROC", "average precision", "sensitivity", "specificity", "PPV", "NPV")),
]  # fmt: skip


def findings_table(label: str, run: Run, result: SplitResult) -> Table:
    """A row for each finding: how common, how well told from its absence, called from where."""
    rows: list[Row] = []
    for name, own in result.findings.items():
        here, negative = own.evaluation.per_class[name], own.evaluation.per_class[NEGATIVE]
        measures: list[Estimate | None] = [
            here.auroc,
            own.assessment.curves.classes[name].average_precision if own.assessment else None,
            here.recall, here.specificity, here.precision, negative.precision,
        ]  # fmt: skip
        limit = run.thresholds.get(name)
        cells = [None if m is None or m.value is None else bare(m, NARROW) for m in measures]
        told = Cell(name, small=f"called from {NARROW.number(limit)}" if limit else "")
        rows.append([told, f"{here.support:,} of {own.evaluation.n:,}", *cells])
    return Table(label, _COLUMNS, rows, kind="findings")


def over_findings_table(label: str, found: Mapping[str, Evaluation | None]) -> Table:
    """The measures over all findings, a column per evaluation, which may be missing."""
    each = found.values()
    rows: list[Row] = [
        [of.label, *(bare(e.over_findings[key]) if e and e.over_findings else None for e in each)]
        for key, of in OVER_FINDINGS.items()
    ]
    rows = [["Images", *(e.n if e else None for e in each)], *rows]
    columns: Columns = ["measure", *(Column(name, wrap=True) for name in found)]
    return Table(label, columns, rows, kind="short")


def together_table(label: str, result: SplitResult) -> Table:
    """Of the images that have a finding (rows), or none, how many are called each (columns)."""
    evaluation = result.evaluation
    names = [f.name for f in LabelTree.from_json(evaluation.labels).findings]
    free = sum(verdict.free for verdict in result.verdicts.values())
    totals = [e.per_class[n].support if (e := evaluation.findings.get(n)) else 0 for n in names]
    rows: list[Row] = []
    counted = zip(
        [*names, "none of them"], evaluation.called_together, [*totals, free], strict=True
    )
    for i, (name, row, total) in enumerate(counted):
        cells = [
            Cell(
                n,
                small=PERCENT.number(n / total) if total else "—",
                kind="hit" if i == j else "miss",
                shade=min(1.0, n / max(total, 1)),
            )
            for j, n in enumerate(row)
        ]
        rows.append([name, *cells, Cell(total, kind="total")])
    columns: Columns = [
        Column("true ↓\ncalled →", wrap=True), *(Column(n, wrap=True) for n in names), "images",
    ]  # fmt: skip
    return Table(label, columns, rows, kind="matrix" if len(names) <= _FEW else "matrix many")


def finding_diagrams(result: SplitResult) -> list[tuple[str, str, str]]:
    """Of each finding whose calibration was measured its name, its error, and a small diagram."""
    found = []
    for name, own in result.findings.items():
        of = own.assessment and own.assessment.calibration.classes.per_option[name]
        if of and of.bins:
            error = "" if of.ece.value is None else PERCENT.number(of.ece.value)
            found.append((name, error, reliability_diagram(of, of=name, small=True)))
    return found


def mistakes(evaluation: Evaluation) -> Iterator[tuple[int, int, str]]:
    """Of each finding the mistakes: how many, of how many images, and in which words."""
    for name, own in evaluation.findings.items():
        (quiet, false), (missed, hit) = own.confusion_matrix
        yield missed, missed + hit, f"{name} missed"
        yield false, false + quiet, f"{name} called where it is not"


def tell_mistakes(evaluation: Evaluation) -> str:
    """How many images were told rightly in every finding, and the commonest mistakes."""
    common = sorted((m for m in mistakes(evaluation) if m[0]), reverse=True)[:_COMMONEST]
    if not common:
        return "Every finding that is known was told rightly."
    named = ", ".join(f"{what} ({n:,} of {of:,})" for n, of, what in common)
    exact = evaluation.over_findings["exact_match"]
    text = ""
    if exact.value is not None:
        text = f"In {PERCENT.words(exact)} of the images every finding was told rightly. "
    return f"{text}The commonest mistakes: {named}."


def tell_findings(result: SplitResult) -> str:
    """How well findings are told on one split, in a sentence."""
    found = result.evaluation
    count = plural(len(found.findings), "finding")
    auroc = found.over_findings.get("macro_auroc")
    if auroc is None or auroc.value is None:
        return f"On {result.on} the AUROC of its findings is undefined" + (
            f": {auroc.reason}." if auroc else "."
        )
    bounds = PLAIN.bounds(auroc)
    text = f"On {result.on}, {plural(found.n, 'image')}, the mean AUROC of its {count} is "
    text += PLAIN.number(auroc.value)
    text += f" (95\N{NARROW NO-BREAK SPACE}% interval {bounds})" * bool(bounds)
    right = found.over_findings["right_findings"]
    return (
        f"{text}, where 0.5 is chance; at its thresholds {PERCENT.words(right)} of all findings "
        "are told rightly."
    )


def tell_weakest(evaluation: Evaluation) -> str:
    """On which finding it is weakest, and which it misses most, without a full stop."""
    of = {name: own.per_class[name] for name, own in evaluation.findings.items()}
    areas = {n: m.auroc for n, m in of.items() if m.auroc.value is not None}
    recalls = {n: m.recall for n, m in of.items() if m.recall.value is not None}
    if not areas:
        return "Which finding it tells worst is not known"
    worst = min(areas, key=lambda name: areas[name].value or 0.0)
    text = f"It is weakest on {worst}, with an AUROC of {PLAIN.words(areas[worst])}"
    missed = min(recalls, key=lambda name: recalls[name].value or 0.0)
    return f"{text}, and of {missed} it finds {PERCENT.words(recalls[missed])}"


def unmeasured(evaluation: Evaluation) -> str:
    """Which findings have no figures, because of no image it is known whether they have them."""
    names = [f.name for f in LabelTree.from_json(evaluation.labels).findings]
    absent = [name for name in names if name not in evaluation.findings]
    return f"Of no image is it known: {listed(absent)}." if absent else ""


def show_findings(run: Run, result: SplitResult, *, full: bool = False) -> dict[str, Any] | None:
    """The tables of a result's findings; None where it has none. full: also those of the front."""
    if not result.evaluation.findings:
        return None
    on = f"{run.name} on {result.split}"
    return {
        "table": findings_table(f"Findings of {on}", run, result),
        "over": over_findings_table(f"Over all findings, {on}", {result.split: result.evaluation}),
        "together": together_table(f"Findings called together, {on}", result),
        "unmeasured": unmeasured(result.evaluation),
        "full": full,
    }
