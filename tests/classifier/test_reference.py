"""What a classifier remembers of its training images."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from hilum.classifier.reference import MAX_IMAGES, Reference
from hilum.errors import ClassifierError, EvaluationError

ABOUT = {"name": "toy", "fingerprint": "abc"}


def features(
    n: int = 60, seed: int = 0
) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    rng = np.random.default_rng(seed)
    return {
        "root": (rng.standard_normal((n, 100)) * np.linspace(9, 0.1, 100)).astype(np.float32),
        "below": rng.standard_normal((n, 5)).astype(np.float32),
    }


def fitted(n: int = 60) -> Reference:
    return Reference.fit(features(n), np.arange(n) % 3, np.arange(n) + 1000, ABOUT)


def test_embedding_is_scikit_learns_pca_of_networks_that_weigh_the_same() -> None:
    reference = fitted()
    scaled = np.hstack([f / np.sqrt(f.var(axis=0).sum()) for f in features().values()])
    expected = PCA(60, svd_solver="full").fit_transform(scaled)

    found = reference.embed(features())

    assert found.shape == (60, 64)
    # up to the sign of each axis; 60 centred images span 59 dimensions
    np.testing.assert_allclose(np.abs(found[:, :50]), np.abs(expected[:, :50]), atol=2e-4)
    np.testing.assert_allclose(reference.embedded, found, rtol=1e-3, atol=1e-3)


def test_neighbours_are_those_of_scikit_learn() -> None:
    reference = fitted()
    asked = reference.embed(features(7, seed=1))
    oracle = NearestNeighbors(n_neighbors=4, algorithm="brute").fit(
        reference.embedded.astype(float)
    )
    expected_distances, expected = oracle.kneighbors(asked)

    indices, distances = reference.neighbours(asked, 4)

    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_allclose(distances, expected_distances, atol=1e-6)


def test_a_remembered_image_is_its_own_nearest() -> None:
    reference = fitted()

    indices, distances = reference.neighbours(reference.embed(features()), 2)

    assert indices[:, 0].tolist() == list(range(60))
    assert distances[:, 0].max() < 0.01 < distances[:, 1].min()
    assert reference.rows[indices[3, 0]] == 1003
    assert reference.labels[indices[3, 0]] == 0


def test_of_many_images_those_at_equal_steps_are_kept() -> None:
    n = 2 * MAX_IMAGES - 1
    rng = np.random.default_rng(0)
    many = {"flat": rng.standard_normal((n, 3)).astype(np.float32)}

    reference = Reference.fit(many, np.zeros(n, dtype=np.int64), np.arange(n), ABOUT)

    assert reference.rows.tolist() == list(range(0, n, 2))
    assert reference.embedded.shape == (MAX_IMAGES, 3)


def test_bytes_there_and_back() -> None:
    marks = np.tile([[1, -2], [0, -1]], (30, 1))
    reference = replace(fitted(), marks=marks)

    found = Reference.from_bytes(reference.to_bytes(), "reference.safetensors")

    assert list(found.networks.items()) == [("root", 100), ("below", 5)]
    assert found.about == ABOUT
    np.testing.assert_array_equal(found.embed(features()), reference.embed(features()))
    np.testing.assert_array_equal(found.rows, reference.rows)
    np.testing.assert_array_equal(found.marks, marks)
    assert found.to_bytes() == reference.to_bytes()


@pytest.mark.parametrize("cut", [0, 5, 100, -1])
def test_a_damaged_file_is_refused(cut: int) -> None:
    with pytest.raises(ClassifierError, match="^my/file: damaged"):
        Reference.from_bytes(fitted().to_bytes()[:cut], "my/file")


def test_refusals() -> None:
    reference = fitted()
    with pytest.raises(EvaluationError, match=r"fitted on features .*'below': 5.*; found"):
        reference.embed({"root": features()["root"]})
    with pytest.raises(EvaluationError, match="60 images to be near to; asked for 61"):
        reference.neighbours(reference.embed(features()), 61)
    with pytest.raises(ClassifierError, match=r"found lengths \[59, 60\]"):
        Reference.fit(features(), np.zeros(60, dtype=np.int64), np.arange(59), ABOUT)
    broken = features()
    broken["below"][3, 1] = np.nan
    with pytest.raises(ClassifierError, match="'below' gives features that are not finite"):
        Reference.fit(broken, np.zeros(60, dtype=np.int64), np.arange(60), ABOUT)
