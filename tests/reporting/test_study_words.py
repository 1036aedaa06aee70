from hilum.records import Estimate
from hilum.reporting.study.published import difference, spread, with_codes

SHARE = Estimate(0.041, 0.012, 0.0704)


def test_differences_have_the_unit_of_the_measure():
    assert difference(SHARE, "recall of covid") == "4.1 points (1.2 to 7.0)"
    assert difference(SHARE, "accuracy", named=False) == "4.1 (1.2 to 7.0)"
    assert difference(SHARE, "AUROC of covid") == "0.041 (0.012 to 0.070)"
    assert difference(SHARE, "F1 of covid") == "0.041 (0.012 to 0.070)"


def test_a_difference_turned_round():
    assert difference(SHARE, "accuracy", flip=True) == "−4.1 points (−7.0 to −1.2)"
    assert difference(Estimate(-0.0001), "accuracy") == "0.0 points"
    assert difference(Estimate.undefined("no runs"), "accuracy") == "undefined"


def test_spread():
    assert spread(Estimate(0.5, 0.25, 0.75)) == "0.500 (0.250 to 0.750)"
    assert spread(Estimate(0.5)) == "0.500"
    assert spread(Estimate.undefined("none")) == "—"


def test_names_become_code_and_nothing_becomes_markup():
    assert with_codes("`a<b>` & `c`") == "<code>a&lt;b&gt;</code> &amp; <code>c</code>"
    assert with_codes("one ` alone <i>") == "one ` alone &lt;i&gt;"
