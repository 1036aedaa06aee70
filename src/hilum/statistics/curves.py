"""ROC and precision-recall curves, of the data and of many resamples at once.

Pure functions of arrays. Counts are (R, N), how often each image is drawn in each of R resamples;
one row of ones gives the curve itself. Scores are sorted once for all resamples.
"""

import numpy as np

from hilum.records import BoolArray, FloatArray, IntArray
from hilum.statistics.metrics import ratios


def cumulative_counts(
    positive: BoolArray, scores: FloatArray, counts: IntArray
) -> tuple[IntArray, IntArray]:
    """How many positives and negatives score at least each distinct score, from the highest on.

    positive: (N,) bool. scores: (N,). counts: (R, N).
    Returns true positives and false positives, each (R, U) over the U distinct scores.
    """
    scores, positive = np.asarray(scores), np.asarray(positive, dtype=bool)
    order = np.argsort(-scores, kind="stable")
    last_of_equals = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    drawn = counts[:, order]
    true_positives = np.cumsum(drawn * positive[order], axis=1)[:, last_of_equals]
    false_positives = np.cumsum(drawn * ~positive[order], axis=1)[:, last_of_equals]
    return true_positives, false_positives


def roc_curve(positive: BoolArray, scores: FloatArray) -> FloatArray:
    """The ROC curve: (P, 2) points (1 - specificity, sensitivity) from (0, 0) to (1, 1).

    positive: (N,) bool, with at least one True and one False. scores: (N,), higher means more
    likely positive. Images with equal scores are one slanted step.
    Source: Fawcett 2006, doi:10.1016/j.patrec.2005.10.010
    """
    tp, fp = cumulative_counts(positive, scores, np.ones((1, len(scores)), dtype=np.int64))
    points = np.stack([fp[0] / fp[0, -1], tp[0] / tp[0, -1]], axis=1)
    return np.concatenate([[[0.0, 0.0]], points])


def precision_recall_curve(positive: BoolArray, scores: FloatArray) -> FloatArray:
    """The precision-recall curve: (P, 2) points (recall, precision) by rising recall, in steps.

    positive: (N,) bool, with at least one True. scores: (N,). The precision over a step of recall
    is that at its end, so that the area under the steps is the average precision; straight lines
    between the points would promise more than any threshold gives.
    Source: Davis and Goadrich 2006, doi:10.1145/1143844.1143874
    """
    tp, fp = cumulative_counts(positive, scores, np.ones((1, len(scores)), dtype=np.int64))
    some = tp[0] > 0  # thresholds that find nothing have no recall to draw their precision over
    tp, fp = tp[:, some], fp[:, some]
    recall, precision = tp[0] / tp[0, -1], tp[0] / (tp[0] + fp[0])
    start = np.stack([np.append(0.0, recall[:-1]), precision], axis=1)
    end = np.stack([recall, precision], axis=1)
    return np.stack([start, end], axis=1).reshape(-1, 2)


def average_precisions(positive: BoolArray, scores: FloatArray, counts: IntArray) -> FloatArray:
    """The average precision of each of R resamples: sum of (R_i - R_(i-1)) P_i over thresholds.

    positive: (N,) bool. scores: (N,). counts: (R, N).
    Returns (R,) values in (0, 1], NaN without a positive; a classifier that knows nothing has the
    share of positives.
    """
    tp, fp = cumulative_counts(positive, scores, counts)
    precision = tp / np.maximum(tp + fp, 1)
    gained = np.diff(tp, axis=1, prepend=0)
    return ratios((gained * precision).sum(axis=1), tp[:, -1])


def sensitivities_at(grid: FloatArray, tp: IntArray, fp: IntArray) -> FloatArray:
    """The sensitivity at given values of 1 - specificity, of each of R resamples.

    grid: (G,) rising, in [0, 1]. tp, fp: (R, U) from cumulative_counts, with a positive and a
    negative in each row. Returns (R, G): where the curve rises straight up, its upper end.
    """
    zero = np.zeros((len(tp), 1))
    fpr = np.hstack([zero, fp / fp[:, -1:]])
    tpr = np.hstack([zero, tp / tp[:, -1:]])
    # np.interp takes the last of points with equal x, which is the upper end.
    return np.array([np.interp(grid, x, y) for x, y in zip(fpr, tpr, strict=True)])


def precisions_at(grid: FloatArray, tp: IntArray, fp: IntArray) -> FloatArray:
    """The precision at the highest threshold that reaches a recall, of each of R resamples.

    grid: (G,) recalls, rising, in (0, 1]. tp, fp: (R, U) from cumulative_counts, with a positive
    in each row. Returns (R, G).
    """
    precision = tp / np.maximum(tp + fp, 1)
    # Whole numbers of positives, so that rounding never asks for one more than the recall means.
    needed = np.ceil(grid * tp[:, -1:] - 1e-9)
    rows = [np.searchsorted(t, need, side="left") for t, need in zip(tp, needed, strict=True)]
    return np.asarray(np.take_along_axis(precision, np.array(rows), axis=1), dtype=np.float64)


def thin(points: FloatArray, most: int = 100) -> FloatArray:
    """A line with at most so many of its own points, as near to the whole line as they allow.

    points: (P, 2). most: at least 2. Starting from the two ends, the point that lies farthest from
    the line so far is put back, until none is off it or the number is reached. A line whose corners
    number at most `most` keeps its shape exactly. Returns (Q, 2), in order.
    Source: Douglas and Peucker 1973, doi:10.3138/FM57-6770-U75U-7727
    """
    kept = [0, len(points) - 1] if len(points) > 1 else [0]
    gaps = [_farthest(points, 0, len(points) - 1)]
    while len(kept) < most:
        distance, at, first, last = max(gaps)
        if distance <= 1e-12:
            break
        gaps.remove((distance, at, first, last))
        gaps += [_farthest(points, first, at), _farthest(points, at, last)]
        kept.append(at)
    return points[sorted(kept)]


def _farthest(points: FloatArray, first: int, last: int) -> tuple[float, int, int, int]:
    """The distance and index of the point between two others that is farthest from their line."""
    between = points[first + 1 : last]
    if not len(between):
        return 0.0, first, first, last
    start, along = points[first], points[last] - points[first]
    length = float(along @ along)
    offset = between - start
    share = np.clip(offset @ along / length, 0, 1) if length else np.zeros(len(between))
    distance = np.linalg.norm(offset - share[:, None] * along, axis=1)
    at = int(distance.argmax())
    return float(distance[at]), first + 1 + at, first, last
