import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from hilum.classifier.threshold import Demand, choose_threshold
from hilum.codec import to_plain
from hilum.errors import EvaluationError
from hilum.statistics.two_by_two import TwoByTwo
from tests.plain import again

#     scores, highest first: + + - + - - + - - -
SCORES = np.array([0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])
POSITIVE = np.array([1, 1, 0, 1, 0, 0, 1, 0, 0, 0], dtype=bool)


def choose(*demands, positive=POSITIVE, scores=SCORES):
    return choose_threshold(
        positive, scores, [Demand.parse(text) for text in demands], resamples=200
    )


@pytest.mark.parametrize(
    ("demands", "threshold", "counts"),
    [
        # All four positives need 0.4; midway to 0.3.
        (["recall>=0.95"], 0.35, (4, 3, 3, 0)),
        # Three of four are enough: 0.7, midway to 0.6.
        (["sensitivity>=0.75"], 0.65, (3, 1, 5, 1)),
        # One of six may be wrong: down to 0.7.
        (["specificity>=0.8"], 0.65, (3, 1, 5, 1)),
        (["specificity>=1"], 0.85, (2, 0, 6, 2)),
        # 3 of 4 called are right, and no lower threshold keeps 0.75.
        (["precision>=0.75"], 0.65, (3, 1, 5, 1)),
        # Both met at 0.65 (3 + 5/6) and 0.55 (3/4 + 4/6): the highest sum.
        (["recall>=0.7", "specificity>=0.6"], 0.65, (3, 1, 5, 1)),
        (["npv>=1"], 0.35, (4, 3, 3, 0)),
    ],
)
def test_the_best_threshold_that_meets_the_demands(demands, threshold, counts):
    chosen = choose(*demands)
    assert chosen.satisfied
    assert chosen.reason == ""
    assert chosen.threshold == pytest.approx(threshold)
    assert chosen.counts == TwoByTwo(*counts)


def test_the_lowest_threshold_lies_between_nothing_and_the_lowest_score():
    chosen = choose("recall>=1", positive=np.array([True, False]), scores=np.array([0.2, 0.6]))
    assert chosen.threshold == pytest.approx(0.1)
    assert chosen.counts == TwoByTwo(1, 1, 0, 0)


def test_neighbouring_numbers_are_told_apart():
    scores = np.array([0.5, np.nextafter(0.5, 1)])
    chosen = choose("recall>=1", positive=np.array([False, True]), scores=scores)
    assert chosen.counts == TwoByTwo(1, 0, 1, 0)
    zeros = choose("recall>=1", positive=np.array([False, True]), scores=np.zeros(2))
    assert (zeros.threshold, zeros.counts) == (0, TwoByTwo(1, 1, 0, 0))


def test_demands_that_cannot_be_met_are_told_and_the_nearest_is_given():
    positive = np.array([False, True, True, False, False, False])
    scores = np.array([0.9, 0.8, 0.7, 0.3, 0.2, 0.1])
    chosen = choose("specificity>=0.9", "precision>=0.9", positive=positive, scores=scores)
    assert not chosen.satisfied
    assert chosen.reason == (
        "No threshold meets specificity>=0.9 and ppv>=0.9 on the 6 images it is chosen on; "
        "the nearest gives specificity 0.750 and ppv 0.667."
    )
    # At 0.8: ppv 1/2, short by 0.4; at 0.7: 2/3, short by 0.23.
    assert chosen.threshold == pytest.approx(0.5)
    assert chosen.notes == ()


@pytest.mark.parametrize(("truth", "kind"), [(True, "negative"), (False, "positive")])
def test_nothing_can_be_chosen_without_both_kinds(truth, kind):
    chosen = choose("recall>=0.9", positive=np.full(3, truth), scores=np.array([0.1, 0.2, 0.3]))
    assert chosen.threshold is None
    assert not chosen.satisfied
    assert chosen.reason == f"no {kind} image among the 3 that the threshold is chosen on"
    assert chosen.expected.sensitivity.value is None
    assert again(chosen) == chosen


@st.composite
def cases(draw):
    n = draw(st.integers(2, 12))
    positive = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    positive[:2] = True, False
    # Few distinct scores, so that many are tied.
    scores = np.array(draw(st.lists(st.integers(0, 6), min_size=n, max_size=n))) / 6
    measures = draw(st.sets(st.sampled_from(["sensitivity", "specificity", "ppv"]), min_size=1))
    least = draw(st.sampled_from([0.3, 0.5, 0.8, 1.0]))
    return positive, scores, [Demand(measure, least) for measure in sorted(measures)]


