"""Bands of numbers and ages."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.evaluation.bands import Bands, cut_ages, cut_cells, cut_tertiles, parse_age

NAMES = ("low", "mid", "high")


def shown(bands):
    return [None if i < 0 else bands.names[i] for i in bands.index]


def test_thirds_of_nine():
    bands = cut_tertiles(np.array([9.0, 1, 2, 3, 4, np.nan, 5, 6, 7, 8]), NAMES, " px")
    low, mid, high = "low (up to 3 px)", "mid (above 3 px up to 6 px)", "high (above 6 px)"
    assert bands.names == (low, mid, high)
    assert shown(bands) == [high, low, low, low, mid, None, mid, mid, high, high]


def test_equal_values_share_a_band():
    assert shown(cut_tertiles(np.array([1.0, 5, 5, 5, 5]), NAMES)) == [
        "low (up to 1)", *["high (above 1)"] * 4
    ]  # fmt: skip
    assert shown(cut_tertiles(np.array([1.0, 1, 1, 1, 5]), NAMES)) == [
        *["low (up to 1)"] * 4, "high (above 1)"
    ]  # fmt: skip
    assert shown(cut_tertiles(np.array([2.0, 2, np.nan]), NAMES, " px")) == ["2 px", "2 px", None]
    assert shown(cut_tertiles(np.array([np.nan]), NAMES)) == [None]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60))
def test_bands_follow_the_order_of_the_values(values):
    bands = cut_tertiles(np.array(values, dtype=float), NAMES)
    assert bands.index[np.argsort(values, kind="stable")].tolist() == sorted(bands.index)
    assert set(bands.index) == set(range(len(bands.names)))
    assert (len(bands.names) == 1) == (len(set(values)) == 1)


def test_names_come_in_the_order_that_is_given():
    bands = Bands.of(["b", None, "a", "b"])
    assert (bands.names, bands.index.tolist()) == (("a", "b"), [1, -1, 0, 1])
    bands = Bands.of(["b", None, "a", "b"], ["c", "b", "a"])
    assert (bands.names, bands.index.tolist()) == (("b", "a"), [0, -1, 1, 0])


@pytest.mark.parametrize(
    ("cell", "years"),
    [("61", 61), ("058Y", 58), ("018M", 1.5), ("010d", 10 / 365.25), ("3.5", 3.5), (" 7 ", 7),
     ("414Y", None), ("", None), (None, None), ("adult", None), ("-3", None)],
)  # fmt: skip
def test_ages(cell, years):
    assert parse_age(cell) == (pytest.approx(years) if years is not None else None)


def test_age_bands():
    assert shown(cut_ages(["17", "18", "39", "40", "64.9", "65", "??", None])) == [
        "under 18", "18 to 39", "18 to 39", "40 to 64", "40 to 64", "65 and over", None, None
    ]  # fmt: skip
    assert shown(cut_ages(["018M", "2", "11", "12", "17"])) == [
        "under 2", "2 to 11", "2 to 11", "12 to 17", "12 to 17"
    ]  # fmt: skip


def test_cells_are_names_unless_they_are_many_numbers():
    assert shown(cut_cells("view", ["PA", "pa ", *["AP"] * 5, ""])) == [
        "PA",
        "PA",
        *["AP"] * 5,
        None,
    ]
    assert shown(cut_cells("site", [*"12111111"])) == [*"12111111"]
    found = shown(cut_cells("dose", [str(i) for i in range(9)] + [None]))
    assert found[0] == "low (up to 2)"
    assert found[8] == "high (above 5)"
    assert found[9] is None
    assert shown(cut_cells("age", ["20", "70"])) == ["18 to 39", "65 and over"]


def test_rare_names_are_joined_where_there_are_several():
    cells = ["ricord"] * 5 + ["one"] * 4 + ["two", None]
    bands = cut_cells("source", cells)
    assert bands.names == ("ricord", "others (fewer than 5 images each)")
    assert bands.index.tolist() == [0] * 5 + [1] * 5 + [-1]
    assert cut_cells("source", ["ricord"] * 5 + ["one"] * 4).names == ("one", "ricord")
