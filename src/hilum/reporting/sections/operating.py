"""The report's section on operating points: which threshold serves whom, and what it costs."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from hilum.classifier.threshold import PRESETS
from hilum.evaluation.curves import DecisionCurve
from hilum.evaluation.operating import OperatingRow
from hilum.files import read_packaged
from hilum.records import Estimate
from hilum.reporting.figures.evaluation import decision_curve_chart, describe_useful
from hilum.reporting.sections.assessed import Assessed, assessed, lacking
from hilum.reporting.sections.data import evaluated_meanings, known_source
from hilum.reporting.subject import Subject
from hilum.statistics.two_by_two import MEASURES

_NAMES = {
    "sensitivity": "Sensitivity (recall)",
    "specificity": "Specificity",
    "ppv": "PPV (precision)",
    "npv": "NPV",
}

#: What was expected, what was measured, and the drop between them, where it is worked out.
Cells = tuple[Estimate, Estimate, Estimate | None]


def show_operating_points(subject: Subject) -> dict[str, Any]:
    """Per evaluation a table of points for each label or option, and the decision curves."""
    items = assessed(subject)
    return {
        **lacking(subject, items),
        "presets": [(name, " and ".join(map(str, demands))) for name, demands in PRESETS.items()],
        "shown": [_show(item) for item in items],
    }


def _show(item: Assessed) -> dict[str, Any]:
    operating, curves = item.assessment.operating, item.assessment.decision_curves
    rows = operating.rows if operating else ()
    targets = list(dict.fromkeys(row.point.target for row in rows))
    return {
        "title": item.title,
        "warning": item.warning,
        "folded": item.folded,
        "missing": item.missing("operating"),
        "notes": operating.notes if operating else (),
        "targets": [_target(name, [r for r in rows if r.point.target == name]) for name in targets],
        "curves": [_curve(curve, f"{item.key}-benefit{i}") for i, curve in enumerate(curves)],
    }


def _target(name: str, rows: Sequence[OperatingRow]) -> dict[str, Any]:
    """The points of one label or option side by side; those without a threshold only in words."""
    points = [row for row in rows if row.result is not None]
    unmet = [
        f"{_title(row)}: {row.point.chosen.reason}{'' if row.result else '.'}"
        for row in rows
        if row.point.chosen is not None and not row.point.chosen.satisfied
    ]
    table = [(_NAMES[measure], [_cells(row, measure) for row in points]) for measure in MEASURES]
    elsewhere = [row.at_prevalence for row in points if row.at_prevalence]  # all of them, or none
    for measure in ("ppv", "npv") if elsewhere else ():
        cells: list[Cells] = [
            (getattr(at, f"expected_{measure}"), getattr(at, measure), None) for at in elsewhere
        ]
        table.append((f"{_NAMES[measure]} at a prevalence of {elsewhere[0].prevalence:g}", cells))
    return {
        "name": name,
        "points": [_point(row) for row in points],
        "rows": table,
        "unmet": unmet,
        "notes": [
            f"{_title(row)}: {note}"
            for row in rows
            if row.point.chosen is not None
            for note in row.point.chosen.notes
        ],
    }


def _title(row: OperatingRow) -> str:
    return row.point.preset or ", ".join(map(str, row.point.demands))


def _point(row: OperatingRow) -> dict[str, Any]:
    chosen, result = row.point.chosen, row.result
    if chosen is None or chosen.threshold is None or result is None:
        raise ValueError(f"'{row.point}' has no threshold.")
    counts = result.counts
    return {
        "title": _title(row),
        "satisfied": chosen.satisfied,
        "threshold": chosen.threshold,
        "positives": counts.tp + counts.fn,
        "called": counts.tp + counts.fp,
        "right": counts.tp,
        "n": counts.n,
    }


def _cells(row: OperatingRow, measure: str) -> Cells:
    if row.point.chosen is None or row.result is None:
        raise ValueError(f"'{row.point}' was not measured.")
    expected: Estimate = getattr(row.point.chosen.expected, measure)
    return expected, getattr(row.result.measured, measure), getattr(row.result.drop, measure)


def _curve(curve: DecisionCurve, key: str) -> dict[str, Any]:
    return {
        "target": curve.target,
        "svg": decision_curve_chart(curve, key=key) if curve.net_benefit else None,
        "words": describe_useful(curve),
    }


def describe_reading(subject: Subject) -> dict[str, Any]:
    """The readings and figures of clinical.toml, with their sources and their caveat.

    meanings: what the labels of the data that the runs were trained or evaluated on are known to
    mean, where that is known.
    """
    known = [source["meaning"] for run in subject.runs if (source := known_source(run))]
    known += [meaning for run in subject.runs for meaning in evaluated_meanings(run)]
    return {**_clinical(), "meanings": list(dict.fromkeys(known))}


@cache
def _clinical() -> dict[str, Any]:
    content = read_packaged("reporting", "texts", "clinical.toml")
    return {
        "readings": content["reading"],
        "figures": [
            {
                "name": f["name"],
                "estimate": Estimate(f["value"], f.get("low"), f.get("high")),
                "source": f["source"],
            }
            for f in content["figure"]
        ],
        "sources": content["sources"],
    }
