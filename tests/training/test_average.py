"""The moving average of the weights: by hand, and through a training."""

from typing import Any

import torch
from torch import nn

from hilum.classifier.inference import compute_logits
from hilum.training.checkpoint import CheckpointFolder
from hilum.training.folder import read_history
from hilum.training.optim import AveragedWeights
from hilum.training.run import train


class One(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.norm = nn.BatchNorm1d(1, affine=False)


def set_to(network: One, value: float, batches: int) -> One:
    network.weight.data.fill_(value)
    network.norm.running_mean.fill_(10 * value)
    network.norm.num_batches_tracked.fill_(batches)
    return network


def test_it_forgets_fast_at_first():
    network = One()
    average = AveragedWeights(network, 0.9)
    set_to(network, 1.0, 1)
    average.update(step=0)  # keeps 1/10 of 0
    torch.testing.assert_close(average.network.weight.data, torch.tensor([0.9]))
    set_to(network, 2.0, 2)
    average.update(step=1)  # keeps 2/11 of 0.9
    torch.testing.assert_close(average.network.weight.data, torch.tensor([1.8]))
    torch.testing.assert_close(average.network.norm.running_mean, torch.tensor([18.0]))
    assert average.network.norm.num_batches_tracked == 2
    assert network.weight.data.item() == 2.0
    set_to(network, 0.8, 3)
    average.update(step=1000)  # by now the decay itself
    torch.testing.assert_close(average.network.weight.data, torch.tensor([1.7]))  # .9·1.8 + .1·.8


def test_a_low_decay_needs_no_warm_up():
    network = One()
    average = AveragedWeights(network, 0.05)
    set_to(network, 1.0, 1)
    average.update(step=0)
    torch.testing.assert_close(average.network.weight.data, torch.tensor([0.95]))


def test_the_classifier_gets_and_the_monitor_sees_the_average(tmp_path, spots, recipe, monkeypatch):
    seen: list[Any] = []

    class Spied(AveragedWeights):
        def __init__(self, trained, decay):
            super().__init__(trained, decay)
            self.trained = trained
            seen.append((None, trained.fc1.bias.detach().clone()))

        def update(self, step):
            seen.append((step, self.trained.fc1.bias.detach().clone()))
            super().update(step)

    monkeypatch.setattr("hilum.training.fit.AveragedWeights", Spied)
    run = tmp_path / "run"
    classifier = train(spots, recipe("ema=0.6", "strategy=flat"), run)

    assert [step for step, _ in seen[1:]] == list(range(15))  # 5 steps of 8 in each of 3 epochs
    expected = seen[0][1]
    for step, weights in seen[1:]:
        keep = min(0.6, (1 + step) / (10 + step))
        expected = keep * expected + (1 - keep) * weights
    last = CheckpointFolder(run / "checkpoints/flat").of_epoch(3)
    assert last.average
    torch.testing.assert_close(last.average["fc1.bias"], expected)
    state = classifier.networks["flat"].state_dict()
    assert all(torch.equal(state[key], last.average[key]) for key in state)
    assert not torch.equal(state["fc1.bias"], last.model["fc1.bias"])

    rows = spots.indices("val")
    pixels = spots.pixels(classifier.preprocessing)[rows]
    logits = compute_logits(
        classifier.networks["flat"], pixels, classifier.preprocessing, classifier.device
    )
    loss = nn.functional.cross_entropy(torch.from_numpy(logits), torch.tensor(spots.labels[rows]))
    row = read_history(run / "history.jsonl")[-1]
    assert abs(row["monitor_loss"] - loss.item()) < 1e-6


def test_the_weights_that_are_trained_do_not_know_of_it(tmp_path, spots, recipe):
    train(spots, recipe("epochs=1", "strategy=flat"), tmp_path / "without")
    train(spots, recipe("epochs=1", "strategy=flat", "ema=0.9"), tmp_path / "with")
    one, two = (
        CheckpointFolder(tmp_path / run / "checkpoints/flat").of_epoch(1).model
        for run in ("without", "with")
    )
    assert all(torch.equal(one[key], two[key]) for key in one)
