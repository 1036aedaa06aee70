"""Order, bounded memory, and what a batch is."""

import threading
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest

from hilum.prediction.stream import Reading, predict_stream, read_file
from hilum.predictions import Predictions


def paths(n):
    return [Path(str(i)) for i in range(n)]


def read(path):
    """A pixel that says which file it is of; every fifth file is damaged."""
    i = int(path.name)
    return Reading(None, "damaged") if i % 5 == 4 else Reading(np.full((1, 1), i, dtype=np.uint8))


def classify(pixels):
    values = pixels[:, 0, 0].astype(np.float64)
    names = ("",) * len(values)
    return Predictions(names, np.stack([values, -values], axis=1), {}, values.astype(np.int64))


@pytest.mark.parametrize("n", [1, 3, 4, 13])
def test_answers_come_in_order_whatever_thread_is_first(n):
    found = list(predict_stream(paths(n), read, classify, batch_size=4, threads=3))

    assert [len(a) for a in found] == [4] * (n // 4) + [n % 4] * (n % 4 > 0)
    assert [p for a in found for p in a.paths] == paths(n)
    told = [int(k) for a in found if a.predictions for k in a.predictions.predicted]
    assert told == [i for i in range(n) if i % 5 != 4]
    assert [r for a in found for r in a.reasons] == [
        "damaged" if i % 5 == 4 else "" for i in range(n)
    ]


def test_a_batch_of_nothing_but_damaged_files():
    (found,) = predict_stream([Path("4"), Path("9")], read, classify)

    assert found.predictions is None
    assert found.reasons == ("damaged", "damaged")


def test_it_reads_at_most_two_batches_ahead():
    """So memory does not grow with the number of files."""
    taken = 0

    def counted():
        nonlocal taken
        for path in paths(1000):
            taken += 1
            yield path

    stream = predict_stream(counted(), read, classify, batch_size=4)
    for done in range(1, 50):
        next(stream)
        assert taken <= 4 * (done + 2)
    assert isinstance(stream, Generator)
    stream.close()


def test_decoding_goes_on_while_the_networks_compute():
    """classify waits for a file of the next batch to be read: alone, it would wait for ever."""
    next_batch = threading.Event()

    def reading(path):
        if path.name == "2":
            next_batch.set()
        return read(path)

    def waiting(pixels):
        assert next_batch.wait(timeout=60)
        return classify(pixels)

    assert len(list(predict_stream(paths(3), reading, waiting, batch_size=2))) == 2


def test_an_error_in_between_ends_it():
    def broken(path):
        raise RuntimeError(path.name)

    with pytest.raises(RuntimeError, match="0"):
        list(predict_stream(paths(100), broken, classify))


def test_a_reason_is_one_line_without_the_path(tmp_path, plain):
    path = tmp_path / "x.png"
    path.write_bytes(b"no image")

    found = read_file(path, plain.preprocessing)

    assert found.pixels is None
    assert found.reason.startswith("not a PNG")
    assert "\n" not in found.reason
