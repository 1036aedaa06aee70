"""Attributions of networks whose explanation is known, and that nothing is left behind."""

import numpy as np
import pytest
import torch

from hilum.errors import DataError, EvaluationError
from hilum.explanation.attribution import METHODS, LogOdds, attribute, parse_method
from hilum.explanation.network import open_network
from hilum.networks.registry import network_names
from tests.explanation.conftest import COLUMNS, ROWS, SIDE, untrained


def test_integrated_gradients_of_a_linear_network_are_weight_times_pixel(region, pixels):
    expected = np.zeros(pixels.shape)
    expected[:, ROWS, COLUMNS] = pixels[:, ROWS, COLUMNS] / 255
    maps = attribute(region, pixels, method="ig", options="sick")
    np.testing.assert_allclose(maps, expected, atol=1e-6)
    against = attribute(region, pixels, method="ig", options="normal")
    np.testing.assert_allclose(against, -expected, atol=1e-6)


def test_grad_cam_is_the_mean_gradient_times_the_activation(region, pixels):
    # 16 of 256 weights are 1, so the mean gradient is 1/16; the activation is the pixel itself
    maps = attribute(region, pixels, method="gradcam", options="sick")
    np.testing.assert_allclose(maps, pixels / 255 / 16, atol=1e-6)
    assert (attribute(region, pixels, method="gradcam", options="normal") == 0).all()


def test_occlusion_is_the_mean_loss_under_the_squares(region):
    # the square is 2 x 2 and moves by 1: each square inside the region hides four pixels of 1
    white = np.full((1, SIDE, SIDE), 255, np.uint8)
    (found,) = attribute(region, white, method="occlusion", options="sick")
    assert found[5, 11] == pytest.approx(4)
    assert found[4, 10] == pytest.approx((4 + 2 + 2 + 1) / 4)
    assert found[0, 0] == 0


def test_log_odds_are_those_of_the_probabilities():
    logits = torch.tensor([[0.3, -1.0, 2.0], [0.0, 0.0, 0.0]])
    p = logits.softmax(dim=1)
    found = LogOdds(torch.nn.Identity(), logits.shape[1])(logits)
    torch.testing.assert_close(found, (p / (1 - p)).log())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", [n for n in network_names() if not n.endswith("-imagenet")])
def test_every_registered_network_can_be_explained(name, method):
    classifier = untrained(name=name, size=40)
    images = np.random.default_rng(1).integers(0, 256, (2, 40, 40)).astype(np.uint8)
    maps = attribute(
        classifier, images, method=method, decision="infected", options=np.array([0, 1])
    )
    assert maps.shape == (2, 40, 40)
    assert maps.dtype == np.float32
    assert np.isfinite(maps).all()


def test_integrated_gradients_sum_to_the_difference_of_log_odds():
    classifier = untrained("flat")
    image = np.random.default_rng(2).integers(0, 256, (1, 32, 32)).astype(np.uint8)
    opened = open_network(classifier)
    with torch.no_grad():
        score = LogOdds(opened.network, len(opened.decision.options))
        gain = score(opened.to_input(image)) - score(opened.to_input(np.zeros_like(image)))
    maps = attribute(classifier, image, method="ig", options="covid")
    assert maps.sum() == pytest.approx(float(gain[0, 1]), rel=0.02)


def test_the_network_is_left_as_it_was(region, pixels):
    network = region.networks["root"].train()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    with torch.inference_mode():
        for method in METHODS:
            attribute(region, pixels, method=method, options="sick")
        assert torch.is_inference_mode_enabled()
    assert network.training
    assert network.relu.inplace
    assert all(p.grad is None and p.requires_grad for p in network.parameters())
    assert not any(m._forward_hooks for m in network.modules())
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"options": "sik"}, "Did you mean 'sick'"),
        ({"options": np.array([0, 1, 2])}, "2 options"),
        ({"options": "sick", "decision": "rooot"}, "Did you mean 'root'"),
        ({"options": "sick", "layer": "conv7"}, "Did you mean 'conv1'"),
        ({"options": "sick", "layer": "fc1"}, "no .channels, height, width. map"),
    ],
)
def test_what_is_not_there_is_refused(region, pixels, asked, said):
    with pytest.raises(EvaluationError, match=said):
        attribute(region, pixels, method="gradcam", **asked)


def test_other_pixels_and_methods_are_refused(region, pixels):
    with pytest.raises(DataError, match=r"\(N, 16, 16\)"):
        attribute(region, pixels[:, 1:], method="ig", options="sick")
    with pytest.raises(DataError, match="no radiographs"):
        attribute(region, pixels[:0], method="ig", options="sick")
    with pytest.raises(EvaluationError, match="Did you mean 'gradcam'"):
        parse_method("grad-cam")
