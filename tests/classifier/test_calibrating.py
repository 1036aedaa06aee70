"""What a classifier learns from images that trained none of its networks."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax

from hilum.classifier.calibrate import calibrate_on
from hilum.classifier.classifier import Classifier
from hilum.classifier.shifted import ShiftedFilms, shifted_pixels
from hilum.classifier.temperature import fit_temperature
from hilum.classifier.thumbnails import Thumbnails
from hilum.errors import ClassifierError, DataError
from hilum.radiographs.dataset import open_dataset
from hilum.settings import Promises
from hilum.statistics.confident import contradicted_labels
from hilum.training.run import train
from tests.spots import write_spots


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Enough images for a temperature and a gate."""
    root = write_spots(tmp_path_factory.mktemp("data") / "many", {"train": 40, "val": 20})
    return open_dataset(root)


@pytest.fixture(scope="module")
def trained(many, tmp_path_factory):
    from hilum.recipe import Recipe

    quick = Recipe.load("covinet-flat").override(
        ["strategy=cascade", "image_size=32", "batch_size=8", "epochs=4", "learning_rate=0.01",
         "keep_thumbnails=true"]
    )  # fmt: skip
    return train(many, quick, tmp_path_factory.mktemp("runs") / "run")


def test_training_calibrates_with_what_it_monitors(many, trained):
    truth, predictions = trained.validation_predictions()

    rows = many.indices("val")
    assert truth.tolist() == many.labels[rows].tolist()
    fresh = trained.predict_pixels(many.pixels(trained.preprocessing)[rows])
    np.testing.assert_allclose(predictions.probs, fresh.probs, atol=1e-6)
    assert trained.validation.about == {
        "name": "many", "fingerprint": many.fingerprint, "split": "val", "n": 60
    }  # fmt: skip
    assert trained.provenance["calibration"]["temperatures"].keys() == {"root", "infected"}
    assert (trained.holds, trained.provenance["calibration"]["holds"]) == ("elsewhere",) * 2
    assert len(trained.reference) == 120
    assert trained.gate is not None
    assert fresh.gate_p_values is not None
    logits, places = trained.look(many.pixels(trained.preprocessing)[rows])
    assert (trained.decide(logits).probs == fresh.probs).all()
    assert (trained.validation.embedded == places.astype(np.float16)).all()
    np.testing.assert_allclose(trained.validation.gate_p_values, fresh.gate_p_values, rtol=1e-6)


def test_what_is_to_hold_elsewhere_is_fitted_on_shifted_copies(many, trained):
    rows, pixels = many.indices("val"), many.pixels(trained.preprocessing)
    copies = shifted_pixels(many, rows, trained.preprocessing)
    assert copies.shape == pixels[rows].shape
    assert (copies != pixels[rows]).mean() > 0.5

    truth, promised = trained.promised_predictions()

    assert truth.tolist() == many.labels[rows].tolist()
    np.testing.assert_allclose(promised.probs, trained.predict_pixels(copies).probs, atol=1e-6)
    told = trained.provenance["calibration"]["temperatures"]
    for decision in many.tree.decisions:
        name, targets = decision.name, decision.targets(truth)
        mine, kept = targets >= 0, targets >= 0
        logits, shifted = trained.validation.logits[name], trained.validation.shifted.logits[name]
        alike = fit_temperature(logits[mine], targets[mine])
        probs = softmax(logits[mine] / alike.value, axis=1)
        suspect = contradicted_labels(probs, targets[mine])
        kept[np.flatnonzero(mine)[suspect]] = False
        found = fit_temperature(shifted[kept], targets[kept])
        assert told[name]["alike"]["value"] == pytest.approx(alike.value)
        assert told[name]["left_out"] == suspect.sum()
        settled = alike if found.reason and found.value == 1 else found
        assert trained.temperatures[name] == pytest.approx(settled.value, rel=1e-4)


@pytest.mark.parametrize("unreadable", [False, True])
def test_what_holds_for_films_like_these_alone(many, trained, monkeypatch, unreadable):
    def refuse(*_):
        raise DataError("a file's name")

    monkeypatch.setattr("hilum.classifier.calibrate.shifted_pixels", refuse)
    promises: Promises = "elsewhere" if unreadable else "alike"

    found = calibrate_on(trained, many, "val", remembered=None, promises=promises)
    assert (found.validation.embedded == trained.validation.embedded).all()

    told = found.provenance["calibration"]
    assert (found.holds, told["holds"], found.validation.shifted) == ("alike", "alike", None)
    assert ("no longer be read" in told.get("reason", "")) is unreadable
    assert "name" not in told.get("reason", "")
    truth, predictions = found.validation_predictions()
    assert (found.promised_predictions()[1].probs == predictions.probs).all()
    logits, targets = found.validation.logits["root"], many.tree.decisions[0].targets(truth)
    assert found.temperatures["root"] == fit_temperature(logits, targets).value


@pytest.mark.parametrize(("largest", "shape"), [(None, (32, 32)), (24, (24, 24))])
def test_larger_films_are_made_smaller_before_they_are_changed(many, largest, shape):
    films = ShiftedFilms(many, many.indices("val"), largest=largest)
    assert films.hardest(int(many.indices("val")[0])).shape == shape


