"""A researcher with DICOM files and a table: to a report, another hospital's films, and CSV."""

import csv
import json
import re
from pathlib import Path

import numpy as np

from tests.journeys.tutorials import follow
from tests.radiographs.dicoms import dicom, save

COLUMNS = ["image_id", "patient", "age", "sex", "view", "finding"]


def write_hospital(root: Path, findings: tuple[str, str], patients: int, seed: int) -> None:
    """Three films of each patient in a folder of their own, and findings.csv above these."""
    rng = np.random.default_rng(seed)
    rows = []
    for k in range(3 * patients):
        patient, name = f"P{k // 3:03}", f"IM{k:04}"
        ill = k // 3 % 2
        film = rng.integers(800, 1800, (40, 36)).astype(np.uint16)
        film[20 * ill + 6 :, 6:18][:9] += 1800
        uid = f"1.2.{seed}.{k}"
        made = dicom(film, SOPInstanceUID=uid, PatientID=patient, PatientName=f"Doe^{patient}")
        save(root / "films" / patient / f"{name}.dcm", made)
        view = ("PA", "AP")[k % 2]
        rows.append(
            [name, patient, f"{20 + 2 * (k // 3):03}Y", "FM"[k // 6 % 2], view, findings[ill]]
        )
    with (root / "findings.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])


def test_from_sixty_films_and_a_table_to_an_external_evaluation(tmp_path, monkeypatch):
    monkeypatch.setattr("hilum.explanation.split.METHOD", "gradcam")  # occlusion takes long
    monkeypatch.setattr("hilum.explanation.split.METHODS", ("gradcam",))
    write_hospital(tmp_path / "study", ("No finding", "Pneumonia"), 20, seed=1)
    write_hospital(tmp_path / "elsewhere", ("normal", "Infiltration"), 10, seed=2)

    _, trained, evaluated, *_ = follow("researcher", tmp_path)

    read = "image_id (image), finding (label), patient (patient), view (view), age (age), sex (sex)"
    assert f"Columns read: {read}; not read: none." in trained.err
    heeded = " ".join(trained.out.split())
    assert "60 images were divided, in 20 groups (patients): " in heeded
    assert all(len(line) <= 80 for line in evaluated.out.partition("Accuracy: ")[0].splitlines())
    folder = tmp_path / "runs/study-1/evaluation/external-elsewhere-all"
    drop = json.loads((folder / "external.json").read_text())["drops"][0]["drop"]["value"]
    change = f"{-drop:+.2f}" if round(drop, 2) else "0.00"  # the sign of the report
    assert re.search(rf"here − there.*?accuracy .*?{re.escape(change)}", evaluated.out, re.S)
    assessed = json.loads((folder / "assessment.json").read_text())
    found = {a["name"]: [(s["name"], s["n"]) for s in a["subgroups"]]
             for a in assessed["subgroups"]["attributes"]}  # fmt: skip
    assert found["age"] == [("18 to 39", 30)]
    assert found["sex"] == [("F", 18), ("M", 12)]
    assert found["view"] == [("AP", 15), ("PA", 15)]
    page = (tmp_path / "runs/study-1/report.html").read_text()
    assert "elsewhere" in page
    with (tmp_path / "predictions.csv").open() as file:
        predicted = list(csv.DictReader(file))
    assert len(predicted) == 30
    assert {row["predicted"] for row in predicted} <= {"No finding", "Pneumonia"}
    assert not any("Doe" in str(row) for row in predicted)
