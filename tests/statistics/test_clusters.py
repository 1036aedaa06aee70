import numpy as np
import pytest

from hilum.errors import EvaluationError
from hilum.statistics.intervals import bootstrap, cluster_bootstrap


def mean_of(values):
    """The mean as a bootstrap wants it: of (R, n) counts."""
    values = np.asarray(values, dtype=np.float64)
    return lambda counts: counts @ values / counts.sum(axis=1)


def test_groups_of_one_image_are_the_plain_bootstrap():
    values = np.linspace(0, 1, 40) ** 2
    strata = np.repeat([0, 1], 20)
    plain = bootstrap(mean_of(values), 40, strata=strata, seed=3)
    found = cluster_bootstrap(mean_of(values), np.arange(40), strata=strata, seed=3)
    assert (found.low, found.high) == (plain.low, plain.high)
    assert (found.value, found.n, found.method) == (plain.value, 40, "cluster bootstrap")


def test_copies_of_an_image_add_nothing():
    values = np.linspace(0, 1, 30)
    alone = bootstrap(mean_of(values), 30)
    ten_each, patients = np.repeat(values, 10), np.repeat(np.arange(30), 10)
    found = cluster_bootstrap(mean_of(ten_each), patients)
    assert (found.low, found.high) == pytest.approx((alone.low, alone.high))
    assert found.n == 300
    naive = bootstrap(mean_of(ten_each), 300)
    assert (found.high - found.low) / (naive.high - naive.low) == pytest.approx(10**0.5, rel=0.15)


def test_groups_are_drawn_whole_within_the_class_that_most_of_their_images_have():
    groups = np.array(["p1", "p1", "p1", "p2", "p3", "p3", "p4"])
    strata = np.array([0, 0, 1, 0, 1, 1, 1])  # p1 belongs to class 0
    seen = []

    def measure(counts):
        seen.append(counts)
        return counts[:, 0].astype(np.float64)

    cluster_bootstrap(measure, groups, strata=strata, resamples=100)
    counts = np.concatenate(seen[1:])
    assert len(counts) == 100
    assert (counts[:, 0] == counts[:, 1]).all()
    assert (counts[:, 0] == counts[:, 2]).all()
    assert (counts[:, 4] == counts[:, 5]).all()
    assert (counts[:, 0] + counts[:, 3] == 2).all()
    assert (counts[:, 4] + counts[:, 6] == 2).all()


def test_a_paired_difference_lets_what_both_find_hard_cancel():
    rng = np.random.default_rng(1)
    hard = rng.random(200)
    a, b = hard + 0.02 * rng.random(200), hard
    paired = cluster_bootstrap(lambda c: mean_of(a)(c) - mean_of(b)(c), np.arange(200))
    assert paired.low > 0
    assert paired.value == pytest.approx(a.mean() - b.mean())
    assert paired.high - paired.low < 0.05 * (2 * 1.96 * hard.std() / 200**0.5)


def test_memory_is_bounded_whatever_the_size_of_groups(monkeypatch):
    whole = cluster_bootstrap(mean_of(np.arange(20)), np.repeat(np.arange(4), 5), resamples=50)
    monkeypatch.setattr("hilum.statistics.intervals._BLOCK_DRAWS", 140)
    sizes = []

    def measure(counts):
        sizes.append(len(counts))
        return mean_of(np.arange(20))(counts)

    found = cluster_bootstrap(measure, np.repeat(np.arange(4), 5), resamples=50)
    assert max(sizes) == 7
    assert found == whole


def test_no_interval_where_a_class_comes_from_one_patient():
    groups = [0, 0, 0, 1, 2]
    found = cluster_bootstrap(mean_of([1, 0, 1, 1, 0]), groups, strata=np.array([1, 1, 1, 0, 0]))
    assert (found.value, found.low, found.n) == (0.6, None, 5)
    assert "one group of 3" in found.reason


def test_no_interval_for_a_reason_of_the_bootstrap():
    one = cluster_bootstrap(mean_of([1, 0]), ["a", "a"])
    assert (one.value, one.low, one.n) == (0.5, None, 2)
    assert "same value" in one.reason
    assert cluster_bootstrap(mean_of([]), []).reason == "no images"
    undefined = cluster_bootstrap(lambda counts: np.full(len(counts), np.nan), [0, 1])
    assert (undefined.value, undefined.n, undefined.method) == (None, 2, "")


def test_refuses_strata_of_another_length():
    with pytest.raises(EvaluationError, match="Expected 3 strata"):
        cluster_bootstrap(mean_of([1, 0, 1]), [0, 1, 2], strata=np.array([0, 1]))
