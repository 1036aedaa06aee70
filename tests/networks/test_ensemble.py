"""Networks that answer together give the mean of their probabilities."""

import numpy as np
import torch
from torch import nn

from hilum.classifier.inference import compute_features
from hilum.networks.ensemble import Ensemble, Mirrored, join_networks, split_network
from hilum.transforms.preprocess import Preprocessing


class Fixed(nn.Module):
    """Says the same of every image."""

    def __init__(self, probs: list[float]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(probs).log() + 7)  # a constant changes nothing

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(x), -1)


class Sides(nn.Module):
    """Adds up the left and the right half of an image: features that a mirror exchanges."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.last = nn.Linear(2, 2, bias=False)
        self.last.weight.data = scale * torch.eye(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        half = x.shape[-1] // 2
        left, right = x[..., :half], x[..., half:]
        summed = torch.stack([left.sum((1, 2, 3)), right.sum((1, 2, 3))], 1)
        return torch.as_tensor(self.last(summed))


def test_probabilities_are_averaged():
    both = join_networks([Fixed([0.9, 0.1]), Fixed([0.5, 0.5])], mirror=False)
    probs = both(torch.zeros(3, 1, 2, 2)).softmax(1)
    torch.testing.assert_close(probs, torch.tensor([[0.7, 0.3]] * 3))  # the mean, not its like


def test_the_answer_is_log_probabilities_of_networks_however_sure():
    sure = [Fixed([1.0, 1e-30]), Fixed([0.2, 0.8])]
    logits = join_networks(sure, mirror=False)(torch.zeros(1, 1, 2, 2))
    torch.testing.assert_close(logits.exp(), torch.tensor([[0.6, 0.4]]))


def test_a_mirror_image_is_asked_too():
    image = torch.tensor([[[[1.0, 0.0]]]])  # logits (1, 0); mirrored (0, 1)
    mirrored = join_networks([Sides(1.0)], mirror=True)
    torch.testing.assert_close(mirrored(image).exp(), torch.tensor([[0.5, 0.5]]))
    torch.testing.assert_close(mirrored(image), mirrored(image.flip(-1)))


def test_joining_and_splitting():
    one, two = Fixed([0.9, 0.1]), Fixed([0.5, 0.5])
    assert join_networks([one], mirror=False) is one
    assert type(join_networks([one], mirror=True)) is Mirrored
    assert type(join_networks([one, two], mirror=True)) is Ensemble
    for members in ([one], [one, two]):
        for mirror in (False, True):
            assert split_network(join_networks(members, mirror=mirror)) == (members, mirror)


def test_features_are_those_of_the_first_member_and_the_image_itself():
    pixels = np.zeros((1, 16, 16), dtype=np.uint8)
    pixels[:, :, :8] = 255
    joined = join_networks([Sides(1.0), Sides(2.0)], mirror=True)
    preprocessing = Preprocessing(image_size=(16, 16))
    found = compute_features(joined, pixels, preprocessing, torch.device("cpu"))
    assert found.tolist() == [[128.0, 0.0]]
