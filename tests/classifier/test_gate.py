"""The gate on phantoms: what passes, what does not, and what its numbers mean."""

from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest

from hilum.classifier.gate import SIDE, Gate, describe_pictures, fit_gate, images_needed
from hilum.errors import ClassifierError, DataError, EvaluationError
from hilum.evaluation.gate import COLOUR, score_gate
from hilum.phantoms.negatives import CHANGED_KINDS, DRAWN_KINDS
from hilum.phantoms.phantom import LABELS, render_phantom
from hilum.radiographs.image import read_radiograph
from hilum.records import IntArray, PixelArray
from hilum.transforms.preprocess import Preprocessing
from tests.calls import count_calls
from tests.plain import again

SIZE = 48
PREPROCESSING = Preprocessing(image_size=(SIZE, SIZE))


@cache
def phantoms(n: int, start: int = 0) -> tuple[PixelArray, IntArray]:
    """n phantoms of each class, in the order of a data set."""
    drawn = [
        render_phantom(label, seed=0, index=start + i, size=SIZE)[0]
        for label in LABELS
        for i in range(n)
    ]
    return np.stack(drawn), np.repeat(np.arange(len(LABELS)), n)


@pytest.fixture(scope="module")
def gate() -> Gate:
    return fit_gate(*phantoms(70), about={"fingerprint": "abc"})


def test_it_finds_negatives_and_lets_phantoms_pass(gate: Gate) -> None:
    others, _ = phantoms(25, start=1000)

    found = score_gate(gate, PREPROCESSING, list(others), per_kind=15)

    assert set(found.detected) == {*DRAWN_KINDS, *CHANGED_KINDS, COLOUR}
    shares = {kind: e.value for kind, e in found.detected.items()}
    assert all(shares[kind] == 1.0 for kind in (*DRAWN_KINDS, COLOUR)), shares
    assert found.false_alarms.n == 75
    # at 1 % of 75, 5 or more would come up once in 1,000 times
    assert (found.false_alarms.value or 0) * 75 < 5
    assert again(found) == found
    drawing = "phantoms/negatives.py"
    repeat = partial(score_gate, gate, PREPROCESSING, list(others), per_kind=15)
    changes = len(CHANGED_KINDS) * 15
    assert count_calls(repeat, of=drawing) <= 8 * changes, "only changes are made anew"
    assert repeat() == found


def test_p_values_count_the_training_images_that_are_as_odd(gate: Gate) -> None:
    others, _ = phantoms(10, start=2000)

    found = gate.judge(others)

    for score, p in zip(found.scores, found.p_values, strict=True):
        assert p == (1 + (gate.scores >= np.float32(score)).sum()) / (len(gate.scores) + 1)
    np.testing.assert_array_equal(found.flagged, found.p_values <= 0.01)
    blank = gate.judge(np.zeros((1, SIZE, SIZE), dtype=np.uint8))
    assert blank.p_values.tolist() == [1 / 211]
    assert blank.flagged.tolist() == [True]


def test_p_values_are_uniform_on_images_like_those_in_training() -> None:
    """Scored by the gate that was fitted on them, training images would look too usual.

    The pictures are tiles of random tones: cheap, and exchangeable.
    """
    rng = np.random.default_rng(0)

    def noise(n: int) -> PixelArray:
        tones = rng.uniform(60, 180, (n, 4, 4)).repeat(4, axis=1).repeat(4, axis=2)
        return (tones + rng.normal(0, 5, tones.shape)).astype(np.uint8)

    gate = fit_gate(noise(400), np.zeros(400, dtype=np.int64))
    p_values = gate.judge(noise(2000)).p_values

    assert 0.45 < p_values.mean() < 0.58  # a little above 1/2: the last gate saw more images
    for rate in (0.01, 0.05, 0.1):
        # at most the rate, within what 400 calibrating and 2000 new images allow
        assert (p_values <= rate).mean() < rate + 3.5 * np.sqrt(rate * (1 / 400 + 1 / 2000))


def test_each_image_is_scored_without_its_block() -> None:
    """An outlier fitted in would hide itself; here a whole block is another kind of picture."""
    pixels, labels = phantoms(40)
    odd = pixels.copy()
    odd[:8] = 255 - odd[:8]  # the first fifth of the first class: one block

    plain, changed = (fit_gate(p, labels).scores[-8:].min() for p in (pixels, odd))

    assert changed > 1.5 * plain


