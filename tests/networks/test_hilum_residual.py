"""hilum-xs, hilum-s and hilum-m: their sizes, and what their blocks do."""

import pytest
import torch
from torch import nn

from hilum.networks.hilum_residual import ResidualBlock
from hilum.networks.registry import create_network_to_load
from hilum.networks.summary import summarise


def _block(channels: int, width: int) -> int:
    """Parameters by hand: two convolutions, two normalisations, and the way around."""
    around = channels * width + 2 * width if channels != width else 0
    return 9 * channels * width + 9 * width**2 + 4 * width + around


@pytest.mark.parametrize(
    ("name", "widths", "depths"),
    [
        ("hilum-xs", (16, 32, 64, 128), (1, 2, 2, 2)),
        ("hilum-s", (32, 64, 128, 256), (1, 2, 2, 2)),
        ("hilum-m", (48, 96, 192, 384), (1, 2, 3, 3)),
    ],
)
def test_parameters_and_shapes(name: str, widths: list[int], depths: list[int]) -> None:
    expected, channels = 49 * widths[0] + 2 * widths[0], widths[0]
    for width, depth in zip(widths, depths, strict=True):
        for _ in range(depth):
            expected += _block(channels, width)
            channels = width
    network = create_network_to_load(name, outputs=3)

    summary = summarise(network, (150, 150))

    assert summary.total_parameters == expected + 3 * widths[-1] + 3
    shapes = {row.name: row.output_shape for row in summary.rows}
    assert shapes["relu1"] == (1, widths[0], 75, 75)
    ends = [shapes[f"stages.{stage}.{depth - 1}"] for stage, depth in enumerate(depths)]
    assert ends == [(1, w, s, s) for w, s in zip(widths, (75, 38, 19, 10), strict=True)]


def test_the_sizes_that_the_documentation_gives() -> None:
    for name, parameters, multiply_adds in [
        ("hilum-xs", 0.696e6, 0.177e9),
        ("hilum-s", 2.78e6, 0.70e9),
        ("hilum-m", 9.57e6, 2.1e9),
    ]:
        summary = summarise(create_network_to_load(name, outputs=3), (150, 150))
        assert summary.total_parameters == pytest.approx(parameters, rel=2e-3)
        assert summary.multiply_adds == pytest.approx(multiply_adds, rel=2e-2)


@pytest.mark.parametrize("side", [6, 7])
def test_an_untrained_block_hands_its_input_on(side: int) -> None:
    features = torch.arange(8.0 * side**2).reshape(1, 8, side, side)
    assert torch.equal(ResidualBlock(8, 8).eval()(features), features)

    halving = ResidualBlock(8, 16).eval()
    convolution = halving.get_submodule("around.1")
    assert isinstance(convolution, nn.Conv2d)
    nn.init.zeros_(convolution.weight)
    with torch.no_grad():
        convolution.weight[3, 0] = 1
    found = halving(features)

    half = (side + 1) // 2
    assert found.shape == (1, 16, half, half)
    scale = (1 + 1e-5) ** -0.5  # of the untrained normalisation
    # at the corner 2 x 2 pixels are left of the 3 x 3: 0, 1, side and side + 1
    assert found[0, 3, 0, 0].item() == pytest.approx((2 + 2 * side) / 4 * scale)
    # around pixel (2, 2) all nine, whose mean it is
    assert found[0, 3, 1, 1].item() == pytest.approx((2 * side + 2) * scale)


def test_a_spot_is_seen_wherever_it_lies() -> None:
    """The way around skips no pixel, which a strided 1 x 1 convolution does."""
    block = ResidualBlock(1, 2).eval()
    convolution = block.get_submodule("around.1")
    assert isinstance(convolution, nn.Conv2d)
    nn.init.ones_(convolution.weight)
    for y in range(8):
        for x in range(8):
            features = torch.zeros(1, 1, 8, 8)
            features[0, 0, y, x] = 1
            assert block(features).max() > 0.1


@pytest.mark.parametrize("name", ["hilum-s", "hilum-m"])
def test_batch_normalisation_folds_into_the_convolutions(name: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = create_network_to_load(name, outputs=2, image_size=(40, 40))
        images = torch.rand(4, 1, 40, 40)
        network(images)  # moves the running averages away from 0 and 1
    network.eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d) and not module.weight.any():
                module.weight.fill_(0.5)
        expected = network(images)
        before: nn.Module | None = None
        for parent in list(network.modules()):
            for child_name, child in list(parent.named_children()):
                if isinstance(child, nn.BatchNorm2d):
                    assert isinstance(before, nn.Conv2d)
                    assert child.running_mean is not None
                    assert child.running_var is not None
                    fused = nn.utils.fuse_conv_bn_weights(
                        before.weight, None, child.running_mean, child.running_var, child.eps,
                        child.weight, child.bias,
                    )  # fmt: skip
                    before.weight, before.bias = fused
                    setattr(parent, child_name, nn.Identity())
                before = child
        torch.testing.assert_close(network(images), expected, rtol=1e-4, atol=1e-4)
