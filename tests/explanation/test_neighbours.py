"""The nearest radiographs in feature space."""

import numpy as np
import pytest

from hilum.errors import EvaluationError
from hilum.explanation.neighbours import find_neighbours, nearest_correct
from tests.explanation.conftest import SIDE


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
