"""Measures of a classification, as pure functions of arrays.

What the data do not define is None, never 0. "One against the rest": images of class k are the
positives, all others the negatives.
"""

import numpy as np

from hilum.errors import EvaluationError
from hilum.records import BoolArray, FloatArray, IntArray
from hilum.statistics.checks import check_classes

# ---- from classes ----------------------------------------------------------------------------


def confusion_matrix(truth: IntArray, predicted: IntArray, n_classes: int) -> IntArray:
    """How many images of each true class were given each class.

    truth, predicted: (N,) class indices below n_classes. Returns (C, C) counts that sum to N;
    rows are the truth. Raises EvaluationError for unequal lengths or an index out of range.
    """
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if truth.shape != predicted.shape or truth.ndim != 1:
        raise EvaluationError(
            f"Truth and predicted classes must be two lists of one length; "
            f"found shapes {truth.shape} and {predicted.shape}."
        )
    for name, values in (("true", truth), ("predicted", predicted)):
        check_classes(name, values, n_classes)
    cells = truth.astype(np.int64) * n_classes + predicted
    return np.bincount(cells, minlength=n_classes**2).reshape(n_classes, n_classes).astype(np.int64)


def accuracy(matrix: IntArray) -> float | None:
    """Share of images given their true class.

    matrix: (C, C) counts, rows are the truth. Returns a value in [0, 1]; None without images.
    """
    return _ratio(matrix.trace(), matrix.sum())


def balanced_accuracy(matrix: IntArray) -> float | None:
    """Mean of the classes' recalls, so that every class weighs the same.

    matrix: (C, C) counts, rows are the truth. Returns a value in [0, 1]; None where a class has
    no image (scikit-learn leaves such a class out instead).
    Source: Brodersen et al. 2010, doi:10.1109/ICPR.2010.764
    """
    if (matrix.sum(axis=1) == 0).any():
        return None
    return float(balanced_accuracies(matrix[None])[0])


def precision(matrix: IntArray, k: int) -> float | None:
    """Positive predictive value: share of the images predicted as class k that are of class k.

    matrix: (C, C) counts, rows are the truth. Returns a value in [0, 1]; None where no image was
    predicted as k.
    """
    return _ratio(matrix[k, k], matrix[:, k].sum())


def recall(matrix: IntArray, k: int) -> float | None:
    """Sensitivity: share of the images of class k that were predicted as class k.

    matrix: (C, C) counts, rows are the truth. Returns a value in [0, 1]; None where no image is
    of class k.
    """
    return _ratio(matrix[k, k], matrix[k].sum())


def specificity(matrix: IntArray, k: int) -> float | None:
    """Share of the images not of class k that were not predicted as class k.

    matrix: (C, C) counts, rows are the truth. Returns a value in [0, 1]; None where every image
    is of class k.
    """
    negatives = matrix.sum() - matrix[k].sum()
    false_positives = matrix[:, k].sum() - matrix[k, k]
    return _ratio(negatives - false_positives, negatives)


def f1(matrix: IntArray, k: int) -> float | None:
    """Harmonic mean of precision and recall of class k: 2 TP / (2 TP + FP + FN).

    matrix: (C, C) counts, rows are the truth. Returns a value in [0, 1], 0 where precision and
    recall are both 0; None where either is undefined: no image is of class k, or none was
    predicted as k (scikit-learn returns 0 there).
    Source: van Rijsbergen 1979, Information Retrieval, chapter 7
    """
    if matrix[k].sum() == 0 or matrix[:, k].sum() == 0:
        return None
    return float(f1_scores(matrix[None], k)[0])


# ---- from probabilities ----------------------------------------------------------------------


