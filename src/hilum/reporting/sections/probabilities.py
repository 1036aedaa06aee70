"""The report's sections on probabilities: curves, calibration, operating points, abstention."""

from collections.abc import Mapping, Sequence
from typing import Any

from hilum.classifier.arrivals import Arrivals
from hilum.classifier.conformal import ConformalResult
from hilum.classifier.files import read_classifier_file
from hilum.classifier.threshold import PRESETS
from hilum.classifier.validation import HOLDS
from hilum.evaluation.calibration import CalibrationChange, ChoiceChange
from hilum.evaluation.curves import OptionCurves
from hilum.evaluation.gate import GateScore
from hilum.evaluation.operating import OperatingRow
from hilum.reporting.evaluation_charts import (
    curve_charts,
    decision_curve_chart,
    describe_useful,
    reliability_diagram,
)
from hilum.reporting.runs import Run
from hilum.reporting.subject import Assessed, Subject
from hilum.statistics.two_by_two import MEASURES
from hilum.table import Column, Columns, Row, Rows, Table
from hilum.wording import PERCENT, PLAIN, SIGNED, Cell

# ---- ROC and precision-recall curves -------------------------------------------------------


def show_roc(subject: Subject) -> dict[str, Any]:
    """ROC and precision-recall curves per evaluation: of the classes, and of each decision."""
    return subject.section(_show_roc)


def _show_roc(item: Assessed) -> dict[str, Any]:
    curves = item.assessment.curves
    # A tree without nesting has one decision, which is between its classes.
    decisions = curves.decisions if len(curves.decisions) > 1 else {}
    return {
        "classes": _areas(curves.classes, item.title),
        "decisions": {
            name: _areas(options, f"the decision {name} of {item.title}")
            for name, options in decisions.items()
        },
    }


def _areas(curves: Mapping[str, OptionCurves], of: str) -> dict[str, Any]:
    """Charts of the curves, and a table of the areas under them."""
    # Of two options each curve is the other's, turned round: the second says it all.
    drawn = dict(list(curves.items())[1:]) if len(curves) == 2 else dict(curves)
    charts = []
    if any(option.roc is not None for option in drawn.values()):
        charts += curve_charts(drawn, kind="roc") + curve_charts(drawn, kind="pr")
    columns: Columns = [
        Column("against the rest", wrap=True), "images", "of it", "AUROC", "average precision",
    ]  # fmt: skip
    rows: Rows = [[n, o.n, o.positives, o.auroc, o.average_precision] for n, o in curves.items()]
    return {"charts": charts, "table": Table(f"Areas under the curves of {of}", columns, rows)}


# ---- calibration ---------------------------------------------------------------------------

_ERRORS = {
    "ece": "Calibration error of the predicted class",
    "brier": "Brier score",
    "brier_skill": "Brier skill",
    "log_loss": "Log loss, nats",
}
_ALL = "all classes"
_CHOICE = (Column("choice", wrap=True), Column("probability of", "text"))


def show_calibration(subject: Subject) -> dict[str, Any]:
    """Per evaluation the errors with intervals, what scaling changed in them, and diagrams."""
    return subject.section(_show_calibration, parts=["temperature"])


def was_scaled(change: CalibrationChange) -> bool:
    """Whether temperature scaling changed anything: with too few images it leaves all as it was."""
    choices = (change.classes, *change.decisions.values())
    return any(choice.log_loss.before != choice.log_loss.after for choice in choices)


def _show_calibration(item: Assessed) -> dict[str, Any]:
    found, change = item.assessment.calibration, item.assessment.temperature
    scaled = change if change and was_scaled(change) else None
    choices, changes = {_ALL: found.classes}, {_ALL: scaled.classes} if scaled else {}
    if len(found.decisions) > 1:  # else the only decision is between all classes
        choices |= found.decisions
        changes |= scaled.decisions if scaled else {}
    names = [name if name == _ALL else f"decision {name}" for name in choices]
    rows: list[Row] = [["Images", *(choice.n for choice in choices.values())]]
    for key, name in _ERRORS.items():
        of_choice = [c.top_label.ece if key == "ece" else getattr(c, key) for c in choices.values()]
        rows.append([name, *of_choice])
    columns: Columns = ["measure", *(Column(name, wrap=True) for name in names)]
    return {
        "table": Table(f"Calibration of {item.title}", columns, rows),
        "temperatures": _temperatures(item.run) if change else [],
        "elsewhere": item.assessment.holds == "elsewhere",
        "change": _main_change(scaled.classes) if scaled else "",
        "changes": _changes(changes, item.title) if scaled else None,
        "diagrams": {
            name: reliability_diagram(
                choice.top_label,
                of="what is predicted" + ("" if name == _ALL else f" at the decision {name}"),
            )
            for name, choice in choices.items()
            if choice.top_label.bins
        },
        "options": Table(
            f"Calibration of every class and option, {item.title}",
            [*_CHOICE, "images of it", "calibration error", "intercept", "slope"],
            [
                [name, option, of.support, of.ece, of.intercept, of.slope]
                for name, choice in choices.items()
                for option, of in choice.per_option.items()
            ],
        ),
    }


