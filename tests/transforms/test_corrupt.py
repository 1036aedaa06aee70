"""Corruptions: pure functions, monotone in strength, each with a figure that is known by hand."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import DataError
from hilum.settings import Augmentation
from hilum.transforms import corrupt as detail
from hilum.transforms import corrupt as exposure
from hilum.transforms import corrupt as framing
from hilum.transforms import corrupt as markers
from hilum.transforms.corrupt import (
    CORRUPTIONS,
    QUICK_STRENGTHS,
    STRENGTHS,
    corrupt,
    select_corruptions,
)

NAMES = [corruption.name for corruption in CORRUPTIONS]


@pytest.fixture(scope="module")
def film():
    return draw_film()


def draw_film():
    y, x = np.mgrid[0:96, 0:80]
    lungs = 90 * (((x - 24) / 14) ** 2 + ((y - 48) / 30) ** 2 < 1)
    lungs += 90 * (((x - 56) / 14) ** 2 + ((y - 48) / 30) ** 2 < 1)
    return (190 - lungs + 20 * np.sin(y / 3)).astype(np.uint8)


def one(name):
    (found,) = select_corruptions([name])
    return found


def rng():
    return np.random.default_rng(0)


# ---- what holds of all --------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_corruption_is_a_pure_function(name, film):
    before = film.copy()

    found = corrupt(film, one(name), 3, seed=1, index=5)

    assert found.shape == film.shape
    assert found.dtype == np.uint8
    assert np.array_equal(film, before)
    assert found is not film
    assert np.array_equal(found, corrupt(film, one(name), 3, seed=1, index=5))


@pytest.mark.parametrize("name", NAMES)
def test_a_stronger_corruption_changes_more(name, film):
    if name in ("resolution", "blur"):  # of a smaller one they leave more
        film = cv2.resize(film, (160, 192), interpolation=cv2.INTER_NEAREST)
    changed = [
        np.mean(
            [
                np.abs(film.astype(float) - corrupt(film, one(name), s, index=i)).mean()
                for i in range(8)
            ]
        )
        for s in STRENGTHS
    ]

    assert changed[0] > 0
    assert changed == sorted(changed)


@given(
    name=st.sampled_from(NAMES),
    height=st.integers(16, 70),
    width=st.integers(16, 70),
    strength=st.sampled_from(STRENGTHS),
)
def test_any_size_keeps_its_shape(name, height, width, strength):
    image = np.random.default_rng(0).integers(0, 256, (height, width)).astype(np.uint8)

    assert corrupt(image, one(name), strength).shape == (height, width)


def test_draws_differ_between_images_and_seeds_but_not_between_strengths(film):
    added = [corrupt(film, one("electronic-noise"), 1, index=i) for i in (0, 1)]
    assert not np.array_equal(added[0], added[1])
    other = corrupt(film, one("electronic-noise"), 1, index=0, seed=1)
    assert not np.array_equal(added[0], other)
    flat = np.full((64, 64), 128, dtype=np.uint8)
    weak, strong = (corrupt(flat, one("electronic-noise"), s).astype(int) - 128 for s in (1, 3))
    assert np.abs(strong - 2 * weak).max() <= 2  # 0.04 is twice 0.02, on the same pattern


def test_the_table_is_sound():
    assert len(set(NAMES)) == len(NAMES)
    assert set(QUICK_STRENGTHS) < set(STRENGTHS)
    for corruption in CORRUPTIONS:
        steps = np.diff(corruption.amounts)
        assert (steps > 0).all() or (steps < 0).all(), corruption.name
        assert corruption.augmented_by in ("", *Augmentation.model_fields)


def test_what_is_not_known_is_refused(film):
    with pytest.raises(DataError, match=r"no corruption 'blurr'\. Did you mean 'blur'\?"):
        select_corruptions(["blurr"])
    for names in ([], ["blur", "blur"]):
        with pytest.raises(DataError, match="at least one corruption, and each only once"):
            select_corruptions(names)
    with pytest.raises(DataError, match="from 1 to 5; found 6"):
        corrupt(film, one("blur"), 6)


# ---- each by hand -------------------------------------------------------------------------------


def test_a_window_changes_contrast_about_the_middle():
    image = np.repeat(np.array([[50, 100, 150, 200, 250]], dtype=np.uint8), 100, axis=0)

    # the range 50 to 250 has its middle at 150; what leaves it is clipped to its ends
    assert exposure.change_window(image, 0.5, rng())[0].tolist() == [50, 50, 150, 250, 250]
    assert exposure.change_window(image, 2, rng())[0].tolist() == [100, 125, 150, 175, 200]
    constant = np.full((9, 9), 77, dtype=np.uint8)
    assert np.array_equal(exposure.change_window(constant, 0.5, rng()), constant)


def test_gamma_keeps_black_and_white():
    image = np.array([[0, 64, 255]], dtype=np.uint8)
    assert exposure.change_gamma(image, 0.5, rng())[0].tolist() == [0, 128, 255]


def test_a_margin_is_black_and_holds_the_whole_image():
    white = np.full((100, 60), 255, dtype=np.uint8)

    found = framing.add_margin(white, 0.8, rng())

    rows, columns = np.flatnonzero(found.max(axis=1) > 127), np.flatnonzero(found.max(axis=0) > 127)
    assert (rows[0], rows[-1]) == (10, 89)
    assert (columns[0], columns[-1]) == (6, 53)


def test_cropping_shows_nothing_from_outside():
    white = np.full((50, 70), 255, dtype=np.uint8)
    for seed in range(20):
        found = framing.crop_in(white, 0.8, np.random.default_rng(seed))
        assert found.min() == 255


def test_cropping_enlarges():
    ramp = np.repeat(np.arange(0, 200, 2, dtype=np.uint8)[None], 50, axis=0)
    found = framing.crop_in(ramp, 0.5, rng()).astype(int)
    assert found[0, -1] - found[0, 0] == pytest.approx(99, abs=2)  # half of the 198 of the whole


def test_a_shift_goes_as_far_as_it_says():
    for seed in range(6):
        image = np.zeros((100, 100), dtype=np.uint8)
        image[48:52, 48:52] = 255
        found = framing.shift(image, 0.2, np.random.default_rng(seed)).astype(float)
        y, x = np.mgrid[0:100, 0:100]
        centre = np.array([(y * found).sum(), (x * found).sum()]) / found.sum()
        assert np.hypot(*(centre - 49.5)) == pytest.approx(20, abs=0.3)


def test_stretching_changes_the_ratio_of_the_sides():
    image = np.zeros((101, 101), dtype=np.uint8)
    image[41:60, 41:60] = 255
    found = framing.stretch(image, 1.44, rng()) > 127
    sides = sorted([found.any(axis=0).sum(), found.any(axis=1).sum()])
    assert sides[0] == pytest.approx(19 / 1.2, abs=1)
    assert sides[1] == pytest.approx(19 * 1.2, abs=1)


def test_a_turn_is_by_the_angle_that_it_says():
    image = np.zeros((101, 101), dtype=np.uint8)
    image[20, 50] = 255  # 30 above the middle
    found = framing.rotate(image, 30, rng())
    y, x = np.unravel_index(found.argmax(), found.shape)
    assert 50 - y == pytest.approx(30 * np.cos(np.pi / 6), abs=1)
    assert abs(x - 50) == pytest.approx(15, abs=1)


def test_resolution_leaves_blocks_of_equal_light():
    image = np.zeros((80, 40), dtype=np.uint8)
    image[::2] = 200  # stripes that are finer than what is left
    found = detail.reduce_resolution(image, 40, rng())
    assert np.unique(found).tolist() == [100]
    assert np.array_equal(detail.reduce_resolution(image, 80, rng()), image)


def test_blur_spreads_a_point_by_its_standard_deviation():
    image = np.zeros((200, 200), dtype=np.uint8)
    image[100:102, :] = 255
    profile = detail.blur(image, 0.02, rng())[:, 100].astype(float)  # 4 pixels
    y = np.arange(200)
    variance = (profile * (y - 100.5) ** 2).sum() / profile.sum()
    assert np.sqrt(variance) == pytest.approx(4, abs=0.2)


def test_jpeg_loses_more_at_lower_quality(film):
    lost = [np.abs(detail.compress(film, q, rng()).astype(int) - film).mean() for q in (90, 12)]
    assert 0 < lost[0] < lost[1]


@pytest.mark.parametrize("size", [128, 1024])
def test_electronic_noise_has_its_standard_deviation_at_any_size(size):
    image = np.full((size, size), 128, dtype=np.uint8)
    found = detail.add_electronic_noise(image, 0.04, rng())
    small = cv2.resize(found, (128, 128), interpolation=cv2.INTER_AREA)
    # of 1024 pixels, two grains down and across make one of 128: half the noise stays
    assert found.std() == pytest.approx(10.2, rel=0.03)
    assert small.std() == pytest.approx(10.2 if size == 128 else 5.1, rel=0.05)


def test_quantum_noise_is_that_of_counted_photons():
    # 50 photons behind white, 5000 behind black; greys are 255 / ln 100 per unit of their logarithm
    for grey, photons in ((155, 50 * 100 ** (100 / 255)), (205, 50 * 100 ** (50 / 255))):
        image = np.full((200, 200), grey, dtype=np.uint8)
        found = detail.add_quantum_noise(image, 50, rng())
        counts = np.random.default_rng(1).poisson(photons, 40_000)
        expected = 255 / np.log(100) * np.log(counts).std()
        assert found.std() == pytest.approx(expected, rel=0.03)
        assert found.mean() == pytest.approx(grey, abs=0.6)


def test_a_marker_has_its_height_and_lies_in_a_corner():
    places = set()
    for seed in range(30):
        image = np.zeros((200, 240), dtype=np.uint8)
        found = markers.add_marker(image, 0.1, np.random.default_rng(seed)) > 127
        rows, columns = np.flatnonzero(found.any(axis=1)), np.flatnonzero(found.any(axis=0))
        assert np.ptp(rows) + 1 == pytest.approx(20, abs=1)
        above, left = rows.mean() < 100, columns.mean() < 120
        assert (rows < 40).all() if above else (rows >= 160).all()
        assert (columns < 60).all() if left else (columns >= 180).all()
        places.add((bool(above), bool(left)))
    assert len(places) == 4


def test_erased_corners_are_black_and_the_rest_is_as_it_was(film):
    found = markers.erase_corners(film, 0.25, rng())
    rows, columns = film.shape[0] // 4, film.shape[1] // 4
    for y in (slice(None, rows), slice(-rows, None)):
        for x in (slice(None, columns), slice(-columns, None)):
            assert found[y, x].max() == 0
    assert np.array_equal(found[rows:-rows], film[rows:-rows])
    assert np.array_equal(found[:, columns:-columns], film[:, columns:-columns])


def test_the_documentation_shows_the_amounts():
    page = Path(__file__).parents[2] / "docs" / "evaluation.md"
    lines = re.findall(r"^\| `(.*) \|$", page.read_text(encoding="utf-8"), re.MULTILINE)
    cells = [line.split(" | ") for line in lines]
    rows = [(c[0].strip("`"), c[2], c[3].strip(" `")) for c in cells if c[0].strip("`") in NAMES]
    assert rows == [
        (
            c.name,
            ", ".join(f"{amount:g}" for amount in c.amounts),
            c.augmented_by or "none",
        )
        for c in CORRUPTIONS
    ]
