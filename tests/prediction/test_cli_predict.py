"""`hilum predict` as a person and as a program use it."""

import json
from dataclasses import replace

import pytest
from PIL import Image

from hilum.classifier.conformal import ODD
from hilum.cli.predict import print_predictions
from hilum.labels import LabelTree
from hilum.prediction.table import Table
from hilum.predictions import Prediction


def test_some_files_that_fail_are_exit_code_1(tmp_path, folder, predict):
    out = tmp_path / "p.csv"

    (folder / "notes.txt").write_text("no radiograph")
    left_out = "1 file that cannot be read as an image left out (1 .txt)"

    code, said, err = predict(folder, "--out", out)
    assert (code, said) == (1, "")
    assert err == (
        f"Written: {out} (12 images)\n{left_out}: {folder / 'notes.txt'}.\n"
        "2 of 12 files cannot be read; their rows say why.\n"
    )
    code, said, err = predict(folder, "--out", out, "--json")
    reading = {"left_out": [{"note": f"{left_out}.", "names": [str(folder / "notes.txt")]}]}
    expected = {"out": str(out), "images": 12, "failed": 2, "found": 12, "redone": 0}
    expected |= {"reading": reading, "arrivals": None}
    assert json.loads(said) == expected
    assert (code, err.splitlines()[0]) == (1, f"Written: {out} (12 images, 12 of them from before)")


def test_all_well_is_0_and_a_refusal_2(tmp_path, folder, predict):
    out = tmp_path / "p.csv"
    assert predict(folder / "infected", "--out", out)[0] == 0
    code, _, err = predict(folder, "--out", out.with_suffix(".xlsx"))
    assert (code, err.startswith("hilum: ")) == (2, True)
    code, _, err = predict(folder / "normal", "--out", out)
    assert (code, "--restart" in err) == (2, True)
    assert predict(folder / "normal", "--out", out, "--restart")[0] == 1
    assert len(out.read_text().splitlines()) == 5
    code, _, err = predict(folder, "--restart")
    assert (code, "--out" in err) == (2, True)


def test_paths_from_standard_input_are_printed(folder, predict):
    names = [folder / "normal/0.png", folder / "normal/1.png", folder / "no.png"]

    code, said, err = predict("-", stdin="\n".join(map(str, names)).encode())

    assert code == 1
    assert "not a diagnosis" in said
    assert said.count("failed") == 2
    assert f"{names[2]}: there is no such file." in err.splitlines()


def test_what_the_gate_refuses_gets_no_class_in_the_printed_table(capsys):
    table = Table(LabelTree.from_text("normal, covid"), false_alarms=0.01)
    odd = Prediction("cat.png", "", "", "covid", {"normal": 0.02, "covid": 0.98}, referral=ODD)

    assert print_predictions([odd, replace(odd, path="film.png", referral="")], table, False) == 0

    told = capsys.readouterr()
    cat, film = told.out.splitlines()[2:4]
    assert cat.split() == ["cat.png", "(0.020)", "(0.980)", *ODD.split()]
    assert film.split() == ["film.png", "covid", "0.020", "0.980"]
    assert "1 of 2 pictures is unlike the training radiographs" in told.err


@pytest.fixture
def odd(tmp_path):
    """12 pictures without any detail, in a folder."""
    root = tmp_path / "odd"
    root.mkdir()
    for i in range(12):
        Image.new("L", (32, 32), 20 * i).save(root / f"{i}.png")
    return root


@pytest.mark.parametrize("ending", [None, "csv", "jsonl", "parquet"])
def test_pictures_that_are_together_unlike_those_of_training_come_first(
    tmp_path, calibrated, folder, odd, predict, ending
):
    """Said of all rows, also those from before; and not a word of held-out radiographs."""
    calibrated.save(tmp_path / "classifier")
    out = ["--out", tmp_path / f"p.{ending}"] if ending else []

    code, said, err = predict(odd, *out, "--json")

    first, *rest = err.splitlines()
    assert code == 0
    assert first.startswith("100.0\N{NARROW NO-BREAK SPACE}% of these 12 pictures are unlike the")
    found = json.loads(said)["arrivals"]
    assert (found["n"], found["flagged"], found["warning"]) == (12, 12, first)
    if ending in ("csv", "jsonl"):
        _, said, err = predict(odd, folder, *out, "--json")
        assert json.loads(said)["arrivals"]["n"] == 22
        assert err.startswith("54.5\N{NARROW NO-BREAK SPACE}% of these 22 pictures are unlike the")
    elif ending:
        assert predict(odd, *out)[2].splitlines()[0] == first
    else:
        assert predict(odd)[2].splitlines()[0] == first
    if out:
        assert [line.split()[0] for line in rest] == ["Written:"]
    _, said, err = predict(folder, *out, *(["--restart"] if out else []), "--json")
    assert json.loads(said)["arrivals"]["warning"] == ""
    assert "unlike" not in err


def test_json_says_what_failed(folder, predict):
    code, said, _ = predict(folder / "normal", "--json")

    found = json.loads(said)["predictions"]
    assert code == 1
    assert found[1]["status"] == "failed"
    assert "probs" not in found[1]
    assert sum(found[0]["probs"].values()) == pytest.approx(1, abs=1e-5)
    assert set(found[0]["decisions"]) == {"root", "infected"}


def test_ctrl_c_keeps_the_rows_and_says_how_to_go_on(tmp_path, folder, predict, monkeypatch):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("hilum.classifier.classifier.Classifier.predict_pixels", stop)
    code, _, err = predict(folder, "--out", tmp_path / "p.csv")

    assert code == 130
    assert "the same command goes on" in err