@settings(max_examples=60)
@given(cases())
def test_no_threshold_is_better(case):
    positive, scores, demands = case
    chosen = choose_threshold(positive, scores, demands, resamples=2)

    def merit(threshold):
        called = scores >= threshold
        value = {
            "sensitivity": called[positive].mean(),
            "specificity": (~called)[~positive].mean(),
            "ppv": positive[called].mean(),
        }
        names = {demand.measure for demand in demands}
        met = all(value[d.measure] >= d.least for d in demands)
        pair = value["sensitivity"], value["specificity"]
        if {"sensitivity", "specificity"} <= names:
            pair = round(sum(pair), 9), pair[0]
        elif "sensitivity" in names:
            pair = pair[::-1]
        return met, pair

    merits = [merit(score) for score in np.unique(scores)]
    assert chosen.satisfied == any(met for met, _ in merits)
    if chosen.satisfied:
        assert merit(chosen.threshold) == max(m for m in merits if m[0])


def test_expectations_are_below_what_was_measured_and_never_too_narrow():
    chosen = choose("recall>=0.95")
    measured = chosen.counts.measures()
    for name in ("sensitivity", "specificity", "ppv"):
        expected, before = getattr(chosen.expected, name), getattr(measured, name)
        assert expected.value < before.value
        assert expected.low <= before.low
        assert expected.high >= before.high
        assert (expected.n, expected.method) == (before.n, "optimism bootstrap")
    assert choose("recall>=0.95") == chosen


def test_the_optimism_is_what_resampling_by_hand_gives():
    # Two positives, of which a quarter of the resamples hold only the upper one.
    def expected(scores):
        return choose_threshold(
            np.array([True, True, False]), np.array(scores), [Demand("sensitivity", 1)],
            resamples=4000,
        ).expected.sensitivity.value  # fmt: skip

    # Then the threshold lies midway from 0.9 to the negative's 0.8 and misses 0.1: 1/2 is lost.
    assert expected([0.9, 0.1, 0.8]) == pytest.approx(1 - 1 / 4 * 1 / 2, abs=0.02)
    # Here it lies midway from 0.9 to 0.1, and catches 0.8 all the same.
    assert expected([0.9, 0.8, 0.1]) == 1


@pytest.mark.parametrize(
    "demands",
    [["recall>=0.95"], ["specificity>=0.9", "precision>=0.9"]],
)
def test_expected_intervals_hold_what_happens_elsewhere(demands):
    # Scores of two normal distributions, 1.5 apart, so that the truth is known at any threshold.
    rng = np.random.default_rng(0)
    positive = np.repeat([True, False], [15, 30])
    held, too_good, expected_too_good = np.zeros(2), 0.0, 0.0
    for _ in range(100):
        z = rng.normal(size=45) + 1.5 * positive
        chosen = choose(*demands, positive=positive, scores=norm.cdf(z))
        at = norm.ppf(chosen.threshold)
        truth = norm.sf(at - 1.5), norm.cdf(at)
        estimates = chosen.expected.sensitivity, chosen.expected.specificity
        held += [e.low <= t <= e.high for e, t in zip(estimates, truth, strict=True)]
        too_good += chosen.counts.measures().sensitivity.value - truth[0]
        expected_too_good += estimates[0].value - truth[0]
    assert (held >= 90).all()
    assert 0 <= expected_too_good < 0.7 * too_good


def test_notes_say_how_little_few_images_say():
    positive = np.repeat([True, False], [8, 16])
    scores = np.repeat([0.9, 0.1], [8, 16])
    (note,) = choose("recall>=0.95", positive=positive, scores=scores).notes
    assert note == (
        "sensitivity>=0.95 is met on the 24 images that the threshold was chosen on, but not shown "
        "for others, where it may be as low as 0.68. Even without an error that takes 73 positive "
        "images; there are 8."
    )
    (sure,) = choose("recall>=0.5", positive=positive, scores=scores).notes
    assert sure.endswith("and can be expected of others (0.68 or more).")
    (never,) = choose("recall>=1", positive=positive, scores=scores).notes
    assert never.endswith("No number of images could show it.")


def test_json_keeps_everything():
    chosen = choose("recall>=0.95")
    assert again(chosen) == chosen
    assert list(to_plain(chosen)) == [
        "threshold", "satisfied", "reason", "counts", "expected", "notes"
    ]  # fmt: skip


def test_refusals():
    demand = [Demand("sensitivity", 0.9)]
    with pytest.raises(EvaluationError, match="two lists of one length"):
        choose_threshold(POSITIVE, SCORES[:3], demand)
    with pytest.raises(EvaluationError, match=r"must lie in \[0, 1\]"):
        choose_threshold(POSITIVE, SCORES * np.nan, demand)
    with pytest.raises(EvaluationError, match="at least one demand"):
        choose_threshold(POSITIVE, SCORES, [])
