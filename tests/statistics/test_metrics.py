import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from hilum.errors import EvaluationError
from hilum.statistics import metrics

#: The published confusion matrix: normal, covid, non-covid on 24 radiographs.
PUBLISHED = np.array([[7, 1, 0], [0, 8, 0], [0, 4, 4]])


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


def test_published_matrix_by_hand():
    assert metrics.accuracy(PUBLISHED) == pytest.approx(19 / 24)
    assert metrics.balanced_accuracy(PUBLISHED) == pytest.approx((7 / 8 + 1 + 4 / 8) / 3)
    assert metrics.precision(PUBLISHED, 1) == pytest.approx(8 / 13)
    assert metrics.recall(PUBLISHED, 1) == 1
    assert metrics.specificity(PUBLISHED, 1) == pytest.approx(11 / 16)
    assert metrics.f1(PUBLISHED, 1) == pytest.approx(2 * 8 / (8 + 13))


@settings(deadline=None)
@given(classified())
def test_measures_of_classes_agree_with_scikit_learn(data):
    truth, predicted, n_classes = data
    labels = list(range(n_classes))
    matrix = metrics.confusion_matrix(truth, predicted, n_classes)
    assert matrix.sum() == len(truth)
    assert matrix.tolist() == oracle.confusion_matrix(truth, predicted, labels=labels).tolist()
    assert metrics.accuracy(matrix) == pytest.approx(oracle.accuracy_score(truth, predicted))
    expected = oracle.precision_recall_fscore_support(
        truth, predicted, labels=labels, zero_division=np.nan
    )
    for k in labels:
        for measure, value in zip(
            (metrics.precision, metrics.recall), (expected[0][k], expected[1][k]), strict=True
        ):
            found = measure(matrix, k)
            assert np.isnan(value) if found is None else found == pytest.approx(value)
        f1 = metrics.f1(matrix, k)
        undefined = metrics.precision(matrix, k) is None or metrics.recall(matrix, k) is None
        assert undefined if f1 is None else f1 == pytest.approx(expected[2][k])
        negatives, kept = truth != k, (truth != k) & (predicted != k)
        specificity = metrics.specificity(matrix, k)
        if specificity is None:
            assert not negatives.any()
        else:
            assert specificity == pytest.approx(kept.sum() / negatives.sum())
    balanced = metrics.balanced_accuracy(matrix)
    if balanced is None:
        assert set(truth) != set(labels)
    else:
        assert balanced == pytest.approx(np.mean(expected[1]))


def test_undefined_is_none_and_never_zero():
    # Class 1 has images but is never predicted; class 2 is absent in both.
    matrix = np.array([[3, 0, 0], [2, 0, 0], [0, 0, 0]])
    assert metrics.precision(matrix, 1) is None
    assert metrics.recall(matrix, 1) == 0
    assert metrics.f1(matrix, 1) is None
    assert metrics.recall(matrix, 2) is None
    assert metrics.specificity(np.array([[3, 0], [0, 0]]), 0) is None
    assert metrics.balanced_accuracy(matrix) is None
    assert metrics.accuracy(np.zeros((2, 2), dtype=np.int64)) is None
    # Predicted, but never rightly: both precision and recall are 0, and so is F1.
    assert metrics.f1(np.array([[0, 1], [1, 0]]), 1) == 0


def test_auroc_by_hand():
    positive = np.array([True, True, False, False])
    # Pairs (positive, negative): 0.9 beats both; 0.4 beats 0.1 and ties with 0.4: 3.5 of 4.
    assert metrics.auroc(positive, np.array([0.9, 0.4, 0.4, 0.1])) == 3.5 / 4
    assert metrics.auroc(positive, np.array([0.5, 0.5, 0.5, 0.5])) == 0.5
    assert metrics.auroc(positive, np.array([0.1, 0.2, 0.3, 0.4])) == 0
    assert metrics.auroc(np.array([True, True]), np.array([0.1, 0.2])) is None
    assert metrics.auroc(np.array([False, False]), np.array([0.1, 0.2])) is None


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=60))
def test_auroc_agrees_with_scikit_learn_with_ties(pairs):
    positive = np.array([p for p, _ in pairs])
    scores = np.array([s / 8 for _, s in pairs])
    area = metrics.auroc(positive, scores)
    if positive.all() or not positive.any():
        assert area is None
    else:
        assert area == pytest.approx(oracle.roc_auc_score(positive, scores))


def test_macro_auroc_agrees_with_scikit_learn():
    generator = np.random.default_rng(0)
    truth = np.arange(60) % 3
    probs = generator.dirichlet(np.ones(3), size=60)
    expected = oracle.roc_auc_score(truth, probs, multi_class="ovr", average="macro")
    assert metrics.macro_auroc(truth, probs) == pytest.approx(expected)
    assert metrics.macro_auroc(truth % 2, probs) is None


def test_resampled_measures_are_those_of_the_repeated_images():
    generator = np.random.default_rng(1)
    truth = np.r_[0, 1, 2, generator.integers(0, 3, 37)]
    predicted = generator.integers(0, 3, 40)
    scores = generator.integers(0, 6, 40) / 6
    counts = generator.integers(0, 4, size=(5, 40))
    counts[:, :3] += 1  # each class occurs in each resample
    matrices = metrics.confusion_matrices(truth, predicted, 3, counts)
    areas = metrics.aurocs(truth == 1, scores, counts)
    f1_scores = metrics.f1_scores(matrices, 1)
    balanced = metrics.balanced_accuracies(matrices)
    for row, matrix in enumerate(matrices):
        drawn = np.repeat(np.arange(40), counts[row])
        assert matrix.tolist() == oracle.confusion_matrix(truth[drawn], predicted[drawn]).tolist()
        expected = oracle.roc_auc_score(truth[drawn] == 1, scores[drawn])
        assert areas[row] == pytest.approx(expected)
        expected = oracle.f1_score(truth[drawn], predicted[drawn], labels=[1], average=None)[0]
        assert f1_scores[row] == pytest.approx(expected)
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
