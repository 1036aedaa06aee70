"""The report's first part after the verdict: each run's main evaluation, and what limits it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hilum.auditing.findings import SEVERITIES
from hilum.classifier.conformal import ConformalResult
from hilum.evaluation.files import Evaluation
from hilum.evaluation.subgroups import Subgroups
from hilum.records import Estimate
from hilum.reporting.charts import interval_chart
from hilum.reporting.evaluation_charts import reliability_diagram
from hilum.reporting.runs import Run, SplitResult
from hilum.reporting.sections.data import describe_ledger
from hilum.reporting.sections.elsewhere import expected_range
from hilum.reporting.sections.findings import (
    finding_diagrams,
    over_findings_table,
    show_findings,
    together_table,
)
from hilum.reporting.sections.forms import list_limits
from hilum.reporting.sections.results import confusion_table, overall_table
from hilum.reporting.subject import Subject, name_external
from hilum.table import Column, Columns, Row, Table
from hilum.wording import PERCENT, bare, listed, moment

#: A fact: what it is about, in a few words, and the sentence.
Fact = tuple[str, str]

#: How many intervals one chart shows; more are accuracies alone.
_INTERVALS = 12


def main_results(subject: Subject) -> list[tuple[Run, SplitResult]]:
    """The runs that were evaluated, each with its main evaluation."""
    return [(run, run.main) for run in subject.runs if run.main]


# ---- measures ------------------------------------------------------------------------------


def show_measures(subject: Subject) -> dict[str, Any] | None:
    """One table of measures with a column per run, and the main ones as intervals."""
    found = {
        f"{run.name}, {result.split}": result.evaluation for run, result in main_results(subject)
    }
    if not found:
        return None
    if not subject.several:
        found = {key.removeprefix(f"{subject.runs[0].name}, "): e for key, e in found.items()}
    findings = [
        (run, shown)
        for run, result in main_results(subject)
        if (shown := show_findings(run, result))
    ]
    told = {
        "findings": findings,
        "over": over_findings_table("Over all findings", asked)
        if (asked := {on: e for on, e in found.items() if e.findings})
        else None,
        "areas": _areas(asked, several=subject.several),
    }
    found = {on: e for on, e in found.items() if e.chooses}
    if not found:
        return {**told, "table": None, "chart": None}
    table = overall_table("Measures", found)
    classes = dict.fromkeys(name for e in found.values() for name in e.classes)
    rows: list[Row] = list(table.rows)
    intervals = {("accuracy", on): e.accuracy for on, e in found.items()}
    for key, name in (("recall", "Recall"), ("precision", "Precision")):
        for of in classes:
            each = {on: e.per_class.get(of) for on, e in found.items()}
            cells = [bare(getattr(m, key)) if m else None for m in each.values()]
            rows.append([f"{name} of {of}", *cells])
            if key == "recall":
                intervals |= {(f"recall of {of}", on): m.recall for on, m in each.items() if m}
    if len(intervals) > _INTERVALS:
        intervals = {what: e for what, e in intervals.items() if what[0] == "accuracy"}
    drawn = {
        f"{what} · {on}" if subject.several else what: e for (what, on), e in intervals.items()
    }
    words = "; ".join(f"{name} {PERCENT.words(estimate)}" for name, estimate in drawn.items())
    return {
        **told,
        "by_patients": all("patients" in e.intervals for e in found.values()),
        "table": replace(table, rows=rows, kind="short"),
        "chart": interval_chart(
            drawn, quantity="accuracy, recall", alt=f"95 % intervals. {words}."
        ),
    }


def _areas(found: Mapping[str, Evaluation], *, several: bool) -> str:
    """The AUROC of every finding with its interval; of many runs the means alone."""
    areas = {
        f"{name} · {on}" if several else name: own.per_class[name].auroc
        for on, e in found.items()
        for name, own in e.findings.items()
    }
    if len(areas) > _INTERVALS and several:
        areas = {on: e.over_findings["macro_auroc"] for on, e in found.items()}
    if all(area.value is None for area in areas.values()):
        return ""
    words = "; ".join(f"{name} {area.in_words(2)}" for name, area in areas.items())
    return interval_chart(areas, quantity="AUROC", alt=f"95 % intervals of the AUROC. {words}.")


# ---- confusion, calibration, operating points ----------------------------------------------


def show_confusion(subject: Subject) -> list[dict[str, Any]] | None:
    """Per run the confusion matrix, and how far its probabilities are what they say."""
    return [_confusion(run, result) for run, result in main_results(subject)] or None


def _confusion(run: Run, result: SplitResult) -> dict[str, Any]:
    found, assessed = result.evaluation, result.assessment
    top = assessed.calibration.classes.top_label if assessed and found.chooses else None
    title = f"Confusion matrix of {run.name} on {result.split}"
    diagram = reliability_diagram(top, of="what is predicted") if top and top.bins else None
    return {
        "run": run,
        "result": result,
        "matrix": confusion_table(title, found.classes, found.confusion_matrix)
        if found.chooses
        else None,
        "together": together_table(
            f"Findings called together, {run.name} on {result.split}", result
        )
        if found.findings
        else None,
        "multiples": finding_diagrams(result),
        "diagram": diagram,
        "error": _calibration(top.ece) if top else "It was not measured: evaluate again.",
    }


def _calibration(error: Estimate) -> str:
    if error.value is None:
        return f"Its error is undefined: {error.reason}."
    return f"It is off by {PERCENT.words(error)} (root mean square; 0 is perfect)."


_EXPECTED = {
    "alike": "Expected of images like {}, on which the thresholds were chosen.",
    "elsewhere": "Expected of images that differ from {} as shifted copies of these do, on which "
    "the thresholds were chosen.",
}


def show_operating(subject: Subject) -> list[dict[str, Any]] | None:
    """Per run what its operating points do: measured, or expected where measuring would flatter."""
    return [_operating(run, result) for run, result in main_results(subject)] or None


def _operating(run: Run, result: SplitResult) -> dict[str, Any]:
    found = result.assessment
    expected = bool(found and found.same_images)
    measures = ("sensitivity", "specificity", "ppv", "npv")
    columns: Columns = [Column("positive for", wrap=True), "from", *measures[:2], "PPV", "NPV"]
    cells, unmet, ranges = list[Row](), list[str](), list[Row]()
    measured = [found, *found.findings.values()] if found else []
    for row in (row for of in measured if of.operating for row in of.operating.rows):
        chosen = row.point.chosen
        name = f"{row.point.target}: {row.point.preset or listed(map(str, row.point.demands))}"
        if chosen is None or row.result is None or not chosen.satisfied:
            unmet.append(name)
            continue
        values = chosen.expected if expected else row.result.measured
        of = (bare(getattr(values, measure)) for measure in measures)
        cells.append([name, chosen.threshold, *of])
        spans = [row.elsewhere(measure) for measure in measures[:2]]
        if any(spans):
            ranges.append([name, *(f"{r[0]:.2f} to {r[1]:.2f}" if r else "" for r in spans)])
    return {
        "run": run,
        "result": result,
        "expected": expected,
        "ranges": Table(
            f"Operating points of {run.name} elsewhere",
            [Column("positive for", wrap=True), *measures[:2]],
            ranges,
        ),
        "caption": _EXPECTED[found.holds or "alike"].format(result.on) if found else "",
        "missing": next((w for of in measured if (w := of.missing.get("operating"))), ""),
        "table": Table(f"Operating points of {run.name}, {result.split}, in short", columns, cells),
        "unmet": unmet,
        "referral": _referral(found.conformal) if found and found.conformal else "",
    }


def _referral(sets: ConformalResult) -> str:
    if sets.answered.value is None:
        rest = f"nothing is left to answer ({sets.answered.reason})"
    else:
        rest = (
            f"of the rest {PERCENT.words(sets.answered)} are right, against "
            f"{PERCENT.words(sets.accuracy)} of all"
        )
    return (
        f"With prediction sets for {PERCENT.number(sets.conformal.coverage)} of each class, "
        f"{PERCENT.words(sets.referred)} are referred to a radiologist; {rest}."
    )


# ---- what limits it ------------------------------------------------------------------------


def tell_limits(subject: Subject) -> dict[str, Any]:
    """What the audit found, what else limits each run's figures, and what holds of every report."""
    audit = subject.audit
    findings = audit["findings"] if audit else ()
    tally = {s: sum(f.severity == s for f in findings) for s in SEVERITIES}
    measured = audit["about"].shortcuts if audit else ()
    shortcuts = {s.name: s.auroc for s in measured if s.auroc.value is not None}
    words = "; ".join(f"{name} {auroc.in_words(2)}" for name, auroc in shortcuts.items())
    alt = f"AUROC of simple classifiers. {words}."
    return {
        "audit": audit,
        "judged": all(run.judgement is not None for run in subject.runs),
        "tally": {severity: n for severity, n in tally.items() if n},
        "grave": [f for f in findings if f.severity in ("critical", "warning")],
        "shortcuts": interval_chart(shortcuts, quantity="AUROC", alt=alt) if shortcuts else None,
        "runs": [(run, main_facts(run)) for run in subject.runs],
        "sentences": list_limits(subject),
    }


