import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from hilum.auditing import likeness
from hilum.auditing.likeness import ALIKE, SIDE, near_pairs
from hilum.phantoms.phantom import LABELS, render_phantom
from hilum.radiographs.pixels import Thumbnail


def small(image):
    return Thumbnail(SIDE).to_pixels(np.asarray(image))


def compressed(image):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=50)
    return Image.open(file)


def greys(change):
    return lambda image: image.point([min(max(round(change(x)), 0), 255) for x in range(256)])


COPIES = {
    "JPEG, quality 50": compressed,
    "half the size": lambda image: image.resize((75, 75)),
    "twice the size": lambda image: image.resize((300, 300)),
    "another aspect": lambda image: image.resize((300, 200)),
    "20 % brighter": greys(lambda x: 1.2 * x),
    "20 % darker": greys(lambda x: 0.8 * x),
    "less contrast": greys(lambda x: 60 + 0.5 * x),
    "more contrast": greys(lambda x: 1.2 * x - 20),
    "gamma 0.8": greys(lambda x: 255 * (x / 255) ** 0.8),
    "cropped by 2 % at every edge": lambda image: ImageOps.crop(image, 3),
    "cropped at two edges": lambda image: image.crop((3, 3, 150, 150)),
    "resized, darker, cropped and compressed": lambda image: compressed(
        greys(lambda x: 0.9 * x)(ImageOps.crop(image, 2).resize((120, 120)))
    ),
}


@pytest.fixture(scope="module")
def films():
    return [Image.fromarray(render_phantom(LABELS[i % 3], seed=5, index=i)[0]) for i in range(60)]


@pytest.fixture(scope="module")
def patients():
    """The small versions of 300 different phantoms."""
    return np.stack(
        [render_phantom(LABELS[i % 3], seed=0, index=i, size=SIDE)[0] for i in range(300)]
    )


def found(images, **options):
    pairs = [
        (int(i), int(j))
        for found in near_pairs(np.asarray(images), **options)
        for i, j in zip(found.first, found.second, strict=True)
    ]
    assert len(set(pairs)) == len(pairs), "every pair comes once"
    return set(pairs)


@pytest.mark.parametrize("change", COPIES)
def test_a_changed_copy_is_found_and_nothing_else(films, change):
    images = [small(film) for film in films] + [small(COPIES[change](film)) for film in films]

    assert found(images) == {(i, i + 60) for i in range(60)}
    assert found(images, mirrored=True) == set()


def test_a_changed_copy_of_the_mirror_image_is_found_apart(films):
    copies = [compressed(ImageOps.mirror(ImageOps.crop(film, 3))) for film in films]
    images = [small(film) for film in films] + [small(copy) for copy in copies]

    assert found(images, mirrored=True) == {(i, i + 60) for i in range(60)}
    assert found(images) == set()


def test_different_phantoms_are_not_alike(patients):
    assert found(patients) == set()
    assert found(patients, mirrored=True) == set()


@pytest.mark.parametrize("mirrored", [False, True])
def test_copies_are_found_without_comparing_all_pairs(films, patients, monkeypatch, mirrored):
    monkeypatch.setattr(likeness, "_IMAGES_PER_PIVOT", 10)  # 42 pivots for 420 images
    monkeypatch.setattr(likeness, "_NEAREST_PIVOTS", 4)
    monkeypatch.setattr(likeness, "_BLOCK", 32)  # cells are compared in several blocks
    copies = [small(COPIES["cropped by 2 % at every edge"](film)) for film in films]
    if mirrored:
        copies = [copy[:, ::-1] for copy in copies]
    compared = []
    compare = likeness._compare

    def counting(rows, columns, cell):
        compared.append(len(rows.positions) * len(columns.positions))
        return compare(rows, columns, cell)

    monkeypatch.setattr(likeness, "_compare", counting)

    images = [*map(small, films), *copies, *patients]

    copied = found(images, mirrored=mirrored)

    assert copied <= {(i, i + 60) for i in range(60)}
    assert len(copied) >= 58  # cells are 25 times smaller than usual, so one may slip through
    assert sum(compared) < 0.6 * 420**2


def test_equal_images_correlate_with_1_and_noise_does_not():
    noise = np.random.default_rng(0).integers(0, 256, (40, SIDE, SIDE)).astype(np.uint8)

    (pairs,) = near_pairs(np.concatenate([noise, noise[7:8]]))

    assert pairs.first.tolist() == [7]
    assert pairs.second.tolist() == [40]
    assert pairs.correlation == pytest.approx([1])


def test_correlation_is_pearsons_where_nothing_moves():
    rng = np.random.default_rng(0)
    u = rng.normal(size=(2, 399))
    features = np.zeros((2, 5, 399), dtype=np.float32)
    features[:, 0] = u
    # tangents that stand at right angles to both images: no move brings them closer
    basis = np.linalg.svd(u)[2][2:6]
    features[:, 1:] = basis

    grams = features @ features.transpose(0, 2, 1)
    r = likeness._aligned_correlation(features[:1], features[1:], grams[:1], grams[1:])

    cosine = u[0] @ u[1] / np.linalg.norm(u[0]) / np.linalg.norm(u[1])
    assert r == pytest.approx([cosine], abs=1e-6)


def test_tangents_are_the_difference_that_a_small_move_makes():
    y, x = np.mgrid[:SIDE, :SIDE] / (SIDE - 1)
    picture = lambda dy, dx: 100 * np.sin(5 * (x + dx) + 3) * np.cos(4 * (y + dy))  # noqa: E731
    step = 0.5 / (SIDE - 1)  # half a pixel
    images = np.stack([picture(0, 0), picture(step, 0), picture(-step, 0)])
    plain = likeness._TRANSFORMS[0]

    difference = plain @ (images[1] - images[2]) @ plain.T * likeness._WEIGHTS
    length = np.linalg.norm(plain @ images[0] @ plain.T * likeness._WEIGHTS)
    tangent = likeness._features(images[:1])[0, 1]

    expected = (difference / length).ravel()[1:]
    # the edges, where a slope is one-sided, differ a little
    assert np.corrcoef(tangent, expected)[0, 1] > 0.98
    assert np.linalg.norm(tangent) == pytest.approx(np.linalg.norm(expected), rel=0.05)


def test_images_of_one_tone_and_too_few_images_are_like_nothing():
    tones = np.stack([np.full((SIDE, SIDE), tone, np.uint8) for tone in (0, 0, 77, 255)])

    assert found(tones) == set()
    assert found(tones, mirrored=True) == set()
    assert found(tones[:1]) == set()
    assert found(tones[:0]) == set()


def test_only_the_positions_asked_for_are_compared(films):
    images = np.stack([small(film) for film in films[:3]] * 2)

    assert found(images, among=np.array([0, 1, 4, 5])) == {(1, 4)}


def test_progress_ends_complete(patients):
    calls = []

    list(near_pairs(patients[:5], progress=lambda done, total: calls.append((done, total))))

    assert calls[-1] == (1, 1)


def test_the_threshold_is_between_different_phantoms_and_copies():
    assert 0.95 < ALIKE < 0.97
