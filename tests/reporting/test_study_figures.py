import re

from hilum.records import Estimate
from hilum.reporting.charts import Series, learning_curve
from hilum.reporting.study.figures import Difference, Runs, forest_plot, runs_chart


def forest(*rows):
    return forest_plot(rows, quantity="points", scale=100, alt="Differences:")


SHOWN = Difference("a minus b", Estimate(0.1, 0.05, 0.15), "10.0 (5.0 to 15.0)", shown=True)
UNCLEAR = Difference("a minus c", Estimate(0.1, -0.05, 0.25), "10.0 (−5.0 to 25.0)", shown=False)
NOTHING = Difference("a minus d", Estimate.undefined("no runs"), "undefined", shown=False)


def test_the_forest_plot_in_words():
    svg = forest(SHOWN, UNCLEAR, NOTHING)
    assert (
        "Differences: a minus b: 10.0 (5.0 to 15.0). a minus c: 10.0 (−5.0 to 25.0). "
        "a minus d: undefined.</title>"
    ) in svg
    assert ">a minus b</text>" in svg
    assert ">10.0 (5.0 to 15.0)</text>" in svg


def test_what_is_shown_has_another_colour():
    assert "--series-2" in forest(SHOWN)
    assert "--series-1" not in forest(SHOWN)
    assert "--series-2" not in forest(UNCLEAR)


def test_the_line_of_no_difference_is_in_the_middle():
    """Values reach as far to both sides, so that no direction looks larger."""
    ticks = re.findall(r">([−\d]+)</text>", forest(UNCLEAR))
    numbers = [int(tick.replace("−", "-")) for tick in ticks]
    assert sorted(numbers) == sorted(-n for n in numbers)


def test_names_that_matplotlib_would_read_otherwise():
    name = "$\\frac{ <b>&`| 肺 minus b"
    svg = forest(Difference(name, Estimate(0.1), "10.0", shown=False))
    assert "$\\frac{ &lt;b&gt;&amp;`| 肺 minus b</text>" in svg


def test_charts_of_runs_in_words_and_with_intervals():
    runs = (Estimate(0.75, 0.5, 0.9), Estimate.undefined("none"))
    mean = Estimate(0.7, 0.6, 0.8)
    plain = runs_chart([Runs("a", runs, mean)], quantity="q", alt="Runs:")
    assert "Runs: a: runs 0.750, undefined, mean 0.700 (0.600 to 0.800).</title>" in plain
    spread = runs_chart([Runs("a", runs)], quantity="q", intervals=True, alt="Runs:")
    assert "a: runs 0.750 (0.500 to 0.900), undefined (none).</title>" in spread
    assert "a: runs none." in runs_chart([Runs("a", ())], quantity="q", alt="Runs:")


def test_bands_in_words():
    band = Series("train", (1, 2), (0.8, 0.5), low=(0.7, 0.4), high=(0.9, 0.6))
    svg = learning_curve([band], quantity="loss", ylim=(0, 1), of="x")
    assert (
        "Loss of x: train from 0.800 to 0.500, in the last epoch between 0.400 and 0.600.</title>"
        in svg
    )
    one = Series("train", (1,), (0.8,), low=(0.8,), high=(0.8,))
    assert "<svg" in learning_curve([one], quantity="loss", ylim=(0, 1), of="x")
