"""The report's section on the networks: what each is, layer by layer."""

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from hilum.errors import RecipeError
from hilum.networks.registry import create_network_to_load, describe_network
from hilum.networks.summary import summarise
from hilum.reporting.figures.charts import Series, learning_curve
from hilum.reporting.runs import Epoch, Run
from hilum.reporting.subject import Subject
from hilum.settings import Settings


def describe_networks(subject: Subject) -> dict[str, Any]:
    """One entry per different network (kind, outputs, image size), and who uses it.

    A network that is not registered here, or whose image size is not recorded, has no table and
    says why.
    """
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for run in subject.runs:
        for decision, about in (run.info.get("networks") or {}).items():
            key = (about.get("name"), about.get("outputs"), run.image_size)
            if key not in found:
                found[key] = {"users": [], **_describe(*key)}
            user = f"{run.name}, decision {decision}" if subject.several else decision
            found[key]["users"].append(user)
    return {
        "kinds": list(found.values()),
        "cascade": any(run.strategy == "cascade" for run in subject.runs),
        "imported": any(run.imported for run in subject.runs),
        "trained": any(not run.imported for run in subject.runs),
    }


def _describe(
    name: str | None, outputs: int | None, image_size: tuple[int, int] | None
) -> dict[str, Any]:
    title = str(name or "not recorded")
    about: dict[str, Any] = {"name": title, "what": "", "summary": None, "reason": ""}
    if name is None or outputs is None or image_size is None:
        return {**about, "reason": "its name, outputs or image size are not recorded"}
    try:
        network = create_network_to_load(name, outputs=outputs, image_size=image_size)
    except RecipeError as error:
        return {**about, "reason": str(error)}
    return {**about, "what": describe_network(name), "summary": summarise(network, image_size)}


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
    "keep_checkpoints",
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
        found = [_setting(run, name, key) for run, name in columns]
        off = Settings.model_fields[key].default if key in _SWITCHES else None
        if key in _SWITCHES and all(value in (None, off) for value in found):
            continue
        values = [_text(value) for value in found]
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
                "monitored": run.watched or "nothing",
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


# ---- parts ---------------------------------------------------------------------------------


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
    classes = [run.tree.classes[i] for members in decision.members for i in members]
    if not all(c in counts for c in classes):
        return "—"
    # Which classes the held-out blocks are of is not recorded.
    less = " less held-out blocks" if run.held_out else ""
    return f"{sum(int(counts[c]) for c in classes):,}{less}"


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
