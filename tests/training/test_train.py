"""The one loop: what it learns, writes and refuses."""

import json
import resource
import subprocess
from typing import Any

import numpy as np
import pytest
import torch

from hilum.classifier.classifier import Classifier
from hilum.errors import DataError, HilumError, TrainingError
from hilum.radiographs.dataset import open_dataset
from hilum.training import fit
from hilum.training.checkpoint import Checkpoint, CheckpointFolder, best_epoch
from hilum.training.folder import as_divided, new_run_folder, read_history
from hilum.training.order import sample_order
from hilum.training.plan import TEST_USED
from hilum.training.run import train
from tests.spots import write_spots


def test_learns_and_writes_a_run(tmp_path, spots, recipe):
    seen: list[Any] = []
    quick = recipe("epochs=15", "learning_rate=0.01")
    classifier = train(spots, quick, tmp_path / "run", on_epoch=seen.append)

    predicted = classifier.predict_pixels(spots.pixels(classifier.preprocessing)).predicted
    assert (predicted == spots.labels).mean() > 0.9

    rows = read_history(tmp_path / "run/history.jsonl")
    assert rows == seen
    assert [(r["decision"], r["epoch"]) for r in rows] == [
        (d, e) for d in ("root", "infected") for e in range(1, 16)
    ]
    assert rows[14]["train_loss"] < rows[0]["train_loss"]
    log = (tmp_path / "run/log.txt").read_text().splitlines()
    assert len(log) == 32  # started, 30 epochs, finished
    facts = json.loads((tmp_path / "run/run.json").read_text())
    assert facts["finished"] is not None
    assert facts["data"]["counts"]["train"] == {"normal": 12, "covid": 12, "non-covid": 12}
    assert facts["monitored"] == {"split": "val", "n": 12}
    assert facts["selected_epochs"] == {"root": 15, "infected": 15}


def test_the_classifier_on_disk_is_the_one_that_was_returned(tmp_path, spots, recipe):
    made = train(spots, recipe("epochs=1"), tmp_path / "run")
    loaded = Classifier.load(tmp_path / "run", device="cpu")
    pixels = np.array(spots.pixels(made.preprocessing))
    assert (loaded.predict_pixels(pixels).probs == made.predict_pixels(pixels).probs).all()
    assert loaded.provenance["recipe"]["name"] == "quick"
    assert loaded.provenance["data"]["fingerprint"] == spots.fingerprint
    assert "root" not in loaded.provenance["data"]  # no path of the machine travels with it


def test_history_is_exact_over_samples(tmp_path, spots, recipe):
    # With a learning rate too small to change anything and a network without dropout, the
    # training loss of an epoch is the loss over all samples at once, weights included.
    quick = recipe(
        "network=naive", "epochs=1", "learning_rate=1e-30", "optimizer=sgd", "strategy=flat",
        "class_weights=[3.0, 1.0, 2.0]", "batch_size=7",
    )  # fmt: skip
    classifier = train(spots, quick, tmp_path / "run")
    (row,) = read_history(tmp_path / "run/history.jsonl")
    pixels = spots.pixels(classifier.preprocessing)
    for split, loss, accuracy in (("train", "train_loss", "train_accuracy"),
                                  ("val", "monitor_loss", "monitor_accuracy")):  # fmt: skip
        rows = spots.indices(split)
        probs = classifier.predict_pixels(pixels[rows]).probs
        truth = spots.labels[rows]
        weights = np.array([3.0, 1.0, 2.0])[truth]
        expected = -(weights * np.log(probs[np.arange(len(rows)), truth])).sum() / weights.sum()
        assert row[loss] == pytest.approx(expected, rel=1e-5)
        assert row[accuracy] == (probs.argmax(axis=1) == truth).mean()


def test_the_same_seed_gives_the_same_weights_and_another_does_not(tmp_path, spots, recipe):
    weights = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(spots, recipe("epochs=1", f"seed={seed}"), tmp_path / name)
        weights[name] = (tmp_path / name / "classifier/root.safetensors").read_bytes()
    assert weights["a"] == weights["b"] != weights["c"]


def test_seeds_and_decisions_start_from_other_weights(tmp_path, spots, recipe):
    # with a learning rate this small, what is trained is what it started from
    started = {}
    for seed in (1, 2):
        quick = recipe("epochs=1", "optimizer=sgd", "learning_rate=1e-30", f"seed={seed}")
        for name, network in train(spots, quick, tmp_path / str(seed)).networks.items():
            started[seed, name] = network.state_dict()["conv1.weight"]
    states = list(started.values())
    for i, one in enumerate(states):
        assert not any(torch.equal(one, other) for other in states[:i])