def test_what_was_calibrated_travels_with_the_folder(tmp_path, many, trained):
    warm = replace(trained, temperatures={"root": 2.0, "infected": 0.5})
    warm.save(tmp_path / "c")
    loaded = Classifier.load(tmp_path / "c", device="cpu")
    pixels = many.pixels(trained.preprocessing)[:5]

    assert loaded.temperatures == warm.temperatures
    assert (loaded.validation.truth == warm.validation.truth).all()
    assert (loaded.validation.shifted.rows == np.arange(60)).all()
    assert (loaded.validation.embedded == warm.validation.embedded).all()
    assert (loaded.validation.gate_p_values == warm.validation.gate_p_values).all()
    of, copies = loaded.validation.shifted.logits, warm.validation.shifted.logits
    assert of.keys() == copies.keys()
    assert all(np.allclose(of[name], copies[name], rtol=1e-6) for name in of)
    assert (loaded.reference.rows == warm.reference.rows).all()
    of_training = many.pixels(trained.preprocessing)[warm.reference.rows]
    assert (loaded.thumbnails.pictures == of_training).all()
    found, expected = loaded.predict_pixels(pixels), warm.predict_pixels(pixels)
    assert (found.probs == expected.probs).all()
    assert (found.gate_p_values == expected.gate_p_values).all()


def test_file_names_do_not_travel(tmp_path, many, trained):
    trained.save(tmp_path / "c")

    for file in (tmp_path / "c").iterdir():
        assert b".png" not in file.read_bytes()


@pytest.mark.parametrize(
    "file", ["validation.logits", "reference.features", "gate.pictures", "training.thumbnails"]
)
def test_a_damaged_part_is_refused(tmp_path, trained, file):
    trained.save(tmp_path / "c")
    path = tmp_path / "c" / f"{file}.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"?")

    with pytest.raises(ClassifierError, match=rf"{file}.safetensors: damaged"):
        Classifier.load(tmp_path / "c")


def test_temperature_divides_the_logits_and_can_be_taken_back(trained):
    logits = {"root": np.array([[0.0, 2.0]]), "infected": np.array([[3.0, 0.0]])}
    warm = replace(trained, temperatures={"root": 2.0, "infected": 1.5})

    decided = warm.decide(logits)

    np.testing.assert_allclose(decided.decision_probs["root"][0, 1], 1 / (1 + np.exp(-1)))
    np.testing.assert_allclose(decided.decision_probs["infected"][0, 0], 1 / (1 + np.exp(-2)))
    before = warm.without_temperatures(decided)
    np.testing.assert_allclose(before.decision_probs["root"][0, 1], 1 / (1 + np.exp(-2)))
    np.testing.assert_allclose(before.decision_probs["infected"][0, 0], 1 / (1 + np.exp(-3)))


def test_a_certain_probability_stays_certain_without_temperature(trained):
    warm = replace(trained, temperatures={"root": 2.0, "infected": 1.5})
    decided = warm.decide({"root": np.array([[9e9, 0.0]]), "infected": np.array([[0.0, 0.0]])})

    assert warm.without_temperatures(decided).probs[0].tolist() == [1.0, 0.0, 0.0]


def test_a_monitored_test_set_is_never_chosen_by(tmp_path, recipe):
    data = open_dataset(write_spots(tmp_path / "d", {"train": 4, "test": 2}))

    classifier = train(data, recipe("monitor=test", "epochs=1"), tmp_path / "run")

    assert classifier.validation is None
    assert classifier.temperatures == {}
    with pytest.raises(ClassifierError, match="hilum calibrate"):
        classifier.validation_predictions()


def test_too_few_images_for_a_gate_are_told(tmp_path, spots, recipe):
    classifier = train(spots, recipe("epochs=1"), tmp_path / "run")

    assert classifier.gate is None
    assert not (tmp_path / "run" / "classifier" / "training.thumbnails.safetensors").exists()
    assert "99 training images; there are 36" in classifier.provenance["gate"]["reason"]


def test_pictures_of_training_images_stay_theirs(tmp_path, many, spots, trained):
    large = np.zeros((2, 300, 150), dtype=np.uint8)
    assert Thumbnails.shrink(large, {}).pictures.shape == (2, 128, 64)

    again = calibrate_on(trained, many, "val")
    assert (again.thumbnails.pictures == trained.thumbnails.pictures).all()
    again.save(tmp_path / "c")
    file = tmp_path / "c" / "training.thumbnails.safetensors"
    assert file.is_file()
    replace(again, thumbnails=Thumbnails(large, {})).save(tmp_path / "c")
    with pytest.raises(ClassifierError, match="thumbnails of 2 images, features of 120"):
        Classifier.load(tmp_path / "c")

    elsewhere = calibrate_on(again, spots, "val")  # other patients, who were not asked
    assert elsewhere.thumbnails is None
    elsewhere.save(tmp_path / "c")
    assert not file.exists()


def test_calibrating_on_what_was_trained_on_is_refused(many, trained):
    with pytest.raises(ClassifierError, match="trained the classifier"):
        calibrate_on(trained, many, "train", remembered=None)
    with pytest.raises(ClassifierError, match="trained the classifier"):
        calibrate_on(trained, many, "val", remembered="val")


def test_calibrating_anew_keeps_the_weights(many, trained):
    again = calibrate_on(trained, many, "val", remembered=None)

    assert again.temperatures == pytest.approx(trained.temperatures)
    assert again.reference is trained.reference
    assert again.networks is trained.networks
