"""The folder of a run: what is in it, and whether it can be gone on with.

RUN/ recipe.toml · run.json · split.csv · history.jsonl · log.txt · tensorboard/ ·
checkpoints/DECISION/ · classifier/
"""

import datetime
import json
import platform
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

import filelock
import torch

from hilum.auditing.duplicates import find_together
from hilum.auditing.split_table import read_split, split_table
from hilum.auditing.splits import Split, apply_split, count_findings, count_parts, make_split
from hilum.classifier.classifier import Classifier
from hilum.classifier.provenance import changed_starts, check_facts
from hilum.codec import to_plain
from hilum.errors import DataError, TrainingError, plural
from hilum.files import is_dir, locked, refuse_others, sha256, write_atomically
from hilum.given import Data, Trained, as_classifier, as_dataset
from hilum.labels import LabelTree
from hilum.parsing import parse_json, read_json, read_text
from hilum.radiographs.dataset import Dataset
from hilum.recipe import Recipe, differences
from hilum.records import Progress
from hilum.stores import as_place
from hilum.training.checkpoint import Row
from hilum.training.plan import Plan
from hilum.wording import listed

RECIPE_FILE = "recipe.toml"
FACTS_FILE = "run.json"
SPLIT_FILE = "split.csv"  # a copy of the table that the images were divided by
HISTORY_FILE = "history.jsonl"

#: What groups of a split are.
_GROUPS = {
    "patient": "patients",
    "block": "blocks of neighbouring files",
    "file": "single files",
}
#: The name of a block of one file number.
_OF_ONE = re.compile(r"block:(.*\D)?(\d+)-\2")
#: Below so many held-out images of a class, its figures are said to say little.
_FEW = 30


# ---- how the images are divided --------------------------------------------------------------


@dataclass(frozen=True)
class Division:
    """A split table as `hilum split` writes it.

    path: the file; table: its content. fold: of a table of folds, the one that is monitored.
    """

    path: Path
    table: bytes
    fold: int | None

    @classmethod
    def read(cls, path: Path, fold: int | None = None) -> "Division":
        """Raises DataError where the file cannot be read."""
        try:
            return cls(path, path.read_bytes(), fold)
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}).") from None

    @classmethod
    def of_run(cls, run: Path) -> "Division | None":
        """What a run was divided by; None where it took the splits of its data."""
        facts = read_facts(run)
        if facts is None or not (run / SPLIT_FILE).is_file():
            return None
        split = (facts.get("data") or {}).get("split") or {}
        return cls.read(run / SPLIT_FILE, split.get("fold"))

    @classmethod
    def make(cls, dataset: Dataset, progress: Progress | None = None) -> tuple["Division", str]:
        """What `hilum split` makes of data without a part to monitor, and a sentence that says it.

        Their test part is kept. Its seed is always the same, so that all runs of some data are
        divided alike. Raises DataError where the data are too few to be divided.
        """
        split = make_split(
            dataset,
            keep_together=find_together(dataset, progress=progress),
            keep_test="test" in dataset.splits,
        )
        return cls(Path(SPLIT_FILE), split_table(split), None), _describe(dataset, split)

    def apply(self, dataset: Dataset) -> Dataset:
        """The data set with its images in the parts of this table. Raises DataError."""
        return apply_split(dataset, read_split(self.path, dataset, self.table), self.fold)

    def to_plain(self) -> dict[str, Any]:
        """What run.json says of it."""
        return {"file": self.path.name, "sha256": sha256(self.table), "fold": self.fold}


def _describe(dataset: Dataset, split: Split) -> str:
    """A sentence on how Division.make divided a data set."""
    counts = count_parts(dataset, split)
    groups = set(split.groups.values())
    kinds = {"file" if _OF_ONE.fullmatch(g) else g.partition(":")[0] for g in groups}
    sizes = listed(f"{sum(n.values()):,} to {part}" for part, n in counts.items())
    held_out = counts[split.names[-1]] | count_findings(dataset, split)[split.names[-1]]
    fewest = min(held_out, key=lambda name: held_out[name])
    few = f" Only {held_out[fewest]:,} of {fewest} are held out, on which figures say little."
    return (
        f"The data name no val part, so their {len(dataset.records):,} images were divided, in "
        f"{plural(len(groups), 'group')} ({listed(_GROUPS[k] for k in sorted(kinds))}): {sizes}."
        + (few if held_out[fewest] < _FEW else "")
    )


