"""What is no capsule, or no result of one, and what cannot be true of either."""

import hashlib
import io
import json
import re
import shutil
import tarfile
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from hilum.capsule.make import make_capsule
from hilum.capsule.ranges import Count
from hilum.capsule.result import Change, Curve, Figure, OfAttribute, Recalibration
from hilum.capsule.run import write_result
from hilum.capsule.signing import sign
from tests.capsule.conftest import write_hospital


def change(plain, *keys, to):
    for key in keys[:-1]:
        plain = plain[key]
    assert plain[keys[-1]] != to
    plain[keys[-1]] = to


@pytest.mark.parametrize(
    "tamper",
    [
        lambda r: change(r, "result", "there", "n", to=999),
        lambda r: change(r, "result", "there", "classes", "covid", "recall", "value", to=0.999),
        lambda r: change(r, "result", "there", "classes", "covid", "called", "covid", "low", to=2),
        lambda r: change(r, "result", "home", "accuracy", "value", to=0.5),
        lambda r: change(r, "result", "capsule", to="0" * 64),
        lambda r: change(r, "result", "site", to="Somewhere else"),
        lambda r: change(r, "key", to="AAAA" + r["key"][4:]),
        lambda r: change(r, "key", to="no key at all"),
        lambda r: change(r, "signature", to="AAAA" + r["signature"][4:]),
        lambda r: r.update(note="a key that nothing reads"),
        lambda r: r["result"].update(note="a key that nothing reads"),
        lambda r: r["result"].update(there=dict(reversed(r["result"]["there"].items()))),
    ],
)
def test_a_changed_result_is_refused(signed, run, tamper):
    plain = json.loads(signed.read_text())
    tamper(plain)
    signed.write_text(json.dumps(plain, indent=1, ensure_ascii=False) + "\n")
    code, out, err = run("capsule", "read", signed)
    assert (code, out) == (2, "")
    assert "was changed after it was signed" in err


def test_a_key_that_stands_twice_and_damage_are_refused(signed, run):
    text = signed.read_text()
    for other, said in (
        (text.replace('"n": 120,', '"n": 999,\n   "n": 120,', 1), "was changed"),
        (text[:-20], "is not valid JSON"),
        (text.replace('"format": 1', '"format": 2'), "not in format 1|format"),
        ("", "is not valid JSON"),
    ):
        assert other != text
        signed.write_text(other)
        code, _, err = run("capsule", "read", signed)
        assert code == 2
        assert re.search(said, err)
    signed.write_bytes(text.replace("\n", "\r\n").encode())  # as a mail program may leave it
    assert run("capsule", "read", signed)[0] == 0


def of_covid(**changes):
    """What there is, with other things told of covid."""

    def change(there):
        own = there.classes["covid"]
        told = {name: value(own) for name, value in changes.items()}
        return replace(there, classes={**there.classes, "covid": replace(own, **told)})

    return change


CHANGE = Change(*[Figure(0.1)] * 3)


def of_site(**changes):
    return lambda result: replace(result, **changes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (of_covid(n=lambda own: own.n + 1), "the number of images"),
        (of_covid(called=lambda own: {**own.called, "covid": Count(0, own.n + 1)}), "are called"),
        (of_covid(called=lambda own: {"covid": own.called["covid"]}), "are called"),
        (of_covid(called=lambda own: dict.fromkeys(own.called, Count.of(own.n))), "are called"),
        (of_covid(recall=lambda own: Figure(0.999, 0.9, 1.0)), "sensitivity"),
        (of_covid(auroc=lambda own: Figure(1e308)), "AUROC for covid"),
        (lambda there: replace(there, n=0), "the number of images"),
        (lambda there: replace(there, patients=10**30), "the number of patients"),
        (lambda there: replace(there, left_out=("covid",)), "its classes"),
        (lambda there: replace(there, accuracy=Figure(1.5)), "accuracy"),
        (lambda there: replace(there, decisions={"x": Figure(0.5)}), "its decisions"),
        (lambda there: replace(there, brier=Figure(0.5, 0.6, 0.4)), "Brier"),
        (lambda there: replace(there, curves={}), "the calibration"),
        (lambda there: replace(there, top_label=Curve(Figure(-0.1), ())), "calibration curve"),
        (lambda there: replace(there, points=there.points[1:]), "its operating points"),
        (lambda there: replace(there, points=(replace(there.points[0], positives=-5),
                                              *there.points[1:])), "the operating point"),
        (lambda there: replace(there, attributes={"sex": OfAttribute((), 3, None)}), "by sex"),
        (lambda there: replace(there, gate=replace(there.gate, n=7)), "the gate"),
    ],
)  # fmt: skip
def test_numbers_that_no_capsule_gives_are_refused_though_signed(
    result, tmp_path, run, change, said
):
    changed = replace(result[0].result, there=change(result[0].result.there))
    write_result(sign(changed), tmp_path / "r.json")
    code, _, err = run("capsule", "read", tmp_path / "r.json")
    assert (code, "do not fit together" in err, said in err) == (2, True, True), err


