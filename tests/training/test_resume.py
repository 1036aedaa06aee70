"""A run that was killed and resumed equals one that was not, bit for bit."""

import json
import random
import signal
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hilum.auditing.leaks import Copies
from hilum.errors import Interrupted, TrainingError
from hilum.files import sha256
from hilum.radiographs.dataset import Dataset, open_dataset
from hilum.recipe import Recipe
from hilum.training import run
from hilum.training.checkpoint import CheckpointFolder, Row
from hilum.training.run import train
from tests.calls import count_calls
from tests.spots import quick_recipe, write_spots
from tests.training.killed_run import TRAINING

ROOT = Path(__file__).parents[2]
TIMES = ("seconds", "images_per_second")


def outcome(run: Path) -> tuple[dict[str, bytes], list[dict[str, Any]]]:
    """The weights' bytes and the history without what a clock measured."""
    weights = {p.name: p.read_bytes() for p in (run / "classifier").glob("*.safetensors")}
    rows = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    return weights, [{k: v for k, v in row.items() if k not in TIMES} for row in rows]


@dataclass(frozen=True)
class Runs:
    """Data, a recipe, what a whole run of it left, and folders of runs that were killed."""

    data: Dataset
    recipe: Recipe
    whole: tuple[dict[str, bytes], list[dict[str, Any]]]
    killed: Path


# 5 steps of root and 3 of infected an epoch, 3 epochs each; files: recipe, run,
# run with the copies, history, then one per epoch and decision, then the classifier's.
MOMENTS = (
    "step:1",  # before anything is learnt
    "step:8+step:4",  # within the second epoch, then again after resuming
    "write:6",  # during the write of the second checkpoint of root
    "step:19+write:3",  # in the second decision; then in the next checkpoint's write
    "write:12",  # during the write of the classifier
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, python: str) -> Runs:
    """Killed at each of MOMENTS, and before any one of the calls that training makes."""
    folder = tmp_path_factory.mktemp("resume")
    data = open_dataset(write_spots(folder / "spots", {"train": 12, "val": 4}))
    recipe = quick_recipe("augmentation=full", "scheduler=one-cycle", "class_weights=balanced")
    (folder / "recipe.toml").write_text(recipe.to_toml())
    calls = count_calls(lambda: train(data, recipe, folder / "whole"), of=TRAINING)
    moments = [*MOMENTS, f"call:{random.randint(1, calls)}"]

    command = [python, "-m", "tests.training.killed_run", str(folder), *moments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)

    assert done.returncode == 0, done.stderr
    return Runs(data, recipe, outcome(folder / "whole"), folder)


@pytest.mark.parametrize("moment", [*MOMENTS, "call:*"])
def test_killed_and_resumed_equals_uninterrupted(runs, moment):
    (out,) = runs.killed.glob(moment)

    train(runs.data, runs.recipe, out, resume=(out / "run.json").exists())

    assert outcome(out) == runs.whole, out.name
    assert not list(out.rglob("*.partial"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_with_a_checkpoint_and_says_how_to_resume(tmp_path, spots, recipe, number):
    quick = recipe("scheduler=cosine")
    train(spots, quick, tmp_path / "whole")

    def interrupt(what: str, done: int, total: int) -> None:
        if what == "root: epoch 2 of 3" and done == 16:
            signal.raise_signal(number)

    with pytest.raises(Interrupted, match=r"--out .*stopped --resume"):
        train(spots, quick, tmp_path / "stopped", progress=interrupt)
    newest = CheckpointFolder(tmp_path / "stopped/checkpoints/root").newest()
    assert newest is not None
    assert (newest.epoch, newest.step) == (1, 2)
    assert "stopped in epoch 2" in (tmp_path / "stopped/log.txt").read_text()

    train(spots, quick, tmp_path / "stopped", resume=True)
    assert outcome(tmp_path / "stopped") == outcome(tmp_path / "whole")


@pytest.mark.parametrize(("times", "said"), [(1, "when all was trained"), (2, "at once")])
def test_ctrl_c_after_the_last_step_and_twice_says_how_to_resume(
    tmp_path, spots, recipe, times, said
):
    def interrupt(row: Row) -> None:
        if row["decision"] == "infected":
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)

    quick, out = recipe("epochs=1"), tmp_path / "stopped"
    with pytest.raises(Interrupted, match=rf"stopped {said}.*--out .*stopped --resume"):
        train(spots, quick, out, on_epoch=interrupt)
    train(spots, quick, out, resume=True)
    train(spots, quick, tmp_path / "whole")
    assert outcome(out) == outcome(tmp_path / "whole")


def test_handlers_are_given_back(tmp_path, spots, recipe):
    before = signal.getsignal(signal.SIGINT)
    train(spots, recipe("epochs=1"), tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is before


def test_copies_are_looked_for_once_and_not_before_a_run_may_start(
    tmp_path, spots, recipe, monkeypatch
):
    out = tmp_path / "run"
    told: list[Copies] = []
    name = spots.records[0].name

    def look(*_, **__):
        assert (out / "run.json").exists()
        return Copies(1, (name,))

    def interrupt(what: str, done: int, total: int) -> None:
        if what == "root: epoch 2 of 3" and done == 16:
            signal.raise_signal(signal.SIGINT)

    def facts():
        return json.loads((out / "run.json").read_text())

    with monkeypatch.context() as patch:
        patch.setattr(run, "find_copies", look)
        with pytest.raises(Interrupted):
            train(spots, recipe(), out, progress=interrupt, on_copies=told.append)
    begun = facts()
    assert begun["copies"] == {"groups": 1, "names": [name]}
    assert begun["notes"][-1] == told[0].sentence
    monkeypatch.setattr(run, "find_copies", None)  # a look would fail
    with pytest.raises(TrainingError, match="holds a run already"):
        train(spots, recipe(), out)
    train(spots, recipe(), out, resume=True, on_copies=told.append)
    assert told == [Copies(1, (name,))] * 2
    assert facts()["notes"] == begun["notes"]


def test_copies_are_looked_for_where_an_older_run_does_not_name_them(tmp_path, spots, recipe):
    train(spots, recipe("epochs=1"), tmp_path / "run")
    file = tmp_path / "run/run.json"
    facts = json.loads(file.read_text())
    assert facts.pop("copies") == {"groups": 0, "names": []}
    file.write_text(json.dumps({**facts, "finished": None}))
    train(spots, recipe("epochs=1"), tmp_path / "run", resume=True)
    assert json.loads(file.read_text())["copies"] == {"groups": 0, "names": []}


def test_a_finished_run_is_only_read(tmp_path, spots, recipe):
    train(spots, recipe("epochs=1"), tmp_path / "run")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*.*") if p.is_file()}
    train(spots, recipe("epochs=1"), tmp_path / "run", resume=True)
    after = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*.*") if p.is_file()}
    assert {k: v for k, v in after.items() if k.name != ".lock"} == {
        k: v for k, v in before.items() if k.name != ".lock"
    }


def test_no_run_to_resume(tmp_path, spots, recipe):
    undivided = open_dataset(spots.root / "train")
    with pytest.raises(TrainingError, match="run: there is no run to resume here"):
        train(undivided, recipe("epochs=1"), tmp_path / "run", resume=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("learning_rate=0.01",), "learning_rate: 0.001 → 0.01"),
        (("decision.root.epochs=9",), "decision.root.epochs: not set → 9"),
        (("seed=1",), "seed: 0 → 1"),
    ],
)
def test_another_recipe_is_refused(tmp_path, spots, recipe, change, said):
    train(spots, recipe("epochs=1"), tmp_path / "run")
    with pytest.raises(TrainingError, match=said.replace(".", r"\.")):
        train(spots, recipe("epochs=1", *change), tmp_path / "run", resume=True)


