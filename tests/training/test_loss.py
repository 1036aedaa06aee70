"""The loss for shares of labels, as mixup makes them, against the loss for whole ones."""

import math

import pytest
import torch
from torch.nn import functional

from hilum.training.loss import DecisionLoss

CPU = torch.device("cpu")
LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 1.5, 0.0], [0.0, 0.0, 3.0], [1.0, 1.0, 1.0]])
TARGETS = torch.tensor([0, 2, 2, 1])


@pytest.mark.parametrize("weights", [None, [3.0, 1.0, 0.5]])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_whole_labels_give_the_same_loss_in_both_forms(weights, smoothing):
    loss = DecisionLoss(weights, smoothing, CPU)
    shares = functional.one_hot(TARGETS, 3).float()
    torch.testing.assert_close(loss(LOGITS, shares), loss(LOGITS, TARGETS))
    torch.testing.assert_close(loss.weight_of(shares), loss.weight_of(TARGETS))


def test_a_share_is_a_share_of_the_loss():
    # logits 0 and ln 3: probabilities 1/4 and 3/4
    logits, shares = torch.tensor([[0.0, math.log(3)]]), torch.tensor([[0.75, 0.25]])
    expected = 0.75 * math.log(4) + 0.25 * math.log(4 / 3)
    assert DecisionLoss(None, 0.0, CPU)(logits, shares).item() == pytest.approx(expected)

    weighted = DecisionLoss([2.0, 4.0], 0.0, CPU)
    assert weighted.weight_of(shares).item() == 2.5  # 0.75 · 2 + 0.25 · 4
    expected = (0.75 * 2 * math.log(4) + 0.25 * 4 * math.log(4 / 3)) / 2.5
    assert weighted(logits, shares).item() == pytest.approx(expected)


def test_weights_shares_and_smoothing_together():
    # Smoothing by 0.2 over two options turns shares (3/4, 1/4) into (0.7, 0.3).
    logits, shares = torch.tensor([[0.0, math.log(3)]]), torch.tensor([[0.75, 0.25]])
    expected = (0.7 * 2 * math.log(4) + 0.3 * 4 * math.log(4 / 3)) / 2.5
    loss = DecisionLoss([2.0, 4.0], 0.2, CPU)(logits, shares)
    assert loss.item() == pytest.approx(expected)


@pytest.mark.parametrize("weights", [None, [3.0, 1.0, 0.5]])
def test_batches_add_up(weights):
    loss = DecisionLoss(weights, 0.05, CPU)
    shares = torch.tensor([[0.9, 0.1, 0], [0, 0.5, 0.5], [0.2, 0, 0.8], [1.0, 0, 0]])
    parts = [slice(0, 1), slice(1, 4)]
    total = sum(loss(LOGITS[p], shares[p]) * loss.weight_of(shares[p]) for p in parts)
    torch.testing.assert_close(total / loss.weight_of(shares), loss(LOGITS, shares))
