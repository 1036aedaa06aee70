"""Several processes train what one does, and agree on everything, also on how they end."""

import json
import os
import random
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hilum.errors import RecipeError, TrainingError
from hilum.training import joining, run
from hilum.training.joining import joined, place_in
from hilum.training.plan import make_plan
from hilum.training.world import World
from tests.command import run_command
from tests.spots import write_spots
from tests.training.test_resume import ROOT, outcome

#: Of 36 images 7 a batch, so that in each last step of root one of two processes has none.
PLAIN = ["network=tests.training.together_run:Plain", "batch_size=7", "augmentation=full"]
FULL = ["augmentation=full", "ema=0.9", "scheduler=one-cycle", "class_weights=balanced"]
#: 24 steps; the first process writes recipe, run, run with the copies, history, and then one
#: file per epoch and decision.
MOMENTS: dict[str, dict[str, Any]] = {
    "last killed": {"last": {"kill": random.randint(1, 24)}},
    "first killed": {"first": {"write": random.randint(1, 10)}},
    "last told to stop": {"last": {"stop": random.randint(1, 4)}},
}
SPREAD = ["epochs=2", "decision.root.members=2"]
JOBS: list[dict[str, Any]] = [
    {"out": "one", "size": 1, "set": PLAIN},
    {"out": "two", "size": 2, "set": PLAIN},
    {"out": "two, then one", "size": 2, "set": PLAIN, "first": {"kill": 9}},
    {"out": "two, then one", "size": 1, "set": PLAIN},
    {"out": "whole", "size": 2, "set": FULL},
    *({"out": name, "size": 2, "set": FULL, **moment} for name, moment in MOMENTS.items()),
    *({"out": name, "size": 2, "set": FULL} for name in MOMENTS),
    {"out": "not finite", "size": 2, "set": PLAIN, "last": {"nan": 3}},
    {"out": "other recipe", "size": 2, "set": PLAIN, "last": {"set": FULL}},
    {"out": "other data", "size": 2, "set": PLAIN, "last": {"data": "other"}},
    {"out": "no data", "size": 2, "set": PLAIN, "last": {"data": "none"}},
    {"out": "small batch", "size": 2, "set": ["batch_size=1"]},
    {"out": "alone", "size": 1, "set": SPREAD},
    {"out": "spread", "size": 2, "set": SPREAD, "spread": True},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together")
    write_spots(folder / "spots", {"train": 12, "val": 4})
    write_spots(folder / "other", {"train": 12, "val": 4}, seed=1)
    return folder


@pytest.fixture(scope="module")
def done(folder: Path) -> dict[str, dict[str, Any]]:
    """How all JOBS ended; those of MOMENTS that went on also under 'NAME, resumed'."""
    command = [sys.executable, "-m", "tests.training.together_run", str(folder)]
    done = subprocess.run(
        command, input=json.dumps(JOBS), check=False, capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, Any]] = {}
    for job, end in zip(JOBS, json.loads(done.stdout), strict=True):
        found[f"{job['out']}, resumed" if job["out"] in found else job["out"]] = end
    return found


def losses(run: Path) -> list[float]:
    rows = outcome(run)[1]
    return [row[key] for row in rows for key in ("train_loss", "monitor_loss", "train_accuracy")]


def test_two_processes_train_what_one_does(done, folder):
    assert done["two"]["ends"] == [0, 0]
    assert losses(folder / "two") == pytest.approx(losses(folder / "one"), abs=1e-5)
    facts = [json.loads((folder / name / "run.json").read_text()) for name in ("one", "two")]
    assert [f.get("processes") for f in facts] == [None, 2]


def test_two_processes_see_what_one_sees(done):
    (alone,), shares = done["one"]["visits"], done["two"]["visits"]
    assert len(alone) == 2 * (6 + 4) * 3  # and as many partners of mixup
    for whole, first, last in zip(alone, *shares, strict=True):
        assert set(first) | set(last) == set(whole)
        assert set(first) & set(last) == set() or len(whole) == 1


