"""A training run: a data set and a recipe in, a run folder out.

RUN/ recipe.toml · run.json · history.jsonl · log.txt · checkpoints/DECISION/ · classifier/
"""

import datetime
import json
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import torch

from hilum.audit.provenance import recognise
from hilum.classifier import Classifier
from hilum.device import choose_device, choose_format
from hilum.errors import HilumError, Interrupted, TrainingError
from hilum.files import safe_name, write_atomically
from hilum.labels import Decision, LabelTree
from hilum.networks.registry import create_network
from hilum.radiographs.dataset import Dataset
from hilum.radiographs.pixels import Progress
from hilum.recipe import Recipe, differences
from hilum.records import IntArray
from hilum.training.checkpoint import CheckpointFolder, Row, best_epoch
from hilum.training.fit import Machine, Samples, fit
from hilum.training.history import History
from hilum.training.holdout import hold_out_blocks
from hilum.training.interrupt import StopRequest, stop_on_signal
from hilum.transforms.preprocess import Preprocessing

TEST_USED = (
    "The test set was used during training: it was monitored after every epoch, so figures on it "
    "are no longer those of unseen data."
)


def train(
    dataset: Dataset,
    recipe: Recipe,
    out: Path | str,
    *,
    resume: bool = False,
    progress: Progress | None = None,
    on_epoch: Callable[[Row], None] | None = None,
) -> Classifier:
    """Train a classifier and write everything about it into a run folder.

    resume: go on with the run in that folder, from its newest checkpoints; a finished run is
    only read. on_epoch: called with each row of the history. Ctrl-C ends with a checkpoint.
    Returns the classifier, also in RUN/classifier. Raises RecipeError where the recipe does not
    fit the labels, TrainingError where the run cannot start, go on or be resumed, DataError
    where radiographs cannot be read, and Interrupted after a stop.
    """
    out = Path(out)
    plan = _plan(dataset, recipe)
    with _lock(out):
        facts = _open_run(out, plan, resume)
        if facts["finished"]:
            return Classifier.load(out, device=recipe.device)
        try:
            with stop_on_signal() as stop:
                return _train(plan, out, facts, stop, progress, on_epoch)
        except Interrupted as error:
            raise Interrupted(f"{out}: {error}; a checkpoint was written. {_how(out)}") from None
        except OSError as error:
            raise TrainingError(
                f"{error.filename or out}: cannot be written ({error.strerror}); the checkpoints "
                f"written before are unharmed. {_how(out)}"
            ) from error


@dataclass(frozen=True)
class _Plan:
    """What a run is about to do, checked against the data before anything is written."""

    dataset: Dataset
    recipe: Recipe
    preprocessing: Preprocessing
    decisions: tuple[Decision, ...]
    train_rows: IntArray
    monitor_rows: IntArray
    machine: Machine

    def samples(self, decision: Decision, rows: IntArray, pixels: Any) -> Samples:
        targets = decision.targets(self.dataset.labels[rows])
        mine = targets >= 0
        names = [r.name for r in self.dataset.records]
        return Samples(pixels, rows[mine], targets[mine], names)


def _plan(dataset: Dataset, recipe: Recipe) -> _Plan:
    decisions = recipe.networks(dataset.tree)
    train_rows = dataset.indices("train")
    if recipe.monitor == "blocks":
        labels = dataset.labels[train_rows]
        kept, held = hold_out_blocks(labels, recipe.holdout, recipe.seed)
        train_rows, monitor_rows = train_rows[kept], train_rows[held]
    elif recipe.monitor in dataset.splits:
        monitor_rows = dataset.indices(recipe.monitor)
    else:
        raise TrainingError(
            f"{dataset.root}: there is no split '{recipe.monitor}' to monitor (found "
            f"{', '.join(dataset.splits)}). Hold blocks out of train with --monitor blocks."
        )
    for decision in decisions:  # settings that do not fit are refused before the first epoch
        settings = recipe.settings(decision.name)
        counts = np.bincount(
            [t for t in decision.targets(dataset.labels[train_rows]) if t >= 0],
            minlength=len(decision.options),
        )
        settings.weights_for(decision, counts.tolist())
        with torch.device("meta"):
            create_network(
                settings.network, outputs=len(decision.options), image_size=recipe.image_size
            )
    device = choose_device(recipe.device)
    machine = Machine(device, choose_format(recipe.precision, device))
    preprocessing = Preprocessing(image_size=recipe.image_size)
    return _Plan(dataset, recipe, preprocessing, decisions, train_rows, monitor_rows, machine)


def _train(
    plan: _Plan,
    out: Path,
    facts: dict[str, Any],
    stop: StopRequest,
    progress: Progress | None,
    on_epoch: Callable[[Row], None] | None,
) -> Classifier:
    dataset, recipe = plan.dataset, plan.recipe
    pixels = dataset.pixels(plan.preprocessing, progress)
    folders = {
        d.name: CheckpointFolder(
            out / "checkpoints" / safe_name(d.name), keep_all=recipe.keep_checkpoints == "all"
        )
        for d in plan.decisions
    }
    for partial in out.rglob(".*.partial"):  # a kill during a write left it behind
        partial.unlink()
    rows: list[Row] = []
    for folder in folders.values():
        newest = folder.newest()
        rows += newest.history if newest else []
    history = History(out)
    history.restore(rows)
    history.log(f"started: {recipe.name} on {dataset.name}, {plan.machine.device}")

    def record(row: Row) -> None:
        history.append(row)
        if on_epoch:
            on_epoch(row)

    try:
        for decision in plan.decisions:
            fit(
                decision,
                recipe.settings(decision.name),
                seed=recipe.seed,
                train=plan.samples(decision, plan.train_rows, pixels),
                monitored=plan.samples(decision, plan.monitor_rows, pixels),
                preprocessing=plan.preprocessing,
                machine=plan.machine,
                checkpoints=folders[decision.name],
                stop=stop,
                on_epoch=record,
                progress=progress,
            )
        classifier = _assemble(plan, folders, facts)
        classifier.save(out / "classifier")
        _write_facts(out, facts)
        history.log("finished")
        return classifier
    except HilumError as error:
        history.log(f"ended: {error}")
        raise
    finally:
        history.close()