def as_divided(dataset: Dataset, run: Path) -> Dataset:
    """The data set in the parts that a run was trained by.

    It stays as it is where run is no run or took the splits of its data, and where dataset is
    another than the run's, by place and by content: other data have splits of their own. Raises
    DataError where the run's data are no longer those that its table lists.
    """
    division = Division.of_run(run)
    facts = read_facts(run)
    if division is None or facts is None:
        return dataset
    moved = dataset.root.resolve() != data_root(run)
    if moved and dataset.content != facts["data"].get("content"):
        return dataset
    return division.apply(dataset)


def as_pair(
    classifier: Trained, dataset: Data, progress: Progress | None = None
) -> tuple[Classifier, Dataset]:
    """A classifier, and data for it, from what people have.

    Data that are given by their path are opened with the classifier's labels, and may lack images
    of a class. Where the classifier is given by the folder of its run, the images are divided as
    the run divided them (as_divided). Raises as as_classifier and as_dataset do.
    """
    model = as_classifier(classifier)
    opened = as_dataset(dataset, tree=model.tree, every_class=False, progress=progress)
    if isinstance(classifier, Classifier):
        return model, opened
    return model, as_divided(opened, Path(classifier))


# ---- opening it ----------------------------------------------------------------------------


def new_run_folder(dataset: Dataset) -> Path:
    """The first of runs/NAME-1, runs/NAME-2, … in the working folder that is not there yet."""
    name = re.sub(r"[^\w-]+", "-", Path(dataset.name).stem).strip("-") or "run"
    return next(p for k in count(1) if not (p := Path("runs") / f"{name}-{k}").exists())


@contextmanager
def lock_run(out: Path) -> Iterator[None]:
    """Hold the run folder for this process; the system lets go of it when the process dies."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"{out}: cannot be made ({error.strerror}).") from None
    try:
        with locked(out / ".lock", timeout=0):
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
        first = {RECIPE_FILE: plan.recipe.to_toml().encode()}
        if division:
            first[SPLIT_FILE] = division.table
        strangers = (p.name for p in out.iterdir() if not _left_by_a_kill(p, first))
        refuse_others(out, strangers, TrainingError)
        facts = _first_facts(plan, division)
        for name, data in first.items():
            write_atomically(out / name, data)
        write_facts(out, facts)
        return facts
    _refuse_differences(out, plan, division, found)
    return found


def forget_run(out: Path) -> None:
    """Remove what open_run wrote, of a run that could not begin."""
    for name in (FACTS_FILE, RECIPE_FILE, SPLIT_FILE):
        (out / name).unlink(missing_ok=True)


def _left_by_a_kill(path: Path, first: dict[str, bytes]) -> bool:
    """Whether this file may be of a run that was killed before it wrote run.json."""
    if path.name == ".lock" or path.name.endswith(".partial"):
        return True
    return path.name in first and path.read_bytes() == first[path.name]


def _refuse_differences(
    out: Path, plan: Plan, division: Division | None, then: dict[str, Any]
) -> None:
    """Raise TrainingError unless the run whose facts are given is the one that is planned."""
    now = _first_facts(plan, division)
    needed = ("labels", "data", "device", "precision", "networks")
    lacking = [key for key in needed if then.get(key) is None]
    if not lacking:
        parts = ("fingerprint", "name", "counts")
        lacking = [f"data.{key}" for key in parts if then["data"].get(key) is None]
    if lacking:
        raise _damaged(out / FACTS_FILE, f"it lacks {', '.join(lacking)}")
    found = [*changed_data(then, now), *changed_starts(then, now)]
    found += differences(Recipe.load(out / RECIPE_FILE), plan.recipe)
    found += [f"{k}: {then[k]} → {now[k]}" for k in ("device", "precision") if then[k] != now[k]]
    if found:
        raise TrainingError(
            f"{out}: cannot resume, because this is not the same training:\n"
            + "\n".join(f"  {line}" for line in found)
        )


# ---- run.json --------------------------------------------------------------------------------


def _first_facts(plan: Plan, division: Division | None) -> dict[str, Any]:
    """What run.json says at the start."""
    dataset, recipe = plan.dataset, plan.recipe
    return {
        "format": 1,
        "name": recipe.name,
        "data": {
            "root": str(dataset.root.resolve()),
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "content": dataset.content,
            "synthetic": dataset.synthetic,
            "source": plan.source,
            "layout": dataset.layout,
            "split": to_plain(division),
            "counts": dataset.counts(),
            **({"findings": dataset.finding_counts()} if dataset.tree.findings else {}),
            **({"damaged": dict(dataset.damaged)} if dataset.damaged else {}),
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
        "versions": versions("hilum", "torch", "numpy", "pillow"),
        "threads": torch.get_num_threads(),
        "started": utc_now(),
        "finished": None,
        "seconds": None,
        "networks": {},
        **({"starts": to_plain(plan.starts)} if plan.starts else {}),
    }


def read_facts(run: Path) -> dict[str, Any] | None:
    """The facts of a run; None where the folder has none. Raises TrainingError if damaged."""
    file = run / FACTS_FILE
    if not file.exists():
        return None
    try:
        return check_facts(read_json(file, TrainingError), file, TrainingError)
    except TrainingError as error:
        raise _damaged(file, str(error).removeprefix(f"{file} ").rstrip(".")) from None


def write_facts(run: Path, facts: dict[str, Any]) -> None:
    """Replace the facts of a run at once, so that a kill leaves the old ones or the new."""
    write_atomically(run / FACTS_FILE, (json.dumps(facts, indent=2) + "\n").encode())


def data_root(run: Path) -> Path | None:
    """The data folder that a run was trained on, where it still exists."""
    facts = read_facts(run)
    root = ((facts or {}).get("data") or {}).get("root")
    return as_place(root) if root and is_dir(root) else None


def _damaged(file: Path, what: str) -> TrainingError:
    return TrainingError(
        f"{file}: damaged ({what}). To train anew, remove the folder or name another."
    )


def changed_data(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs in the labels and data that facts name, as ``labels: old → new``."""
    found = []
    if then.get("labels") != now.get("labels"):
        old_tree, new_tree = (LabelTree.from_json(side["labels"]) for side in (then, now))
        found.append(f"labels: {old_tree} → {new_tree}")
    old, new = then["data"], now["data"]
    if old["fingerprint"] != new["fingerprint"]:
        same = " (same counts, other contents)" if old["counts"] == new["counts"] else ""
        found.append(f"data: {old['name']} {old['counts']} → {new['name']} {new['counts']}{same}")
    return found


