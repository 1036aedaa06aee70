"""Known maps move known pixels."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from hilum.transforms.augment import resample, sampling_maps

SIZE = (20, 30)


def maps(size: tuple[int, int] = SIZE, **changes: float) -> torch.Tensor:
    """The map of one image that changes nothing, but for what is named."""
    still: dict[str, Any] = {
        "degrees": 0, "shift_x": 0, "shift_y": 0, "zoom": 1, "aspect": 1, "corner": 0,
        "crop_side": 1,
    }  # fmt: skip
    numbers = {k: np.array([v], dtype=np.float64) for k, v in {**still, **changes}.items()}
    return torch.from_numpy(sampling_maps(size, **numbers).astype(np.float32))


def dot(y: int, x: int, size: tuple[int, int] = SIZE) -> torch.Tensor:
    image = torch.zeros(1, *size)
    image[0, y, x] = 100
    return image


def where(image: torch.Tensor) -> tuple[int, int]:
    """The place of the only bright pixel of a batch of one."""
    y, x = np.unravel_index(int(image.argmax()), image.shape[1:])
    assert image[0, y, x] == pytest.approx(100, abs=0.01)
    assert image.sum() == pytest.approx(100, abs=0.1)
    return int(y), int(x)


def test_nothing_changes_nothing() -> None:
    assert maps().tolist() == [[[1, 0, 0], [0, 1, 0]]]
    image = torch.rand(1, *SIZE) * 255
    torch.testing.assert_close(resample(image, maps()), image, rtol=0, atol=0.01)


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"shift_x": 0.1}, (4, 9)),  # a tenth of 30 to the right
        ({"shift_y": 0.25}, (9, 6)),  # a quarter of 20 down
        ({"degrees": 180.0}, (15, 23)),  # 4 from above → 4 from below, 6 from the left → right
    ],
)
def test_a_dot_goes_where_it_should(changes: dict[str, Any], place: tuple[int, int]) -> None:
    assert where(resample(dot(4, 6), maps(**changes))) == place


def test_a_quarter_turn_is_clockwise() -> None:
    # on a square the upper left corner goes to the upper right one
    image = resample(dot(2, 3, (20, 20)), maps((20, 20), degrees=90))
    assert where(image) == (3, 17)


def test_a_turn_keeps_right_angles_in_an_oblong_image() -> None:
    # 5 pixels above the centre (9.5, 14.5) → 5 pixels right of it
    image = resample(dot(4, 14) + dot(4, 15), maps(degrees=90))
    assert sorted(np.argwhere(image[0].numpy() > 99).tolist()) == [[9, 20], [10, 20]]


def test_a_small_turn_agrees_with_scipy() -> None:
    rng = np.random.default_rng(0)
    image = ndimage.gaussian_filter(rng.random(SIZE) * 255, 2)
    # SciPy turns the other way where y points down; its border differs, so the middle is compared
    expected = ndimage.rotate(image, -7, reshape=False, order=1)
    turned = resample(torch.from_numpy(image[None]).float(), maps(degrees=7))
    np.testing.assert_allclose(turned[0].numpy()[3:-3, 3:-3], expected[3:-3, 3:-3], atol=0.05)


@pytest.mark.parametrize(
    ("changes", "height", "width"),
    [({"zoom": 2.0}, 16, 24), ({"zoom": 0.5}, 4, 6), ({"aspect": 4.0}, 4, 24)],
)
def test_a_rectangle_grows_and_shrinks(changes: dict[str, Any], height: int, width: int) -> None:
    image = torch.zeros(1, *SIZE)
    image[0, 6:14, 9:21] = 100  # 8 high, 12 wide, in the middle
    changed = resample(image, maps(**changes))[0] > 50
    assert changed.any(1).sum() == height
    assert changed.any(0).sum() == width


@pytest.mark.parametrize(
    ("corner", "rows", "columns"),
    [(0, slice(0, 10), slice(0, 15)), (1, slice(0, 10), slice(15, 30)),
     (2, slice(10, 20), slice(0, 15)), (3, slice(10, 20), slice(15, 30))],
)  # fmt: skip
def test_a_corner_fills_the_image(corner: int, rows: slice, columns: slice) -> None:
    image = torch.zeros(1, *SIZE)
    image[0, rows, columns] = 100
    changed = resample(image, maps(corner=corner, crop_side=0.5))[0]
    # away from the cut edges, where neighbours from outside of the corner play in
    assert changed[1:-1, 1:-1].min() == pytest.approx(100)


def test_outside_is_black() -> None:
    changed = resample(torch.full((1, *SIZE), 100.0), maps(shift_x=0.5))
    assert changed[0, :, :15].max() == pytest.approx(0, abs=1e-3)
    assert changed[0, :, 16:].min() == pytest.approx(100)
