import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar as oracle_mcnemar
from statsmodels.stats.multitest import multipletests

from hilum.errors import EvaluationError
from hilum.statistics.comparison import holm, mcnemar_exact
from tests.plain import again

BOOLS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


def test_mcnemar_by_hand():
    # 5 images both got right, 9 only a, 2 only b, 8 neither.
    a = np.array([1] * 5 + [1] * 9 + [0] * 2 + [0] * 8, dtype=bool)
    b = np.array([1] * 5 + [0] * 9 + [1] * 2 + [0] * 8, dtype=bool)
    found = mcnemar_exact(a, b)
    assert (found.only_a, found.only_b, found.n) == (9, 2, 24)
    assert found.p == pytest.approx(2 * (1 + 11 + 55) / 2**11)
    assert again(found) == found


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