def versions(*packages: str) -> dict[str, str]:
    """The versions of installed packages, and of Python."""
    return {**{name: version(name) for name in packages}, "python": platform.python_version()}


def utc_now() -> str:
    """Date and time in UTC, as ISO 8601 to the second."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# ---- what happened ---------------------------------------------------------------------------


class History:
    """history.jsonl and log.txt of one run. Both can be read while it goes on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def restore(self, rows: list[Row]) -> None:
        """Set history.jsonl to the rows that the checkpoints hold, whatever a kill left in it."""
        text = "".join(json.dumps(row) + "\n" for row in rows)
        write_atomically(self.folder / HISTORY_FILE, text.encode())

    def append(self, row: Row) -> None:
        """Record an epoch."""
        with (self.folder / HISTORY_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        monitored = (
            f", monitored loss {row['monitor_loss']:.4f}, accuracy {row['monitor_accuracy']:.4f}"
            if row["monitor_loss"] is not None
            else ""
        )
        self.log(
            f"{row['decision']}: epoch {row['epoch']} of {row['epochs']}: "
            f"train loss {row['train_loss']:.4f}, accuracy {row['train_accuracy']:.4f}{monitored}; "
            f"learning rate {row['learning_rate']:.3g}; "
            f"{row['seconds']:.1f} s, {row['images_per_second']:.0f} images/s"
        )

    def log(self, line: str) -> None:
        """Add a line to log.txt, with the time in UTC."""
        with (self.folder / "log.txt").open("a", encoding="utf-8") as file:
            file.write(f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M:%S}  {line}\n")


def read_history(path: Path) -> list[Row]:
    """The rows of a history.jsonl, one per epoch and decision."""
    lines = read_text(path, TrainingError).splitlines()
    return [parse_json(line, path, TrainingError) for line in lines]
