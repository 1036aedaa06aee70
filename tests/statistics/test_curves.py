"""ROC and precision-recall curves, with scikit-learn as the oracle."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from hilum.statistics.curves import (
    average_precisions,
    cumulative_counts,
    precision_recall_curve,
    precisions_at,
    roc_curve,
    sensitivities_at,
    thin,
)


def once(n):
    return np.ones((1, n), dtype=np.int64)


@st.composite
def scored(draw):
    """Positives and negatives with many tied scores, both present."""
    truth = [True, False, *draw(st.lists(st.booleans(), max_size=30))]
    scores = draw(st.lists(st.sampled_from([0, 0.2, 0.5, 0.7, 1]), min_size=32, max_size=32))
    return np.array(truth), np.array(scores[: len(truth)], dtype=float)


@settings(max_examples=30)
@given(scored())
def test_the_roc_curve_is_scikit_learns(sample):
    positive, scores = sample
    fpr, tpr, _ = oracle.roc_curve(positive, scores, drop_intermediate=False)
    assert roc_curve(positive, scores) == pytest.approx(np.stack([fpr, tpr], axis=1))


@settings(max_examples=30)
@given(scored())
def test_the_average_precision_is_scikit_learns_and_the_area_under_the_steps(sample):
    positive, scores = sample
    expected = oracle.average_precision_score(positive, scores)
    assert average_precisions(positive, scores, once(len(scores))) == pytest.approx(expected)
    recall, precision = precision_recall_curve(positive, scores).T
    assert np.trapezoid(precision, recall) == pytest.approx(expected)


@settings(max_examples=30)
@given(scored())
def test_the_precision_recall_curve_passes_scikit_learns_points(sample):
    positive, scores = sample
    precision, recall, _ = oracle.precision_recall_curve(positive, scores)
    ours = {(round(x, 9), round(y, 9)) for x, y in precision_recall_curve(positive, scores)}
    theirs = zip(
        recall[:-1], precision[:-1], strict=True
    )  # its last point, (0, 1), is no threshold's
    assert {(round(x, 9), round(y, 9)) for x, y in theirs if x > 0} <= ours


def test_a_precision_recall_curve_by_hand():
    positive = np.array([False, True, False, True])
    points = precision_recall_curve(positive, np.array([0.9, 0.8, 0.7, 0.6]))
    # the highest score finds nothing; then 1 of 2 is right, 1 of 3, 2 of 4
    assert points.tolist() == pytest.approx(
        np.array([[0, 1 / 2], [0.5, 1 / 2], [0.5, 1 / 3], [0.5, 1 / 3], [0.5, 1 / 2], [1, 1 / 2]])
    )


@settings(max_examples=30)
@given(scored(), st.integers(0, 100))
def test_a_resample_is_its_images(sample, seed):
    positive, scores = sample
    n = len(scores)
    counts = np.random.default_rng(seed).integers(0, 3, (1, n))
    counts[0, :2] = 1  # one positive and one negative remain
    rows = np.repeat(np.arange(n), counts[0])
    grid = np.linspace(0.05, 1, 20)
    expected = cumulative_counts(positive[rows], scores[rows], once(len(rows)))
    resampled = cumulative_counts(positive, scores, counts)
    assert average_precisions(positive, scores, counts) == pytest.approx(
        average_precisions(positive[rows], scores[rows], once(len(rows)))
    )
    for read in (sensitivities_at, precisions_at):
        assert read(grid, *resampled) == pytest.approx(read(grid, *expected))


def test_curves_are_read_where_they_jump():
    positive = np.array([True, True, False, True, False])
    tp, fp = cumulative_counts(positive, np.array([0.9, 0.8, 0.7, 0.6, 0.5]), once(5))
    # sensitivity 2/3 before the first negative, 1 from it on
    assert sensitivities_at(np.array([0, 0.25, 0.5, 1]), tp, fp)[0] == pytest.approx(
        [2 / 3, 2 / 3, 1, 1]
    )
    # 1 of 1 and 2 of 2 are right; the third positive comes with one negative before it
    assert precisions_at(np.array([0.1, 2 / 3, 0.7, 1]), tp, fp)[0] == pytest.approx(
        [1, 1, 3 / 4, 3 / 4]
    )


def test_tied_scores_are_a_slanted_step():
    tp, fp = cumulative_counts(np.array([True, False]), np.array([0.5, 0.5]), once(2))
    assert sensitivities_at(np.array([0, 0.3, 1]), tp, fp)[0] == pytest.approx([0, 0.3, 1])


def test_thinning_drops_only_what_lies_on_the_line():
    steps = np.array([[0, 0], [0, 0.1], [0, 0.5], [0.3, 0.5], [0.4, 0.5], [1, 1]])
    assert thin(steps).tolist() == [[0, 0], [0, 0.5], [0.4, 0.5], [1, 1]]
    assert thin(steps[:1]).tolist() == [[0, 0]]
    assert thin(np.array([[0.0, 0], [0, 1], [0, 0]])).tolist() == [[0, 0], [0, 1], [0, 0]]


def test_a_long_curve_keeps_its_shape():
    rng = np.random.default_rng(0)
    positive = rng.random(4000) < 0.3
    scores = rng.normal(positive * 1.2, 1)
    for line in (roc_curve(positive, scores), precision_recall_curve(positive, scores)):
        drawn = thin(line)
        assert len(drawn) <= 100
        assert drawn[0].tolist() == line[0].tolist()
        assert drawn[-1].tolist() == line[-1].tolist()
        # the farthest point of the whole line from the line that is drawn
        starts, along = drawn[:-1], np.diff(drawn, axis=0)
        offset = line[:, None] - starts
        share = (offset * along).sum(axis=2) / np.maximum((along**2).sum(axis=1), 1e-12)
        gaps = np.linalg.norm(offset - share.clip(0, 1)[..., None] * along, axis=2).min(axis=1)
        assert gaps.max() < 0.01
