"""Pictures judged together: SciPy as the oracle, false alarms, power, and what is said."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hilum.classifier.arrivals import FEWEST, SIGNIFICANCE, Arrivals, Tally, judge_arrivals
from hilum.classifier.gate import Gate
from hilum.errors import ClassifierError
from hilum.records import FloatArray
from tests.plain import again


def gate_of(m: int, level: float = 0.01) -> Gate:
    """A gate that remembers m training images; nothing else of it is asked."""
    scores, nothing = np.arange(m, dtype=np.float32), np.zeros(1, dtype=np.float32)
    return Gate(nothing, nothing, nothing, scores, level, (32, 32), {})


def judge(p_values: FloatArray, m: int = 5000) -> Arrivals:
    gate = gate_of(m)
    found = judge_arrivals(gate, p_values)
    assert found is not None
    return found


def p_values_of(scores: FloatArray, training: FloatArray) -> FloatArray:
    odder = len(training) - np.searchsorted(np.sort(training), scores, side="left")
    found: FloatArray = (odder + 1) / (len(training) + 1)
    return found


@given(st.integers(10, 2000), st.integers(99, 5000), st.data())
def test_the_chances_are_those_of_scipy(n: int, m: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    scores, training = rng.normal(data.draw(st.floats(0, 2)), 1, n), rng.normal(0, 1, m)
    flags = (m + 1) // 100

    found = judge(p_values_of(scores, training), m)

    # its sf loses small chances to rounding
    expected = stats.betabinom.pmf(range(found.flagged, n + 1), n, flags, m + 1 - flags).sum()
    assert found.p_value == pytest.approx(expected, rel=1e-6, abs=1e-12)
    rank_sum = stats.mannwhitneyu(scores, training, alternative="greater", method="asymptotic")
    assert found.odder_p_value == pytest.approx(rank_sum.pvalue, rel=1e-6, abs=1e-12)
    assert found.odder.value == pytest.approx(rank_sum.statistic / (n * m))
    assert found.odder.low is not None
    assert found.odder.high is not None
    assert found.odder.low <= (found.odder.value or 0) <= found.odder.high


def test_with_many_training_images_it_is_the_binomial_test() -> None:
    found = judge(np.array([0.001] * 4 + [0.5] * 46), m=10**7 - 1)

    assert found.p_value == pytest.approx(stats.binomtest(4, 50, 0.01, "greater").pvalue, rel=1e-4)


@pytest.mark.parametrize("m", [99, 500, 5000])
@pytest.mark.parametrize("n", [10, 100, 1000])
def test_of_pictures_like_those_of_training_it_speaks_as_rarely_as_it_says(n: int, m: int) -> None:
    """Also where few training images were a sample from whose tail the level came out wrong."""
    rng = np.random.default_rng(n * m)
    sets = 1000
    spoken = 0
    for _ in range(sets):
        # the training images that are odder than a picture, were all drawn alike
        training = np.sort(rng.uniform(size=m))
        odder = np.searchsorted(training, rng.uniform(size=n))
        found = judge((odder + 1) / (m + 1), m)
        spoken += found.p_value <= SIGNIFICANCE / 2 or found.odder_p_value <= SIGNIFICANCE / 2
    # 1 is expected; 6 or more would come up once in 1,700 times
    assert spoken < 6


@pytest.mark.parametrize(("n", "least"), [(10, 0.5), (30, 0.95), (100, 1.0)])
def test_28_percent_flagged_are_seen(n: int, least: float) -> None:
    rng = np.random.default_rng(n)
    sets = 300

    spoken = sum(
        "unlike the radiographs" in judge(np.where(rng.uniform(size=n) < 0.28, 0.005, 0.5)).warning
        for _ in range(sets)
    )

    assert spoken >= least * sets


@pytest.mark.parametrize(
    ("p_values", "words"),
    [
        pytest.param([0.001] * 517 + [0.3] * 607, "46.0 % of these 1,124 pictures are unlike"),
        pytest.param([0.001] * 3 + [0.5] * 7, "30.0 % of these 10 pictures are unlike"),
        pytest.param([0.001] * 2 + [0.9] * 8, "", id="two of ten may be chance"),
        pytest.param([0.001] * 15_000 + [0.5] * 985_000, "", id="1.5 % of a million is certain"),
        pytest.param([0.2] * 1000, "odder than one of those in 80.0 % of all pairs", id="drift"),
        pytest.param([0.38] * 1_000_000, "", id="a small drift of a million is certain"),
        pytest.param([0.8] * 1000, "", id="more usual than training images"),
        pytest.param([1.0] * 1000, "", id="as usual as can be"),
    ],
)
def test_it_speaks_of_what_matters_and_is_no_chance(p_values: list[float], words: str) -> None:
    found = judge(np.array(p_values))

    warning = found.warning.replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert words in warning
    assert bool(words) == bool(warning)
    assert again(found) == found


def test_tallies_add_up_and_the_sentence_can_name_the_set() -> None:
    gate = gate_of(500)
    p_values = np.linspace(0.002, 0.1, 40)

    parts = Tally.of(p_values[:13], gate) + Tally.of(iter(p_values[13:].tolist()), gate)

    whole = Tally.of(p_values, gate)
    assert (parts.n, parts.flagged) == (whole.n, whole.flagged) == (40, 4)
    assert parts.p_sum == pytest.approx(whole.p_sum)
    found = judge_arrivals(gate, whole, of="adults (test)")
    assert found is not None
    assert found.warning.startswith("The 40 pictures of adults (test) are as a whole odder than")


def test_without_a_gate_and_of_few_pictures_nothing_is_said() -> None:
    gate = gate_of(500)

    assert judge_arrivals(None, Tally(100, 100, 1.0)) is None
    assert judge_arrivals(gate, Tally(FEWEST - 1, FEWEST - 1, 0.05)) is None
    assert judge_arrivals(gate, Tally()) is None


@pytest.mark.parametrize("tally", [Tally(10, 11, 5.0), Tally(10, 0, 10.1), Tally(10, 0, 0.01)])
def test_an_impossible_tally_is_refused(tally: Tally) -> None:
    with pytest.raises(ClassifierError, match=r"impossible: .* lie between 0\.002 and 1"):
        judge_arrivals(gate_of(500), tally)