def test_another_number_of_processes_goes_on_and_says_so(done, folder):
    assert losses(folder / "two, then one") == pytest.approx(losses(folder / "one"), abs=1e-5)
    facts = json.loads((folder / "two, then one/run.json").read_text())
    assert facts["processes"] == 1
    assert "first divided between 2 and then between 1 processes" in facts["notes"][-1]


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_and_resumed_equals_uninterrupted(done, folder, moment):
    said = done[moment]["said"]
    if moment == "last killed":
        assert done[moment]["ends"] == [2, -9]
        assert said[0].startswith("The process of rank 1 of 2 is gone. The checkpoints")
    elif moment == "first killed":
        assert done[moment]["ends"] == [-9, 2]
        assert said[1].startswith("The first process of 2 is gone.")
    else:
        assert done[moment]["ends"] == [2, 2]
        assert "stopped in epoch 1 of 'root'; a checkpoint was written" in said[0]
        assert said[1] == ""
    assert done[f"{moment}, resumed"]["ends"] == [0, 0]
    assert outcome(folder / moment) == outcome(folder / "whole"), MOMENTS[moment]
    assert not list((folder / moment).rglob("*.partial"))


@pytest.mark.parametrize(
    ("job", "said"),
    [
        ("not finite", "not a finite number in epoch 1, step 3;"),
        ("other recipe", "recipe: "),
        ("other data", "data: "),
        ("no data", "Rank 1: "),
        ("small batch", "'root' has 36 training images and batch_size 1 for 2 processes"),
    ],
)
def test_what_one_process_refuses_all_refuse_and_the_first_says(done, folder, job, said):
    assert done[job]["ends"] == [2, 2]
    assert said in done[job]["said"][0]
    assert done[job]["said"][1] == ""
    assert not list((folder / job).rglob("*.pt"))


def test_spread_over_processes_networks_are_bit_identical(done, folder):
    assert done["spread"]["ends"] == [0, 0]
    assert all(done["spread"]["visits"])  # both had something to do
    assert outcome(folder / "spread") == outcome(folder / "alone")


def test_devices_start_the_others(folder, tmp_path, monkeypatch, capsys, done):
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    monkeypatch.setattr(run, "_calibrated", lambda classifier, *_: classifier)
    train = ["train", folder / "spots", "--device", "cpu", "--no-report", "--devices", 2]
    keys = [part for key in ("image_size=32", "epochs=1", *PLAIN) for part in ("--set", key)]
    code, out, err = run_command(
        monkeypatch, capsys, *train, "--recipe", "covinet-flat", "--out", tmp_path / "run", *keys
    )
    assert code == 0, err
    assert out.count("Classifier: ") == 1
    assert json.loads((tmp_path / "run/run.json").read_text())["processes"] == 2

    code, _, err = run_command(monkeypatch, capsys, *train[:-1], 10_000)
    assert (code, "10,000 devices were asked for" in err) == (2, True)


def test_a_dead_address_ends_in_a_sentence(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    place = {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1"}
    for name, value in {**place, "MASTER_PORT": str(port)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(joining, "PATIENCE", 0.1)
    with pytest.raises(TrainingError, match=f"127.0.0.1:{port}: nobody answers"), joined():
        pass
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(TrainingError, match="cannot meet .*1/2 clients joined"), joined():
        pass
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(TrainingError, match="torchrun started 3 processes"), joined(2):
        pass


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"RANK": ""}, "RANK is ''; expected a number"),
        ({"RANK": "2"}, "RANK is 2 of 2"),
        ({"MASTER_ADDR": ""}, "MASTER_ADDR is not set"),
    ],
)
def test_an_environment_that_is_not_whole_is_refused(environment, said):
    whole = {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_PORT": "1"}
    with pytest.raises(TrainingError, match=said):
        place_in({**whole, "MASTER_ADDR": "there", **environment})
    assert place_in({"WORLD_SIZE": "1"}) is None


class Two(World):
    size = 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("sync_batch_norm=true", "sync_batch_norm is for GPUs"),
        ("batch_size=1", "'root' has 36 training images and batch_size 1 for 2 processes"),
    ],
)
def test_what_does_not_fit_several_processes_is_refused(spots, recipe, change, said):
    assert make_plan(spots, recipe(change)).world.size == 1
    with pytest.raises(RecipeError, match=said):
        make_plan(spots, recipe(change), world=Two())


def test_shares_are_all_there_is():
    for size in range(1, 6):
        worlds = [type("Some", (World,), {"rank": rank, "size": size})() for rank in range(size)]
        for n in range(12):
            shares = [range(*world.share(n)) for world in worlds]
            assert [i for share in shares for i in share] == list(range(n))
            assert max(map(len, shares)) - min(map(len, shares)) <= 1
