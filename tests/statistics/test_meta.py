"""Pooling over sites, against statsmodels and a published meta-analysis."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import stdtrit
from statsmodels.stats.meta_analysis import combine_effects

from hilum.errors import EvaluationError
from hilum.statistics.meta import pool

#: BCG against tuberculosis, 13 trials (Colditz et al. 1994): ill and well, vaccinated and not.
BCG = np.array(
    [
        (4, 119, 11, 128), (6, 300, 29, 274), (3, 228, 11, 209), (62, 13536, 248, 12619),
        (33, 5036, 47, 5761), (180, 1361, 372, 1079), (8, 2537, 10, 619), (505, 87886, 499, 87892),
        (29, 7470, 45, 7232), (17, 1699, 65, 1600), (186, 50448, 141, 27197), (5, 2493, 3, 2338),
        (27, 16886, 29, 17825),
    ],
    dtype=np.float64,
)  # fmt: skip


def test_the_trials_of_bcg_come_out_as_published():
    a, b, c, d = BCG.T
    effects = np.log(a / (a + b)) - np.log(c / (c + d))
    variances = 1 / a - 1 / (a + b) + 1 / c - 1 / (c + d)

    found = pool(effects.tolist(), variances.tolist())

    # Viechtbauer 2010, doi:10.18637/jss.v036.i03, and metafor's method "DL"
    assert found.k == 13
    assert found.value == pytest.approx(-0.7141, abs=1e-4)
    assert found.tau2 == pytest.approx(0.3088, abs=1e-4)
    assert found.q == pytest.approx(152.233, abs=1e-3)
    assert found.i2 == pytest.approx(0.9212, abs=1e-4)


sites = st.lists(
    st.tuples(st.floats(-3, 3, allow_subnormal=False), st.floats(0.001, 2)), min_size=2, max_size=8
)


@given(sites)
def test_it_agrees_with_statsmodels_but_for_the_floor(given):
    effects, variances = (np.array(values) for values in zip(*given, strict=True))

    found = pool(effects.tolist(), variances.tolist())

    with np.errstate(all="ignore"):  # statsmodels goes on with a variance below 0
        oracle = combine_effects(effects, variances, method_re="chi2", use_t=True)
    assert found.q == pytest.approx(oracle.q, abs=1e-9)
    assert found.tau2 == pytest.approx(max(0, oracle.tau2), abs=1e-9)
    hksj = oracle.sd_eff_w_re_hksj if oracle.tau2 > 0 else 0.0  # as little spread as chance makes
    mean = oracle.mean_effect_re if oracle.tau2 > 0 else oracle.mean_effect_fe
    assert found.value == pytest.approx(mean, abs=1e-9)
    plain = 1 / np.sqrt((1 / (variances + found.tau2)).sum())
    spread = max(hksj, plain)
    half = stdtrit(found.k - 1, 0.975) * spread
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half))
    if found.k == 2:
        assert found.prediction_low is None
    else:
        reach = stdtrit(found.k - 2, 0.975) * np.hypot(np.sqrt(found.tau2), plain)
        assert found.prediction_high == pytest.approx(found.value + reach)


@pytest.mark.parametrize(
    ("effects", "variances", "said"),
    [([1.0], [1.0], "at least two"), ([1.0, 2.0], [1.0], "a variance of each"),
     ([1.0, float("nan")], [1.0, 1.0], "finite"), ([1.0, 2.0], [1.0, 0.0], "above 0")],
)  # fmt: skip
def test_what_cannot_be_pooled_is_refused(effects, variances, said):
    with pytest.raises(EvaluationError, match=said):
        pool(effects, variances)