def auroc(positive: BoolArray, scores: FloatArray) -> float | None:
    """Area under the receiver operating characteristic curve.

    The probability that a positive image scores higher than a negative one; a tie counts half.
    positive: (N,) bool. scores: (N,), higher means more likely positive.
    Returns a value in [0, 1]; None without positives or without negatives.
    Source: Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747
    """
    positive = np.asarray(positive, dtype=bool)
    if positive.all() or not positive.any():
        return None
    return float(aurocs(positive, scores, np.ones((1, len(positive)), dtype=np.int64))[0])


def macro_auroc(truth: IntArray, probs: FloatArray) -> float | None:
    """Mean over the classes of the AUROC of one class against the rest, unweighted.

    truth: (N,) class indices. probs: (N, C). Returns a value in [0, 1]; None where a class has no
    image or all of them. For two classes it is the AUROC.
    """
    truth = np.asarray(truth)
    areas = [auroc(truth == k, probs[:, k]) for k in range(probs.shape[1])]
    defined = [area for area in areas if area is not None]
    return float(np.mean(defined)) if len(defined) == len(areas) > 0 else None


# ---- many resamples at once, for intervals.bootstrap -------------------------------------------


def confusion_matrices(
    truth: IntArray, predicted: IntArray, n_classes: int, counts: IntArray
) -> IntArray:
    """The confusion matrix of each of R resamples.

    truth, predicted: (N,) class indices. counts: (R, N), how often each image was drawn.
    Returns (R, C, C); rows are the truth.
    """
    matrices = np.zeros((len(counts), n_classes, n_classes), dtype=np.int64)
    cells = np.asarray(truth) * n_classes + np.asarray(predicted)
    for cell in np.unique(cells):
        drawn = counts[:, cells == cell].sum(axis=1)
        matrices[:, cell // n_classes, cell % n_classes] = drawn
    return matrices


def balanced_accuracies(matrices: IntArray) -> FloatArray:
    """The balanced accuracy of each of R confusion matrices (R, C, C); every class has images."""
    recalls = np.diagonal(matrices, axis1=1, axis2=2) / matrices.sum(axis=2)
    return np.asarray(recalls.mean(axis=1), dtype=np.float64)


def f1_scores(matrices: IntArray, k: int) -> FloatArray:
    """2 TP / (2 TP + FP + FN) of class k for each of R confusion matrices (R, C, C).

    Class k has images in each. A resample in which none was predicted as k scores 0, the limit
    of the formula: to leave it out would make an interval too favourable.
    """
    true_positives = matrices[:, k, k]
    total = matrices[:, k, :].sum(axis=1) + matrices[:, :, k].sum(axis=1)
    return np.asarray(2 * true_positives / total, dtype=np.float64)


def aurocs(positive: BoolArray, scores: FloatArray, counts: IntArray) -> FloatArray:
    """The AUROC of each of R resamples; the scores are sorted once for all of them.

    positive: (N,) bool. scores: (N,). counts: (R, N), how often each image was drawn; each
    resample holds a positive and a negative. Returns (R,) values in [0, 1].
    """
    scores = np.asarray(scores)
    positives, negatives = np.flatnonzero(positive), np.flatnonzero(~np.asarray(positive))
    negatives = negatives[np.argsort(scores[negatives], kind="stable")]
    drawn_positives, drawn_negatives = counts[:, positives], counts[:, negatives]
    # up_to[:, j]: how many of the drawn negatives are among the j lowest.
    up_to = np.zeros((len(counts), len(negatives) + 1), dtype=np.int64)
    np.cumsum(drawn_negatives, axis=1, out=up_to[:, 1:])
    below = np.searchsorted(scores[negatives], scores[positives], side="left")
    below_or_tied = np.searchsorted(scores[negatives], scores[positives], side="right")
    # A pair won counts twice here and a tie once, so that all sums stay exact integers.
    half_pairs = (drawn_positives * (up_to[:, below] + up_to[:, below_or_tied])).sum(axis=1)
    pairs = drawn_positives.sum(axis=1) * up_to[:, -1]
    return np.asarray(half_pairs / (2 * pairs), dtype=np.float64)


def _ratio(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None
