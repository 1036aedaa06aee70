import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from hilum.errors import EvaluationError
from hilum.statistics import metrics


@st.composite
def classified(draw, max_classes=4):
    """Truth, predicted classes and number of classes, some of which may not occur."""
    n_classes = draw(st.integers(2, max_classes))
    index = st.integers(0, n_classes - 1)
    pairs = draw(st.lists(st.tuples(index, index), min_size=1, max_size=40))
    truth, predicted = np.array(pairs, dtype=np.int64).T
    return truth, predicted, n_classes


def test_confusion_matrix_has_the_truth_in_rows():
    matrix = metrics.confusion_matrix(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1]), 3)
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [0, 1, 0]]


@settings(deadline=None)
@given(classified())
def test_confusion_matrices_agree_with_scikit_learn(data):
    truth, predicted, n_classes = data
    labels = list(range(n_classes))
    matrix = metrics.confusion_matrix(truth, predicted, n_classes)
    assert matrix.sum() == len(truth)
    assert matrix.tolist() == oracle.confusion_matrix(truth, predicted, labels=labels).tolist()
    once = np.ones((1, len(truth)), dtype=np.int64)
    assert (metrics.confusion_matrices(truth, predicted, n_classes, once)[0] == matrix).all()


def auroc(positive, scores):
    return metrics.aurocs(positive, scores, np.ones((1, len(positive)), dtype=np.int64))[0]


def test_auroc_by_hand():
    positive = np.array([True, True, False, False])
    # Pairs (positive, negative): 0.9 beats both; 0.4 beats 0.1 and ties with 0.4: 3.5 of 4.
    assert auroc(positive, np.array([0.9, 0.4, 0.4, 0.1])) == 3.5 / 4
    assert auroc(positive, np.array([0.5, 0.5, 0.5, 0.5])) == 0.5
    assert auroc(positive, np.array([0.1, 0.2, 0.3, 0.4])) == 0
    assert np.isnan(auroc(np.array([True, True]), np.array([0.1, 0.2])))
    assert np.isnan(auroc(np.array([False, False]), np.array([0.1, 0.2])))


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=60))
def test_auroc_agrees_with_scikit_learn_with_ties(pairs):
    positive = np.array([p for p, _ in pairs])
    scores = np.array([s / 8 for _, s in pairs])
    area = auroc(positive, scores)
    if positive.all() or not positive.any():
        assert np.isnan(area)
    else:
        assert area == pytest.approx(oracle.roc_auc_score(positive, scores))


def test_resampled_measures_are_those_of_the_repeated_images():
    generator = np.random.default_rng(1)
    truth = np.r_[0, 1, 2, generator.integers(0, 3, 37)]
    predicted = generator.integers(0, 3, 40)
    scores = generator.integers(0, 6, 40) / 6
    counts = generator.integers(0, 4, size=(5, 40))
    counts[:, :3] += 1  # each class occurs in each resample
    matrices = metrics.confusion_matrices(truth, predicted, 3, counts)
    areas = metrics.aurocs(truth == 1, scores, counts)
    balanced = metrics.balanced_accuracies(matrices)
    for row, matrix in enumerate(matrices):
        drawn = np.repeat(np.arange(40), counts[row])
        assert matrix.tolist() == oracle.confusion_matrix(truth[drawn], predicted[drawn]).tolist()
        expected = oracle.roc_auc_score(truth[drawn] == 1, scores[drawn])
        assert areas[row] == pytest.approx(expected)
        expected = oracle.balanced_accuracy_score(truth[drawn], predicted[drawn])
        assert balanced[row] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        ([0, 1], [0], "one length"),
        ([0, 3], [0, 1], "a true class is 3"),
        ([0, 1], [0, -1], "a predicted class is -1"),
        ([0.0, 1.0], [0, 1], "must be integers"),
    ],
)
def test_confusion_matrix_refuses_what_does_not_fit(truth, predicted, message):
    with pytest.raises(EvaluationError, match=message):
        metrics.confusion_matrix(np.array(truth), np.array(predicted), 3)
