"""Augmentation: random, and yet a pure function of seed, epoch and sample."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hilum.transforms.augment import augment, uniform

SEEDS = st.integers(0, 2**32 - 1)
EPOCHS = st.integers(0, 10_000)
INDICES = st.lists(st.integers(0, 2**40), max_size=20).map(lambda i: np.array(i, dtype=np.int64))


def batch(n: int) -> torch.Tensor:
    """n images of which no two, and no image and its mirror, are alike."""
    return torch.arange(n * 3 * 4, dtype=torch.float32).reshape(n, 1, 3, 4)


def mirror(x: torch.Tensor, epoch: int, indices: np.ndarray, seed: int = 0) -> torch.Tensor:
    return augment(x, "mirror", seed=seed, epoch=epoch, indices=indices)


def test_none_changes_nothing() -> None:
    x = batch(4)
    assert augment(x, "none", seed=0, epoch=0, indices=np.arange(4)) is x


def test_an_image_is_mirrored_whole_or_not_at_all() -> None:
    x, seen = batch(50), set()
    for before, after in zip(x, mirror(x, 0, np.arange(50)), strict=True):
        stays, flips = torch.equal(after, before), torch.equal(after, before.flip(-1))
        assert stays != flips
        seen.add(flips)
    assert seen == {True, False}
    assert torch.equal(x, batch(50))  # the batch that was given is not touched


def test_mirroring_twice_gives_the_image_back() -> None:
    x, indices = batch(50), np.arange(50)
    assert torch.equal(mirror(mirror(x, 3, indices), 3, indices), x)


def test_shape_type_and_layout_stay() -> None:
    x = batch(8).to(torch.bfloat16).to(memory_format=torch.channels_last)
    after = mirror(x, 0, np.arange(8))
    assert after.shape == x.shape
    assert after.dtype == torch.bfloat16


def test_the_batch_a_sample_comes_in_does_not_matter() -> None:
    x, indices = batch(30), np.arange(100, 130)
    whole = mirror(x, 2, indices)
    order = np.random.default_rng(0).permutation(30)
    assert torch.equal(mirror(x[order], 2, indices[order]), whole[order])
    parts = [mirror(x[i : i + 7], 2, indices[i : i + 7]) for i in range(0, 30, 7)]
    assert torch.equal(torch.cat(parts), whole)


def test_epochs_and_seeds_differ() -> None:
    x, indices = batch(64), np.arange(64)
    first = mirror(x, 0, indices)
    assert not torch.equal(mirror(x, 1, indices), first)
    assert not torch.equal(mirror(x, 0, indices, seed=1), first)
    assert torch.equal(mirror(x, 0, indices), first)


def test_half_of_all_images_are_mirrored() -> None:
    n = 10_000
    flipped = int((uniform(0, 0, np.arange(n)) < 0.5).sum())
    assert stats.binomtest(flipped, n, 0.5).pvalue > 0.01


@given(SEEDS, EPOCHS, INDICES)
def test_numbers_lie_in_the_unit_interval(seed: int, epoch: int, indices: np.ndarray) -> None:
    numbers = uniform(seed, epoch, indices)
    assert numbers.shape == indices.shape
    assert numbers.dtype == np.float64
    assert ((numbers >= 0) & (numbers < 1)).all()


@given(SEEDS, EPOCHS, INDICES)
def test_numbers_are_pure(seed: int, epoch: int, indices: np.ndarray) -> None:
    one_by_one = [uniform(seed, epoch, indices[i : i + 1])[0] for i in range(len(indices))]
    assert uniform(seed, epoch, indices).tolist() == one_by_one


@pytest.mark.parametrize("along", ["samples", "epochs", "seeds"])
def test_numbers_are_uniform_along_every_axis(along: str) -> None:
    if along == "samples":
        numbers = uniform(7, 3, np.arange(5000))
    elif along == "epochs":
        numbers = np.array([uniform(7, epoch, np.array([11]))[0] for epoch in range(2000)])
    else:
        numbers = np.array([uniform(seed, 3, np.array([11]))[0] for seed in range(2000)])
    assert stats.kstest(numbers, stats.uniform.cdf).pvalue > 0.01
    assert len(np.unique(numbers)) == len(numbers)


def test_neighbouring_epochs_are_independent() -> None:
    one, other = uniform(0, 0, np.arange(5000)), uniform(0, 1, np.arange(5000))
    # of 5000 independent pairs the correlation stays below 2.58 / √5000 in 99 % of all cases
    assert abs(np.corrcoef(one, other)[0, 1]) < 2.58 / np.sqrt(5000)
