"""The report's sections on data and training, each as plain values for the template."""

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from hilum.reporting.figures import Series, class_bars, learning_curve
from hilum.reporting.runs import Epoch, Run

#: The settings of training, in the order in which they are read.
_SETTINGS = (
    "image_size", "batch_size", "epochs", "optimizer", "momentum", "learning_rate",
    "weight_decay", "scheduler", "step_size", "gamma", "class_weights", "label_smoothing",
    "augmentation", "select", "precision", "seed",
)  # fmt: skip

#: Keys of a recipe that are told elsewhere, or that do not change what is learned.
_ELSEWHERE = {
    "name", "description", "decision", "network", "strategy", "rule", "monitor", "device",
    "keep_checkpoints",
}  # fmt: skip

_UNUSED = "—"

#: Settings that have an effect only where another one has a certain value.
_ONLY_WITH = {
    "momentum": ("optimizer", "sgd"),
    "step_size": ("scheduler", "step"),
    "gamma": ("scheduler", "step"),
    "holdout": ("monitor", "blocks"),
}


def data_sections(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """One entry per data set (by fingerprint): the runs that used it and its class counts."""
    found: dict[Any, dict[str, Any]] = {}
    for run in runs:
        identity = (run.data.get("fingerprint") or str(run.folder), run.tree.classes)
        if identity in found:
            found[identity]["runs"].append(run.name)
            continue
        counts: Mapping[str, Mapping[str, int]] = run.data.get("counts") or {}
        classes = run.tree.classes
        splits = [(s, [int(c.get(name, 0)) for name in classes]) for s, c in counts.items()]
        words = "; ".join(
            f"{s}: " + ", ".join(f"{name} {n:,}" for name, n in zip(classes, row, strict=True))
            for s, row in splits
        )
        found[identity] = {
            "name": run.data.get("name") or "not recorded",
            "fingerprint": run.data.get("fingerprint") or "not recorded",
            "synthetic": run.synthetic,
            "tree": run.tree.to_text(),
            "classes": classes,
            "splits": [{"name": s, "counts": row, "total": sum(row)} for s, row in splits],
            "chart": class_bars(
                classes, splits, key=f"classes{len(found)}", alt=f"Class distribution. {words}."
            )
            if splits
            else None,
            "runs": [run.name],
        }
    return list(found.values())


def settings_table(runs: Sequence[Run]) -> dict[str, Any]:
    """What was trained on what: a column per run and decision, a row per setting.

    A row is marked where its values differ between the columns.
    """
    columns = [(run, decision) for run in runs for decision in run.decisions]
    named: dict[str, list[str]] = {"network": [], "parameters": [], "training images": []}
    for run, name in columns:
        network: Mapping[str, Any] = (run.info.get("networks") or {}).get(name) or {}
        named["network"].append(_text(network.get("name") or _setting(run, name, "network")))
        parameters = network.get("parameters")
        named["parameters"].append("—" if parameters is None else f"{int(parameters):,}")
        named["training images"].append(_training_images(run, name))
    used = {
        key
        for run, name in columns
        for table in (run.recipe, (run.recipe.get("decision") or {}).get(name, {}))
        for key in table
        if key not in _ELSEWHERE
    }
    order = [k for k in _SETTINGS if k in used] + sorted(used - set(_SETTINGS))
    for key in order:
        values = [_text(_setting(run, name, key)) for run, name in columns]
        if any(value != _UNUSED for value in values):
            named[key.replace("_", " ")] = values
    named["epochs trained"] = [str(len(run.history.get(name, ()))) for run, name in columns]
    return {
        "runs": [
            {
                "name": run.name,
                "span": len(run.decisions),
                "strategy": run.strategy,
                "rule": run.info.get("rule") or "not recorded",
                "monitored": _watched(run, "nothing"),
                "recipe": bool(run.recipe),
            }
            for run in runs
        ],
        "decisions": [name for _, name in columns],
        "rows": [
            {"name": name, "values": values, "differs": len(set(values)) > 1}
            for name, values in named.items()
        ],
    }


def curve_sections(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Learning curves of loss and accuracy per run and decision, on common scales."""
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
                series = _series(rows, what, _watched(run, "monitored"))
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
                "monitored": _watched(run, "monitored"),
                "n": (run.info.get("monitored") or {}).get("n"),
                "decisions": decisions,
                "torn": run.history_torn,
            }
        )
    return found


# ---- parts ---------------------------------------------------------------------------------


def _watched(run: Run, nothing: str) -> str:
    return "held-out blocks" if run.monitored == "blocks" else run.monitored or nothing


def _setting(run: Run, decision: str, key: str) -> Any:
    """A setting as it holds for one decision: its own value, or the run's; None without effect."""
    own: Mapping[str, Any] = (run.recipe.get("decision") or {}).get(decision) or {}
    settings = {**run.recipe, **own}
    other, needed = _ONLY_WITH.get(key, (key, settings.get(key)))
    return settings.get(key) if settings.get(other) == needed else None


def _text(value: Any) -> str:
    if value is None:
        return _UNUSED
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return (" × " if all(isinstance(v, int) for v in value) else " : ").join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    return str(value)


def _training_images(run: Run, name: str) -> str:
    """How many training radiographs belong to a decision: those of the classes below it."""
    counts: Mapping[str, int] = (run.data.get("counts") or {}).get("train") or {}
    decision = next(d for d in run.tree.networks(run.strategy) if d.name == name)
    classes = [run.tree.classes[i] for members in decision.members for i in members]
    if not all(c in counts for c in classes):
        return "—"
    # Which classes the held-out blocks are of is not recorded.
    less = " less held-out blocks" if run.held_out else ""
    return f"{sum(int(counts[c]) for c in classes):,}{less}"


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
