from dataclasses import replace

import pytest

from hilum.records import Estimate
from hilum.statistics.comparison import McNemar
from hilum.studies.compare import Comparison
from hilum.studies.results import say


def comparison(difference, **changes):
    """Five runs of covinet and naive, each image once."""
    runs = tuple([0.8] * difference.n)
    made = Comparison(
        measure="accuracy",
        label="accuracy",
        a="covinet",
        b="naive",
        runs_a=runs,
        runs_b=runs,
        mean_a=Estimate(0.8, n=5),
        mean_b=Estimate(0.76, n=5),
        difference=difference,
        p=0.01,
        p_adjusted=0.03,
        pooled_difference=difference,
        n_groups=100,
        repeated=False,
        mcnemar=McNemar(9, 2, 1600, 0.065),
        mcnemar_p_adjusted=0.065,
    )
    return replace(made, **changes)


SHOWN = Estimate(0.041, 0.012, 0.070, 5)
NOT_SHOWN = Estimate(-0.003, -0.0271, 0.021, 5)


def test_a_difference_that_is_shown():
    assert say(comparison(SHOWN)) == (
        "`covinet` is better than `naive` by 4.1 points of accuracy (1.2 to 7.0)."
    )
    turned = Estimate(-0.041, -0.070, -0.012, 5)
    assert say(comparison(turned, a="naive", b="covinet")) == say(comparison(SHOWN))


def test_a_difference_that_is_not_shown_ranks_nothing():
    text = say(comparison(NOT_SHOWN, p_adjusted=0.8, images_needed=11_321))
    assert text == (
        "The data cannot tell `covinet` from `naive`: the difference, `covinet` minus `naive`, is "
        "−0.3 points of accuracy (−2.7 to 2.1); at least about 12,000 images would be needed to "
        "show it (there are 1,600)."
    )
    assert "better" not in text


def test_areas_are_not_points():
    area = replace(comparison(SHOWN), label="AUROC of covid")
    assert say(area) == (
        "`covinet` is better than `naive` by 0.041 of AUROC of covid (0.012 to 0.070)."
    )
    correlation = replace(comparison(SHOWN), label="Matthews correlation")
    assert say(correlation) == (
        "`covinet` is better than `naive` by 0.041 of Matthews correlation (0.012 to 0.070)."
    )


@pytest.mark.parametrize(
    ("changes", "end"),
    [
        ({"images_needed": None}, "(−2.7 to 2.1)."),
        (
            {"images_needed": 30_000_000},
            "at least 1,000,000 images would be needed to show it (there are 1,600).",
        ),
        (
            {"images_needed": 900, "runs_needed": 17},
            "one training differs from the next too much: about 17 runs would be needed to show "
            "it.",
        ),
        ({"images_needed": 900}, "one training differs from the next too much."),
    ],
)
def test_what_it_would_take(changes, end):
    assert say(comparison(NOT_SHOWN, p_adjusted=0.8, **changes)).endswith(end)


def test_an_interval_without_zero_is_not_always_enough():
    many = say(comparison(SHOWN, p_adjusted=0.21))
    assert many.startswith("The data cannot tell")
    assert "not enough among the comparisons made (adjusted p = 0.21)" in many
    few = say(comparison(SHOWN, repeated=True, pooled_difference=NOT_SHOWN))
    assert few.startswith("The data cannot tell")
    assert "all runs were tested on the same few" in few


def test_no_interval():
    one = Estimate(0.041, n=1, reason="no interval: it takes at least 2 runs, and there is 1")
    assert say(comparison(one, p=None, p_adjusted=None)) == (
        "Between `covinet` and `naive` no interval can be given: it takes at least 2 runs of "
        "each, and there is 1."
    )
    same = Estimate(0.0, n=5, reason="no interval: every run gives the same value")
    assert say(comparison(same, p=None, p_adjusted=None)) == (
        "The data cannot tell `covinet` from `naive`: their accuracy is the same in every run."
    )
    constant = replace(same, value=0.1)
    assert "is 10.0 points of accuracy in every run" in say(
        comparison(constant, p=None, p_adjusted=None)
    )


def test_an_undefined_measure():
    missing = Estimate.undefined("precision of covid of `naive` is undefined in run 2", 5)
    found = comparison(missing, p=None, p_adjusted=None)
    assert say(replace(found, label="precision of covid")) == (
        "`covinet` and `naive` cannot be compared by precision of covid: precision of covid of "
        "`naive` is undefined in run 2."
    )
