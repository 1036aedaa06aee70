import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from hilum.errors import EvaluationError
from hilum.statistics.comparison import delong
from hilum.statistics.intervals import bootstrap
from hilum.statistics.metrics import aurocs
from tests.plain import again

HAND_TRUTH = np.array([1, 1, 1, 0, 0, 0], dtype=bool)
HAND_SCORES = np.array([0.8, 0.6, 0.4, 0.7, 0.3, 0.2])


def direct(positive, *scores):
    """AUROCs and covariance as DeLong et al. write them: every positive with every negative."""
    above, below = [], []
    for row in scores:
        kernel = [
            [1.0 if x > y else 0.5 if x == y else 0.0 for y in row[~positive]]
            for x in row[positive]
        ]
        above.append(np.mean(kernel, axis=1))
        below.append(np.mean(kernel, axis=0))
    m, n = positive.sum(), (~positive).sum()
    return np.mean(above, axis=1), np.cov(above) / m + np.cov(below) / n


@st.composite
def scored(draw):
    """Truth with at least two of a kind, and two scores with ties."""
    m, n = draw(st.integers(2, 12)), draw(st.integers(2, 12))
    scores = st.lists(st.integers(0, 6), min_size=m + n, max_size=m + n)
    positive = np.array(draw(st.permutations([True] * m + [False] * n)))
    return positive, np.array(draw(scores), float), np.array(draw(scores), float)


def test_one_auroc_by_hand():
    # The positives outscore 3, 2 and 2 of the 3 negatives: the AUROC is 7/9. The components'
    # variances are 1/27 and 4/27, so the variance is (1/27 + 4/27) / 3 = 5/81.
    found = delong(HAND_TRUTH, HAND_SCORES, HAND_SCORES).auc_a
    assert found.value == pytest.approx(7 / 9)
    assert found.low == pytest.approx(7 / 9 - norm.ppf(0.975) * np.sqrt(5) / 9)
    assert found.high == 1
    assert (found.n, found.method) == (6, "delong")


@settings(deadline=None)
@given(scored())
def test_agrees_with_the_direct_formula(data):
    positive, a, b = data
    areas, covariance = direct(positive, a, b)
    found = delong(positive, a, b)
    assert (found.auc_a.value, found.auc_b.value) == pytest.approx(tuple(areas))
    assert found.auc_a.value == pytest.approx(aurocs(positive, a, np.ones((1, len(a)), int))[0])
    assert found.difference.value == pytest.approx(areas[0] - areas[1], abs=1e-12)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    if variance < 1e-12:
        assert found.p is None
        assert "no interval" in found.difference.reason
    else:
        error = np.sqrt(variance)
        assert found.p == pytest.approx(2 * norm.sf(abs(areas[0] - areas[1]) / error))
        low = max(-1, areas[0] - areas[1] - norm.ppf(0.975) * error)
        assert found.difference.low == pytest.approx(low)
    assert delong(positive, a, a).auc_a == found.auc_a
    assert again(found) == found


@settings(deadline=None)
@given(scored())
def test_only_the_order_of_scores_matters(data):
    positive, a, b = data
    assert delong(positive, np.exp(a), b**3) == delong(positive, a, b)


@given(scored())
def test_turning_the_sides_round_turns_the_sign(data):
    positive, a, b = data
    found, turned = delong(positive, a, b), delong(positive, b, a)
    assume(found.p is not None)
    assert turned.difference.value == -found.difference.value
    assert turned.p == found.p


def test_agrees_with_the_bootstrap():
    rng = np.random.default_rng(0)
    positive = np.arange(400) < 150
    a = rng.normal(size=400) + 1.2 * positive
    b = 0.6 * a + rng.normal(size=400) + 0.2 * positive
    found = delong(positive, a, b)
    drawn = bootstrap(
        lambda counts: aurocs(positive, a, counts) - aurocs(positive, b, counts),
        400,
        strata=positive.astype(np.int64),
    )
    assert (found.difference.low, found.difference.high) == pytest.approx(
        (drawn.low, drawn.high), abs=0.01
    )


def test_no_interval_where_nothing_varies():
    perfect, other = np.array([3.0, 2.0, 1.0, 0.0]), np.array([3.0, 0.5, 1.0, 0.0])
    positive = np.array([True, True, False, False])
    found = delong(positive, perfect, perfect)
    assert (found.auc_a.value, found.auc_a.low, found.difference.value) == (1, None, 0)
    assert found.p is None
    assert "perfect" in found.auc_a.reason
    # One perfect AUROC and one that is not still differ, with an interval.
    mixed = delong(positive, perfect, other)
    assert mixed.auc_a.low is None
    assert mixed.difference.value == pytest.approx(0.25)
    assert mixed.difference.low is not None


def test_identical_scores_have_a_difference_of_exactly_zero_without_interval():
    found = delong(HAND_TRUTH, HAND_SCORES, HAND_SCORES)
    assert (found.difference.value, found.difference.low, found.p) == (0, None, None)
    assert found.auc_a.low is not None


def test_undefined_without_positives_or_negatives():
    scores = np.array([0.1, 0.2])
    for positive, reason in (([False] * 2, "no positive image"), ([True] * 2, "no negative image")):
        found = delong(np.array(positive), scores, scores)
        assert (found.auc_a.value, found.difference.value, found.p) == (None, None, None)
        assert found.difference.reason == reason
        assert found.auc_a.reason == reason


def test_no_interval_with_one_positive():
    scores = np.array([0.5, 0.6, 0.1])
    found = delong(np.array([True, False, False]), scores, scores).auc_a
    assert (found.value, found.low) == (0.5, None)
    assert "at least two positive" in found.reason


def test_refuses_scores_that_do_not_fit():
    with pytest.raises(EvaluationError, match="one score per image"):
        delong(HAND_TRUTH, HAND_SCORES, HAND_SCORES[:5])
    with pytest.raises(EvaluationError, match="finite scores"):
        delong(HAND_TRUTH, np.full(6, np.nan), HAND_SCORES)