def _changes(changes: Mapping[str, ChoiceChange], title: str) -> Table:
    columns: Columns = [
        Column("choice", wrap=True), Column("measure", "text"), "before", "after",
        Column("after − before", style=SIGNED),
    ]  # fmt: skip
    rows: Rows = [
        [choice, name, change.before, change.after, change.difference]
        for choice, changed in changes.items()
        for key, name in _ERRORS.items()
        if (change := getattr(changed, key, None))
    ]
    return Table(f"Before and after temperature scaling, {title}", columns, rows)


def _temperatures(run: Run) -> list[tuple[str, float, str]]:
    """What the outputs of each network are divided by, and what is to be said of it."""
    if run.classifier is None:
        return []
    content = read_classifier_file(run.classifier)
    fits = (content.provenance.get("calibration") or {}).get("temperatures") or {}
    return [
        (name, entry.temperature, _of_fit(fits.get(name) or {}))
        for name, entry in content.networks.items()
    ]


def _of_fit(fit: Mapping[str, Any]) -> str:
    """Why a temperature is 1 or a bound; and of one that is to hold elsewhere what it rests on."""
    said = [str(fit["reason"])] if fit.get("reason") else []
    if "alike" in fit:
        alike = PLAIN.number(float(fit["alike"]["value"]))
        said.append(f"{fit['left_out']} labels left out; for films like these it would be {alike}")
    return "; ".join(said)


def _main_change(change: ChoiceChange) -> str:
    """What scaling did to the log loss over all classes, which it is fitted to lower."""
    loss = change.log_loss
    difference = loss.difference
    if loss.before.value is None or loss.after.value is None or difference.value is None:
        return ""
    text = (
        "The log loss over all classes went from "
        f"{PLAIN.number(loss.before.value)} to {PLAIN.number(loss.after.value)}"
    )
    if difference.low is None or difference.high is None:
        return f"{text}."
    value, low, high = map(SIGNED.number, (difference.value, difference.low, difference.high))
    return f"{text}, a change of {value} ({low} to {high})."


# ---- operating points ----------------------------------------------------------------------

_OF_POINT = {
    "sensitivity": "Sensitivity (recall)",
    "specificity": "Specificity",
    "ppv": "PPV (precision)",
    "npv": "NPV",
}


def show_operating_points(subject: Subject) -> dict[str, Any]:
    """Per evaluation a table of points for each label or option, and the decision curves."""
    presets = {name: " and ".join(map(str, demands)) for name, demands in PRESETS.items()}
    return {**subject.section(_show_points, parts=["operating"]), "presets": presets}


def _show_points(item: Assessed) -> dict[str, Any]:
    operating = item.assessment.operating
    by_target: dict[str, list[OperatingRow]] = {}
    for row in operating.rows if operating else ():
        by_target.setdefault(row.point.target, []).append(row)
    return {
        "notes": operating.notes if operating else (),
        "targets": {name: _target(name, rows, item.title) for name, rows in by_target.items()},
        "curves": [
            (c.target, decision_curve_chart(c) if c.net_benefit else "", describe_useful(c))
            for c in item.assessment.decision_curves
        ],
    }


def _target(name: str, rows: Sequence[OperatingRow], title: str) -> dict[str, Any]:
    """The points of one label or option side by side; those without a threshold only in words."""
    chosen = [(row, row.point.chosen) for row in rows if row.point.chosen is not None]
    unmet = [
        f"{_demanded(row)}: {point.reason}{'' if row.result else '.'}"
        for row, point in chosen
        if not point.satisfied
    ]
    notes = [f"{_demanded(row)}: {note}" for row, point in chosen for note in point.notes]
    points = [row for row in rows if row.result is not None]
    table = _points_table(f"Operating points for {name}, {title}", points) if points else None
    return {"table": table, "unmet": unmet, "notes": notes}


def _demanded(row: OperatingRow) -> str:
    return row.point.preset or ", ".join(map(str, row.point.demands))


