"""The whole explanation: files, facts, the verb, and the page."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from hilum.classifier.conformal import ODD
from hilum.classifier.gate import fit_gate
from hilum.cli.explain import explain as verb
from hilum.codec import to_plain
from hilum.errors import EvaluationError
from hilum.explanation.explain import explain
from hilum.radiographs.dataset import open_dataset
from hilum.reporting.explain_page import write_explanation_page
from tests.command import run_command
from tests.explanation.conftest import untrained

HOSTILE = "<img src=x onerror=alert(1)>$x$.png"


def test_what_is_written_is_what_is_said(spots, tmp_path):
    files = [spots.root / "val/normal/0.png", spots.root / "val/infected/covid/1.png"]
    out = tmp_path / "out"
    found = explain(untrained(), files, out, methods=["gradcam", "ig"], dataset=spots)
    said = json.loads((out / "explanation.json").read_text())
    assert said == to_plain(found)
    assert {i.truth == i.predicted for i in found.images} == {True, False}
    pictures = [p for i in found.images for p in i.pictures]
    assert sorted(p.file for p in pictures) == sorted(f.name for f in out.glob("*.png"))
    assert [i.truth for i in found.images] == ["normal", "covid"]
    assert all(len(i.neighbours) == 3 for i in found.images)
    assert {s.verdict for s in found.localisation} == {"not measured"}
    classifier, rows = untrained(), spots.indices("val")
    predicted = classifier.predict_pixels(spots.pixels(classifier.preprocessing)[rows]).predicted
    right = {spots.tree.classes[k] for k in predicted[predicted == spots.labels[rows]]}
    for image in found.images:
        # what is misclassified is set beside a right one of the predicted class
        paired = any(p.kind == "pair" for p in image.pictures)
        assert paired == (image.truth != image.predicted and image.predicted in right)
        way = {p.decision for p in image.pictures if p.kind == "attribution"}
        assert way == ({"root"} if image.predicted == "normal" else {"root", "infected"})


def test_what_the_gate_refuses_gets_no_class_in_large(spots, tmp_path, monkeypatch, capsys):
    classifier = untrained()
    pixels = spots.pixels(classifier.preprocessing)[np.arange(100) % len(spots.records)]
    gate = fit_gate(pixels, np.zeros(100, dtype=np.int64))
    replace(classifier, gate=gate).save(tmp_path / "classifier")
    film, cat = spots.records[0].path, tmp_path / "cat.png"
    colours = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    Image.fromarray(colours).save(cat)

    code, said, err = run_command(
        monkeypatch, capsys, "explain", tmp_path / "classifier", film, cat, "--method", "gradcam",
        "--out", tmp_path / "out", "--device", "cpu",
    )  # fmt: skip

    assert code == 0, err
    images = json.loads((tmp_path / "out/explanation.json").read_text())["images"]
    assert [image["referral"] for image in images] == ["", ODD]
    rows = [line.split() for line in said.splitlines()[2:4]]
    assert rows[0][2] == images[0]["predicted"]
    assert rows[1][3:] == ODD.split()  # after name, truth and the number of pictures
    assert "1 of 2 pictures is unlike the training radiographs" in err
    page = (tmp_path / "out/index.html").read_text()
    film_part, cat_part = page.split("<h2")[-2:]
    assert "No answer" not in film_part
    assert cat_part.index("No answer: unlike") < cat_part.index("Predicted:")
    assert 'class="void"' in cat_part


def test_one_decision_of_a_pair(spots, tmp_path):
    files = [spots.root / "val/normal/0.png", spots.root / "val/infected/covid/1.png"]
    found = explain(
        untrained(), files, tmp_path, methods=["gradcam"], decision="infected", pair=True,
        layer="conv2", sanity=True,
    )  # fmt: skip
    for image in found.images:
        kinds = [(p.kind, p.decision) for p in image.pictures]
        assert ("attribution", "infected") in kinds
        assert ("attribution", "root") not in kinds
    assert [p.layer for p in found.images[0].pictures if p.kind == "pair"] == ["conv2"]
    assert [(c.decision, c.n) for c in found.sanity] == [("infected", 2)]
    with pytest.raises(EvaluationError, match="A pair is two images"):
        explain(untrained(), files[:1], tmp_path, pair=True)
    with pytest.raises(EvaluationError, match="Did you mean 'infected'"):
        explain(untrained(), files, tmp_path, decision="infectd")


def test_the_flat_strategy_explains_the_class(spots, tmp_path):
    found = explain(untrained("flat"), [spots.root / "val/normal/0.png"], tmp_path, methods=["ig"])
    (picture,) = [p for p in found.images[0].pictures if p.kind == "attribution"]
    assert (picture.decision, picture.option) == ("flat", found.images[0].predicted)


def test_hostile_names_are_plain_in_files_and_escaped_in_the_page(spots, tmp_path):
    file = tmp_path / HOSTILE
    shutil.copy(spots.root / "val/normal/0.png", file)
    found = explain(untrained(), [file], tmp_path / "out", methods=["gradcam"])
    assert all(p.file.replace("-", "").replace(".", "").replace("_", "").isalnum()
               for p in found.images[0].pictures)  # fmt: skip
    page = write_explanation_page(found, tmp_path / "out" / "index.html").read_text()
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror" in page
    assert "<script" not in page
    assert "was not checked" in page


def test_the_verb(spots, tmp_path):
    untrained().save(tmp_path / "classifier")
    app = typer.Typer()
    app.command()(verb)
    image = str(spots.root / "val/normal/0.png")
    out = tmp_path / "why"
    done = CliRunner().invoke(
        app,
        [str(tmp_path / "classifier"), image, "--out", str(out), "--method", "gradcam", "--sanity",
         "--data", str(spots.root), "--device", "cpu"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "Do the maps depend on what was learned?" in done.output
    assert (out / "index.html").stat().st_size > 10_000
    assert open_dataset(spots.root).tree == spots.tree
