"""The nearest radiographs in feature space."""

from dataclasses import replace

import numpy as np
import pytest

from hilum.classifier.calibrate import remember
from hilum.classifier.inference import compute_features
from hilum.errors import EvaluationError
from hilum.explanation.neighbours import (
    find_neighbours,
    nearest_correct,
    nearest_training,
    remembers,
)
from tests.explanation.conftest import SIDE, untrained


def grey(*levels):
    return np.stack([np.full((SIDE, SIDE), level, np.uint8) for level in levels])


def test_nearest_first_with_euclidean_distances(region):
    # the features of that network are its 256 pixels, in [0, 1]
    rows, distances = find_neighbours(region, grey(100), grey(0, 90, 255, 102), k=2)
    assert rows.tolist() == [[3, 1]]
    np.testing.assert_allclose(distances, [[16 * 2 / 255, 16 * 10 / 255]], rtol=1e-4)


def test_a_radiograph_is_not_its_own_neighbour(region):
    known = grey(10, 20, 200)
    rows, _ = find_neighbours(region, known[[1, 0]], known, k=1, own=[1, -1])
    assert rows.tolist() == [[0], [0]]
    with pytest.raises(EvaluationError, match="ask for 1 to 2"):
        find_neighbours(region, known[[1]], known, k=3, own=[1])


def test_the_nearest_right_one_of_the_predicted_class(region):
    images = grey(100, 101, 140, 99)
    truth, predicted = np.array([0, 0, 1, 0]), np.array([1, 0, 1, 1])
    # row 1 is nearer but of another class, row 3 nearer but wrong
    assert nearest_correct(region, images, truth, predicted, [0, 3]) == [2, 2]
    assert nearest_correct(region, images[:2], truth[:2], predicted[:2], [0]) == [None]
    with pytest.raises(EvaluationError, match="rightly"):
        nearest_correct(region, images, truth, predicted, [1])


# ---- training radiographs ------------------------------------------------------------------


@pytest.fixture
def remembering(spots):
    """A classifier that remembers the training radiographs of the spots."""
    classifier = untrained()
    pixels = spots.pixels(classifier.preprocessing)
    return remember(classifier, spots, pixels, training_rows=spots.indices("train"))


def test_remembered_training_radiographs_are_rows_of_the_data(remembering, spots):
    pixels = np.asarray(spots.pixels(remembering.preprocessing))
    asked = [0, int(spots.indices("val")[0])]
    rows, distances = nearest_training(remembering, spots, pixels[asked], asked, decision="root")
    # the same by hand, from the distances to all that is remembered
    features = {
        name: compute_features(network, pixels, remembering.preprocessing, remembering.device)
        for name, network in remembering.networks.items()
    }
    embedded = remembering.reference.embed(features)
    known = remembering.reference.embedded.astype(np.float64)
    for row, found, away in zip(asked, rows, distances, strict=True):
        apart = np.linalg.norm(known - embedded[row], axis=1)
        order = [k for k in np.argsort(apart, kind="stable") if k != row][:3]
        assert found.tolist() == spots.indices("train")[order].tolist()
        np.testing.assert_allclose(away, apart[order], rtol=1e-4)


def test_what_is_remembered_of_other_data_is_not_used(remembering, spots):
    other = replace(spots, records=spots.records[1:], digests=spots.digests[1:])
    assert remembers(remembering, spots)
    assert not remembers(remembering, other)
    pixels = np.asarray(other.pixels(remembering.preprocessing))
    train = other.indices("train")
    rows, distances = nearest_training(
        remembering, other, pixels[[0]], [0], decision="infected", k=2
    )
    near, away = find_neighbours(
        remembering, pixels[[0]], pixels[train], decision="infected", k=2, own=[0]
    )
    assert rows.tolist() == train[near].tolist()
    np.testing.assert_array_equal(distances, away)


def test_without_training_radiographs_there_are_none(spots):
    val = [i for i, record in enumerate(spots.records) if record.split == "val"]
    only = replace(
        spots,
        records=tuple(spots.records[i] for i in val),
        digests=tuple(spots.digests[i] for i in val),
    )
    classifier = untrained()
    pixels = np.asarray(only.pixels(classifier.preprocessing))
    rows, distances = nearest_training(classifier, only, pixels[:2], [0, 1], decision="root")
    assert rows.shape == distances.shape == (2, 0)
