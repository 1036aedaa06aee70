"""Progressive resizing: sizes by hand, and in training."""

import pytest
import torch

from hilum.errors import RecipeError
from hilum.training.order import resize, size_in
from hilum.training.run import train


def test_sizes_by_hand():
    # Half the sides in epoch 1, then 1/12 more in each of six epochs, to multiples of 8.
    found = [size_in(epoch, 8, 0.5, (96, 150))[0] for epoch in range(1, 9)]
    assert found == [48, 56, 64, 72, 80, 88, 96, 96]
    assert size_in(1, 8, 0.5, (96, 150)) == (48, 72)
    assert size_in(8, 8, 0.5, (96, 150)) == (96, 150)


@pytest.mark.parametrize("epochs", [1, 2, 3, 10])
def test_the_last_epoch_has_the_full_size_and_none_is_smaller_than_the_one_before(epochs):
    sides = [size_in(epoch, epochs, 0.25, (150, 150))[0] for epoch in range(1, epochs + 1)]
    assert sides == sorted(sides)
    assert sides[-1] == 150
    assert {size_in(e, epochs, 1.0, (150, 150)) for e in range(1, epochs + 1)} == {(150, 150)}


def test_images_are_averaged():
    images = torch.tensor([[0.0, 1.0], [0.5, 0.5]]).reshape(1, 1, 2, 2)
    assert resize(images, (1, 1)).item() == 0.5
    assert resize(images, (2, 2)) is images


def test_training_sees_growing_images(spots, recipe, tmp_path, monkeypatch):
    seen = []

    def noted(images, size):
        seen.append(size)
        return resize(images, size)

    monkeypatch.setattr("hilum.training.step.resize", noted)
    wanted = recipe(
        "network=resnet-block", "strategy=flat", "epochs=4", "image_size=32", "start_size=0.5"
    )
    train(spots, wanted, tmp_path / "run")
    assert list(dict.fromkeys(seen)) == [(16, 16), (24, 24), (32, 32)]


def test_a_network_of_one_size_is_refused_before_anything_is_written(spots, recipe, tmp_path):
    wanted = recipe("network=naive", "strategy=flat", "start_size=0.5")
    with pytest.raises(RecipeError, match="the network 'naive' takes none of another size"):
        train(spots, wanted, tmp_path / "run")
    assert not (tmp_path / "run").exists()
