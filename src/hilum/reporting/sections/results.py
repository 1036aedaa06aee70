"""The report's sections on results: what each split measured, and runs image by image."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from hilum.auditing.leaks import Copies
from hilum.evaluation.files import ClassMeasures, Evaluation
from hilum.evaluation.measures import OF_A_LABEL, OVERALL
from hilum.records import Estimate
from hilum.reporting.runs import Run, SplitResult
from hilum.reporting.sections.findings import show_findings
from hilum.reporting.subject import Subject
from hilum.table import Column, Columns, Row, Rows, Table
from hilum.wording import PERCENT, Cell, Content, bare, listed

#: Of fewer images with a finding it is said that there are few.
_LEAST = 20

#: How an estimate becomes a cell.
MakeCell = Callable[[Estimate], Content | Cell]


def result_sections(subject: Subject) -> list[dict[str, Any]]:
    """Measures and decisions per split and run; what the first part shows is left to it."""
    return [_split_section(split, subject.runs) for split in subject.splits]


def _split_section(split: str, runs: Sequence[Run]) -> dict[str, Any]:
    evaluated = [(run, result) for run in runs if (result := run.result(split)) is not None]
    notes: list[str] = []  # why measures are undefined: each reason is told once, at the end

    def cell(estimate: Estimate) -> Content | Cell:
        if estimate.value is not None:
            return bare(estimate)
        if estimate.reason not in notes:
            notes.append(estimate.reason)
        note = str(notes.index(estimate.reason) + 1)
        return Cell(None, unseen=" undefined, reason ", note=note)

    evaluations = {run.name: result.evaluation for run, result in evaluated}
    return {
        "split": split,
        "overall": None
        if all(result is run.main for run, result in evaluated)
        else overall_table(f"Overall measures on {split}", evaluations, cell),
        "chooses": any(evaluation.chooses for evaluation in evaluations.values()),
        "runs": [_result(run, result, cell) for run, result in evaluated],
        "methods": (methods := _methods(evaluations.values())),
        "by_patient": any("patients" in method for method, _ in methods),
        "notes": notes,
    }


def _result(run: Run, result: SplitResult, cell: MakeCell) -> dict[str, Any]:
    found, on = result.evaluation, f"{run.name} on {result.split}"
    measures = measures_table(f"Measures of {on}", found.per_class, cell) if found.chooses else None
    decisions: Rows = [
        [
            Cell(name, small=listed(decision.options)),
            decision.n,
            cell(decision.accuracy),
            f"{decision.errors_caused:,} of {found.errors:,}",
        ]
        for name, decision in found.decisions.items()
    ]
    columns: Columns = [Column("decision", wrap=True), "images", "accuracy", "errors caused"]
    return {
        "run": run.name,
        "of": found,
        "main": result is run.main,
        "findings": show_findings(run, result),
        "each": {
            name: {
                "measures": measures_table(f"{name}: measures of {on}", own.per_class, cell),
                "matrix": confusion_table(
                    f"{name}: confusion matrix of {on}", own.classes, own.confusion_matrix
                ),
            }
            for name, own in found.findings.items()
        },
        "cautions": cautions(run, result),
        "matrix": None
        if result is run.main
        else confusion_table(f"Confusion matrix of {on}", found.classes, found.confusion_matrix),
        "measures": measures,
        "decisions": Table(f"Decisions of {on}", columns, decisions),
        "matrices": {
            name: confusion_table(
                f"Confusion matrix of the decision {name} of {on}",
                decision.options,
                decision.confusion_matrix,
            )
            for name, decision in found.decisions.items()
        },
    }


def cautions(run: Run, result: SplitResult) -> list[str]:
    """What makes the figures of a split look better than they are, as far as the run tells."""
    found = []
    split = result.split
    if split == "train":
        found.append("These radiographs were trained on: the figures say nothing about new ones.")
    elif run.monitored == split:
        overrides: Mapping[str, Mapping[str, Any]] = run.recipe.get("decision") or {}
        base = run.recipe.get("select")
        if any(overrides.get(d, {}).get("select", base) == "best" for d in run.decisions):
            found.append(
                f"The epoch that was kept was chosen on {split}, so these figures are optimistic."
            )
        else:
            found.append(
                f"The split {split} was watched during training; no epoch was chosen on it."
            )
    copies = run.info.get("copies") or {"groups": 0}
    if split != "train" and copies["groups"]:
        names = ", ".join(copies["names"][:5]) + ", …" * (copies["groups"] > 5)
        found.append(f"{Copies(copies['groups'], ()).sentence[:-1]} ({names}).")
    few = [
        name
        for name, own in result.evaluation.findings.items()
        if own.per_class[name].support < _LEAST
    ]
    if few:
        found.append(
            f"Fewer than {_LEAST} of these radiographs have {listed(few)}: read the intervals, not "
            "the points."
        )
    n = result.evaluation.n
    if n < 100:
        found.append(f"With {n:,} radiographs the intervals are wide: read them, not the points.")
    return found


def overall_table(
    label: str, found: Mapping[str, Evaluation | None], cell: MakeCell = bare
) -> Table:
    """The measures over all classes, a column per evaluation, which may be missing."""
    each = found.values()
    rows: list[Row] = [
        ["Images", *(e.n if e else None for e in each)],
        ["Errors", *(e.errors if e else None for e in each)],
    ]
    for key, measure in OVERALL.items():
        rows.append([measure.label, *(cell(e.overall[key]) if e else None for e in each)])
    return Table(label, ["measure", *(Column(name, wrap=True) for name in found)], rows)


def measures_table(
    label: str, per_class: Mapping[str, ClassMeasures], cell: MakeCell = bare
) -> Table:
    """The measures of each class against all others."""
    measures = [measure.label for measure in OF_A_LABEL.values()]
    rows: Rows = [
        [name, of.support, *(cell(getattr(of, key)) for key in OF_A_LABEL)]
        for name, of in per_class.items()
    ]
    return Table(label, [Column("class", wrap=True), "images", *measures], rows)


def confusion_table(label: str, names: Sequence[str], matrix: Sequence[Sequence[int]]) -> Table:
    """A confusion matrix with the share of each cell in its row; '—' in a row without images."""
    rows: list[Row] = []
    for i, (name, row) in enumerate(zip(names, matrix, strict=True)):
        total = sum(row)
        cells = [
            Cell(
                n,
                small=PERCENT.number(n / total) if total else "—",
                kind="hit" if i == j else "miss",
                shade=n / max(total, 1),
            )
            for j, n in enumerate(row)
        ]
        rows.append([name, *cells, Cell(total, kind="total")])
    columns: Columns = [
        Column("true ↓\npredicted →", wrap=True),
        *(Column(n, wrap=True) for n in names),
        "images",
    ]
    return Table(label, columns, rows, kind="matrix")


def _methods(evaluations: Iterable[Evaluation]) -> list[tuple[str, str]]:
    """Which measures carry which kind of interval: [('Wilson', 'accuracy and recall'), …]."""
    found: dict[str, list[str]] = {}
    for evaluation in evaluations:
        named: list[tuple[str, Estimate]] = []
        for of in (*[evaluation] * evaluation.chooses, *evaluation.findings.values()):
            named += [(m.label, of.overall[key]) for key, m in OVERALL.items()]
            for values in of.per_class.values():
                named += [(m.label, getattr(values, key)) for key, m in OF_A_LABEL.items()]
        for name, estimate in named:
            name = name if name[:2].isupper() else name[:1].lower() + name[1:]
            if estimate.method and name not in found.setdefault(estimate.method, []):
                found[estimate.method].append(name)
    proper = {"wilson": "Wilson"}
    return [(proper.get(method, method), listed(names)) for method, names in found.items()]
