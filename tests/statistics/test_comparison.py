import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar as oracle_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep

from hilum.errors import EvaluationError
from hilum.statistics.comparison import (
    McNemar,
    difference_of_proportions,
    holm,
    mcnemar_exact,
)

BOOLS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


def test_mcnemar_by_hand():
    # 5 images both got right, 9 only a, 2 only b, 8 neither.
    a = np.array([1] * 5 + [1] * 9 + [0] * 2 + [0] * 8, dtype=bool)
    b = np.array([1] * 5 + [0] * 9 + [1] * 2 + [0] * 8, dtype=bool)
    found = mcnemar_exact(a, b)
    assert (found.only_a, found.only_b, found.n) == (9, 2, 24)
    assert found.p == pytest.approx(2 * (1 + 11 + 55) / 2**11)
    assert McNemar.from_json(found.to_json()) == found


@given(BOOLS)
def test_mcnemar_agrees_with_statsmodels(pairs):
    a, b = np.array(pairs, dtype=bool).T
    table = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
    found = mcnemar_exact(a, b)
    assert found.p == pytest.approx(oracle_mcnemar(table, exact=True).pvalue)
    assert mcnemar_exact(b, a).p == found.p


def test_mcnemar_of_classifiers_that_never_differ_and_of_nothing():
    same = np.array([True, False, True])
    assert mcnemar_exact(same, same).p == 1
    with pytest.raises(EvaluationError, match="one entry per image"):
        mcnemar_exact(same, same[:2])
    with pytest.raises(EvaluationError, match="one entry per image"):
        mcnemar_exact(same[:0], same[:0])


def test_difference_of_proportions_gives_the_published_example():
    # Newcombe 1998, table II, example (a), method 10.
    found = difference_of_proportions(56, 70, 48, 80)
    assert found.value == pytest.approx(0.2)
    assert (round(found.low, 4), round(found.high, 4)) == (0.0524, 0.3339)
    assert (found.n, found.method) == (150, "newcombe")


@given(st.integers(1, 200), st.integers(1, 200), st.floats(0, 1), st.floats(0, 1))
def test_difference_of_proportions_agrees_with_statsmodels(n_a, n_b, share_a, share_b):
    a, b = round(n_a * share_a), round(n_b * share_b)
    found = difference_of_proportions(a, n_a, b, n_b)
    low, high = confint_proportions_2indep(a, n_a, b, n_b, method="newcomb", compare="diff")
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)
    assert found.low <= found.value <= found.high


def test_difference_of_proportions_of_no_images():
    found = difference_of_proportions(3, 4, 0, 0)
    assert (found.value, found.n) == (None, 4)
    assert found.reason == "no images"
    with pytest.raises(EvaluationError, match="impossible"):
        difference_of_proportions(5, 4, 1, 4)


def test_holm_by_hand():
    # 0.01 x 3, then 0.02 x 2 = 0.04, then 0.03 x 1, which may not fall below 0.04.
    assert holm([0.03, None, 0.01, 0.02]) == pytest.approx([0.04, None, 0.03, 0.04])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([None]) == [None]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_agrees_with_statsmodels(p_values):
    with pytest.MonkeyPatch.context() as patch:
        # the oracle collects garbage at each call: a fifth of a second with PyTorch loaded
        patch.setattr("gc.collect", lambda: 0)
        expected = multipletests(p_values, method="holm")[1].tolist()
    assert holm(p_values) == pytest.approx(expected)


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan")])
def test_holm_refuses_what_is_no_p_value(wrong):
    with pytest.raises(EvaluationError, match=r"lies in \[0, 1\]"):
        holm([0.5, wrong])
