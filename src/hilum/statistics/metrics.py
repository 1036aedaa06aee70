"""Measures of a classification, as pure functions of arrays, of many resamples at once.

Counts are (R, N): how often each image is drawn in each of R resamples; one row of ones gives the
measure itself. What a resample does not define is NaN, never 0.
"""

import numpy as np

from hilum.errors import EvaluationError
from hilum.records import BoolArray, FloatArray, IntArray
from hilum.statistics.checks import check_classes


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
    """Mean of the classes' recalls, so that every class weighs the same, of R resamples.

    matrices: (R, C, C), rows are the truth. Returns (R,) values in [0, 1]; NaN where a class has
    no image (scikit-learn leaves such a class out instead).
    Source: Brodersen et al. 2010, doi:10.1109/ICPR.2010.764
    """
    recalls = ratios(np.diagonal(matrices, axis1=1, axis2=2), matrices.sum(axis=2))
    return np.asarray(recalls.mean(axis=1), dtype=np.float64)


def matthews_correlations(matrices: IntArray) -> FloatArray:
    """The correlation between truth and prediction over all classes, of R resamples.

    matrices: (R, C, C), rows are the truth. Returns (R,) values in [-1, 1]: 1 is perfect, 0 no
    better than chance; NaN where all images are of one class or were predicted as one.
    Source: Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006
    """
    cells = matrices.astype(np.float64)
    truth, predicted = cells.sum(axis=2), cells.sum(axis=1)
    n, right = cells.sum(axis=(1, 2)), np.trace(cells, axis1=1, axis2=2)
    spread = (n**2 - (truth**2).sum(axis=1)) * (n**2 - (predicted**2).sum(axis=1))
    return ratios(right * n - (truth * predicted).sum(axis=1), np.sqrt(spread))


def aurocs(positive: BoolArray, scores: FloatArray, counts: IntArray) -> FloatArray:
    """Area under the receiver operating characteristic curve, of R resamples.

    The probability that a positive image scores higher than a negative one; a tie counts half.
    positive: (N,) bool. scores: (N,), sorted once for all resamples. counts: (R, N).
    Returns (R,) values in [0, 1]; NaN without positives or without negatives.
    Source: Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747
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
    return ratios(half_pairs, 2 * drawn_positives.sum(axis=1) * up_to[:, -1])


def ratios(parts: IntArray | FloatArray, wholes: IntArray | FloatArray) -> FloatArray:
    """Parts / wholes of any one shape, NaN where a whole is 0."""
    found = np.full(np.shape(parts), np.nan)
    return np.asarray(np.divide(parts, wholes, out=found, where=wholes > 0), dtype=np.float64)
