"""The audit of findings: how often, together, what is not known, and what gives them away."""

import json

import numpy as np
import pytest

from hilum.auditing.audit import run_audit
from hilum.auditing.duplicates import find_identical
from hilum.auditing.findings import Finding
from hilum.auditing.occurrence import occurrence, occurrence_findings
from hilum.auditing.shortcuts import by_finding
from hilum.radiographs.dataset import open_dataset
from hilum.reporting.sections.data import read_audit
from tests.command import run_command
from tests.spots import write_marked_spots

#: Of write_marked_spots, with narrow no-break spaces.
SAID = "1.00 findings per image: effusion 60.0\u202f%, mass 60.0\u202f%"


def test_counts_cardinality_and_lift(tmp_path):
    # each of "1,0", "0,1", "0,0", "1,1", "-1,1", "1," twice: effusion 6 of 10, mass 6 of 10 known
    data = open_dataset(write_marked_spots(tmp_path / "spots", {"train": 2}))
    found = occurrence(data)
    assert found is not None
    effusion, mass = found.each["effusion"], found.each["mass"]
    assert (effusion.present, effusion.absent, effusion.uncertain, effusion.missing) == (6, 4, 2, 0)
    assert (mass.present, mass.absent, mass.uncertain, mass.missing) == (6, 4, 0, 2)
    assert effusion.share.value == 0.6
    assert effusion.share.low < 0.6 < effusion.share.high
    assert found.cardinality == {"0": 2, "1": 8, "2": 2}
    assert found.mean == 1.0
    assert found.together["effusion"] == {"effusion": 6, "mass": 2}
    # both are known of 8 images, of which 4 have effusion and 4 have mass
    assert found.lift["effusion"]["mass"] == pytest.approx(2 / (4 * 4 / 8))
    assert found.in_words() == SAID
    (unknown,) = occurrence_findings(found)
    assert unknown.title == "Of findings 2 are uncertain, and of 2 nothing is said"
    assert occurrence(open_dataset(tmp_path / "spots", tree="effusion, mass")) is None


def test_findings_that_never_come_alone_are_named(tmp_path):
    rows = [f"{i}.png,{'a|b' if i < 12 else 'b' if i < 20 else 'none'}" for i in range(30)]
    for i in range(30):
        (tmp_path / f"{i}.png").touch()
    (tmp_path / "manifest.csv").write_text("\n".join(["path,label", *rows]))
    found = occurrence(open_dataset(tmp_path))
    assert found is not None
    (tied,) = occurrence_findings(found)
    assert tied.code == "findings-tied"
    assert tied.evidence == ("a: 100.0\u202f% of 12 images also have b",)


def test_copies_contradict_each_other_only_where_both_are_known(tmp_path):
    rows = ("a.png,1,0", "b.png,0,0", "c.png,1,-1", "d.png,1,1", "e.png,0,1", "f.png,,1")
    for name, content in zip("abcdef", ("x", "x", "y", "y", "z", "z"), strict=True):
        (tmp_path / f"{name}.png").write_text(content)
    (tmp_path / "manifest.csv").write_text("\n".join(["path,effusion,mass", *rows]))
    groups = find_identical(open_dataset(tmp_path)).exact
    assert [m.label for m in groups[0].images] == ["effusion", "no finding"]
    assert [g.conflicting_labels for g in groups] == [True, False, False]


def test_results_of_several_findings_are_one_of_each_kind():
    def result(severity, code, title):
        return Finding(severity, code, title, "meaning", "advice", ("line",))

    merged = by_finding(
        {
            "mass": [result("warning", "shortcut", "The classes differ: 0.9")],
            "edema": [result("warning", "shortcut", "The classes differ: 0.8"),
                      result("note", "shortcut-brightness", "Brightness tells")],
        }
    )  # fmt: skip
    assert [f.title for f in merged] == [
        "'mass' and 1 more: the classes differ: 0.9", "'edema': brightness tells",
    ]  # fmt: skip
    assert merged[0].evidence == (
        "mass: The classes differ: 0.9", "edema: The classes differ: 0.8", "line",
    )  # fmt: skip


def test_the_audit_of_findings_from_end_to_end(tmp_path, monkeypatch, capsys):
    root = write_marked_spots(tmp_path / "spots", {"train": 20, "val": 5})
    code, out, err = run_command(
        monkeypatch, capsys, "audit", root, "--out", tmp_path / "audit", "--recipe", "quick"
    )
    assert code == 0, err
    assert SAID in out
    # its spot lies in a corner, outside the lungs
    assert "WARNING: 'effusion'" in out
    assert "'root'" not in out
    audit = json.loads((tmp_path / "audit" / "audit.json").read_text())
    assert audit["occurrence"]["together"]["mass"]["effusion"] == 25
    assert audit["shortcuts"] == []
    table = read_audit(tmp_path / "audit" / "audit.json", [])["by_finding"]  # as reports show it
    assert [row[0] for row in table.rows] == list(audit["shortcuts_by_finding"])
    (corners,) = [s for s in audit["shortcuts_by_finding"]["effusion"] if s["name"] == "corners"]
    assert corners["auroc"]["value"] > 0.9
    assert audit["left"]["by_finding"].keys() == {"effusion", "mass"}
    page = (tmp_path / "audit" / "audit.html").read_text()
    assert "Findings of the images" in page
    assert "effusion: 75 images" in page


def test_classes_beside_findings_have_both_parts(tmp_path):
    root = write_marked_spots(tmp_path / "spots", {"train": 12})
    data = open_dataset(root, tree="normal, ill{effusion, mass}")
    audit = run_audit(data)
    assert set(audit.shortcuts[0].per_class) == {"normal", "ill"}
    assert set(audit.by_finding) == {"effusion", "mass"}
    assert audit.balance().startswith("normal : ill")
    # of what is normal no finding is asked: it is absent there
    assert audit.occurrence.each["mass"].absent == np.sum(
        (data.labels == 0) | (data.marks[:, 1] == 0)
    )
