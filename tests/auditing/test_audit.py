"""The audit as a whole: on a set with known faults, on the command line, and on real data."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.auditing.audit import SYNTHETIC, Audit, run_audit, write_audit
from hilum.auditing.findings import Finding
from hilum.auditing.leaks import duplicate_findings, patient_findings
from hilum.auditing.patients import patient_groups, patients_across_splits
from hilum.errors import DataError, HilumError
from hilum.phantoms.phantom import write_phantoms
from hilum.radiographs.dataset import Dataset, open_dataset
from hilum.radiographs.image import image_source
from hilum.radiographs.layouts import FROM_DICOM
from hilum.records import Record
from hilum.reporting.audit_page import give_verdict, preprocessing_samples, write_audit_page
from tests.command import run_command
from tests.reporting.test_report import HOSTILE, Page


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantoms with a leak, a label conflict and a repetition."""
    root = tmp_path_factory.mktemp("audit") / "faulty"
    write_phantoms(root, counts={"train": 60, "val": 12}, seed=2, size=64, ratio=(1, 1, 1))
    shutil.copy(root / "train/normal/0.png", root / "val/normal/0.png")
    shutil.copy(root / "train/normal/1.png", root / "train/infected/covid/1.png")
    shutil.copy(root / "train/infected/non-covid/2.png", root / "train/infected/non-covid/3.png")
    return root


@pytest.fixture(scope="module")
def audited(faulty: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Audit]:
    dataset = open_dataset(faulty)
    return dataset, run_audit(dataset)


def test_the_planted_faults_lead_the_findings(audited):
    _, audit = audited

    by_code = {(f.severity, f.code): f for f in audit.findings}
    leak = by_code["critical", "leak"]
    assert leak.evidence == ("train/normal/0.png = val/normal/0.png",)
    conflict = by_code["critical", "label-conflict"]
    assert conflict.evidence == ("train/normal/1.png = train/infected/covid/1.png",)
    repeated = by_code["note", "duplicates"]
    assert repeated.title == "1 group (1 pair) of identical images within train"
    assert [f.code for f in audit.findings[:2]] == ["leak", "label-conflict"]
    assert ("note", "synthetic") in by_code
    assert not any(f.code.startswith("provenance") for f in audit.findings)


def test_the_json_holds_everything(audited, tmp_path):
    dataset, audit = audited

    written = json.loads(write_audit(audit, tmp_path / "new").read_text())

    assert written["description"]["counts"]["val"] == {"normal": 4, "covid": 4, "non-covid": 4}
    assert [f["severity"] for f in written["findings"]] == [f.severity for f in audit.findings]
    assert written["duplicates"]["pairs"] == 3
    assert {s["name"] for s in written["shortcuts"]} >= {"border", "corners", "whole image"}
    assert set(written["seconds"]) == {
        "decoding", "description", "duplicates", "patients", "shortcuts",
    }  # fmt: skip


def test_an_audit_that_cannot_be_written_says_so(audited, tmp_path):
    dataset, audit = audited
    (tmp_path / "file").write_text("")

    with pytest.raises(DataError, match=r"Cannot write .*audit\.json: "):
        write_audit(audit, tmp_path / "file")
    with pytest.raises(HilumError, match="Cannot write the page"):
        write_audit_page(audit, tmp_path / "file" / "audit.html")


# ---- the page -----------------------------------------------------------------------------------


def test_the_page_shows_findings_and_pictures(audited, faulty, tmp_path):
    _, audit = audited

    file = write_audit_page(audit, tmp_path / "audit.html", images=image_source(faulty))
    page = Page(file.read_text(encoding="utf-8"))

    assert "Synthetic phantoms" in page.words
    assert (
        "not report figures on them as they stand. 1 group of identical images across splits; "
        "1 group of identical images with different labels. First: remove the copies"
    ) in page.words
    shown = [img["alt"] for img in page.of("img")]
    assert sum(alt.endswith(f": example of {name}: 24 images") for alt in shown for name in
               ("normal", "covid", "non-covid")) == 3 * 2  # fmt: skip
    evidence = [alt.split(",")[0] for alt in shown if ": evidence of" in alt]
    assert evidence == [
        f"Radiograph {name}" for f in audit.findings[:2] for name in f.evidence[0].split(" = ")
    ]
    assert "AUROC (0.5 is chance)" in page.words
    assert page.svgs_without_title == 0
    assert all(i["src"].startswith("data:image/jpeg") and i["alt"] for i in page.of("img"))
    assert len(page.of("img")) >= 3 * 6 + 2 * 6 + 3 * 2
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    links = page.of("a")
    downloads = [a for a in links if "download" in a]
    assert len(downloads) == len(page.of("table")) >= 4
    assert all(a["href"].startswith("data:text/csv") for a in downloads)
    inside = {a["href"].removeprefix("#") for a in links if "download" not in a}
    assert inside <= set(ids)
    assert not page.of("script")


