import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import EvaluationError, LabelError
from hilum.labels import LabelTree
from hilum.records import Estimate
from hilum.statistics.intervals import wilson
from hilum.statistics.two_by_two import parse_prevalence, predictive_values

TREE = LabelTree.from_text("normal, infected(covid, non-covid)")
FINDINGS = LabelTree.from_text("normal, ill{mass, nodule}, {device}")
counts = st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def test_bayes_by_hand():
    # Of 1000 people 20 are ill: 18 are found, and 98 of the 980 others called ill.
    ppv, npv = predictive_values(wilson(90, 100), wilson(180, 200), 0.02)
    assert ppv.value == pytest.approx(18 / (18 + 98))
    assert npv.value == pytest.approx(882 / (882 + 2))
    assert ppv.low < ppv.value < ppv.high
    assert (ppv.n, ppv.method) == (300, "mover")


def test_at_the_datas_own_prevalence_they_are_the_datas():
    ppv, npv = predictive_values(wilson(6, 8), wilson(12, 16), 8 / 24)
    assert ppv.value == pytest.approx(6 / 10)
    assert npv.value == pytest.approx(12 / 14)


def test_perfection_is_still_uncertain():
    ppv, npv = predictive_values(wilson(8, 8), wilson(16, 16), 0.02)
    assert (ppv.value, ppv.high, npv.value, npv.high) == (1, 1, 1, 1)
    # 16 of 16 leaves a specificity of 0.81 possible; then hardly any call is right.
    assert 0.05 < ppv.low < 0.12
    assert 0.98 < npv.low < 1


@given(counts, counts, st.floats(0.001, 0.999))
def test_intervals_hold_the_value_and_stay_in_range(first, second, prevalence):
    for value in predictive_values(wilson(*first), wilson(*second), prevalence):
        if value.value is not None:
            assert 0 <= value.low <= value.value + 1e-12
            assert value.value - 1e-12 <= value.high <= 1
            assert value.high - value.low > 0


@pytest.mark.parametrize(("sensitivity", "specificity"), [(0.8, 0.95), (0.95, 0.7), (0.6, 0.99)])
def test_intervals_cover_as_often_as_they_say(sensitivity, specificity):
    rng = np.random.default_rng(0)
    true_ppv = 0.05 * sensitivity / (0.05 * sensitivity + 0.95 * (1 - specificity))
    true_npv = 0.95 * specificity / (0.95 * specificity + 0.05 * (1 - sensitivity))
    covered = np.zeros(2)
    for _ in range(1000):
        ppv, npv = predictive_values(
            wilson(int(rng.binomial(40, sensitivity)), 40),
            wilson(int(rng.binomial(80, specificity)), 80),
            0.05,
        )
        covered += ppv.low <= true_ppv <= ppv.high, npv.low <= true_npv <= npv.high
    assert (covered >= 925).all()


def test_what_is_unknown_stays_unknown():
    undefined = Estimate.undefined("no positive image", 3)
    ppv, npv = predictive_values(undefined, wilson(3, 3), 0.5)
    assert ppv.value is npv.value is None
    assert ppv.reason == "no positive image"
    never, always = predictive_values(wilson(0, 4), wilson(4, 4), 0.5)
    assert (never.value, never.reason) == (None, "no image is called positive")
    assert always.value == 0.5
    unsure, _ = predictive_values(Estimate(0.5, reason="why"), Estimate(0.5, reason="why"), 0.5)
    assert (unsure.value, unsure.low, unsure.reason) == (0.5, None, "why")


def test_parsing():
    assert parse_prevalence("covid=0.02", TREE) == {"covid": 0.02}
    assert parse_prevalence([" covid = 0.02, infected=0.1", "infected/covid=0.2"], TREE) == {
        "covid": 0.02, "infected": 0.1, "infected/covid": 0.2
    }  # fmt: skip
    assert parse_prevalence(["normal=0.9", "infected=0.1"], TREE) == {
        "normal": 0.9, "infected": 0.1
    }  # fmt: skip
    assert parse_prevalence([], TREE) == {}
    # findings may well add up to more than all
    assert parse_prevalence("mass=0.2, device = 0.9, ill=0.3", FINDINGS) == {
        "mass": 0.2, "device": 0.9, "ill": 0.3
    }  # fmt: skip


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("covid", "LABEL=SHARE"),
        ("covid=many", "LABEL=SHARE"),
        ("covid=nan", "LABEL=SHARE"),
        ("", "LABEL=SHARE"),
        ("covid=0", "'covid' is 0; it must lie above 0"),
        ("covid=2", "above 0 and below 1"),
        (["covid=0.1", "covid=0.2"], "'covid' is given twice"),
        ("covid=0.2, infected=0.1", "below 'infected' add up to 0.2, more than its own 0.1"),
        ("normal=0.9, covid=0.2", "below 'root' add up to 1.1, more than its own 1"),
        ("mass=0.2, ill=0.1", "'mass' is 0.2, more than that of 'ill', of which alone.*: 0.1"),
        ("mass=0.2, normal=0.9", "below 'root' add up to 1.1, more than its own 1"),
        ("infected/covid=0.7, infected/non-covid=0.7", "options of 'infected' add up to 1.4"),
    ],
)
def test_impossible_prevalences_are_refused(texts, message):
    with pytest.raises(EvaluationError, match=message):
        parse_prevalence(texts, FINDINGS if "mass" in texts else TREE)


def test_unknown_labels_are_refused():
    with pytest.raises(LabelError, match="Did you mean 'covid'"):
        parse_prevalence("covd=0.1", TREE)
    with pytest.raises(LabelError, match="Did you mean 'mass'"):
        parse_prevalence("maas=0.1", FINDINGS)
    with pytest.raises(EvaluationError, match="is 1; it must"):
        predictive_values(wilson(1, 2), wilson(1, 2), 1.0)
