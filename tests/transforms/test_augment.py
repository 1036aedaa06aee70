"""Augmentation: random, and yet a pure function of seed, epoch and sample."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from hilum.phantoms.phantom import render_phantom
from hilum.settings import AUGMENTATIONS, Augmentation
from hilum.transforms.augment import Draws, augment, augmentation_grid, mix, mixup_partners

FULL, MIRROR = AUGMENTATIONS["full"], AUGMENTATIONS["mirror"]
DOSES = [k for k in Augmentation.model_fields if k not in ("mirror", "mixup")]
SEEDS = st.integers(0, 2**32 - 1)
EPOCHS = st.integers(0, 10_000)


def batch(n: int, height: int = 21, width: int = 18) -> torch.Tensor:
    """n images of noise, of which no two are alike."""
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 256, (n, height, width), dtype=np.uint8))


def changed(
    x: torch.Tensor, doses: Augmentation, epoch: int = 1, seed: int = 0, start: int = 0
) -> torch.Tensor:
    indices = np.arange(start, start + len(x))
    return augment(x, doses, seed=seed, epoch=epoch, indices=indices)


# ---- what holds for every part -----------------------------------------------------------------


def test_none_changes_nothing() -> None:
    x = batch(4)
    assert changed(x, AUGMENTATIONS["none"]) is x


@pytest.mark.parametrize("dose", ["mirror", *DOSES])
def test_each_part_changes_images_and_only_its_copy(dose: str) -> None:
    x = batch(8)
    doses = MIRROR if dose == "mirror" else Augmentation(**{dose: getattr(FULL, dose)})
    after = changed(x, doses)
    assert (after.float() != x.float()).any()
    assert torch.equal(x, batch(8))
    given_as_float = x.float()
    assert torch.equal(changed(given_as_float, doses).float(), after.float())
    assert torch.equal(given_as_float, x.float())


@pytest.mark.parametrize("dose", DOSES)
def test_a_tiny_dose_changes_almost_nothing(dose: str) -> None:
    x = batch(8)
    after = changed(x, Augmentation.model_validate({dose: 1e-6}))
    torch.testing.assert_close(after, x.float(), rtol=0, atol=0.05)


@settings(max_examples=40)
@given(SEEDS, EPOCHS, st.sampled_from(["full", "most"]), st.sampled_from([0, 1, 128, 255, None]))
def test_the_range_is_kept(seed: int, epoch: int, dose: str, grey: int | None) -> None:
    most: dict[str, Any] = {
        "corner_crop": 0.9, "rotate": 180, "shift": 0.5, "scale": 1, "aspect": 1, "blur": 10,
        "gamma": 3, "contrast": 3, "brightness": 1, "noise": 1, "erase": 0.5,
    }  # fmt: skip
    doses = FULL if dose == "full" else Augmentation(**most)
    x = batch(3) if grey is None else torch.full((3, 21, 18), grey, dtype=torch.uint8)
    after = changed(x, doses, epoch, seed)
    assert after.dtype == torch.float32
    assert after.shape == x.shape
    assert after.isfinite().all()
    assert 0 <= after.min() <= after.max() <= 255


@settings(max_examples=25)
@given(SEEDS, EPOCHS, st.integers(1, 12), st.integers(0, 10**6))
def test_the_batch_a_sample_comes_in_does_not_matter(
    seed: int, epoch: int, size: int, start: int
) -> None:
    x, indices = batch(12, 33, 31), np.arange(start, start + 12)
    whole = augment(x, FULL, seed=seed, epoch=epoch, indices=indices)
    order = np.random.default_rng(seed).permutation(12)
    shuffled = augment(x[order], FULL, seed=seed, epoch=epoch, indices=indices[order])
    assert torch.equal(shuffled, whole[order])
    parts = [
        augment(x[i : i + size], FULL, seed=seed, epoch=epoch, indices=indices[i : i + size])
        for i in range(0, 12, size)
    ]
    assert torch.equal(torch.cat(parts), whole)


def test_epochs_seeds_and_samples_differ() -> None:
    x = batch(1).expand(16, -1, -1)
    first = changed(x, FULL)
    assert torch.equal(changed(x, FULL), first)
    for other in (changed(x, FULL, epoch=2), changed(x, FULL, seed=1), changed(x, FULL, start=16)):
        assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))


# ---- the parts ---------------------------------------------------------------------------------


def test_an_image_is_mirrored_whole_or_not_at_all() -> None:
    x = batch(400)
    after, flips = changed(x, MIRROR), 0
    for one, other in zip(x, after, strict=True):
        stays, flip = torch.equal(other, one), torch.equal(other, one.flip(-1))
        assert stays != flip
        flips += flip
    assert stats.binomtest(flips, 400, 0.5).pvalue > 0.01
    assert after.dtype == torch.uint8
    assert torch.equal(changed(after, MIRROR), x)  # twice gives the image back


def test_every_corner_is_cropped_to_as_often() -> None:
    corners = np.floor(4 * Draws(0, 1, np.arange(4000)).unit("corner"))
    assert stats.chisquare(np.bincount(corners.astype(int), minlength=4)).pvalue > 0.01


def test_blur_is_a_gaussian() -> None:
    x = batch(6, 40, 40)
    sigma = 3.0 * Draws(0, 1, np.arange(6)).unit("blur")
    after = changed(x, Augmentation(blur=3.0))
    for image, blurred, s in zip(x.numpy(), after.numpy(), sigma, strict=True):
        expected = ndimage.gaussian_filter(image.astype(float), s, mode="nearest", radius=9)
        np.testing.assert_allclose(blurred, expected, atol=0.05)


def test_gamma_contrast_and_brightness_follow_their_formulas() -> None:
    x, draws = batch(6), Draws(0, 1, np.arange(6))
    doses = Augmentation(gamma=0.5, contrast=0.1, brightness=0.05)
    gamma, contrast = draws.factor("gamma", 0.5), draws.factor("contrast", 0.1)
    brightness = draws.either_way("brightness", 0.05)
    after = changed(x, doses)
    for i, image in enumerate(x.numpy() / 255):
        expected = (image ** gamma[i] - 0.5) * contrast[i] + 0.5 + brightness[i]
        np.testing.assert_allclose(after[i] / 255, np.clip(expected, 0, 1), atol=1e-5)


def test_gamma_alone_leaves_black_and_white_as_they_are() -> None:
    x = torch.tensor([0, 255, 128], dtype=torch.uint8).view(1, 1, 3)
    after = changed(x, Augmentation(gamma=1.0)).flatten()
    torch.testing.assert_close(after[:2], torch.tensor([0.0, 255.0]), rtol=0, atol=1e-3)
    assert abs(float(after[2]) - 128) > 1


def test_noise_is_normal_and_of_the_strength_that_was_drawn() -> None:
    x = torch.full((20, 60, 60), 128, dtype=torch.uint8)
    strength = 0.04 * 255 * Draws(0, 1, np.arange(20)).unit("noise")
    noise = (changed(x, Augmentation(noise=0.04)) - 128).numpy().reshape(20, -1)
    # 3600 numbers: the standard deviation is known to 1.2 %, the mean to 1.7 % of it
    np.testing.assert_allclose(noise.std(axis=1), strength, rtol=0.06)
    assert (np.abs(noise.mean(axis=1)) < 0.08 * strength).all()
    assert stats.kstest(noise[0] / strength[0], stats.norm.cdf).pvalue > 0.001
    similar = np.corrcoef(noise) - np.eye(20)
    assert np.abs(similar).max() < 0.08  # no two images share their noise


def test_a_rectangle_of_the_promised_area_is_erased() -> None:
    x = torch.zeros(300, 100, 80, dtype=torch.uint8)
    after = changed(x, Augmentation(erase=0.3))
    share = 0.3 * Draws(0, 1, np.arange(300)).unit("erase")
    painted = 0
    for image, promised in zip(after, share, strict=True):
        inside = image > 0
        if not inside.any():  # black on black, or less than a pixel
            continue
        rows, columns = inside.any(1).nonzero(), inside.any(0).nonzero()
        height, width = (int(i[-1] - i[0] + 1) for i in (rows, columns))
        assert inside.sum() == height * width  # one whole rectangle
        assert len(image[inside].unique()) == 1
        # both sides are rounded to whole pixels
        assert abs(height * width - promised * 8000) <= 0.5 * (height + width) + 0.25
        if height > 20:
            assert 0.45 < (height / 100) / (width / 80) < 2.2
        painted += 1
    assert painted > 280
    assert 0.13 < (after > 0).float().mean() < 0.17  # a share of 0.15 on average


def test_rectangles_reach_every_edge() -> None:
    x = torch.zeros(300, 30, 30, dtype=torch.uint8)
    hit = (changed(x, Augmentation(erase=0.5)) > 0).float().mean(0)
    assert min(hit[0].max(), hit[-1].max(), hit[:, 0].max(), hit[:, -1].max()) > 0


# ---- mixup -------------------------------------------------------------------------------------


def test_mix_is_the_weighted_mean() -> None:
    one, other = torch.tensor([[[200]], [[10]]]), torch.tensor([[[100]], [[30]]])
    assert mix(one, other, torch.tensor([0.75, 0.5])).flatten().tolist() == [175, 20]
    targets = mix(torch.tensor([[1, 0]]), torch.tensor([[0, 1]]), torch.tensor([0.75]))
    assert targets.tolist() == [[0.75, 0.25]]


def test_shares_are_the_larger_half_of_a_beta_distribution() -> None:
    _, share = mixup_partners(0.4, 10, seed=0, epoch=1, indices=np.arange(4000))
    assert ((share >= 0.5) & (share <= 1)).all()

    def larger(x: np.ndarray) -> np.ndarray:  # by symmetry, twice the upper half
        return np.asarray(2 * stats.beta.cdf(x, 0.4, 0.4) - 1)

    assert stats.kstest(share, larger).pvalue > 0.01


def test_partners_are_any_samples_and_do_not_depend_on_the_batch() -> None:
    indices = np.arange(50, 4050)
    partners, share = mixup_partners(0.2, 10, seed=0, epoch=1, indices=indices)
    assert stats.chisquare(np.bincount(partners, minlength=10)).pvalue > 0.01
    few, their = mixup_partners(0.2, 10, seed=0, epoch=1, indices=indices[7:9])
    assert few.tolist() == partners[7:9].tolist()
    assert their.tolist() == share[7:9].tolist()
    other, _ = mixup_partners(0.2, 10, seed=0, epoch=2, indices=indices)
    assert (other != partners).any()


# ---- to look at --------------------------------------------------------------------------------


def test_the_grid_shows_what_training_makes_of_an_image() -> None:
    image, _ = render_phantom("normal", seed=3, index=0, size=64)
    before = image.copy()
    grid = augmentation_grid(image, FULL, seed=5, n=6)
    assert len(grid) == 6
    assert all(g.shape == image.shape and g.dtype == np.uint8 for g in grid)
    assert len({g.tobytes() for g in grid}) == 6
    assert (image == before).all()
    trained = augment(
        torch.from_numpy(image[None]), FULL, seed=5, epoch=2, indices=np.zeros(1, np.int64)
    )
    assert np.abs(trained[0].numpy() - grid[1]).max() <= 0.5
    (same,) = augmentation_grid(image, AUGMENTATIONS["none"], n=1)
    assert (same == image).all()