def test_another_data_set_is_refused(tmp_path, spots, recipe):
    train(spots, recipe("epochs=1"), tmp_path / "run")
    other = open_dataset(write_spots(tmp_path / "other", {"train": 12, "val": 4}, seed=1))
    with pytest.raises(TrainingError, match="same counts, other contents"):
        train(other, recipe("epochs=1"), tmp_path / "run", resume=True)


def test_another_label_order_is_refused(tmp_path, spots, recipe):
    from hilum.labels import LabelTree

    train(spots, recipe("epochs=1"), tmp_path / "run")
    other = open_dataset(spots.root, tree=LabelTree.from_text("normal, infected(non-covid, covid)"))
    with pytest.raises(TrainingError, match=r"labels: .*covid, non-covid.* → .*non-covid, covid"):
        train(other, recipe("epochs=1"), tmp_path / "run", resume=True)


def test_a_damaged_checkpoint_is_named(tmp_path, spots, recipe):
    quick = recipe("keep_checkpoints=all")
    out = tmp_path / "run"

    def interrupt(what: str, done: int, total: int) -> None:
        if what == "root: epoch 3 of 3":
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted):
        train(spots, quick, out, progress=interrupt)
    newest = CheckpointFolder(out / "checkpoints/root").paths()[-1]
    newest.write_bytes(newest.read_bytes()[:-1])
    with pytest.raises(TrainingError, match=rf"{newest.name}.*damaged"):
        train(spots, quick, out, resume=True)
    newest.unlink()  # as the message says
    train(spots, quick, out, resume=True)
    train(spots, quick, tmp_path / "whole")
    assert outcome(out) == outcome(tmp_path / "whole")


SOUND = {
    "epoch": 1, "step": 0, "model_state_dict": {}, "optimizer_state_dict": {},
    "scheduler_state_dict": {}, "rng_state": {}, "running": {}, "history": [],
}  # fmt: skip


class Evil:
    def __reduce__(self):
        return (print, ("this must never be printed",))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (Evil(), "refused: reading it would run code"),
        ({"epoch": 1}, r"not of this training \('step'\)"),
        ([], "not of this training"),
        ({**SOUND, "history": [{}]}, "parts of another kind"),
        ({**SOUND, "running": {"loss": "x"}}, "not of this training"),
        ({**SOUND, "epoch": "1"}, "not of this training"),
    ],
)
def test_an_evil_checkpoint_whose_name_fits_is_refused(tmp_path, content, said, capfd):
    torch.save(content, tmp_path / "c.pt")
    data = (tmp_path / "c.pt").read_bytes()
    name = f"epoch-0001-00000-{sha256(data)[:16]}.pt"
    (tmp_path / "c.pt").rename(tmp_path / name)

    with pytest.raises(TrainingError, match=rf"{name}: .*{said}"):
        CheckpointFolder(tmp_path).newest()

    assert "never be printed" not in capfd.readouterr().out


def test_weights_of_another_network_are_refused(tmp_path, spots, recipe):
    train(spots, recipe("epochs=1"), tmp_path / "run")
    facts = json.loads((tmp_path / "run/run.json").read_text())
    (tmp_path / "run/run.json").write_text(json.dumps(facts | {"finished": None}))
    folder = CheckpointFolder(tmp_path / "run/checkpoints/root")
    newest = folder.newest()
    assert newest
    folder.paths()[-1].unlink()
    folder.save(replace(newest, model={}, average=None))

    with pytest.raises(TrainingError, match=r"checkpoints/root: .*not of this training"):
        train(spots, recipe("epochs=1"), tmp_path / "run", resume=True)
