"""Which samples an epoch visits."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.networks.registry import create_network
from hilum.settings import Settings
from hilum.training import loss, step
from hilum.training.order import balanced_order, member_seed, plan_epoch, sample_order
from hilum.training.plan import make_plan
from hilum.training.run import train

RARE = np.array([0] * 2 + [1] * 6)


def test_every_option_comes_equally_often():
    visits = balanced_order(0, "root", 1, RARE)
    assert np.bincount(RARE[visits.positions]).tolist() == [4, 4]
    counts = np.bincount(visits.positions, minlength=8)
    assert counts[:2].tolist() == [2, 2]  # the rare ones twice
    assert sorted(counts[2:].tolist()) == [0, 0, 1, 1, 1, 1]  # of the common ones, 4 of 6
    for sample in (0, 1):
        assert sorted(visits.repeats[visits.positions == sample]) == [0, 1]
    assert visits.repeats[visits.positions > 1].tolist() == [0] * 4


def test_over_epochs_every_sample_of_an_option_comes_equally_often():
    visited = np.concatenate([balanced_order(5, "x", e, RARE).positions for e in (1, 2, 3)])
    assert np.bincount(visited).tolist() == [6, 6] + [2] * 6


def test_a_pure_function_that_changes_with_epoch_decision_and_seed():
    targets = np.arange(100) % 3
    one = balanced_order(0, "root", 1, targets)
    again = balanced_order(0, "root", 1, targets)
    assert (one.positions == again.positions).all()
    assert (one.repeats == again.repeats).all()
    for other in ((1, "root", 1), (0, "infected", 1), (0, "root", 2)):
        assert (one.positions != balanced_order(*other, targets).positions).any()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(1, 50))
def test_balance_whatever_the_counts(targets, epoch):
    targets = np.array(targets)
    visits = balanced_order(0, "root", epoch, targets)
    assert len(visits.positions) == len(targets)
    counts = [(targets[visits.positions] == option).sum() for option in np.unique(targets)]
    assert max(counts) - min(counts) <= 1
    assert len({*zip(visits.positions, visits.repeats, strict=True)}) == len(targets)
    assert visits.repeats.min() >= 0


def test_all_is_a_permutation():
    visits = plan_epoch(Settings(), 3, "root", 2, RARE)
    assert (visits.positions == sample_order(3, "root", 2, 8)).all()
    assert not visits.repeats.any()
    balanced = plan_epoch(Settings(sampling="balanced"), 3, "root", 2, RARE)
    assert (balanced.positions == balanced_order(3, "root", 2, RARE).positions).all()


def test_members_share_no_seed_with_the_runs_of_a_study():
    assert member_seed(7, 0) == 7
    seeds = [member_seed(seed, member) for seed in range(10) for member in range(5)]
    assert len(set(seeds)) == 50


def test_a_training_visits_rare_images_again_and_changes_them_anew(
    tmp_path, spots, recipe, monkeypatch
):
    seen, mixed, losses = [], [], []
    draw, partners_of = (vars(step)[name] for name in ("draw_changes", "mixup_partners"))
    loss_of = loss.DecisionLoss

    def spy_draw(doses, size, *, seed, epoch, indices):
        seen.append((epoch, indices))
        return draw(doses, size, seed=seed, epoch=epoch, indices=indices)

    def spy_partners(alpha, n, *, seed, epoch, indices):
        mixed.append((n, indices))
        return partners_of(alpha, n, seed=seed, epoch=epoch, indices=indices)

    def spy_loss(weights, smoothing, device):
        losses.append(weights)
        return loss_of(weights, smoothing, device)

    monkeypatch.setattr(step, "draw_changes", spy_draw)
    monkeypatch.setattr(step, "mixup_partners", spy_partners)
    monkeypatch.setattr(loss, "DecisionLoss", spy_loss)
    quick = recipe(
        "sampling=balanced", "class_weights=balanced", "epochs=2", "augmentation.mixup=0.2",
        "augmentation.noise=0.01", "decision.infected.epochs=1",
    )  # fmt: skip
    train(spots, quick, tmp_path / "run")
    (epoch, root), *_ = seen
    assert epoch == 1
    assert len(root) == len(set(root)) == 36  # no image is the same twice
    normal = spots.labels[root % len(spots.labels)] == 0
    assert normal.sum() == 18  # of 12 images; the other two classes are 24
    assert [n for n, _ in mixed] == [36, 36, 24]
    assert losses
    assert all(weights == [1.0, 1.0] for weights in losses)


def test_the_tables_of_every_epoch_lie_where_those_before_lay(spots, recipe):
    # what a GPU has recorded reads them there
    quick = recipe("strategy=flat", "augmentation.rotate=9", "augmentation.mixup=0.2")
    plan = make_plan(spots, quick)
    (decision,) = plan.decisions
    task = plan.task(decision, 0, spots.pixels(plan.preprocessing))
    network = create_network("covinet", outputs=3, image_size=quick.image_size)
    steps = step.Step(task, network, network, loss.DecisionLoss(None, 0, torch.device("cpu")))
    found = []
    for epoch in (1, 2):
        visits = plan_epoch(task.settings, 0, decision.name, epoch, np.asarray(task.train.targets))
        steps.begin(epoch, visits, quick.image_size, 0)
        tables = {**steps.tables, **steps.changes, "record": steps.record, "number": steps.number}
        found.append({name: (t.data_ptr(), t.clone()) for name, t in tables.items()})
    first, second = found
    assert {name: place for name, (place, _) in first.items()} == {
        name: place for name, (place, _) in second.items()
    }
    assert not torch.equal(first["maps"][1], second["maps"][1])
