"""Trainings by several processes, forked from one, because importing takes far longer.

Usage: python -m tests.training.together_run FOLDER < JOBS, where FOLDER holds spots/. JOBS is a
JSON list of jobs, done in their order, each a table of

  out: the run's folder below FOLDER. size: how many processes. set: keys of the recipe.
  spread: as of train; a run that was begun is resumed. first, last: keys of one process alone,
  that of the first or last rank: `set` of its own, `data` (another folder), or what happens to
  it, `kill` or `stop` (the number of the step before which it gets SIGKILL or SIGTERM), `write`
  (the number of the file in the middle of whose writing it gets SIGKILL) or `nan` (the number of
  the step whose loss is none).

Writes a JSON list with a table for each: `ends`, how the processes ended by rank, -9 by SIGKILL;
`said`, what each of them has to say to the user; `visits`, (steps, images) of positions by rank.
"""

import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import torch._dynamo  # noqa: F401 - what an optimizer imports, once for all processes
from torch import nn

from hilum import files
from hilum.errors import HilumError
from hilum.radiographs.dataset import open_dataset
from hilum.training import fit, joining, run, step
from hilum.training.run import train
from hilum.training.together import help_train
from tests.spots import quick_recipe


class Plain(nn.Module):
    """A network without dropout and batch normalisation."""

    def __init__(self, outputs: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2), nn.ReLU(),
            nn.Flatten(), nn.Linear(8 * 7 * 7, outputs),
        )  # fmt: skip

    def forward(self, x):
        return self.layers(x)


def before_call(n: int, function, number: int):
    calls = 0

    def counted(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == n:
            os.kill(os.getpid(), number)
        return function(*args, **kwargs)

    return counted


def prepare(job: dict[str, Any], visits: list[list[int]]) -> None:
    """Have happen to this process what is to happen, and note what it visits."""
    run._calibrated = lambda classifier, *_: classifier
    pixels = step.Step._pixels

    def noted(self, name, at):
        visits.append(at.tolist())
        return pixels(self, name, at)

    step.Step._pixels = noted  # type: ignore[method-assign]
    for kind, number in (("kill", signal.SIGKILL), ("stop", signal.SIGTERM)):
        if kind in job:
            counted = before_call(job[kind], fit._Loop._train_step, number)
            fit._Loop._train_step = counted  # type: ignore[method-assign]
    if "nan" in job:
        made = step.Step._compute

        def poisoned(self, batch):
            made(self, batch)
            self.record[job["nan"] - 1, 0] = float("nan")

        step.Step._compute = poisoned  # type: ignore[method-assign]
    if "write" in job:
        files.put_in_place = before_call(job["write"], files.put_in_place, signal.SIGKILL)


def take_part(folder: Path, job: dict[str, Any]) -> None:
    """What one process does; as hilum train does it."""
    data = folder / job.get("data", "spots")
    recipe, spread = quick_recipe(*job.get("set", ())), job.get("spread", False)
    with joining.joined(device="cpu") as world:
        dataset = world.by_turns(lambda: open_dataset(data))
        if world.first:
            resume = (folder / job["out"] / "run.json").exists()
            train(dataset, recipe, folder / job["out"], resume=resume, world=world, spread=spread)
        else:
            help_train(dataset, recipe, world, spread=spread)


def live(folder: Path, job: dict[str, Any], report: Path) -> int:
    visits: list[list[int]] = []
    prepare(job, visits)
    said, code = "", 0
    try:
        take_part(folder, job)
    except HilumError as error:
        said, code = "" if error.told else str(error), 2
    report.write_text(json.dumps({"said": said, "visits": visits}))
    return code


def do(folder: Path, job: dict[str, Any]) -> dict[str, Any]:
    size = job["size"]
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    own = {0: job.get("first", {}), size - 1: job.get("last", {})}
    children, reports = [], [folder / f"report-{rank}.json" for rank in range(size)]
    for rank, report in enumerate(reports):
        report.unlink(missing_ok=True)
        child = os.fork()
        if child == 0:
            os.environ |= {
                "WORLD_SIZE": str(size), "RANK": str(rank), "LOCAL_RANK": str(rank),
                "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
            }  # fmt: skip
            os._exit(live(folder, {**job, **own.get(rank, {})}, report))
        children.append(child)
    ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    told = [
        json.loads(r.read_text()) if r.exists() else {"said": "", "visits": []} for r in reports
    ]
    return {"ends": ends, **{key: [one[key] for one in told] for key in ("said", "visits")}}


if __name__ == "__main__":
    found = [do(Path(sys.argv[1]), job) for job in json.load(sys.stdin)]
    sys.stdout.write(json.dumps(found))
