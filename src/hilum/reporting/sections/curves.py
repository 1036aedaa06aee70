"""The report's section on learning curves."""

from collections.abc import Sequence
from itertools import count
from typing import Any

from hilum.reporting.figures.charts import Series, learning_curve
from hilum.reporting.runs import Epoch
from hilum.reporting.subject import Subject


def draw_curves(subject: Subject) -> list[dict[str, Any]]:
    """Learning curves of loss and accuracy per run and decision, on common scales."""
    runs = subject.runs
    epochs = [e for run in runs for rows in run.history.values() for e in rows]
    losses = [v for e in epochs for v in (e.train_loss, e.monitor_loss) if _drawable(v)]
    shares = [v for e in epochs for v in (e.train_accuracy, e.monitor_accuracy) if _drawable(v)]
    top = 1.06 * max((v for v in losses if v is not None), default=1.0) or 1.0
    least = min((v for v in shares if v is not None), default=0.0)
    floor = max(0.0, int(least * 10 - 0.5) / 10)
    keys = count()
    found = []
    for run in runs:
        decisions = []
        for name in run.decisions:
            rows = run.history.get(name, ())
            charts = []
            for what, ylim in (("loss", (0.0, top)), ("accuracy", (floor, 1.0))):
                series = _series(rows, what, run.watched or "monitored")
                if series:
                    words = "; ".join(
                        f"{s.name} from {s.values[0]:.3f} to {s.values[-1]:.3f}" for s in series
                    )
                    alt = f"{what.capitalize()} of {run.name}, decision {name}, over "
                    alt += f"{len(rows)} epoch{'s' * (len(rows) != 1)}: {words}."
                    key = f"curve{next(keys)}"
                    charts.append(
                        (what, learning_curve(series, quantity=what, ylim=ylim, key=key, alt=alt))
                    )
            watched = any(e.monitor_loss is not None for e in rows)
            decisions.append({"name": name, "epochs": rows, "charts": charts, "watched": watched})
        found.append(
            {
                "name": run.name,
                "monitored": run.watched or "monitored",
                "n": (run.info.get("monitored") or {}).get("n"),
                "decisions": decisions,
                "torn": run.history_torn,
            }
        )
    return found


def _drawable(value: float | None) -> bool:
    return value is not None and abs(value) != float("inf") and value == value


def _series(rows: Sequence[Epoch], what: str, monitored: str) -> list[Series]:
    found = []
    for name, prefix in (("train", "train"), (monitored, "monitor")):
        points = [(e.epoch, getattr(e, f"{prefix}_{what}")) for e in rows]
        points = [(x, y) for x, y in points if _drawable(y)]
        if points:
            found.append(Series(name, tuple(x for x, _ in points), tuple(y for _, y in points)))
    return found
