"""Optimizers and schedules as the recipe names them."""

import copy
import math

import pytest
import torch

from hilum.errors import RecipeError
from hilum.recipe import Recipe
from hilum.settings import Settings
from hilum.training import fit
from hilum.training.folder import read_history
from hilum.training.optim import Schedule, make_optimizer, warmed_up
from hilum.training.run import train


def rates(steps_per_epoch: int, **settings) -> list[float]:
    """The learning rate of every step."""
    wanted = Settings(optimizer="sgd", learning_rate=1.0, **settings)
    optimizer = make_optimizer(wanted, [torch.nn.Parameter(torch.zeros(1))])
    schedule = Schedule(wanted, optimizer, steps_per_epoch)
    found, total = [], wanted.epochs * steps_per_epoch
    for step in range(total):
        found.append(schedule.learning_rate)
        optimizer.step()
        schedule.after_batch(last=step == total - 1)
        if (step + 1) % steps_per_epoch == 0:
            schedule.after_epoch()
    return found


def test_a_warm_up_before_each_schedule():
    rising = [0.25, 0.5, 0.75, 1.0]  # 0.4 of 10 steps
    assert rates(5, epochs=2, warmup=0.4) == [*rising, 1, 1, 1, 1, 1, 1]
    falling = [(1 + math.cos(math.pi * k / 6)) / 2 for k in range(6)]
    assert rates(5, epochs=2, warmup=0.4, scheduler="cosine") == pytest.approx(rising + falling)
    stepped = [*rising, 1, 0.1, 0.1, 0.1, 0.1, 0.1]
    found = rates(5, epochs=2, warmup=0.4, scheduler="step", step_size=1)
    assert found == pytest.approx(stepped)


def test_the_least_warm_up_is_one_step_and_leaves_the_schedule_as_it_is():
    assert rates(2, epochs=2, warmup=0.01) == [1, 1, 1, 1]
    factor = warmed_up(Settings(epochs=1, warmup=0.99, scheduler="cosine"), 2)
    assert [factor(step) for step in range(2)] == [0.5, 1.0]


def test_one_cycle_has_its_own_warm_up():
    assert rates(5, epochs=2, scheduler="one-cycle", warmup=0.5) == rates(
        5, epochs=2, scheduler="one-cycle"
    )


def test_nesterov_is_for_sgd_with_momentum():
    weight = torch.nn.Parameter(torch.zeros(1))
    assert make_optimizer(Settings(optimizer="sgd", nesterov=True), [weight]).defaults["nesterov"]
    assert not make_optimizer(Settings(optimizer="sgd"), [weight]).defaults["nesterov"]
    make_optimizer(Settings(nesterov=True), [weight])  # adamw has none, as it has no momentum
    with pytest.raises(RecipeError, match="nesterov = true needs a momentum above 0"):
        Recipe().override(["nesterov=true", "momentum=0"])


def test_without_weight_decay_adamw_computes_what_adam_does():
    """Studies train the two once: see run_key in studies/study_run.py."""

    def weights(name: str, weight_decay: float) -> torch.Tensor:
        wanted = Settings(optimizer=name, learning_rate=0.01, weight_decay=weight_decay)
        values = torch.nn.Parameter(torch.linspace(-1, 1, 50))
        optimizer = make_optimizer(wanted, [values])
        for step in range(30):
            optimizer.zero_grad()
            (values.sin() * (values + step)).sum().backward()
            optimizer.step()
        return values.detach()

    assert torch.equal(weights("adam", 0.0), weights("adamw", 0.0))
    assert not torch.equal(weights("adam", 0.01), weights("adamw", 0.01))


def test_gradients_are_clipped_over_all_weights_together(tmp_path, spots, recipe, monkeypatch):
    started = []
    create = vars(fit)["create_network"]

    def spy(*args, **kwargs):
        network = create(*args, **kwargs)
        started.append(copy.deepcopy(network))
        return network

    monkeypatch.setattr(fit, "create_network", spy)
    quick = recipe(
        "strategy=flat", "epochs=1", "batch_size=36", "optimizer=sgd", "momentum=0",
        "learning_rate=1", "clip_norm=0.001",
    )  # fmt: skip
    classifier = train(spots, quick, tmp_path / "run")
    pairs = zip(classifier.networks["flat"].parameters(), started[0].parameters(), strict=True)
    moved = math.sqrt(sum(((a - b).double() ** 2).sum().item() for a, b in pairs))
    assert moved == pytest.approx(0.001, rel=1e-3)  # the one step: rate 1 times the norm


def test_image_passes_become_epochs():
    assert Settings(epochs=7).epochs_for(100) == 7
    wanted = Settings(epochs=7, passes=90_000)
    assert wanted.epochs_for(5216) == 17  # 17.25
    assert wanted.epochs_for(600) == 150
    assert wanted.epochs_for(20) == 300
    assert wanted.epochs_for(10**6) == 3


def test_a_run_tells_the_epochs_of_its_passes(tmp_path, spots, recipe):
    quick = recipe("passes=144", "epochs=9", "scheduler=one-cycle")
    classifier = train(spots, quick, tmp_path / "run")
    assert classifier.provenance["epochs"] == {"root": 4, "infected": 6}  # 36 and 24 images
    assert classifier.provenance["selected_epochs"] == {"root": 4, "infected": 6}
    rows = read_history(tmp_path / "run/history.jsonl")
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 1, 2, 3, 4, 5, 6]
    assert {row["epochs"] for row in rows if row["decision"] == "root"} == {4}
    assert rows[3]["learning_rate"] < rows[1]["learning_rate"]  # the cycle ends with them
