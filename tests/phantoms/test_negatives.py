"""Images that are no chest radiographs."""

import numpy as np
import pytest

from hilum.errors import DataError
from hilum.phantoms.negatives import (
    CHANGED_KINDS,
    DRAWN_KINDS,
    DrawnKind,
    change_radiograph,
    draw_colour_photograph,
    draw_negative,
)


@pytest.mark.parametrize("kind", DRAWN_KINDS)
def test_drawings_are_pure_functions_of_their_arguments(kind: DrawnKind) -> None:
    first = draw_negative(kind, seed=1, index=0, size=64)

    assert first.shape == (64, 64)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, draw_negative(kind, seed=1, index=0, size=64))
    others = [draw_negative(kind, seed=s, index=i, size=64) for s, i in ((1, 1), (2, 0), (2, 5))]
    assert any(not np.array_equal(first, other) for other in others)


@pytest.mark.parametrize("kind", ["hand", "knee", "skull", "abdomen"])
def test_body_parts_have_bone_that_is_brighter_than_tissue_and_air(kind: DrawnKind) -> None:
    for index in range(3):
        image = draw_negative(kind, seed=0, index=index)
        air, tissue, bone = np.quantile(image, [0.02, 0.5, 0.98])
        assert bone > air + 60
        assert image.std() > 15
        assert air <= tissue <= bone


def test_photographs_have_the_spectrum_of_natural_images() -> None:
    """Their amplitude falls about as 1 / frequency (Field 1987): a slope of -0.7 to -1.6."""
    n = 128
    power = np.mean(
        [
            np.abs(np.fft.fft2(draw_negative("photograph", seed=0, index=i, size=n) / 255.0)) ** 2
            for i in range(12)
        ],
        axis=0,
    )
    frequency = np.hypot(np.fft.fftfreq(n)[:, None], np.fft.fftfreq(n)[None])
    edges = np.geomspace(2 / n, 0.35, 9)
    bands = [
        power[(frequency >= low) & (frequency < high)].mean()
        for low, high in zip(edges[:-1], edges[1:], strict=True)  # noqa: RUF007
    ]
    slope = np.polyfit(np.log(edges[:-1]), np.log(bands), 1)[0] / 2

    assert -1.6 < slope < -0.7


def test_blank_images_are_nearly_of_one_tone() -> None:
    assert all(draw_negative("blank", seed=0, index=i).std() < 16 for i in range(10))


def test_colour_photographs_have_three_different_channels() -> None:
    image = draw_colour_photograph(seed=0, index=0, size=64)

    assert image.shape == (64, 64, 3)
    assert (np.ptp(image.astype(int), axis=2) > 30).mean() > 0.2


def test_changes_by_hand() -> None:
    image = np.array([[0, 10, 20], [30, 40, 255]], dtype=np.uint8)

    assert change_radiograph("inverted", image).tolist() == [[255, 245, 235], [225, 215, 0]]
    assert change_radiograph("upside down", image).tolist() == [[255, 40, 30], [20, 10, 0]]
    assert change_radiograph("turned", image).tolist() == [[30, 0], [40, 10], [255, 20]]
    left = change_radiograph("turned", image, clockwise=False)
    assert left.tolist() == [[20, 255], [10, 40], [0, 30]]
    assert CHANGED_KINDS == ("inverted", "upside down", "turned")
    assert image[0, 0] == 0


def test_refusals() -> None:
    with pytest.raises(DataError, match=r"no negative 'hnd'\. Did you mean 'hand'\?"):
        draw_negative("hnd", seed=0, index=0)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no negative 'mirrored'"):
        change_radiograph("mirrored", np.zeros((2, 2), np.uint8))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="found size 31, seed 0, index -1"):
        draw_negative("hand", seed=0, index=-1, size=31)
