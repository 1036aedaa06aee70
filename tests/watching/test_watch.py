"""The verb on one small classifier: no change, a change, labels, a history, and refusals."""

import csv
import json
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import pytest

from hilum.classifier.calibrate import calibrate_on
from hilum.errors import ClassifierError, DataError, EvaluationError
from hilum.radiographs.dataset import open_dataset
from hilum.recipe import Recipe
from hilum.training.run import train
from hilum.watching.watch import watch_images
from tests.command import run_command
from tests.spots import write_marked_spots, write_spots
from tests.untrained import untrained


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A trained run, a week like its validation images, and a darker one."""
    root = tmp_path_factory.mktemp("watch")
    data = open_dataset(write_spots(root / "data", {"train": 40, "val": 40}))
    quick = ["strategy=flat", "image_size=32", "batch_size=8", "epochs=3", "learning_rate=0.01"]
    train(data, Recipe.load("covinet-flat").override([*quick, "promises=alike"]), root / "run")
    write_spots(root / "same", {"week": 20}, seed=5)
    write_spots(root / "dark", {"week": 20}, seed=6)
    for path in (root / "dark").rglob("*.png"):
        cv2.imwrite(str(path), (cv2.imread(str(path), 0) * 0.4).astype(np.uint8))
    return root


@pytest.fixture
def run(monkeypatch, capsys):
    return partial(run_command, monkeypatch, capsys)


def test_a_week_a_change_and_labels(root, run, tmp_path):
    out = tmp_path / "watch"
    words = ("watch", root / "run", root / "same", "--device", "cpu")

    code, said, err = run(*words, "--out", out)

    assert code == 0, err
    assert "No change was found in these 60 images." in said
    written = json.loads((out / "watch.json").read_text())
    assert not written["alarm"]
    assert {t["key"] for t in written["tests"]} >= {"gate", "features", "outputs", "mix"}
    (answer,) = written["answers"]
    assert answer["accuracy"]["low"] <= answer["accuracy"]["value"]
    assert "Is it still the same?" in (out / "watch.html").read_text()

    table = out / "label-these.csv"
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert len(rows) == 40
    right = 0
    for row in rows:  # a person fills it in
        row["truth"] = row["path"].split("/")[-2]
        right += row["truth"] == row["predicted"]
    with table.open("w") as file:
        filled = csv.DictWriter(file, rows[0])
        filled.writeheader()
        filled.writerows(rows)
    code, said, _ = run(*words, "--labels", table, "--json")
    labelled = json.loads(said)["answers"][0]["labelled"]
    assert labelled["n"] == 40
    assert labelled["low"] <= right / 40 <= labelled["high"]

    code, said, err = run("watch", root / "run", root / "dark", "--out", out, "--device", "cpu")
    assert code == 3
    assert "do not look as those" in said
    assert "No accuracy is estimated: images look otherwise" in said
    assert "holds labels, and stays as it is" in err
    assert run("watch", root / "run", root / "dark", "--out", out, "--device", "cpu")[0] == 3
    lines = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    assert [line["alarm"] for line in lines] == [False, True], "the same images are one run"
    assert "2 runs" in run("watch", root / "run", root / "dark", "--out", out)[1]
    code, _, err = run("watch", root / "run", root / "dark", "--labels", table)
    assert (code, "not among those that are watched" in err) == (2, True)


def test_damaged_labels_and_histories_are_refused(root, run, tmp_path):
    out, words = tmp_path / "watch", ("watch", root / "run", root / "same", "--device", "cpu")
    assert run(*words, "--out", out)[0] == 0
    table, history = out / "label-these.csv", out / "history.jsonl"
    rows, line = table.read_text().splitlines(), json.loads(history.read_text())
    filled = rows[1].replace(",,", ",covid,")
    for changed, said in (
        ([rows[0], filled.rpartition(",")[0], *rows[2:]], "row 2: expected 5 cells"),
        ([rows[0], filled, filled, *rows[2:]], "stands in it more than once"),
        ([rows[0] + ",truth", *(f"{row},covid" for row in rows[1:])], "more than once"),
        ([rows[0], filled.rpartition(",")[0] + ",900", *rows[2:]], "in another"),
        ([row for row in rows if row.split(",")[-2] != "0"], "images, and 60 are watched"),
    ):
        table.write_text("\n".join(changed))
        code, _, err = run(*words, "--labels", table)
        assert (code, said in err) == (2, True), err
    table.unlink()
    sums = line["sums"]
    for key, value in (
        ("sums", {**sums, "n": -60}),
        ("sums", {**sums, "predicted": {"": [999, 0, 0]}}),
        ("sums", {**sums, "means": {key: [1e308] * len(of) for key, of in sums["means"].items()}}),
        ("sums", {**sums, "tally": {**sums["tally"], "flagged": 10**30}}),
        ("shares", {"": {"covid": {"value": 1e308}}}),
        ("made", "\ud800"),
    ):
        history.write_text(json.dumps({**line, key: value}))
        code, _, err = run(*words, "--out", out)
        assert (code, "line 1: its numbers are none" in err) == (2, True), err
    # of fewer quantities than are looked at now: it stays, and is not judged with these
    means = {name: of[:-1] for name, of in sums["means"].items()}
    history.write_text(json.dumps({**line, "images": "0", "sums": {**sums, "means": means}}))
    assert run(*words, "--out", out)[0] == 0


def test_an_expected_mix_and_what_cannot_be_asked(root, tmp_path):
    import hilum

    classifier = hilum.Classifier.load(root / "run", device="cpu")
    assert classifier.validation is not None
    watch = partial(watch_images, inputs=[str(root / "same")])

    found = watch(classifier, expect="normal=0.96, covid=0.02, non-covid=0.02")
    assert [test.key for test in found.tests if test.alarm] == ["mix"]
    bare = replace(classifier.validation, embedded=None, gate_p_values=None)
    old = watch(replace(classifier, validation=bare))
    assert "does not keep of its validation images where they lie" in old.missing[0]
    assert {"gate", "features"}.isdisjoint(test.key for test in old.tests)

    own = [str(path) for part in ("train", "val") for path in (root / "data" / part).rglob("*.png")]
    mixed = watch_images(classifier, [*own, str(root / "same")])
    assert mixed.missing[-1].startswith("Left out: 240 images that trained or calibrated")
    assert (mixed.n, mixed.tests) == (found.n, watch(classifier).tests)
    with pytest.raises(DataError, match="0 images can be read.*without 240 images that trained"):
        watch_images(classifier, own)
    with pytest.raises(DataError, match="no images found"):
        watch_images(classifier, [str(tmp_path)])
    few = [str(path) for path in sorted((root / "same").rglob("*.png"))[:29]]
    with pytest.raises(DataError, match="29 images can be read, and at least 30"):
        watch_images(classifier, few)
    with pytest.raises(ClassifierError, match="keeps nothing of validation images"):
        watch(replace(classifier, validation=None))
    one = replace(bare, truth=np.zeros_like(bare.truth))
    with pytest.raises(ClassifierError, match="Of 'covid' there are 0 validation images"):
        watch(replace(classifier, validation=one))
    with pytest.raises(EvaluationError, match="of all classes"):
        watch(classifier, expect="normal=0.5")
    with pytest.raises(EvaluationError, match="A level lies"):
        watch(classifier, level=0)


def test_findings_and_a_cascade_are_watched(tmp_path, root):
    marked = open_dataset(write_marked_spots(tmp_path / "marked", {"train": 6, "val": 10}))
    findings = calibrate_on(untrained(marked), marked, "val", remembered=None, promises="alike")
    cascade = open_dataset(root / "data")
    for classifier in (
        findings,
        calibrate_on(untrained(cascade), cascade, "val", promises="alike"),
    ):
        found = watch_images(classifier, [str(root / "same")], out=tmp_path / classifier.strategy)
        names = [answer.name for answer in found.answers]
        assert names == ([f.name for f in classifier.tree.findings] or [""])
        head = (tmp_path / classifier.strategy / "label-these.csv").read_text().splitlines()[0]
        assert all(f"truth {name}".strip() in head for name in names)
        break_even = [answer.accuracy for answer in found.answers]
        assert all(e.value is not None or e.reason for e in break_even)
