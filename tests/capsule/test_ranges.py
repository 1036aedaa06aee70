"""What small counts are told as, and that nothing beside them gives them away."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from hilum.capsule.ranges import (
    LEAST,
    POSSIBLE,
    SMALL,
    Count,
    Row,
    Shared,
    share,
    split_in_two,
    split_line,
)
from hilum.statistics.intervals import wilson


@pytest.mark.parametrize(
    ("part", "n", "told"),
    [(0, 40, "0"), (40, 40, "40"), (10, 40, "10"), (9, 40, "1–9"), (33, 40, "31–39"),
     (3, 15, "1–14"), (8, 15, "1–14"), (1_000, 3_000, "1,000")],
)  # fmt: skip
def test_a_part_of_a_known_number(part, n, told):
    assert str(split_in_two(part, n)) == told


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ((40, 20), ["40", "20"]),
        ((0, 40), ["0", "40"]),
        ((40, 3), ["34–42", "1–9"]),
        ((60, 3, 20), ["54–62", "1–9", "20"]),
        ((60, 3, 4), ["49–65", "1–9", "1–9"]),
        ((21, 3, 20), ["0–44", "0–44", "0–44"]),  # 21 would have to be the largest
        ((9, 9), ["0–18", "0–18"]),
        ((12, 1), ["0–13", "0–13"]),
    ],
)
def test_a_line(cells, told):
    assert [str(count) for count in split_line(cells)] == told


@pytest.mark.parametrize("width", [2, 3])
def test_no_count_of_a_line_follows_from_the_sum_and_the_others(width):
    """Of all lines with a sum, those that are told alike differ in each count that is a range."""
    for whole in (*range(1, 34), 60):
        alike: dict[tuple[Count, ...], list[tuple[int, ...]]] = {}
        for cells in itertools.product(range(whole + 1), repeat=width):
            if sum(cells) == whole:
                alike.setdefault(split_line(cells), []).append(cells)
        for told, lines in alike.items():
            for count, values in zip(told, zip(*lines, strict=True), strict=True):
                assert all(count.low <= value <= count.high for value in values)
                if not count.exact:
                    assert len(set(values)) > 1
                if (count.low, count.high) == (1, SMALL - 1):
                    assert set(values) == set(range(1, SMALL))


def pairs(n):
    return st.integers(0, n).map(lambda part: Row(part, n))


rows = st.integers(LEAST, 90).flatmap(pairs)


@st.composite
def divisions(draw):
    """Images by class, right or not, and the same images in up to three further tables."""
    classes = draw(st.lists(rows, min_size=1, max_size=4))
    right = np.repeat([1, 0], [sum(r.part for r in classes), sum(r.n - r.part for r in classes)])
    tables = []
    for _ in range(draw(st.integers(1, 3))):
        order = np.array(draw(st.permutations(range(len(right)))))
        sizes = draw(st.lists(st.integers(SMALL, 40), min_size=1, max_size=5))
        cuts = [c for c in np.cumsum(sizes) if c <= len(right)]
        parts = np.split(right[order], cuts)
        *groups, rest = parts
        if 0 < len(rest) < SMALL:
            groups, rest = groups[:-1], np.concatenate([*groups[-1:], rest])
        if groups:
            tables.append(
                ([Row(int(g.sum()), len(g)) for g in groups], Row(int(rest.sum()), len(rest)))
            )
    return classes, tables


@settings(max_examples=40)
@given(divisions())
def test_no_count_that_is_a_range_follows_from_all_tables_together(given):
    """A linear program, as an attacker would write it, leaves each of them several values."""
    classes, tables = given
    shared = Shared(classes)
    told = [(list(shared.first), [row.part for row in classes])]
    for groups, rest in tables:
        counts = shared.add(groups, rest)
        if counts is not None:
            beyond = [Count(0, rest.n)] * bool(rest.n)
            truth = [row.part for row in groups] + [rest.part] * bool(rest.n)
            told.append(([*counts, *beyond], truth))
            assert len(counts) == len(groups)

    known = [count for line, _ in told for count in line]
    true = [value for _, values in told for value in values]
    assert all(c.low <= value <= c.high for c, value in zip(known, true, strict=True))
    sums = np.zeros((len(told) - 1, len(known)))  # every table has as many right as the first
    start = len(told[0][0])
    for at, (line, _) in enumerate(told[1:]):
        sums[at, : len(told[0][0])] = 1
        sums[at, start : start + len(line)] = -1
        start += len(line)
    bounds = [(c.low, c.high) for c in known]
    equal = {"A_eq": sums, "b_eq": np.zeros(len(sums))} if len(sums) else {}
    for k, count in enumerate(known):
        if not count.exact:
            aim = np.eye(len(known))[k]
            least = linprog(aim, bounds=bounds, **equal).fun
            most = -linprog(-aim, bounds=bounds, **equal).fun
            assert most - least >= POSSIBLE - 1 - 1e-6


def test_a_table_that_gives_away_another_is_made_coarser_or_left_out():
    exact = Shared([Row(80, 100), Row(76, 100)])
    assert exact.add([Row(78, 100), Row(78, 100)]) == (Count.of(78), Count.of(78))
    # four are wrong in the first class, which would be all of 24 but the 20 in the second
    shared = Shared([Row(96, 100), Row(80, 100)])
    assert shared.add([Row(88, 100), Row(88, 100)]) == (Count(81, 90), Count(81, 90))
    # one is wrong in the first class: of 10 to 28 in all, 24 in the second leave it 1 to 4
    assert Shared([Row(99, 100), Row(76, 100)]).add([Row(91, 100), Row(84, 100)]) is None
    # ten are wrong, all of them among the images that are in no subgroup
    beside = Shared([Row(90, 100)]).add([Row(44, 44), Row(44, 44)], Row(2, 12))
    assert beside == (Count(35, 44), Count(35, 44))


@given(rows)
def test_a_share_holds_what_all_its_counts_would_give(row):
    told = split_in_two(row.part, row.n)
    found = share(told, told.rest(row.n))
    true = wilson(row.part, row.n)
    assert found.low <= true.low + 1e-12
    assert found.high >= true.high - 1e-12
    if told.exact:
        assert found == true
