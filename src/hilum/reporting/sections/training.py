"""The report's sections on training: the networks, their settings and their learning curves."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hilum.errors import RecipeError
from hilum.networks.registry import create_network_to_load, describe_network
from hilum.networks.summary import summarise
from hilum.reporting.charts import Curves, Scales, curve_scales, learning_curves, make_series
from hilum.reporting.runs import Epoch, Run
from hilum.reporting.subject import Subject
from hilum.settings import Settings
from hilum.table import Column, Columns, Row, Rows, Table
from hilum.wording import Cell, Style, duration, listed

# ---- networks ------------------------------------------------------------------------------


def describe_networks(subject: Subject) -> dict[str, Any]:
    """One entry per different network (kind, outputs, image size), and who uses it.

    A network that is not registered here, or whose image size is not recorded, has no table and
    says why.
    """
    users: dict[tuple[Any, Any, Any], list[str]] = {}
    for run in subject.runs:
        for decision, about in (run.info.get("networks") or {}).items():
            user = f"{run.name}, decision {decision}" if subject.several else decision
            key = (about.get("name"), about.get("outputs"), run.image_size)
            users.setdefault(key, []).append(user)
    return {
        "kinds": [{"users": names, **_describe(*key, names)} for key, names in users.items()],
        "findings": any(run.tree.findings for run in subject.runs),
        "cascade": any(run.strategy == "cascade" for run in subject.runs),
        "imported": any(run.imported for run in subject.runs),
        "trained": any(not run.imported for run in subject.runs),
    }


def _describe(
    name: str | None,
    outputs: int | None,
    image_size: tuple[int, int] | None,
    users: Sequence[str],
) -> dict[str, Any]:
    if name is None or outputs is None or image_size is None:
        reason = "its name, outputs or image size are not recorded"
        return {"name": name or "not recorded", "summary": None, "reason": reason}
    try:
        network = create_network_to_load(name, outputs=outputs, image_size=image_size)
    except RecipeError as error:
        return {"name": name, "summary": None, "reason": str(error)}
    summary = summarise(network, image_size)
    columns: Columns = [
        "layer", Column("name", "text"), "output shape", "parameters", "multiply-adds",
    ]  # fmt: skip
    rows: Rows = [
        [
            row.layer, row.name, " × ".join(map(str, row.output_shape[1:])), row.parameters,
            row.multiply_adds or None,
        ]
        for row in summary.rows
    ]  # fmt: skip
    table = Table(f"Layers of {name} for {listed(users)}", columns, rows)
    return {"name": name, "what": describe_network(name), "summary": summary, "table": table}


# ---- settings ------------------------------------------------------------------------------

#: The settings of training, in the order in which they are read.
_SETTINGS = (
    "image_size", "batch_size", "epochs", "passes", "optimizer", "momentum", "nesterov",
    "learning_rate", "weight_decay", "clip_norm", "scheduler", "warmup", "step_size", "gamma",
    "class_weights", "loss", "sampling", "label_smoothing", "augmentation", "ema", "members",
    "mirror_test", "select", "precision", "seed",
)  # fmt: skip

#: Settings that are told only where one of the runs has switched them on.
_SWITCHES = (
    "passes", "clip_norm", "warmup", "loss", "sampling", "ema", "members", "mirror_test",
)  # fmt: skip

#: Keys of a recipe that are told elsewhere, or that do not change what is learned.
_ELSEWHERE = {
    "name", "description", "decision", "network", "strategy", "rule", "monitor", "device",
    "keep_checkpoints", "keep_thumbnails",
}  # fmt: skip

_UNUSED = "—"

#: Settings that have an effect only where another one has a certain value.
_ONLY_WITH = {
    "momentum": ("optimizer", "sgd"),
    "nesterov": ("optimizer", "sgd"),
    "step_size": ("scheduler", "step"),
    "gamma": ("scheduler", "step"),
    "holdout": ("monitor", "blocks"),
}

#: Keys of preprocessing that have an effect only under a certain contrast.
_STEP_ONLY_WITH = {"gamma": "gamma", "clip_limit": "clahe"}


def settings_table(subject: Subject) -> dict[str, Any]:
    """What was trained on what: a column per run and decision, a row per setting.

    A row is marked where its values differ between the columns.
    """
    runs = subject.runs
    columns = [(run, decision) for run in runs for decision in run.decisions]
    found = {
        "network": [
            _text(_network(*column).get("name") or _setting(*column, "network"))
            for column in columns
        ],
        "parameters": [
            _UNUSED if (n := _network(*column).get("parameters")) is None else f"{int(n):,}"
            for column in columns
        ],
        "training images": [_training_images(*column) for column in columns],
        **_settings_of(columns),
        "epochs trained": [str(len(run.history.get(name, ()))) for run, name in columns],
    }
    marked = [i for i, values in enumerate(found.values(), start=3) if len(set(values)) > 1]
    rows: list[Row] = [
        _across("strategy", runs, [run.strategy for run in runs]),
        _across("rule", runs, [_rule(run) for run in runs]),
        _across("watched during training", runs, [run.watched or "nothing" for run in runs]),
    ]
    for i, (name, values) in enumerate(found.items(), start=3):
        differs = Cell(f"{name} ≠", unseen=" (differs)")
        rows.append([differs if i in marked else name, *values])
    table = Table(
        "Settings",
        ["decision", *(Column(name, wrap=True) for _, name in columns)],
        rows,
        kind="settings",
        over=["run", *(Cell(run.name, span=len(run.decisions)) for run in runs)],
        marked=marked,
    )
    return {"unknown": [run.name for run in runs if not run.recipe], "table": table}


def _rule(run: Run) -> str:
    return str(run.info.get("rule") or "not recorded") if run.tree.decisions else _UNUSED


def _across(name: str, runs: Sequence[Run], values: Sequence[str]) -> Row:
    """A row that says one thing of all decisions of a run."""
    cells = zip(runs, values, strict=True)
    return [name, *(Cell(v, span=len(run.decisions), kind="across") for run, v in cells)]


def _settings_of(columns: Sequence[tuple[Run, str]]) -> dict[str, list[str]]:
    """The settings that the recipes hold and that have an effect, each with its values."""
    tables = [
        table
        for run, name in columns
        for table in (run.recipe, (run.recipe.get("decision") or {}).get(name, {}))
    ]
    used = {key for table in tables for key in table} - _ELSEWHERE
    rows: dict[str, list[str]] = {}
    for key in [k for k in _SETTINGS if k in used] + sorted(used - set(_SETTINGS)):
        values = [_setting(run, name, key) for run, name in columns]
        if key in _SWITCHES:
            off = (None, Settings.model_fields[key].default)
            if all(value in off for value in values):
                continue
        texts = [_text(value) for value in values]
        if any(text != _UNUSED for text in texts):
            rows[key.replace("_", " ")] = texts
    return rows


def _network(run: Run, decision: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (run.info.get("networks") or {}).get(decision) or {}
    return found


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
        return _switched_on(value)
    return str(value)


def _switched_on(table: Mapping[str, Any]) -> str:
    """The parts of a table of doses or steps that do something; 'none' where none does."""
    on = {k: v for k, v in table.items() if v not in (False, 0, "none")}
    if "resize" in table:  # of preprocessing: two keys belong to one way each of changing contrast
        on = {k: v for k, v in on.items() if _STEP_ONLY_WITH.get(k) in (None, on.get("contrast"))}
    return ", ".join(k if v is True else f"{k} {v}" for k, v in on.items()) or "none"


def _training_images(run: Run, name: str) -> str:
    """How many training radiographs belong to a decision: those of the classes below it."""
    counts: Mapping[str, int] = (run.data.get("counts") or {}).get("train") or {}
    decision = next(d for d in run.tree.networks(run.strategy) if d.name == name)
    asked = decision.asks(np.arange(len(run.tree.classes)))
    classes = [name for name, own in zip(run.tree.classes, asked, strict=True) if own]
    if not all(c in counts for c in classes):
        return _UNUSED
    # Which classes the held-out blocks are of is not recorded.
    less = " less held-out blocks" if run.held_out else ""
    return f"{sum(int(counts[c]) for c in classes):,}{less}"


# ---- learning curves -----------------------------------------------------------------------


def draw_curves(subject: Subject) -> list[dict[str, Any]]:
    """Learning curves of loss and accuracy per run and decision, on common scales."""
    drawn = {
        (run.name, name): make_series(
            map(vars, run.history.get(name, ())), run.watched or "monitored"
        )
        for run in subject.runs
        for name in run.decisions
    }
    scales = curve_scales(drawn.values())
    return [
        {
            "run": run,
            "decisions": {
                name: _decision_curves(run, name, drawn[run.name, name], scales)
                for name in run.decisions
            },
        }
        for run in subject.runs
    ]


def _decision_curves(run: Run, name: str, drawn: Curves, scales: Scales) -> dict[str, Any]:
    rows, n = run.history.get(name, ()), (run.info.get("monitored") or {}).get("n")
    watched = (run.watched or "monitored") + (f", {n:,} images in all" if n else "")
    of = f"{run.name}, decision {name}, over {len(rows)} epoch{'s' * (len(rows) != 1)}"
    return {
        "charts": learning_curves(drawn, scales, of),
        "watched": watched if any(e.monitor_loss is not None for e in rows) else "",
        "table": _epoch_table(run, name, rows),
    }


def _epoch_table(run: Run, decision: str, epochs: Sequence[Epoch]) -> Table:
    fine, other = Style(4), run.watched or "monitored"
    columns: Columns = [
        "epoch",
        *(Column(f"{s} {m}", style=fine) for s in ("train", other) for m in ("loss", "accuracy")),
        "learning rate", "time", "images/s",
    ]  # fmt: skip
    rows: Rows = [
        [
            str(e.epoch), e.train_loss, e.train_accuracy, e.monitor_loss, e.monitor_accuracy,
            None if e.learning_rate is None else f"{e.learning_rate:.3g}",
            None if e.seconds is None else duration(e.seconds),
            None if e.images_per_second is None else f"{e.images_per_second:,.0f}",
        ]
        for e in epochs
    ]  # fmt: skip
    return Table(f"Epochs of {run.name}, {decision}", columns, rows)
