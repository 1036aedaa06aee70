"""hilum export."""

import json
from dataclasses import replace

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from hilum.classifier.reference import Reference
from hilum.classifier.thumbnails import Thumbnails
from hilum.cli.export import export
from hilum.errors import ClassifierError, DataError
from hilum.exporting.session import run_session, start_session
from tests.exporting.conftest import make


@pytest.fixture
def run():
    app = typer.Typer()
    app.command()(export)

    def call(*arguments):
        return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=True)

    return call


@pytest.mark.filterwarnings("always:.*LeafSpec:FutureWarning")  # as on the command line
def test_onnx_of_a_flat_classifier_that_crops(tmp_path, run, recwarn):
    flat = make(strategy="flat", crop="body", standardise="z-score", temperatures={"flat": 3.0})
    flat.save(tmp_path / "flat")
    noise = np.random.default_rng(0).integers(0, 256, (60, 50)).astype(np.uint8)
    (tmp_path / "films").mkdir()
    Image.fromarray(noise).save(tmp_path / "films/a.png")
    file = tmp_path / "f.onnx"
    arguments = [tmp_path / "flat", "--to", "onnx", "--out", file, "--check", tmp_path / "films"]
    assert "--input pixels" in str(run(*arguments).exception)
    assert not file.exists()

    done = run(*arguments, "--input", "pixels", "--operate", "infected: recall>=0.9", "--json")

    assert done.exit_code == 0, done.exception
    assert not [w for w in recwarn if "LeafSpec" in str(w.message)]
    told = json.loads(done.stdout)
    assert told["file"] == str(file)
    assert told["radiographs"] == 1
    assert told["opset"] == 18
    assert told["largest_difference"] < 1e-6
    pixels = np.random.default_rng(1).integers(0, 256, (6, 20, 16)).astype(np.uint8)
    outputs = run_session(start_session(file.read_bytes()), pixels)
    assert outputs[1].tolist() == flat.predict_pixels(pixels).predicted.tolist()


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # of making the file
@pytest.mark.parametrize("to", ["safetensors", "huggingface"])
def test_a_folder_with_a_card(tmp_path, run, classifier, exported, monkeypatch, to):
    classifier.save(tmp_path / "c")
    made = (exported[0].read_bytes(), exported[1])
    monkeypatch.setattr("hilum.exporting.huggingface.make_onnx", lambda *_, **__: made)

    done = run(tmp_path / "c", "--to", to, "--out", tmp_path / "given")

    assert done.exit_code == 0, done.exception
    assert ("hf upload OWNER/NAME" in done.stdout) == (to == "huggingface")
    assert "README.md" in done.stdout
    assert (tmp_path / "given/README.md").read_text().startswith("---\nlibrary_name: hilum\n")
    again = run(tmp_path / "c", "--to", to, "--out", tmp_path / "given")
    assert "not empty" in str(again.exception)


def test_a_folder_says_that_it_holds_pictures_of_patients(tmp_path, run, classifier):
    features = {name: np.eye(3, 4, dtype=np.float32) for name in classifier.networks}
    reference = Reference.fit(features, np.arange(3), np.arange(3), {})
    pictures = Thumbnails(np.zeros((3, 20, 16), dtype=np.uint8), {})
    replace(classifier, reference=reference, thumbnails=pictures).save(tmp_path / "c")
    told = "small pictures of 3 training images"

    given, without = (
        run(tmp_path / "c", "--to", "safetensors", "--out", tmp_path / name, *more)
        for name, more in {"given": [], "without": ["--no-thumbnails"]}.items()
    )

    assert (told in given.stderr, told in without.stderr) == (True, False)
    for name, held in {"given": True, "without": False}.items():
        card = (tmp_path / name / "README.md").read_text()
        assert (told in card, "no image and no file name" in card) == (held, not held)
        assert (tmp_path / name / "training.thumbnails.safetensors").exists() == held


def test_what_makes_no_sense_is_refused(tmp_path, run, classifier):
    classifier.save(tmp_path / "c")
    (tmp_path / "empty").mkdir()

    def refusal(*arguments):
        return run(tmp_path / "c", *arguments).exception

    assert "Did you mean 'onnx'" in str(refusal("--to", "onx"))
    error = refusal("--to", "onnx", "--out", tmp_path / "labels.csv")
    assert "labels.csv: what is written there ends in .onnx" in str(error)
    error = refusal("--to", "safetensors", "--input", "pixels", "--check", tmp_path)
    assert isinstance(error, ClassifierError)
    assert "--input, --check: only with --to onnx" in str(error)
    error = refusal("--to", "onnx", "--check", tmp_path / "empty")
    assert isinstance(error, DataError)
