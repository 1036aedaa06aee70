"""A student with a folder of two classes and nothing else: one command, and what it prints."""

import json
import shlex

from tests.command import run_command
from tests.journeys.tutorials import SMALL, follow
from tests.spots import write_spots


def test_two_classes_without_splits(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.spots.PLACES", {"Normal": (6, 6), "Pneumonia": (20, 20)})
    monkeypatch.setattr("hilum.explanation.split.METHOD", "gradcam")  # occlusion takes long
    monkeypatch.setattr("hilum.explanation.split.METHODS", ("gradcam",))
    write_spots(tmp_path, {"my films": 24})

    audited, trained, served, _, evaluated = follow("student", tmp_path)

    assert "Audit" in audited.out or "audit" in audited.out
    assert (tmp_path / "audit/audit.html").is_file()
    assert "Run: runs/my-films-1" in trained.err
    heeded = trained.out.partition("Heed:\n")[2].partition("\n\n")[0]
    assert heeded.count("  - ") == 3
    assert "The data name no val part, so their 48 images were divided" in " ".join(heeded.split())
    assert all(len(line) <= 80 for line in trained.out.splitlines())
    page = (tmp_path / "runs/my-films-1/report.html").read_text()
    assert "were divided" in page
    looks = (tmp_path / "runs/my-films-1/classifier/ledger.jsonl").read_text().splitlines()
    assert len(looks) == 1, "the first look at the test part is recorded"
    printed = map(shlex.split, trained.out.partition("Next:\n")[2].splitlines())
    verbs = [words[:3] for words in printed]
    assert verbs == [["hilum", verb, "runs/my-films-1"] for verb in ("serve", "predict")]
    assert json.loads(served.out)["classes"] == ["Normal", "Pneumonia"]
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == 49
    assert "my films, val: 7 images" in evaluated.out


def test_six_images_of_a_class(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tests.spots.PLACES", {"Normal": (6, 6), "Pneumonia": (20, 20)})
    write_spots(tmp_path, {"few": 6})
    monkeypatch.chdir(tmp_path)
    code, out, err = run_command(
        monkeypatch, capsys, "train", "few", *SMALL["train"], "--no-report"
    )
    assert code == 0, err
    again = shlex.split(out.splitlines()[-1].partition("report: ")[2])
    assert again == ["hilum", "train", "few", "--out", "runs/few-1", "--resume"]
    # another hospital's films, undivided: evaluated as a whole
    write_spots(tmp_path, {"elsewhere": 5}, seed=1)
    code, out, err = run_command(monkeypatch, capsys, "evaluate", "runs/few-1", "elsewhere")
    assert code == 0, err
    assert "elsewhere, all: 10 images" in out
    assert "has no split 'val': all its images" in err