def test_bytes_there_and_back(gate: Gate) -> None:
    others, _ = phantoms(3, start=3000)

    found = Gate.from_bytes(gate.to_bytes(), "gate.safetensors")

    assert found.about == {"fingerprint": "abc", "n": 210}
    assert (found.image_size, found.false_alarms) == ((SIZE, SIZE), 0.01)
    np.testing.assert_array_equal(found.judge(others).scores, gate.judge(others).scores)


@pytest.mark.parametrize("cut", [0, 5, 100, -1])
def test_a_damaged_file_is_refused(gate: Gate, cut: int) -> None:
    with pytest.raises(ClassifierError, match="^my/gate: damaged"):
        Gate.from_bytes(gate.to_bytes()[:cut], "my/gate")
    head = b"[" * 200_000
    with pytest.raises(ClassifierError, match="^my/gate: damaged"):
        Gate.from_bytes(len(head).to_bytes(8, "little") + head, "my/gate")


def test_refusals(gate: Gate) -> None:
    pixels, labels = phantoms(40)
    assert (images_needed(0.01), images_needed(0.05), images_needed(0.3)) == (99, 19, 3)
    with pytest.raises(ClassifierError, match="at least 99 training images; there are 98"):
        fit_gate(pixels[:98], labels[:98])
    with pytest.raises(ClassifierError, match=r"between 0 and 1, for example 0\.01; got 1"):
        fit_gate(pixels, labels, false_alarms=1)
    with pytest.raises(ClassifierError, match="all alike"):
        fit_gate(np.full((120, 32, 32), 7, dtype=np.uint8), labels)
    with pytest.raises(DataError, match=r"shape \(N, 48, 48\), found uint8 \(1, 32, 32\)"):
        gate.judge(np.zeros((1, 32, 32), dtype=np.uint8))
    with pytest.raises(EvaluationError, match="at least one held-out radiograph"):
        score_gate(gate, PREPROCESSING, [])


def test_a_picture_is_described_by_its_tones_and_its_sharpness() -> None:
    left_white = np.zeros((1, 64, 64), dtype=np.uint8)
    left_white[:, :, :32] = 255
    stripes = np.zeros((1, 64, 64), dtype=np.uint8)
    stripes[:, :, ::2] = 255

    tones, sharpness = describe_pictures(np.concatenate([left_white, stripes]))

    grid = tones[0].reshape(SIDE, SIDE)
    assert (grid[:, :8] == 1).all()
    assert (grid[:, 8:] == 0).all()
    np.testing.assert_allclose(tones[1], 0.5)
    assert sharpness[0].argmax() == 0  # one edge: coarse
    assert sharpness[1].argmax() == sharpness.shape[1] - 1  # every other column: the finest


@pytest.mark.parametrize("size", [(16, 16), (16, 40), (150, 131)])
def test_pictures_of_any_size_are_described_in_finite_numbers(size: tuple[int, int]) -> None:
    for pixels in (np.zeros((2, *size)), np.full((2, *size), 255)):
        tones, sharpness = describe_pictures(pixels.astype(np.uint8))
        assert tones.shape == (2, SIDE * SIDE)
        assert np.isfinite(sharpness).all()


@pytest.mark.shared
def test_on_real_radiographs_false_alarms_are_rare_and_drawings_are_found(
    shared_data: Path,
) -> None:
    train = shared_data / "chest-xray-150" / "train"
    pictures, labels = [], []
    for label, folder in enumerate(("normal", "infected/covid", "infected/non-covid")):
        files = sorted((train / folder).glob("*.jpg"), key=lambda f: int(f.stem))[::10]
        pictures += [Preprocessing().to_pixels(read_radiograph(f)) for f in files]
        labels += [label] * len(files)
    pixels, truth = np.stack(pictures), np.array(labels)
    # the last fifth of each class is held out: neighbouring numbers are often one patient
    held = np.zeros(len(truth), dtype=bool)
    for label in range(3):
        own = np.flatnonzero(truth == label)
        held[own[len(own) * 4 // 5 :]] = True

    gate = fit_gate(pixels[~held], truth[~held])
    found = score_gate(gate, Preprocessing(), list(pixels[held]), per_kind=10)

    assert (found.false_alarms.low or 0) <= 0.01
    assert all(found.detected[kind].value == 1.0 for kind in DRAWN_KINDS)
    assert (found.detected["inverted"].value or 0) > 0.8
