"""Shifted films: what is exchanged, what stays, and that all is settled by seed and index."""

import cv2
import numpy as np
import pytest

from hilum.errors import DataError
from hilum.phantoms.phantom import render_phantom
from hilum.transforms.shift import SHIFTS, exchange_acquisition, shifted


@pytest.fixture(scope="module")
def films():
    return [render_phantom("non-covid", seed=3, index=i, size=96)[0] for i in range(2)]


def sharpness(image):
    return float(cv2.Laplacian(image.astype(np.float32), cv2.CV_32F).std() / image.std())


def test_a_film_gets_the_greys_of_its_donor_in_the_same_order(films):
    image, other = films
    donor = (60 + other * 0.4).astype(np.uint8)

    found = exchange_acquisition(image, donor)

    for share in (0.01, 0.5, 0.99):
        assert np.quantile(found, share) == pytest.approx(np.quantile(donor, share), abs=12)
    assert np.corrcoef(found.ravel(), image.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("blurred", ["image", "donor"])
def test_sharpness_goes_towards_that_of_the_donor(films, blurred):
    image, donor = films
    soft = cv2.GaussianBlur(image if blurred == "image" else donor, (0, 0), 1.5)
    image, donor = (soft, donor) if blurred == "image" else (image, soft)

    found = exchange_acquisition(image, donor)

    before = abs(np.log(sharpness(image) / sharpness(donor)))
    assert abs(np.log(sharpness(found) / sharpness(donor))) < before / 2


def test_margins_come_along(films):
    image, donor = (film.copy() for film in films)
    image[:, :8] = 90
    donor[:, :8] = 0
    donor[:, 8] = 200

    found = exchange_acquisition(image, donor)

    assert not found[:, :8].any()
    assert found[20:60, 9].any()


def test_a_film_exchanged_with_itself_hardly_changes(films):
    image = films[0]
    assert np.abs(exchange_acquisition(image, image).astype(int) - image).mean() < 1.5


@pytest.mark.parametrize("kind", SHIFTS)
@pytest.mark.parametrize("shape", [(96, 96), (33, 70), (201, 64)])
def test_a_shift_is_settled_by_seed_and_index_at_any_size(films, kind, shape):
    image, donor = cv2.resize(films[0], shape[::-1]), films[1]
    before = image.copy()

    found = [
        shifted(image, kind, donor, seed=seed, index=index)
        for seed, index in ((0, 5), (0, 5), (1, 5), (0, 6))
    ]

    assert all(one.shape == shape and one.dtype == np.uint8 for one in found)
    assert np.array_equal(image, before)
    assert np.array_equal(found[0], found[1])
    others_differ = [not np.array_equal(found[0], one) for one in found[2:]]
    assert others_differ == [kind != "exchange"] * 2


def test_an_image_of_one_tone_is_no_trouble(films):
    flat = np.full((64, 64), 77, np.uint8)
    for image, donor in ((flat, films[0]), (films[0], flat), (flat, flat)):
        assert shifted(image, "both", donor, seed=0, index=0).shape == image.shape


def test_an_exchange_needs_a_donor(films):
    assert shifted(films[0], "composite", seed=0, index=0).shape == films[0].shape
    for kind in ("exchange", "both"):
        with pytest.raises(DataError, match="film of another class"):
            shifted(films[0], kind, seed=0, index=0)
