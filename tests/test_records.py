"""The small values that pass between the parts."""

from dataclasses import replace

import numpy as np
import pytest

from hilum.predictions import Predictions
from hilum.records import Estimate, IntArray, LazyPixels, PixelArray


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


def test_predictions_are_taken_and_joined() -> None:
    probs = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])
    whole = Predictions(("a", "b", "c"), probs, {"root": probs}, probs.argmax(axis=1), probs[:, 0])

    odd = whole.take(slice(0, None, 2))
    middle = whole.take(np.array([False, True, False]))
    back = Predictions.join([odd, middle]).take(np.array([0, 2, 1]))

    assert (odd.names, middle.names) == (("a", "c"), ("b",))
    assert back.names == whole.names
    for name in ("probs", "predicted", "gate_p_values"):
        assert np.array_equal(getattr(back, name), getattr(whole, name))
    assert np.array_equal(back.decision_probs["root"], probs)
    assert Predictions.join([replace(odd, gate_p_values=None)]).gate_p_values is None


def test_lazy_pixels_read_what_is_asked_for_and_nothing_else() -> None:
    stored = np.arange(40, dtype=np.uint8).reshape(10, 2, 2)
    asked = []

    def read(at: IntArray) -> PixelArray:
        asked.append(at.tolist())
        return stored[at]

    whole = LazyPixels((10, 2, 2), read)
    some = LazyPixels.of_rows(whole, np.array([7, 3, 5]))

    assert (len(some), some.shape, some.dtype) == (3, (3, 2, 2), stored.dtype)
    assert np.array_equal(some[1:], stored[[3, 5]])
    assert np.array_equal(some[[2, 0]], stored[[5, 7]])
    assert np.array_equal(some[1], stored[3])
    assert asked == [[3, 5], [5, 7], [3]]
