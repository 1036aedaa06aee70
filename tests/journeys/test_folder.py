"""A student with a folder of two classes and nothing else: one command, and what it prints."""

import json
import shlex
import subprocess
import urllib.request

from tests.command import run_command
from tests.spots import write_spots

SMALL = ["--set", "image_size=32", "--set", "epochs=2", "--set", "passes=0", "--device", "cpu"]


def test_two_classes_without_splits(tmp_path, monkeypatch, capsys, python):
    monkeypatch.setattr("tests.spots.PLACES", {"Normal": (6, 6), "Pneumonia": (20, 20)})
    monkeypatch.setattr("hilum.explanation.split.METHOD", "gradcam")  # occlusion takes long
    monkeypatch.setattr("hilum.explanation.split.METHODS", ("gradcam",))
    write_spots(tmp_path, {"my films": 24})
    monkeypatch.chdir(tmp_path)

    code, out, err = run_command(monkeypatch, capsys, "train", "my films", *SMALL)

    assert code == 0, err
    assert "Run: runs/my-films-1" in err
    assert "Held out: test, 7 images" in out
    for row in ("accuracy", "macro AUROC", "sensitivity for Normal", "sensitivity for Pneumonia"):
        assert f"\n{row} " in out
    heeded = out.partition("Heed:\n")[2].partition("\n\n")[0]
    assert heeded.count("  - ") == 3
    assert "The data name no val part, so their 48 images were divided" in " ".join(heeded.split())
    assert all(len(line) <= 80 for line in out.splitlines())
    page = (tmp_path / "runs/my-films-1/report.html").read_text()
    assert "were divided" in page
    looks = (tmp_path / "runs/my-films-1/classifier/ledger.jsonl").read_text().splitlines()
    assert len(looks) == 1, "the first look at the test part is recorded"

    serve, predict = map(shlex.split, out.partition("Next:\n")[2].splitlines())
    code, _, err = run_command(monkeypatch, capsys, *predict[1:], "--runtime", "torch")
    assert code == 0, err
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == 49
    server = subprocess.Popen(
        [python, "-m", *serve, "--port", "0", "--runtime", "torch"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        (url,) = [word for word in server.stderr.readline().split() if word.startswith("http")]
        with urllib.request.urlopen(f"{url}/v1/classifier") as answer:
            assert json.load(answer)["classes"] == ["Normal", "Pneumonia"]
    finally:
        server.terminate()
        server.communicate()

    code, out, err = run_command(monkeypatch, capsys, "evaluate", "runs/my-films-1", "my films")
    assert (code, "my films, val: 7 images" in out) == (0, True), err


def test_six_images_of_a_class(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tests.spots.PLACES", {"Normal": (6, 6), "Pneumonia": (20, 20)})
    write_spots(tmp_path, {"few": 6})
    monkeypatch.chdir(tmp_path)
    code, out, err = run_command(monkeypatch, capsys, "train", "few", *SMALL, "--no-report")
    assert code == 0, err
    again = shlex.split(out.splitlines()[-1].partition("report: ")[2])
    assert again == ["hilum", "train", "few", "--out", "runs/few-1", "--resume"]
    # another hospital's films, undivided: evaluated as a whole
    write_spots(tmp_path, {"elsewhere": 5}, seed=1)
    code, out, err = run_command(monkeypatch, capsys, "evaluate", "runs/few-1", "elsewhere")
    assert code == 0, err
    assert "elsewhere, all: 10 images" in out
    assert "has no split 'val': all its images" in err