WARNING = Finding("warning", "shortcut", "A border tells", "Why. And more.", "Crop. Then test.")
PASSED = Finding("passed", "leak", "No image stands in two splits", "Neither …")
UNDIVIDED = Finding("note", "undivided", "All images are in one split", "…", "Divide.")
SOURCE = Finding("critical", "provenance", "This is X", "Labels lie. More.", "Rename them. Then …")


@pytest.mark.parametrize(
    ("findings", "answer", "rest"),
    [
        ([SOURCE, WARNING, PASSED], "but not report", ["Labels lie.", "First: rename them."]),
        ([WARNING, PASSED], "if what the warnings say", ["A border tells.", "First: crop."]),
        ([WARNING] * 5, "if what", ["A border tells; " * 3 + "and 2 more.", "First: crop."]),
        ([WARNING, UNDIVIDED], "once they are divided", ["A border tells.", "First: crop."]),
        ([SYNTHETIC, PASSED], "say nothing about patients",
         ["Checked and found in order: no image stands in two splits."]),
        ([UNDIVIDED], "once they are divided", []),
        ([PASSED], "nothing was found that speaks against it",
         ["Checked and found in order: no image stands in two splits."]),
    ],
)  # fmt: skip
def test_the_verdict_is_of_the_gravest_findings(findings, answer, rest):
    first, *others = give_verdict(findings)
    assert answer in first
    assert others == rest


def test_the_page_without_pictures_says_so(audited, tmp_path):
    page = Page(write_audit_page(audited[1], tmp_path / "a.html").read_text(encoding="utf-8"))

    assert "pictures were not at hand" in page.words
    assert not page.of("img")


def test_the_page_shows_preprocessing(audited, faulty, tmp_path):
    dataset, audit = audited
    samples = preprocessing_samples(dataset)

    file = write_audit_page(audit, tmp_path / "a.html", preprocessing=samples)
    page = Page(file.read_text(encoding="utf-8"))

    assert len(samples) == 3
    assert "contrast: clahe" in page.words
    assert len(page.of("img")) == sum(map(len, samples.values()))


def test_file_names_are_escaped(tmp_path):
    rng = np.random.default_rng(0)
    for label in ("normal", "ill"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for name in (HOSTILE, "2.png"):
            Image.fromarray(rng.integers(0, 256, (32, 32), dtype=np.uint8)).save(
                tmp_path / "data" / label / name, format="PNG"
            )
    root = tmp_path / "data"
    audit = run_audit(open_dataset(root))

    text = write_audit_page(audit, tmp_path / "a.html", images=image_source(root)).read_text()

    assert "onerror=alert(1)&gt;" in text
    assert "<img src=x" not in text
    assert "Shortcuts were not looked for: 'normal' has fewer than 10 images" in Page(text).words


# ---- patients -----------------------------------------------------------------------------------


def test_a_patient_on_both_sides_is_a_leak(tmp_path):
    rng = np.random.default_rng(0)
    names = {
        "train/normal": ["a_1.png", "b_1.png"],
        "train/ill": ["person1_virus_1.png", "person1_virus_2.png", "person2_virus_3.png"],
        "val/normal": ["c_1.png"],
        "val/ill": ["person1_virus_4.png"],
    }
    for folder, files in names.items():
        (tmp_path / folder).mkdir(parents=True)
        for name in files:
            pixels = rng.integers(0, 256, (32, 32), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / name)
    records = open_dataset(tmp_path).records
    info = patient_groups(records)

    (finding,) = patient_findings(info, patients_across_splits(records, info), None, records)

    assert (finding.severity, finding.code) == ("critical", "leak")
    assert finding.title == "1 patient in more than one split, with 3 images"
    assert "val/ill/person1_virus_4.png" in finding.evidence[0]


def test_who_is_nobody_is_asked_for(audited):
    dataset, audit = audited

    (finding,) = patient_findings(audit.patients, {}, None, dataset.records)

    assert (finding.severity, finding.code) == ("warning", "patients")
    assert "patient_id" in finding.advice


def test_a_set_without_copies_passes(audited):
    dataset, audit = audited
    none = type(audit.duplicates)((), (), (), (), np.arange(len(dataset.records)))

    divided = duplicate_findings(none, ("train", "val"))
    whole = duplicate_findings(none, ("train",))

    assert [(f.severity, f.code) for f in divided] == [
        ("passed", "leak"),
        ("passed", "label-conflict"),
    ]
    assert [(f.severity, f.code) for f in whole] == [
        ("note", "undivided"),
        ("passed", "label-conflict"),
    ]


@pytest.mark.parametrize(
    ("splits", "groups", "severity", "title"),
    [
        ("train val", "a b", "passed", "2 patients known, none of them in two splits"),
        ("train train", "a b", "note", "2 patients known"),
        ("train val", "a -", "warning",
         "1 patient known, none of them in two splits; 1 image without one"),
    ],
)  # fmt: skip
def test_what_was_not_checked_is_not_passed(splits, groups, severity, title):
    records = [
        Record(Path(f"{i}.png"), f"{i}.png", split, 0, group=None if group == "-" else group)
        for i, (split, group) in enumerate(zip(splits.split(), groups.split(), strict=True))
    ]
    info = patient_groups(records, FROM_DICOM)

    (finding,) = patient_findings(info, {}, None, records)

    assert (finding.severity, finding.title) == (severity, title)
    assert "by the Patient ID of DICOM files" in finding.meaning


# ---- the command line ---------------------------------------------------------------------------


def run(monkeypatch, capsys, *arguments):
    return run_command(monkeypatch, capsys, "audit", *arguments)


def test_the_verb_prints_findings_and_writes_both_files(faulty, tmp_path, monkeypatch, capsys):
    code, out, err = run(monkeypatch, capsys, faulty, "--out", tmp_path / "out")

    assert code == 0, err
    assert "normal : covid : non-covid ≈ 1 : 1 : 1" in out
    assert out.index("CRITICAL: 1 group of identical") < out.index("NOTE: ")
    assert "whole image" in out
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"audit.json", "audit.html"}


