"""Confident learning: which labels predictions of held-out images contradict.

Source: Northcutt, Jiang and Chuang 2021, doi:10.1613/jair.1.12125
"""

import numpy as np

from hilum.records import BoolArray, FloatArray, IntArray


def class_thresholds(probs: FloatArray, truth: IntArray) -> FloatArray:
    """(C,) mean probability of each class among its own images; infinite where it has none.

    probs: (N, C) of images that trained nothing. truth: (N,) the classes they are labelled as.
    """
    return np.array(
        [probs[truth == k, k].mean() if (truth == k).any() else np.inf
         for k in range(probs.shape[1])]
    )  # fmt: skip


def confident_class(probs: FloatArray, thresholds: FloatArray) -> IntArray:
    """(N,) the class that each image is confidently of, -1 for none.

    The most probable of those that reach their own threshold.
    """
    # A mean of equal numbers may lie a rounding error above them.
    reached = probs >= thresholds - 1e-12
    best = np.where(reached, probs, -1).argmax(axis=1)
    return np.where(reached.any(axis=1), best, -1).astype(np.int64)


def contradicted(probs: FloatArray, truth: IntArray, confident: IntArray) -> BoolArray:
    """(N,) whether an image is confidently of another class than its label says."""
    wrong = (confident >= 0) & (confident != truth)
    # Of uneven thresholds a class that is less probable than the label may reach its own alone.
    return np.asarray(wrong & (probs.argmax(axis=1) != truth), dtype=bool)


def contradicted_labels(probs: FloatArray, truth: IntArray) -> BoolArray:
    """(N,) the same of all images at once, by thresholds that are their own."""
    return contradicted(probs, truth, confident_class(probs, class_thresholds(probs, truth)))
