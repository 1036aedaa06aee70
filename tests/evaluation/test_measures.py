import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from hilum.evaluation.measures import OF_A_LABEL, OVERALL, OneAgainstRest, Sample, measure_overall

#: The published confusion matrix: normal, covid, non-covid on 24 radiographs.
PUBLISHED = np.array([[7, 1, 0], [0, 8, 0], [0, 4, 4]])


def sample_of(matrix, probs=None):
    """Images with this confusion matrix."""
    pairs = np.repeat(np.argwhere(matrix >= 0), matrix.ravel(), axis=0)
    probs = np.eye(len(matrix))[pairs[:, 1]] if probs is None else probs
    return Sample(pairs[:, 0], pairs[:, 1], probs)


def overall(key, sample):
    """The measure, None where it is not defined."""
    value = OVERALL[key].replicates(sample, np.ones((1, len(sample.truth)), dtype=np.int64))[0]
    return None if np.isnan(value) else value


def of_label(key, sample, k):
    side = OneAgainstRest(sample.truth == k, sample.predicted == k, sample.probs[:, k])
    counts = np.ones((1, len(sample.truth)), dtype=np.int64)
    value = OF_A_LABEL[key].replicates(side, counts)[0]
    return None if np.isnan(value) else value


@st.composite
def classified(draw, max_classes=4):
    """Truth, predicted classes and number of classes, some of which may not occur."""
    n_classes = draw(st.integers(2, max_classes))
    index = st.integers(0, n_classes - 1)
    pairs = draw(st.lists(st.tuples(index, index), min_size=1, max_size=40))
    truth, predicted = np.array(pairs, dtype=np.int64).T
    return Sample(truth, predicted, np.eye(n_classes)[predicted])


def test_published_matrix_by_hand():
    published = sample_of(PUBLISHED)
    assert overall("accuracy", published) == pytest.approx(19 / 24)
    assert overall("balanced_accuracy", published) == pytest.approx((7 / 8 + 1 + 4 / 8) / 3)
    assert of_label("precision", published, 1) == pytest.approx(8 / 13)
    assert of_label("recall", published, 1) == 1
    assert of_label("specificity", published, 1) == pytest.approx(11 / 16)
    assert of_label("f1", published, 1) == pytest.approx(2 * 8 / (8 + 13))


@settings(deadline=None)
@given(classified())
def test_measures_of_classes_agree_with_scikit_learn(sample):
    truth, predicted, probs, *_ = sample
    labels = list(range(probs.shape[1]))
    accuracy = overall("accuracy", sample)
    assert accuracy == pytest.approx(oracle.accuracy_score(truth, predicted))
    expected = oracle.precision_recall_fscore_support(
        truth, predicted, labels=labels, zero_division=np.nan
    )
    for k in labels:
        precision, recall = (of_label(key, sample, k) for key in ("precision", "recall"))
        for found, value in ((precision, expected[0][k]), (recall, expected[1][k])):
            assert np.isnan(value) if found is None else found == pytest.approx(value)
        f1 = of_label("f1", sample, k)
        undefined = precision is None or recall is None
        assert undefined if f1 is None else f1 == pytest.approx(expected[2][k])
        negatives, kept = truth != k, (truth != k) & (predicted != k)
        specificity = of_label("specificity", sample, k)
        if specificity is None:
            assert not negatives.any()
        else:
            assert specificity == pytest.approx(kept.sum() / negatives.sum())
    balanced = overall("balanced_accuracy", sample)
    if balanced is None:
        assert set(truth) != set(labels)
    else:
        assert balanced == pytest.approx(np.mean(expected[1]))


def test_undefined_is_none_and_never_zero():
    # Class 1 has images but is never predicted; class 2 is absent in both.
    sample = sample_of(np.array([[3, 0, 0], [2, 0, 0], [0, 0, 0]]))
    assert of_label("precision", sample, 1) is None
    assert of_label("recall", sample, 1) == 0
    assert of_label("f1", sample, 1) is None
    assert of_label("recall", sample, 2) is None
    assert of_label("specificity", sample_of(np.array([[3, 0], [0, 0]])), 0) is None
    assert overall("balanced_accuracy", sample) is None
    assert overall("accuracy", sample_of(np.zeros((2, 2), dtype=np.int64))) is None
    # Predicted, but never rightly: both precision and recall are 0, and so is F1.
    assert of_label("f1", sample_of(np.array([[0, 1], [1, 0]])), 1) == 0


def test_macro_auroc_agrees_with_scikit_learn():
    generator = np.random.default_rng(0)
    truth = np.arange(60) % 3
    probs = generator.dirichlet(np.ones(3), size=60)
    expected = oracle.roc_auc_score(truth, probs, multi_class="ovr", average="macro")
    assert overall("macro_auroc", Sample(truth, truth, probs)) == pytest.approx(expected)
    assert overall("macro_auroc", Sample(truth % 2, truth, probs)) is None


@settings(deadline=None)
@given(classified())
def test_matthews_correlation_agrees_with_scikit_learn(sample):
    found = overall("matthews_correlation", sample)
    if len(set(sample.truth)) == 1 or len(set(sample.predicted)) == 1:
        assert found is None  # scikit-learn returns 0 there
    else:
        expected = oracle.matthews_corrcoef(sample.truth, sample.predicted)
        assert found == pytest.approx(expected, abs=1e-12)


def test_matthews_correlation_and_its_interval():
    names = ("normal", "covid", "non-covid")
    # By hand: 19 of 24 right; rows 8, 8, 8, columns 7, 13, 4.
    expected = (19 * 24 - 8 * 24) / np.sqrt((576 - 192) * (576 - 49 - 169 - 16))
    found = measure_overall(sample_of(PUBLISHED), PUBLISHED, names, 0)["matthews_correlation"]
    assert found.value == pytest.approx(expected)
    assert found.low < expected < found.high
    assert (found.n, found.method) == (24, "bootstrap")
    for matrix, reason in (
        ([[3, 1, 0], [0, 4, 0], [0, 0, 0]], "no image of non-covid"),
        ([[0, 4, 0], [0, 4, 0], [0, 4, 0]], "every image was predicted as covid"),
    ):
        sample = sample_of(np.array(matrix))
        found = measure_overall(sample, np.array(matrix), names, 0)["matthews_correlation"]
        assert (found.value, found.reason) == (None, reason)


def test_resampled_f1_is_that_of_the_repeated_images():
    generator = np.random.default_rng(1)
    truth = np.r_[0, 1, 2, generator.integers(0, 3, 37)]
    predicted = generator.integers(0, 3, 40)
    counts = generator.integers(0, 4, size=(5, 40))
    counts[:, :3] += 1  # each class occurs in each resample
    side = OneAgainstRest(truth == 1, predicted == 1, np.zeros(40))
    for row, found in enumerate(OF_A_LABEL["f1"].replicates(side, counts)):
        drawn = np.repeat(np.arange(40), counts[row])
        expected = oracle.f1_score(truth[drawn], predicted[drawn], labels=[1], average=None)[0]
        assert found == pytest.approx(expected)
