"""The model randomisation test."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from hilum.errors import EvaluationError
from hilum.explanation import sanity
from hilum.explanation.sanity import SanityCheck, Step, check_sanity, map_similarity
from hilum.records import Estimate
from tests.explanation.conftest import untrained
from tests.plain import again


def test_similarity_is_spearman_of_absolute_maps():
    one, other = np.random.default_rng(0).normal(size=(2, 4, 6, 6)).round(1).astype(np.float32)
    expected = [
        spearmanr(abs(a).ravel(), abs(b).ravel()).statistic for a, b in zip(one, other, strict=True)
    ]
    np.testing.assert_allclose(map_similarity(one, other), expected, atol=1e-12)
    np.testing.assert_allclose(map_similarity(one, -one), 1)
    assert np.isnan(map_similarity(one, np.ones_like(one))).all()


def test_layers_are_randomised_from_the_last_down_and_the_network_is_left_alone(region, pixels):
    state = {k: v.clone() for k, v in region.networks["root"].state_dict().items()}
    before = torch.random.get_rng_state()
    found = check_sanity(region, pixels, method="ig")
    assert [step.layer for step in found.steps] == ["fc1", "conv1"]
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(state[k], v) for k, v in region.networks["root"].state_dict().items())
    # its maps are 0 but in a square; those of random weights are not
    assert found.verdict == "depends"
    assert found == check_sanity(region, pixels, method="ig")
    assert found != check_sanity(region, pixels, method="ig", seed=1)
    assert again(found) == found


def test_the_last_step_alone_is_that_of_all_steps(region, pixels):
    last = check_sanity(region, pixels, method="ig", every_step=False)
    assert last.steps == check_sanity(region, pixels, method="ig").steps[-1:]


def test_maps_that_ignore_the_weights_are_found_out(monkeypatch, region, pixels):
    maps = np.random.default_rng(0).normal(size=pixels.shape).astype(np.float32)
    maps[0] *= 2
    noise = iter(range(99))

    def edges(*_args, **_keywords):
        return maps + 0.05 * np.random.default_rng(next(noise)).normal(size=maps.shape)

    monkeypatch.setattr(sanity, "attribute", edges)
    assert check_sanity(region, pixels, method="ig").verdict == "does not depend"


def test_batch_norm_and_every_decision_are_covered():
    images = np.random.default_rng(1).integers(0, 256, (2, 32, 32)).astype(np.uint8)
    found = check_sanity(
        untrained(name="resnet-block"), images, method="gradcam", decision="infected", draws=1
    )
    assert [s.layer for s in found.steps][:3] == ["fc1", "block.bn2", "block.conv2"]
    assert len(found.steps) == 7


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.1, 0.49, "depends"), (0.5, 0.7, "does not depend"), (0.4, 0.6, "unclear")],
)
def test_the_verdict_needs_the_whole_interval(low, high, verdict):
    step = Step("conv1", Estimate(0.5, low, high, 4, "bootstrap"))
    assert SanityCheck("ig", "root", 4, 1, (step,)).verdict == verdict


def test_constant_maps_are_undefined_and_no_draw_is_refused(region, pixels):
    # nothing speaks for 'normal': Grad-CAM of an image that is called so is 0 everywhere
    dark = np.zeros_like(pixels)
    found = check_sanity(region, dark, method="gradcam")
    assert found.final.value is None
    assert found.verdict == "unclear"
    with pytest.raises(EvaluationError, match="at least 1"):
        check_sanity(region, pixels, method="ig", draws=0)