def test_classes_too_small_to_look_for_shortcuts_are_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_phantoms(tmp_path / "small", counts={"train": 9}, seed=2, size=32, ratio=(1, 1, 1))

    out = run_command(monkeypatch, capsys, "audit", "small")[1]

    assert "has fewer than 10 images" in out
    assert "What tells the classes apart" in out
    assert "Written: " in out


def test_the_verb_answers_programs(faulty, tmp_path, monkeypatch, capsys):
    code, out, _ = run(monkeypatch, capsys, faulty, "--out", tmp_path / "out", "--json")

    assert code == 0
    assert json.loads(out)["findings"][0]["severity"] == "critical"


def test_damaged_files_are_listed_and_do_not_stop_it(faulty, tmp_path, monkeypatch, capsys):
    root = shutil.copytree(faulty, tmp_path / "damaged")
    names = [f"train/normal/{i}.png" for i in range(7)]
    for name in names:
        (root / name).write_bytes((root / name).read_bytes()[:90])

    code, out, err = run(monkeypatch, capsys, root, "--out", tmp_path / "out")

    assert code == 0, err
    assert "WARNING: 7 files of 72 cannot be read" in out
    assert all(f"\n{name}: cannot be read (" in out for name in names)
    audit = json.loads((tmp_path / "out" / "audit.json").read_text())
    (finding,) = [f for f in audit["findings"] if f["code"] == "damaged"]
    assert [line.partition(": ")[0] for line in finding["evidence"]] == names
    assert [len(left["names"]) for left in audit["data"]["left_out"]] == [7]
    assert "train/normal/6.png" in (tmp_path / "out" / "audit.html").read_text()


# ---- real data ----------------------------------------------------------------------------------


@pytest.mark.shared
def test_the_real_radiographs(shared_data, tmp_path):
    root = shared_data / "chest-xray-150"
    dataset = open_dataset(root)
    audit = run_audit(dataset)
    write_audit_page(audit, tmp_path / "audit.html", images=image_source(root))

    first = audit.findings[0]
    assert first.severity == "critical"
    assert "viral pneumonia" in first.meaning
    codes = {(f.severity, f.code) for f in audit.findings}
    assert ("passed", "leak") in codes
    assert ("passed", "label-conflict") in codes
    repeated = next(f for f in audit.findings if f.code == "duplicates")
    assert repeated.title == "24 groups (28 pairs) of identical images within train"
    assert audit.description.ratio() == "normal : covid : non-covid ≈ 1 : 1 : 2"
    assert audit.description.balance()["root"] == "normal : infected ≈ 1 : 2.9"
    found = {s.name: s for s in audit.shortcuts}
    assert found["border"].auroc.value == pytest.approx(0.83, abs=0.02)
    assert found["whole image"].auroc.value == pytest.approx(0.88, abs=0.02)
    assert (tmp_path / "audit.html").stat().st_size < 2_000_000