def test_global_randomness_is_left_alone(tmp_path, spots, recipe):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    train(spots, recipe("epochs=1"), tmp_path / "run")
    assert torch.equal(torch.rand(3), expected)


def test_sample_order_is_a_permutation_that_changes_with_epoch_decision_and_seed():
    one = sample_order(0, "root", 1, 100)
    assert sorted(one) == list(range(100))
    assert (one == sample_order(0, "root", 1, 100)).all()
    for other in ((1, "root", 1), (0, "infected", 1), (0, "root", 2)):
        assert (one != sample_order(*other, 100)).any()


@pytest.mark.parametrize("scheduler", ["none", "step", "cosine", "one-cycle"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_every_optimizer_and_schedule(tmp_path, spots, recipe, optimizer, scheduler):
    quick = recipe(
        "strategy=flat", "epochs=4", f"optimizer={optimizer}", f"scheduler={scheduler}",
        "step_size=2", "gamma=0.5", "learning_rate=0.004", "label_smoothing=0.1",
    )  # fmt: skip
    train(spots, quick, tmp_path / "run")
    rates = [row["learning_rate"] for row in read_history(tmp_path / "run/history.jsonl")]
    if scheduler == "one-cycle":  # starts at 1/25 of the peak, rises, falls to almost 0
        assert rates[0] == pytest.approx(0.004 / 25)
        assert max(rates) > 0.003
        assert rates[-1] < 0.004 / 2
    else:
        expected = {
            "none": [0.004] * 4,
            "step": [0.004, 0.004, 0.002, 0.002],
            "cosine": [0.002 * (1 + np.cos(np.pi * e / 4)) for e in range(4)],
        }
        assert rates == pytest.approx(expected[scheduler])


def test_one_network_learns_all_decisions(tmp_path, spots, recipe):
    """Without weights and smoothing that is the loss over the classes, but for rounding."""
    of_classes = recipe("strategy=flat", "epochs=2", "class_weights=none")
    joint = of_classes.override(["loss=decisions"])
    train(spots, of_classes, tmp_path / "classes")
    train(spots, joint, tmp_path / "decisions")
    rows = [read_history(tmp_path / run / "history.jsonl") for run in ("classes", "decisions")]
    for key in ("train_loss", "monitor_loss"):
        assert rows[0][1][key] == pytest.approx(rows[1][1][key], rel=1e-3)

    robust = joint.override(["class_weights=balanced", "label_smoothing=0.1", "augmentation=full"])
    train(spots, robust, tmp_path / "robust")
    assert read_history(tmp_path / "robust/history.jsonl")[1]["train_loss"] > 0


def test_checkpoints_hold_what_they_should(tmp_path, spots, recipe):
    train(spots, recipe("keep_checkpoints=all", "scheduler=step"), tmp_path / "run")
    folder = CheckpointFolder(tmp_path / "run/checkpoints/root")
    assert [p.name[:10] for p in folder.paths()] == ["epoch-0001", "epoch-0002", "epoch-0003"]
    state = torch.load(folder.paths()[-1], weights_only=True)
    assert state["epoch"] == 3
    row = read_history(tmp_path / "run/history.jsonl")[2]
    for key in ("train_loss", "train_accuracy", "monitor_loss", "monitor_accuracy"):
        assert state[key] == row[key]
    for key in ("model_state_dict", "optimizer_state_dict", "scheduler_state_dict", "rng_state"):
        assert state[key]


def test_newest_and_best_are_kept(tmp_path):
    folder = CheckpointFolder(tmp_path)
    history = []
    for epoch, loss in enumerate([0.9, 0.3, 0.5, 0.4], start=1):
        history.append({"epoch": epoch, "monitor_loss": loss})
        folder.save(Checkpoint(epoch, 0, {}, {}, {}, {}, {}, list(history)))
    assert [p.name[:10] for p in folder.paths()] == ["epoch-0002", "epoch-0004"]


@pytest.mark.parametrize(
    ("losses", "best"),
    [([0.5, 0.3, 0.3], 2), ([None, None], 0), ([float("nan"), 2.0], 2), ([], 0)],
)
def test_best_epoch(losses, best):
    rows = [{"epoch": i, "monitor_loss": loss} for i, loss in enumerate(losses, start=1)]
    assert best_epoch(rows) == best


def test_select_best_takes_the_epoch_of_the_lowest_monitored_loss(
    tmp_path, spots, recipe, monkeypatch
):
    losses = {0: 0.9, 1: 0.3, 2: 0.5}  # by epochs complete before
    monkeypatch.setattr(fit._Loop, "_monitor", lambda self, progress: (losses[self.epoch], 0.5))
    quick = recipe("select=best", "strategy=flat")
    classifier = train(spots, quick, tmp_path / "run")
    assert classifier.provenance["selected_epochs"] == {"flat": 2}
    assert classifier.provenance["selects_best"] == ["flat"]
    second = CheckpointFolder(tmp_path / "run/checkpoints/flat").of_epoch(2).model
    third = CheckpointFolder(tmp_path / "run/checkpoints/flat").of_epoch(3).model
    weights = classifier.networks["flat"].state_dict()
    assert all(torch.equal(weights[key], second[key]) for key in weights)
    assert not all(torch.equal(weights[key], third[key]) for key in weights)


def test_monitoring_blocks_keeps_them_out_of_training(tmp_path, recipe):
    data = open_dataset(write_spots(tmp_path / "spots", {"train": 40}))
    train(data, recipe("monitor=blocks", "epochs=1", "holdout=0.25"), tmp_path / "run")
    facts = json.loads((tmp_path / "run/run.json").read_text())
    assert facts["monitored"] == {"split": "blocks", "n": 30}


def test_monitoring_test_is_said(tmp_path, recipe):
    data = open_dataset(write_spots(tmp_path / "spots", {"train": 4, "test": 2}))
    classifier = train(data, recipe("monitor=test", "epochs=1"), tmp_path / "run")
    assert classifier.provenance["notes"] == [TEST_USED]


def test_bfloat16_can_be_asked_for(tmp_path, spots, recipe):
    train(spots, recipe("precision=bfloat16", "epochs=1"), tmp_path / "run")
    assert json.loads((tmp_path / "run/run.json").read_text())["precision"] == "bfloat16"


# ---- refusals ------------------------------------------------------------------------------


def test_a_missing_split_to_monitor_is_refused(tmp_path, recipe):
    data = open_dataset(write_spots(tmp_path / "spots", {"train": 4}))
    with pytest.raises(TrainingError, match=r"no split 'test' to monitor.*--monitor blocks"):
        train(data, recipe("monitor=test"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("counts", "parts", "said"),
    [
        ({"train": 6}, {"train": 12, "val": 3, "test": 3},
         "their 18 images were divided, in 18 groups (single files): "
         "12 to train, 3 to val and 3 to test. Only 1 of"),
        ({"train": 8, "test": 4}, {"train": 21, "val": 3, "test": 12}, "and 12 to test. Only 4 of"),
    ],
)  # fmt: skip
def test_data_without_a_part_to_choose_by_are_divided(
    tmp_path, recipe, monkeypatch, counts, parts, said
):
    data = open_dataset(write_spots(tmp_path / "spots", counts))
    monkeypatch.chdir(tmp_path)
    classifier = train(data, recipe("epochs=1", "strategy=flat"))
    run = tmp_path / "runs/spots-1"
    divided = as_divided(data, run)
    assert {s: sum(n.values()) for s, n in divided.counts().items()} == parts
    if "test" in counts:
        kept = {r.name for r in divided.records if r.split == "test"}
        assert kept == {r.name for r in data.records if r.split == "test"}
    (note,) = [note for note in classifier.provenance["notes"] if "were divided" in note]
    assert said in note
    assert classifier.validation.about["n"] == 3
    weights = (run / "classifier/flat.safetensors").read_bytes()
    train(data, recipe("epochs=1", "strategy=flat"), run, resume=True)
    assert new_run_folder(data).name == "spots-2"
    train(data, recipe("epochs=1", "strategy=flat"))
    assert (tmp_path / "runs/spots-2/classifier/flat.safetensors").read_bytes() == weights


def test_data_without_train_is_refused(tmp_path, recipe):
    data = open_dataset(write_spots(tmp_path / "spots", {"val": 4}))
    with pytest.raises(DataError, match="no split 'train'"):
        train(data, recipe(), tmp_path / "run")


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("decision.flat.epochs=2", "settings for the decision 'flat'"),
        ("class_weights=[1.0, 2.0, 3.0]", "3 numbers, but the decision 'root'"),
        ("loss=decisions", "needs strategy = 'flat'"),
        ("network=covinett", "Did you mean 'covinet'"),
        ("device=cuda:99", "no device 'cuda:99'"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused_before_anything_is_written(
    tmp_path, spots, recipe, assignment, said
):
    with pytest.raises(HilumError, match=said):
        train(spots, recipe(assignment), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_in_use_is_refused(tmp_path, spots, recipe):
    import filelock

    (tmp_path / "run").mkdir()
    with (
        filelock.FileLock(tmp_path / "run/.lock"),
        pytest.raises(TrainingError, match="another run is using this folder"),
    ):
        train(spots, recipe(), tmp_path / "run")


def test_a_folder_with_a_run_or_strangers_is_refused(tmp_path, spots, recipe):
    train(spots, recipe("epochs=1"), tmp_path / "run")
    with pytest.raises(TrainingError, match="holds a run already"):
        train(spots, recipe("epochs=1"), tmp_path / "run")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("x")
    with pytest.raises(TrainingError, match=r"other files \(thesis.txt\)"):
        train(spots, recipe("epochs=1"), tmp_path / "mine")
    with pytest.raises(TrainingError, match="no run to resume"):
        train(spots, recipe("epochs=1"), tmp_path / "new", resume=True)


def test_what_a_kill_before_run_json_left_is_no_stranger(tmp_path, spots, recipe):
    wanted = recipe("epochs=1")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/recipe.toml").write_text(wanted.to_toml())
    (tmp_path / "run/.run.json.x.partial").touch()

    train(spots, wanted, tmp_path / "run")

    (tmp_path / "other").mkdir()
    (tmp_path / "other/recipe.toml").write_text("mine = 1")
    with pytest.raises(TrainingError, match=r"other files \(recipe.toml\)"):
        train(spots, wanted, tmp_path / "other")


def test_a_loss_that_is_not_finite_stops_and_names_the_batch(tmp_path, spots, recipe, monkeypatch):
    step = fit._Loop._train_step

    def poisoned(self, epoch):
        step(self, epoch)
        if self.decision.name == "root" and epoch == 2 and self.step == 2:
            self.gradients.record[2, 0] = float("nan")

    monkeypatch.setattr(fit._Loop, "_train_step", poisoned)
    with pytest.raises(
        TrainingError, match=r"epoch 2, step 3.*Files of the batch: train/"
    ) as error:
        train(spots, recipe(), tmp_path / "run")
    order = sample_order(0, "root", 2, 36)[16:24]
    for position in order:
        assert spots.records[spots.indices("train")[position]].name in str(error.value)
    newest = CheckpointFolder(tmp_path / "run/checkpoints/root").newest()
    assert newest is not None
    assert newest.epoch == 1
    assert not (tmp_path / "run/classifier").exists()


def test_a_diverging_learning_rate_really_ends_so(tmp_path, spots, recipe):
    # weight decay larger than 2 / learning_rate multiplies the weights at every step
    diverging = recipe("learning_rate=10", "weight_decay=10", "optimizer=sgd", "epochs=50")
    with pytest.raises(TrainingError, match="not a finite number"):
        train(spots, diverging, tmp_path / "run")


FULL_DISK = """
import resource, sys
from hilum.errors import TrainingError
from hilum.radiographs.dataset import open_dataset
from hilum.recipe import Recipe
from hilum.training.run import train
data = open_dataset(sys.argv[1])

def shrink(row):
    if row["decision"] == "root" and row["epoch"] == 2:  # from here on, files stay this small
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

try:
    train(data, Recipe.load(sys.argv[2]), sys.argv[3], on_epoch=shrink)
except TrainingError as error:
    print(error)
"""


def test_a_full_disk_leaves_the_previous_checkpoint(tmp_path, spots, recipe, python):
    # RLIMIT_FSIZE makes write() fail as a full disk does, after a part of the file was written.
    assert resource.RLIMIT_FSIZE
    quick = recipe("epochs=3")
    (tmp_path / "recipe.toml").write_text(quick.to_toml())
    out = tmp_path / "run"
    arguments = [str(spots.root), str(tmp_path / "recipe.toml"), str(out)]
    done = subprocess.run(
        [python, "-c", FULL_DISK, *arguments], capture_output=True, text=True, check=True
    )
    assert "the checkpoint after epoch 3 cannot be written" in done.stdout
    assert "epoch-0002" in done.stdout
    folder = CheckpointFolder(out / "checkpoints/root")
    newest = folder.newest()
    assert newest is not None
    assert newest.epoch == 2
    assert not list(folder.folder.glob(".*"))
    train(spots, quick, out, resume=True)  # once there is room again
    train(spots, quick, tmp_path / "whole")
    for name in ("root.safetensors", "infected.safetensors"):
        assert (out / "classifier" / name).read_bytes() == (
            tmp_path / "whole/classifier" / name
        ).read_bytes()
