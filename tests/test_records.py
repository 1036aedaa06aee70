"""The small values that pass between the parts."""

import pytest

from hilum.records import Estimate


@pytest.mark.parametrize(
    ("estimate", "digits", "words"),
    [
        (Estimate(0.7456, 0.703, 0.7891), 3, "0.746 (0.703 to 0.789)"),
        (Estimate(0.7456, 0.703, 0.7891), 2, "0.75 (0.70 to 0.79)"),
        (Estimate(0.5, reason="no interval"), 3, "0.500"),
        (Estimate.undefined("no image"), 3, "undefined (no image)"),
        (Estimate(None), 3, "undefined"),
    ],
)
def test_an_estimate_in_words(estimate: Estimate, digits: int, words: str) -> None:
    assert estimate.in_words(digits) == words
