"""However many threads share out a batch, the classifier says the same."""

import numpy as np
import pytest

from hilum.errors import ClassifierError
from hilum.exporting.runtime import run_by_onnx
from tests.exporting.conftest import make


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_cascade_says_what_pytorch_says(cache, threads):
    cascade = make(temperatures={"root": 2.0})
    pixels = np.random.default_rng(0).integers(0, 256, (70, 20, 16)).astype(np.uint8)
    shown: list[tuple[int, int]] = []

    run = run_by_onnx(cascade, threads=threads)
    found = run.predict_pixels(pixels, progress=lambda _, done, total: shown.append((done, total)))

    expected = cascade.predict_pixels(pixels)
    np.testing.assert_allclose(found.probs, expected.probs, atol=1e-6)
    for name, probs in expected.decision_probs.items():
        np.testing.assert_allclose(found.decision_probs[name], probs, atol=1e-6)
    assert shown == [(64, 70), (70, 70)]
    # three networks: one image is work for three threads, and all of five compute it together
    one = run.predict_pixels(pixels[3:4])
    np.testing.assert_allclose(one.probs, expected.probs[3:4], atol=1e-6)


def test_other_images_of_a_batch_change_no_bit(cache):
    run = run_by_onnx(make(), threads=2)
    pixels = np.random.default_rng(1).integers(0, 256, (9, 20, 16)).astype(np.uint8)

    together = run.predict_pixels(pixels).probs

    alone = [run.predict_pixels(image[None]).probs for image in pixels]
    np.testing.assert_array_equal(np.concatenate(alone), together)


def test_a_network_that_fails_in_a_thread_is_heard_of(cache, monkeypatch):
    run = run_by_onnx(make(), threads=2)

    def fail(_: object) -> None:
        raise RuntimeError("out of order")

    for network in run.networks.values():
        monkeypatch.setattr(network, "compute_alone", fail)

    with pytest.raises(RuntimeError, match="out of order"):
        run.predict_pixels(np.zeros((4, 20, 16), np.uint8))


def test_no_threads_are_refused(cache):
    with pytest.raises(ClassifierError, match="at least 1 thread; got 0"):
        run_by_onnx(make(strategy="flat"), threads=0)
