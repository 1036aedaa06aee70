"""The networks of a run, trained by one process or by several.

Several processes train each network together, each with a share of every batch; or, spread, each
trains whole networks by itself: decisions of a cascade, members of an ensemble. The first process
is that of `run.train`; the others are here.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from queue import Empty
from typing import Any

import torch

from hilum.errors import Interrupted
from hilum.files import safe_name, sha256
from hilum.given import RecipeLike, as_recipe
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.pixels import Progress
from hilum.recipe import Recipe
from hilum.records import PixelArray
from hilum.training.checkpoint import CheckpointFolder, Row
from hilum.training.fit import fit
from hilum.training.folder import Division, versions
from hilum.training.interrupt import StopRequest, stop_on_signal
from hilum.training.plan import Plan, make_plan
from hilum.training.world import Several, World

_LOOK = 0.5  # seconds after which a process that waits for others looks whether it is to stop

#: The checkpoints of each decision's members.
Folders = Mapping[str, list[CheckpointFolder]]


def checkpoint_folders(plan: Plan, out: Path) -> Folders:
    """The folders of all networks: checkpoints/DECISION, and of further members DECISION.2, …"""

    def folder(decision: str, member: int) -> CheckpointFolder:
        name = safe_name(decision) + (f".{member + 1}" if member else "")  # safe_name has no dot
        keep_all = plan.recipe.keep_checkpoints == "all"
        return CheckpointFolder(out / "checkpoints" / name, keep_all=keep_all)

    return {
        d.name: [folder(d.name, k) for k in range(plan.settings[d.name].members)]
        for d in plan.decisions
    }


def of_member(row: Row, member: int, of: int) -> Row:
    """A row of the history that says whose it is, where a decision has several members."""
    return {**row, "member": member + 1} if of > 1 else row


def train_networks(
    plan: Plan,
    folders: Folders,
    pixels: PixelArray,
    world: World,
    *,
    stop: StopRequest,
    on_epoch: Callable[[Row], None],
    progress: Progress | None = None,
) -> None:
    """Train all networks, each from its newest checkpoint; then the processes part.

    world: the processes of the run: those of the plan, or where the plan's trains alone, those that
    take a network each, as soon as they are free. on_epoch: called in the first process with all
    rows. Raises as fit does.
    """
    parts = [(d, k) for d in plan.decisions for k in range(plan.settings[d.name].members)]
    spread = world.size > plan.world.size
    at_work = world.size - 1 if spread else 0

    def hear(*, wait: bool) -> None:
        nonlocal at_work
        while at_work and isinstance(world, Several):
            try:
                said = world.peers.messages.get(wait, _LOOK)
            except Empty:
                if wait and stop.requested:
                    raise Interrupted("stopped") from None
                if wait:
                    continue
                return
            if said["kind"] == "done":
                at_work -= 1
            else:
                on_epoch(said["row"])

    for number in world.claims(len(parts)) if spread else range(len(parts)):
        decision, member = parts[number]
        of = len(folders[decision.name])

        def record(row: Row, member: int = member, of: int = of) -> None:
            if world.first:
                on_epoch(of_member(row, member, of))
                hear(wait=False)
            elif spread and isinstance(world, Several):
                world.peers.send(kind="row", row=of_member(row, member, of))

        fit(
            plan.task(decision, member, pixels),
            checkpoints=folders[decision.name][member],
            stop=stop,
            on_epoch=record,
            progress=progress,
        )
    if spread and world.first:
        hear(wait=True)
    elif spread and isinstance(world, Several):
        world.peers.send(kind="done")
    world.part()


# ---- the other processes -------------------------------------------------------------------------


def brief(out: Path, division: Division | None, allow: list[str]) -> dict[str, Any]:
    """What the first process tells the others of a run, who have the data and the recipe."""
    split = division and {
        "path": str(division.path), "table": division.table, "fold": division.fold
    }  # fmt: skip
    return {"out": str(out.resolve()), "split": split, "allow": allow}


def help_train(
    dataset: Dataset, recipe: RecipeLike | None, world: World, *, spread: bool = False
) -> None:
    """The part of every process but the first in a training.

    dataset, recipe, spread: as the first process gives them to `train`. Nothing is written, but
    spread the checkpoints of the networks that this process trains, for which the run's folder has
    to be the same one here. Raises as `train` does.
    """
    told = world.from_first(brief(Path(), None, []))
    split = told["split"]
    division = split and Division(Path(split["path"]), split["table"], split["fold"])
    data = division.apply(dataset) if division else dataset
    plan = make_plan(data, as_recipe(recipe), told["allow"], world.apart() if spread else world)
    refuse_different(plan, division, world)
    finished = world.from_first(False)
    if finished:
        return
    with stop_on_signal() as stop, world.stopping(stop):
        train_networks(
            plan,
            checkpoint_folders(plan, Path(told["out"])),
            world.by_turns(lambda: plan.dataset.pixels(plan.preprocessing)),
            world,
            stop=stop,
            on_epoch=lambda row: None,
        )


def refuse_different(plan: Plan, division: Division | None, world: World) -> None:
    """Raise TrainingError where processes differ in anything that a network is trained by."""
    rows = b"".join(part.tobytes() for part in (plan.train_rows, plan.monitor_rows))
    starts = "".join(start.sha256 for start in plan.starts.values())
    world.refuse_different(
        {
            "data": plan.dataset.fingerprint[:16],
            "labels": str(plan.dataset.tree),
            "division": sha256(division.table)[:16] if division else "that of the data",
            "images": sha256(rows)[:16],
            "recipe": _digest(plan.recipe),
            "weights to start from": sha256(starts.encode())[:16] if starts else "none",
            "device": plan.machine.device.type,
            "precision": plan.machine.number_format,
            "spread": str(world.size > plan.world.size),
            **versions("hilum", "torch", "numpy"),
            "CUDA": str(torch.version.cuda),
        }
    )


def _digest(recipe: Recipe) -> str:
    return sha256(recipe.to_toml().encode())[:16]
