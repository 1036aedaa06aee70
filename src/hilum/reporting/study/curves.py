"""The learning curves of a study: per variant and decision, over all its runs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from hilum.reporting.figures.charts import shorten
from hilum.reporting.study.figures import Band, band_curves
from hilum.studies.results import StudyResult, VariantResult

#: Two lines a chart: (name in history.jsonl, what the page calls it).
_LINES = (("train", "train"), ("monitor", "watched"))


@dataclass(frozen=True, slots=True)
class StudyCurves:
    """By variant its decisions, each {"name", "charts"}, charts being [(what, SVG)].

    cut: the loss above which the charts show nothing, None where all of it is shown.
    """

    variants: dict[str, list[dict[str, Any]]]
    cut: float | None


def draw_study_curves(result: StudyResult) -> StudyCurves:
    """Charts of loss and accuracy, on scales that all of them share."""
    keys = count()
    bands = {name: _bands(variant) for name, variant in result.variants.items()}
    every = [b for decisions in bands.values() for lines in decisions.values() for b in lines]
    losses = [v for what, band in every if what == "loss" for v in band.high]
    shares = [v for what, band in every if what == "accuracy" for v in band.low]
    # One wild run would flatten all the others.
    highest = max(losses, default=0.0)
    top = min(highest, 4 * _median(losses)) or 1.0
    scales = {
        "loss": (0.0, 1.06 * top),
        "accuracy": (max(0.0, int(10 * min(shares, default=0.0) - 0.5) / 10), 1.0),
    }
    found: dict[str, list[dict[str, Any]]] = {}
    for name, decisions in bands.items():
        found[name] = []
        for decision, lines in decisions.items():
            charts = []
            for what, scale in scales.items():
                drawn = [band for kind, band in lines if kind == what]
                if drawn:
                    runs = len(result.variants[name].runs)
                    alt = (
                        f"{what.capitalize()} of {shorten(name, 60)}, decision {decision}, over "
                        f"epochs, mean over {runs} run{'s' * (runs != 1)}:"
                    )
                    key = f"curve{next(keys)}"
                    svg = band_curves(drawn, quantity=what, ylim=scale, key=key, alt=alt)
                    charts.append((what, svg))
            found[name].append({"name": decision, "charts": charts})
    return StudyCurves(found, top if highest > 1.06 * top else None)


def _bands(variant: VariantResult) -> dict[str, list[tuple[str, Band]]]:
    """By decision, what its runs recorded: ('loss' or 'accuracy', band)."""
    by_decision: dict[str, list[Mapping[str, Any]]] = {}
    for run in variant.runs:
        for row in run.history:
            by_decision.setdefault(row["decision"], []).append(row)
    return {
        decision: [
            (what, band)
            for what in ("loss", "accuracy")
            for prefix, name in _LINES
            if (band := _band(rows, f"{prefix}_{what}", name))
        ]
        for decision, rows in by_decision.items()
    }


def _band(rows: Sequence[Mapping[str, Any]], key: str, name: str) -> Band | None:
    values: dict[int, list[float]] = {}
    for row in rows:
        value = row.get(key)
        if value is not None and math.isfinite(value):
            values.setdefault(row["epoch"], []).append(value)
    if not values:
        return None
    epochs = tuple(sorted(values))
    return Band(
        name,
        epochs,
        mean=tuple(sum(values[e]) / len(values[e]) for e in epochs),
        low=tuple(min(values[e]) for e in epochs),
        high=tuple(max(values[e]) for e in epochs),
    )


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2] if values else 0.0