def main_facts(run: Run) -> list[Fact]:
    """What a reader must know of a run beside its figures; nothing that was not measured."""
    facts: list[Fact] = []
    result = run.main
    if result and result.shift and (span := expected_range(result.shift)):
        text = f"Reckon with an accuracy of {span} where films are made in another way: a guess."
        facts.append(("Elsewhere", text))
    for other in run.external:
        name, measured = other.evaluation.headline
        found = other.drop.drops[0].sentence if other.drop else f"{name} {measured.in_words()}"
        if not other.drop and other.evaluation.chooses:
            found = PERCENT.words(other.evaluation.accuracy)
        facts.append((f"Data from elsewhere: {name_external(other)}", _capital(found)))
    if result and result.assessment:
        told = {"": result.assessment.subgroups if result.evaluation.chooses else None}
        told |= {name: own.subgroups for name, own in result.assessment.findings.items()}
        if groups := {name: of for name, of in told.items() if of}:
            facts.append(("Subgroups", _subgroups(groups, result.on)))
    if looks := describe_ledger(run):
        facts.append(("Looks at test images", " ".join(looks)))
    if run.judgement is None:
        facts.append(("Provenance", _provenance(run)))
    return facts


def _subgroups(found: Mapping[str, Subgroups], images: str) -> str:
    """found: by finding; '' of the classes."""
    each = [(name, a) for name, of in found.items() for a in of.attributes]
    differing = [
        f"{_capital(name)}: {a.sentence}" if name else _capital(a.sentence)
        for name, a in each
        if a.differs
    ]
    compared = list(dict.fromkeys(a.name for _, a in each if a.p is not None))
    if differing:
        apart = f" Each of {len(found)} was tested apart, so one may differ by chance."
        return (
            f"On {images} it does worse for some. {' '.join(differing)}{apart * (len(found) > 1)}"
        )
    if not compared:
        return f"On {images} no subgroups could be compared."
    return (
        f"On {images} no difference that these data show between subgroups of {listed(compared)}."
    )


def _provenance(run: Run) -> str:
    versions = run.info.get("versions") or {}
    parts = [
        f"data {run.data.get('name') or 'not recorded'}",
        f"fingerprint {str(run.data.get('fingerprint') or 'not recorded')[:16]}",
        f"recipe {run.recipe.get('name', 'not recorded')}",
        f"seed {run.recipe.get('seed', 'not recorded')}",
        *(f"{name} {versions[name]}" for name in ("hilum", "torch") if name in versions),
        f"finished {moment(run.info.get('finished'))}",
    ]
    return f"{_capital(', '.join(parts))}."


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
