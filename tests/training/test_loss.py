"""The losses: for shares of labels, as mixup makes them, and for all decisions of a tree."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from hilum.errors import RecipeError
from hilum.labels import LabelTree
from hilum.settings import Settings
from hilum.training.loss import DecisionLoss, JointLoss, make_loss

TREE = LabelTree.from_text("normal, infected(covid, non-covid)")
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


def joint(weights=None, smoothing=0.0, tree=TREE):
    return JointLoss(tree.decisions, weights or [None] * len(tree.decisions), smoothing, CPU)


SHARES = torch.tensor([[0.9, 0.1, 0], [0, 0.5, 0.5], [0.2, 0, 0.8], [1.0, 0, 0]])


@pytest.mark.parametrize("targets", [TARGETS, SHARES])
def test_all_decisions_together_are_the_classes(targets):
    """Probabilities along a path multiply, so their logarithms add up."""
    torch.testing.assert_close(
        joint()(LOGITS, targets), functional.cross_entropy(LOGITS, targets), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("targets", [TARGETS, SHARES])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_labels_without_groups_have_one_decision(targets, smoothing):
    weights, tree = [3.0, 1.0, 0.5], LabelTree.from_text("a, b, c")
    one, other = joint([weights], smoothing, tree), DecisionLoss(weights, smoothing, CPU)
    torch.testing.assert_close(one(LOGITS, targets), other(LOGITS, targets))
    torch.testing.assert_close(one.weight_of(targets), other.weight_of(targets))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_each_decision_has_its_own_weights_and_smoothing(smoothing):
    """Against PyTorch's loss of each decision, on the images that reach it."""
    root, kinds = torch.tensor([3.0, 0.5]), torch.tensor([2.0, 0.25])
    infected = LOGITS[:, 1:].logsumexp(dim=1)
    at_root = torch.stack([LOGITS[:, 0], infected], dim=1)
    reached = TARGETS > 0
    expected = functional.cross_entropy(
        at_root, (TARGETS > 0).long(), root, label_smoothing=smoothing, reduction="sum"
    ) + functional.cross_entropy(
        LOGITS[reached, 1:], TARGETS[reached] - 1, kinds, label_smoothing=smoothing, reduction="sum"
    )
    loss = joint([root.tolist(), kinds.tolist()], smoothing)
    assert loss.weight_of(TARGETS).item() == 4.5  # one normal, three infected
    torch.testing.assert_close(loss(LOGITS, TARGETS), expected / 4.5)


def test_batches_of_all_decisions_add_up():
    loss = joint([[3.0, 0.5], [2.0, 0.25]], 0.05)
    parts = [slice(0, 1), slice(1, 4)]
    total = sum(loss(LOGITS[p], SHARES[p]) * loss.weight_of(SHARES[p]) for p in parts)
    torch.testing.assert_close(total / loss.weight_of(SHARES), loss(LOGITS, SHARES))


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        ("all", [[10 / 8, 10 / 12], [6 / 4, 6 / 8]]),  # 4 normal, 2 covid, 4 non-covid
        ("balanced", [[3 / 2, 3 / 4], [1.0, 1.0]]),  # visits are balanced over classes
    ],
)
def test_balanced_weights_of_each_decision(sampling, expected):
    wanted = Settings(loss="decisions", class_weights="balanced", sampling=sampling)
    loss = make_loss(TREE.flat, wanted, TREE, np.repeat([0, 1, 2], [4, 2, 4]), CPU)
    assert isinstance(loss, JointLoss)
    for found, given in zip(loss.weights, expected, strict=True):
        assert found.tolist() == pytest.approx(given)


def test_weights_by_class_do_not_fit_decisions():
    wanted = Settings(loss="decisions", class_weights=[1.0, 2.0, 3.0])
    with pytest.raises(RecipeError, match="3 numbers, but the decision 'root'"):
        make_loss(TREE.flat, wanted, TREE, np.array([0, 1, 2]), CPU)
