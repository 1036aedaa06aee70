"""The folder of a run: whose it is, what is in it, and whether it can be gone on with."""

import datetime
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import filelock
import torch

from hilum.errors import TrainingError
from hilum.files import write_atomically
from hilum.labels import LabelTree
from hilum.recipe import Recipe, differences
from hilum.training.division import SPLIT_FILE, Division
from hilum.training.facts import read_facts, write_facts
from hilum.training.plan import Plan


def allowed_before(run: Path) -> list[str]:
    """What a run was told to let through when it was started."""
    return list((read_facts(run) or {}).get("allowed", []))


@contextmanager
def lock_run(out: Path) -> Iterator[None]:
    """Hold the run folder for this process; the system lets go of it when the process dies."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"{out}: cannot be made ({error.strerror}).") from None
    try:
        with filelock.FileLock(out / ".lock", timeout=0):
            yield
    except filelock.Timeout:
        raise TrainingError(
            f"{out}: another run is using this folder; wait for it, or name another with --out."
        ) from None


def open_run(out: Path, plan: Plan, division: Division | None, resume: bool) -> dict[str, Any]:
    """The facts of the run in a folder: new ones, or those of the run that is resumed."""
    found = read_facts(out)
    if found is not None and not resume:
        raise TrainingError(
            f"{out}: holds a run already. Go on with it by --resume, or name another folder."
        )
    if found is None:
        first = {"recipe.toml": plan.recipe.to_toml().encode()}
        if division:
            first[SPLIT_FILE] = division.table
        strangers = [p.name for p in out.iterdir() if not _is_ours(p, first)]
        if strangers:
            raise TrainingError(
                f"{out}: holds other files ({', '.join(sorted(strangers)[:5])}); name an empty "
                "or a new folder."
            )
        if resume:
            raise TrainingError(f"{out}: there is no run to resume here.")
        facts = _facts(plan, division)
        for name, data in first.items():
            write_atomically(out / name, data)
        write_facts(out, facts)
        return facts
    _refuse_differences(out, plan, division, found)
    return found


def _is_ours(path: Path, first: dict[str, bytes]) -> bool:
    """Whether a run that was killed before it wrote run.json may have left this file."""
    if path.name == ".lock" or path.name.endswith(".partial"):
        return True
    return path.name in first and path.read_bytes() == first[path.name]


def _refuse_differences(
    out: Path, plan: Plan, division: Division | None, facts: dict[str, Any]
) -> None:
    old_recipe = Recipe.load(out / "recipe.toml")
    now = _facts(plan, division)
    found: list[str] = []
    if facts["labels"] != now["labels"]:
        old = LabelTree.from_json(facts["labels"])
        found.append(f"labels: {old} → {plan.dataset.tree}")
    if facts["data"]["fingerprint"] != now["data"]["fingerprint"]:
        found.append(
            f"data: {facts['data']['name']} {facts['data']['counts']} → "
            f"{now['data']['name']} {now['data']['counts']}"
            + (
                " (same counts, other contents)"
                * (facts["data"]["counts"] == now["data"]["counts"])
            )
        )
    found += differences(old_recipe, plan.recipe)
    found += [f"{k}: {facts[k]} → {now[k]}" for k in ("device", "precision") if facts[k] != now[k]]
    if found:
        raise TrainingError(
            f"{out}: cannot resume, because this is not the same training:\n"
            + "\n".join(f"  {line}" for line in found)
        )


def _facts(plan: Plan, division: Division | None) -> dict[str, Any]:
    """What run.json says at the start."""
    dataset, recipe = plan.dataset, plan.recipe
    return {
        "format": 1,
        "name": recipe.name,
        "data": {
            "root": str(dataset.root.resolve()),
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "synthetic": dataset.synthetic,
            "source": plan.source,
            "layout": dataset.layout,
            "split": division.to_json() if division else None,
            "counts": dataset.counts(),
        },
        "labels": dataset.tree.to_json(),
        "strategy": recipe.strategy,
        "rule": recipe.rule,
        "monitor": recipe.monitor,
        "monitored": {"split": recipe.monitor, "n": len(plan.monitor_rows)},
        "allowed": list(plan.allowed),
        "notes": list(plan.notes),
        "epochs": {name: settings.epochs for name, settings in plan.settings.items()},
        "device": plan.machine.device.type,
        "precision": plan.machine.number_format,
        "versions": {
            **{name: version(name) for name in ("hilum", "torch", "numpy", "pillow")},
            "python": platform.python_version(),
        },
        "threads": torch.get_num_threads(),
        "started": utc_now(),
        "finished": None,
        "seconds": None,
        "networks": {},
    }


def utc_now() -> str:
    """Date and time in UTC, as ISO 8601 to the second."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
