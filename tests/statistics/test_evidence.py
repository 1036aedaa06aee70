"""Whether figures show a claim: against statsmodels, the house's own tests, and known truth."""

import numpy as np
import pytest
import scipy
from statsmodels.stats.proportion import proportion_confint

from hilum.errors import EvaluationError
from hilum.statistics.chance import chance_of_order, share_of
from hilum.statistics.comparison import delong, mcnemar_exact
from hilum.statistics.evidence import (
    ALPHA,
    area_error,
    perfect_area,
    weigh_alike,
    weigh_difference,
    weigh_measure,
    weigh_paired_shares,
    weigh_resampled,
    weigh_share,
)
from hilum.statistics.influence import (
    influence_of_area,
    influence_of_counts,
    interval_of,
    numbered,
    spread_of,
)


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("hits", "n"), [(19, 24), (0, 10), (10, 10), (300, 400)])
def test_a_share_is_tested_exactly(hits: int, n: int) -> None:
    found = weigh_share(np.arange(n) < hits, 0.6)
    low, high = proportion_confint(hits, n, method="beta")
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)
    assert found.above == pytest.approx(scipy.stats.binomtest(hits, n, 0.6, "greater").pvalue)
    assert found.below == pytest.approx(scipy.stats.binomtest(hits, n, 0.6, "less").pvalue)


def test_patients_of_several_images_count_as_what_they_are_worth() -> None:
    """Copies of the same images are worth nothing; independent images of a patient a full one."""
    hits = random().random(60) < 0.8
    once = weigh_share(hits, 0.6)
    copies = weigh_share(np.repeat(hits, 4), 0.6, np.repeat(np.arange(60), 4))
    assert once.above < copies.above < 3 * once.above, "a little less is known of few patients"
    assert copies.low == pytest.approx(once.low, abs=0.02)
    every = weigh_share(np.ones(40, dtype=bool), 0.9, np.repeat(np.arange(10), 4))
    assert every.above == pytest.approx(0.9**10), "all right: as many as there are patients"


def test_paired_shares_agree_with_mcnemar() -> None:
    draws = random(1)
    one, two = draws.random(80) < 0.8, draws.random(80) < 0.65
    found, test = weigh_paired_shares(one, two), mcnemar_exact(one, two)
    assert found.above is not None
    assert 2 * found.above == pytest.approx(test.p)
    assert found.low is not None
    assert found.low < found.value < found.high
    margin = weigh_paired_shares(one, two, found.low)
    assert margin.above == pytest.approx(ALPHA, abs=1e-6), "the interval inverts the score test"
    patients = weigh_paired_shares(
        np.repeat(one, 3), np.repeat(two, 3), 0.0, np.repeat(range(80), 3)
    )
    assert patients.above is not None
    assert patients.above >= found.above * 0.5, "copies add nothing"


def test_areas_have_delongs_error() -> None:
    draws = random(2)
    positive = np.arange(120) < 40
    a, b = (draws.normal(size=120) + positive * shift for shift in (1.5, 1.0))
    one, two = (influence_of_area(positive, s) for s in (a, b))
    test = delong(positive, a, b)
    assert one.value == pytest.approx(test.auc_a.value)
    width = 2 * scipy.stats.norm.ppf(0.975) * spread_of(one.each).error
    assert width == pytest.approx(test.auc_a.high - test.auc_a.low, rel=0.02)
    difference = weigh_difference(one, two, 0.0)
    assert difference.value == pytest.approx(test.difference.value)
    assert 2 * difference.above == pytest.approx(test.p, rel=0.15)
    same = np.repeat(np.arange(120), 2)
    twice = influence_of_area(np.repeat(positive, 2), np.repeat(a, 2))
    assert spread_of(twice.each, same).error == pytest.approx(spread_of(one.each).error, rel=1e-9)
    found = weigh_measure(one, 0.6, error_at=area_error(40, 80))
    assert found.low < found.value < found.high


def test_a_perfect_area_of_few_images_is_no_proof() -> None:
    positive = np.arange(12) < 3
    perfect = influence_of_area(positive, positive.astype(float))
    found = weigh_measure(perfect, 0.9, perfect=perfect_area(3, 9))
    assert found.above == pytest.approx(0.9**3)
    assert found.low == pytest.approx(ALPHA ** (1 / 3), abs=1e-6)
    assert weigh_measure(perfect, 0.9).reason


def test_influence_agrees_with_the_bootstrap() -> None:
    cells = random(3).integers(0, 3, 500)
    found = influence_of_counts(lambda n: n[:, 0] / n.sum(axis=1), cells, 3)
    share = float((cells == 0).mean())
    interval = interval_of(found)
    assert interval.value == pytest.approx(share)
    error = np.sqrt(share * (1 - share) / 500)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * error, rel=0.01)
    drawn = weigh_resampled(lambda n: n[:, cells == 0].sum(axis=1) / n.sum(axis=1), 500, 0.2)
    assert drawn.high - drawn.low == pytest.approx(interval.high - interval.low, rel=0.1)
    assert numbered(("a", "b")) is None
    assert numbered(("a", "b", "a")).tolist() == [0, 1, 0]


def test_subgroups_are_alike_or_not_or_it_is_not_known() -> None:
    site = np.arange(2000) % 2 == 1
    same = random(4).random(2000) < 0.8
    assert weigh_alike(same, site, 0.1).above <= ALPHA
    apart = np.where(site, same, False)
    assert weigh_alike(apart, site, 0.1).below <= ALPHA
    few = weigh_alike(same[:40], site[:40], 0.05)
    assert (few.above or 0) > ALPHA
    assert (few.below or 0) > ALPHA
    assert weigh_alike(same, np.zeros(2000, dtype=bool), 0.1).reason


def test_chance_from_published_figures() -> None:
    """Paired, the count of cases on which models differ decides; unpaired, two Beta laws."""
    found = chance_of_order(0.79, 24, 0.75)
    assert (found.first.value, found.second.value) == (19 / 24, 18 / 24)
    assert found.least == pytest.approx(scipy.stats.beta.cdf(0.5, 1.5, 0.5))
    assert found.least < found.independent <= found.most < 0.5
    assert chance_of_order(0.75, 24, 0.79) == found, "whichever is named first"
    assert "37%" in found.sentence
    draws = random(5)
    a, b = (draws.beta(k + 0.5, n - k + 0.5, 400_000) for k, n in ((180, 200), (85, 100)))
    alone = chance_of_order(0.9, 200, 0.85, 100)
    assert alone.independent == pytest.approx(float((a < b).mean()), abs=0.003)
    assert "neither" in chance_of_order(0.5, 10, 0.5).sentence
    with pytest.raises(EvaluationError, match="No count of 24 cases is a share of 0.81"):
        share_of(0.81, 24)