def _points_table(label: str, points: Sequence[OperatingRow]) -> Table:
    """The points one below the other: what was expected, measured, and measured less expected."""
    rows = list[Row]()
    shifted = any(row.alike for row in points)
    for row in points:
        chosen, result, at = row.point.chosen, row.result, row.at_prevalence
        if chosen is None or chosen.threshold is None or result is None:
            raise ValueError(f"'{row.point}' has no threshold or was not measured.")
        unmet = "" if chosen.satisfied else " (not met; the nearest)"
        n = result.counts
        text = (
            f"{_demanded(row)}{unmet}: from a probability of {PLAIN.number(chosen.threshold)}, "
            f"{n.tp + n.fp:,} of {n.n:,} called positive, with {n.tp:,} of the {n.tp + n.fn:,} "
            "that are"
        )
        rows.append([Cell(text, span=5 if shifted else 4, kind="group wrap")])
        for measure in MEASURES:
            here = [getattr(row.alike, measure) if row.alike else ""] if shifted else []
            both = [getattr(values, measure) for values in (chosen.expected, result.measured)]
            drop = getattr(result.drop, measure).turned()
            rows.append([_OF_POINT[measure], both[0], *here, both[1], drop])
        if at:
            of, here = f"at a prevalence of {at.prevalence:g}", [""] if shifted else []
            rows.append([f"{_OF_POINT['ppv']} {of}", at.expected_ppv, *here, at.ppv, ""])
            rows.append([f"{_OF_POINT['npv']} {of}", at.expected_npv, *here, at.npv, ""])
    expected = (
        ["elsewhere, if shifted so", "on films like validation's"] if shifted else ["expected"]
    )
    columns: Columns = [
        Column("demanded", wrap=True),
        *(Column(name, wrap=True) for name in expected),
        "measured",
        Column("difference", style=SIGNED),
    ]
    return Table(label, columns, rows, kind="points")


# ---- abstention ----------------------------------------------------------------------------


def show_abstention(subject: Subject) -> dict[str, Any]:
    """Per evaluation its prediction sets and its gate, or why they were not measured."""
    return subject.section(_show_abstention, parts=["conformal", "gate"], whole=True)


def _show_abstention(item: Assessed) -> dict[str, Any]:
    found = item.assessment
    sets, gate, arrivals = found.conformal, found.gate, found.arrivals
    return {
        "holds": HOLDS[found.holds] if found.holds else "",
        "sets": _sets(sets, item.title) if sets else None,
        "gate": _gate(gate, arrivals, item.title) if gate else None,
    }


def _sets(found: ConformalResult, title: str) -> dict[str, Any]:
    sets = found.conformal
    classes = list(zip(sets.classes, sets.thresholds, sets.counts, strict=True))
    covered = found.covered_by_class
    measures = [
        ("The set holds the true class", found.covered),
        ("Classes in a set, on average", found.set_size),
        ("Referred: several classes in the set, or none", found.referred),
        ("No class in the set", found.empty),
        ("Accuracy on what is not referred", found.answered),
        ("Accuracy on all, without referral", found.accuracy),
        ("Not referred, but the set's class is not the predicted one", found.differing),
    ]
    return {
        "of": sets,
        "always": [(name, n) for name, _, n in classes if name in sets.always],
        # Coverage is promised of each class; what falls short of it is said, not left to the eye.
        "short": [
            name
            for name, share in covered.items()
            if share.high is not None and share.high < sets.coverage
        ],
        "measures": Table(
            f"Prediction sets of {title}",
            ["share of images, or number", "found"],
            measures,
            kind="facts",
        ),
        "classes": Table(
            f"Coverage of each class, {title}",
            [Column("class", wrap=True), "in the set from", "chosen on", "sets that hold it"],
            [
                [name, "always" if name in sets.always else at, f"{n:,} images", covered[name]]
                for name, at, n in classes
            ],
        ),
    }


def _gate(found: GateScore, arrivals: Arrivals | None, title: str) -> dict[str, Any]:
    alarms = found.false_alarms
    rates = {kind: rate for kind, rate in found.detected.items() if rate.value is not None}
    return {
        "score": found,
        "interval": PERCENT.bounds(alarms),
        "warning": arrivals.warning if arrivals else "",
        "kinds": len(rates),
        "missed": [
            f"“{kind}” {PERCENT.words(rate)}"
            for kind, rate in rates.items()
            if rate.value is not None and rate.value < 1
        ],
        "table": Table(
            f"What the gate flags, {title}",
            ["shown, least detected first", "images", "flagged"],
            [
                [kind, rate.n, rate]
                for kind, rate in sorted(rates.items(), key=lambda item: item[1].value or 0.0)
            ],
        ),
    }