@pytest.mark.parametrize(
    "change",
    [
        of_site(site="B\nCapsule: is that of capsule.zip"),
        of_site(site="\x1b[2J"),
        of_site(day="today"),
        of_site(hilum="<script>"),
        lambda result: replace(result, home=replace(result.home, n=0)),
        of_site(recalibration=Recalibration({"a": 1.0}, {"x": 1.0}, *[CHANGE] * 3)),
    ],
)
def test_what_no_run_says_of_itself_is_refused_though_signed(result, tmp_path, run, change):
    write_result(sign(change(result[0].result)), tmp_path / "r.json")
    code, out, err = run("capsule", "read", tmp_path / "r.json")
    assert (code, out, "do not fit together" in err) == (2, "", True), err


def repack(path: Path, change) -> None:
    """A capsule with some of its files changed: change takes and gives them by name."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in change(files).items():
            archive.writestr(name, data)


def with_home(old: bytes, new: bytes, files):
    """Another home.json that the manifest names."""
    home = files["home.json"].replace(old, new)
    before, after = (hashlib.sha256(f).hexdigest() for f in (files["home.json"], home))
    assert before != after
    manifest = files["manifest.json"].replace(before.encode(), after.encode())
    return {**files, "home.json": home, "manifest.json": manifest}


WEIGHTS = "classifier/root.safetensors"


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (lambda f: {**f, WEIGHTS: f[WEIGHTS][:-1] + b"\x01"}, "not what its manifest says"),
        (lambda f: {**f, "home.json": f["home.json"].replace(b'"n": 90', b'"n": 91')}, "not what"),
        (lambda f: {**f, "more.txt": b"x"}, "'more.txt' is not what"),
        (lambda f: {**f, ".hidden": b"x"}, "'.hidden' is not what"),
        (lambda f: {n: d for n, d in f.items() if n != "home.json"}, "'home.json' is not what"),
        (lambda f: {n: d for n, d in f.items() if n != "manifest.json"}, "is no capsule"),
        (lambda f: {**f, "../out.txt": b"x"}, "leads out of the folder"),
        (lambda f: {**f, "manifest.json": b'{"format": 9}'}, "format 1"),
        (partial(with_home, b'"n": 90', b'"n": 0'), "do not fit together or to its classifier"),
        (partial(with_home, b'"threshold": 0.', b'"threshold": 7.'), "the threshold of"),
    ],
)
def test_a_changed_capsule_is_refused(capsule, hospital, tmp_path, run, tamper, said):
    changed = tmp_path / "capsule.zip"
    shutil.copy(capsule.path, changed)
    repack(changed, tamper)
    code, _, err = run("capsule", "run", changed, hospital, "--out", tmp_path / "out")
    assert (code, said in err) == (2, True), err
    assert not (tmp_path / "out").exists()


def test_another_capsule_than_the_one_that_was_run_is_noticed(home, result, signed, tmp_path, run):
    other = make_capsule(home, tmp_path / "other.zip", operate=["covid: recall>=0.5"])
    code, _, err = run("capsule", "read", signed, "--capsule", other.path)
    assert (code, "is of another capsule" in err) == (2, True)
    found = result[0].result
    there = replace(found.there, brier=Figure(0.5))
    write_result(sign(replace(found, capsule=other.hash, there=there)), tmp_path / "2.json")
    code, _, err = run("capsule", "read", signed, tmp_path / "2.json")
    assert (code, "read them apart" in err) == (2, True)


def test_what_is_no_capsule_and_images_that_trained_it_are_refused(home, capsule, tmp_path, run):
    (tmp_path / "c.zip").write_bytes(b"nothing")
    with zipfile.ZipFile(capsule.path) as files, tarfile.open(tmp_path / "c.tar", "w") as archive:
        for name in files.namelist():
            entry = tarfile.TarInfo(name)
            entry.size = len(data := files.read(name))
            archive.addfile(entry, io.BytesIO(data))
    for path, data, said in (
        (tmp_path / "none.zip", home.parent / "data", "there is no such capsule"),
        (tmp_path / "c.zip", home.parent / "data", "is no ZIP archive"),
        (tmp_path / "c.tar", home.parent / "data", "is no ZIP archive"),
        ("c" * 5000, home.parent / "data", "there is no such capsule"),
        (capsule.path, home.parent / "data", "are the images that trained the classifier"),
    ):
        code, _, err = run("capsule", "run", path, data, "--out", tmp_path / "out")
        assert (code, said in err) == (2, True), err
    code, _, err = run("capsule", "run", capsule.path, write_hospital(tmp_path), "--site", "a/b<c>")
    assert (code, "is no name of a site" in err) == (2, True)