def _assemble(
    plan: _Plan, folders: dict[str, CheckpointFolder], facts: dict[str, Any]
) -> Classifier:
    """The classifier of the selected epochs; completes the facts of the run."""
    networks, names, selected = {}, {}, {}
    seconds = 0.0
    for decision in plan.decisions:
        settings = plan.recipe.settings(decision.name)
        last = folders[decision.name].of_epoch(settings.epochs)
        epoch = settings.epochs if settings.select == "last" else best_epoch(last.history)
        chosen = last if epoch == last.epoch else folders[decision.name].of_epoch(epoch)
        with torch.random.fork_rng(devices=[]):  # initial weights are drawn and thrown away
            network = create_network(
                settings.network,
                outputs=len(decision.options),
                image_size=plan.recipe.image_size,
            )
        network.load_state_dict(chosen.model)
        networks[decision.name], names[decision.name] = network, settings.network
        selected[decision.name] = epoch
        seconds += sum(row["seconds"] for row in last.history)
        facts["networks"][decision.name] = {
            "name": settings.network,
            "outputs": len(decision.options),
            "parameters": sum(p.numel() for p in network.parameters()),
        }
    facts |= {
        "finished": _now(),
        "seconds": round(seconds, 3),
        "selected_epochs": selected,
        "selects_best": [
            d.name for d in plan.decisions if plan.recipe.settings(d.name).select == "best"
        ],
    }
    provenance = {k: v for k, v in facts.items() if k not in ("format", "labels", "networks")}
    provenance["data"] = {k: v for k, v in facts["data"].items() if k != "root"}  # it may travel
    return Classifier(
        tree=plan.dataset.tree,
        strategy=plan.recipe.strategy,
        rule=plan.recipe.rule,
        preprocessing=plan.preprocessing,
        networks=networks,
        network_names=names,
        provenance={**provenance, "recipe": plan.recipe.to_dict()},
        device=plan.machine.device,
    )


def data_root(run: Path) -> Path | None:
    """The data folder that a run was trained on, where it still exists."""
    file = run / "run.json"
    if not file.is_file():
        return None
    root = Path(json.loads(file.read_text(encoding="utf-8"))["data"]["root"])
    return root if root.is_dir() else None


# ---- the run folder ------------------------------------------------------------------------


@contextmanager
def _lock(out: Path) -> Iterator[None]:
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


def _open_run(out: Path, plan: _Plan, resume: bool) -> dict[str, Any]:
    """The facts of the run in a folder: new ones, or those of the run that is resumed."""
    file = out / "run.json"
    if file.exists() and not resume:
        raise TrainingError(
            f"{out}: holds a run already. Go on with it by --resume, or name another folder."
        )
    if not file.exists():
        strangers = [p.name for p in out.iterdir() if p.name != ".lock"]
        if strangers:
            raise TrainingError(
                f"{out}: holds other files ({', '.join(sorted(strangers)[:5])}); name an empty "
                "or a new folder."
            )
        if resume:
            raise TrainingError(f"{out}: there is no run to resume here.")
        facts = _facts(plan)
        write_atomically(out / "recipe.toml", plan.recipe.to_toml().encode())
        _write_facts(out, facts)
        return facts
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TrainingError(f"{file}: damaged ({error}).") from None
    _refuse_differences(out, plan, found)
    return found


def _refuse_differences(out: Path, plan: _Plan, facts: dict[str, Any]) -> None:
    old_recipe = Recipe.load(out / "recipe.toml")
    now = _facts(plan)
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


def _facts(plan: _Plan) -> dict[str, Any]:
    """What run.json says at the start."""
    dataset, recipe = plan.dataset, plan.recipe
    source = recognise(dataset.counts())
    notes = [source.meaning] if source else []
    if recipe.monitor == "test":
        notes.append(TEST_USED)
    return {
        "format": 1,
        "name": recipe.name,
        "data": {
            "root": str(dataset.root.resolve()),
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "synthetic": dataset.synthetic,
            "source": source.name if source else None,
            "counts": dataset.counts(),
        },
        "labels": dataset.tree.to_json(),
        "strategy": recipe.strategy,
        "rule": recipe.rule,
        "monitor": recipe.monitor,
        "monitored": {"split": recipe.monitor, "n": len(plan.monitor_rows)},
        "notes": notes,
        "device": plan.machine.device.type,
        "precision": plan.machine.number_format,
        "versions": {
            **{name: version(name) for name in ("hilum", "torch", "numpy", "pillow")},
            "python": platform.python_version(),
        },
        "threads": torch.get_num_threads(),
        "started": _now(),
        "finished": None,
        "seconds": None,
        "networks": {},
    }


def _write_facts(out: Path, facts: dict[str, Any]) -> None:
    write_atomically(out / "run.json", (json.dumps(facts, indent=2) + "\n").encode())


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _how(out: Path) -> str:
    return f"Go on with: hilum train DATA --out {out} --resume"
