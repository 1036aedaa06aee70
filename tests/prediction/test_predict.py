"""The file of predictions: complete, in order, and the same whatever happened on the way."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import filelock
import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from hilum import files
from hilum.classifier.classifier import Classifier
from hilum.codec import to_plain
from hilum.errors import DataError
from hilum.prediction.journal import journal_path
from hilum.prediction.predict import predict_files
from hilum.radiographs.dataset import open_dataset
from tests.radiographs.dicoms import dicom, save
from tests.spots import write_spots
from tests.untrained import untrained

KILLED = Path(__file__).with_name("killed.py")
FORMATS = ["csv", "jsonl", "parquet"]


def rows_of(out):
    """Rows as dictionaries, whatever the format; None or '' for what is not there."""
    if out.suffix == ".csv":
        with out.open(newline="") as file:
            return list(csv.DictReader(file))
    if out.suffix == ".jsonl":
        return [json.loads(line) for line in out.read_text().splitlines()]
    return pyarrow.parquet.read_table(out).to_pylist()


def others(out):
    """What lies beside the file, but for the lock."""
    return {p.name for p in out.parent.iterdir()} - {out.name, f".{out.name}.lock"}


@pytest.mark.parametrize("ending", FORMATS)
def test_every_file_gets_its_row(tmp_path, plain, folder, ending):
    out = tmp_path / "out" / f"p.{ending}"

    done = predict_files(plain, [str(folder)], out)

    counts = {"images": 12, "failed": 2, "found": 0, "redone": 0}
    assert to_plain(done) == {"out": str(out), **counts, "arrivals": None}
    rows = rows_of(out)
    good = [f"infected/covid/{i}" for i in range(4)] + [f"infected/non-covid/{i}" for i in range(4)]
    assert [r["path"] for r in rows] == [
        str(folder / f"{name}.png") for name in (*good, *(f"normal/{i}" for i in range(4)))
    ]
    assert [r["status"] for r in rows] == ["ok"] * 9 + ["failed", "ok", "failed"]
    assert rows[11]["reason"] == "the file is empty."
    assert rows[11]["predicted"] in (None, "")
    assert rows[11]["p(normal)"] in (None, "")
    assert others(out) == {f"p.{ending}.journal.json"}
    expected = plain.predict([r["path"] for r in rows if r["status"] == "ok"])
    told = [[float(r[f"p({c})"]) for c in plain.tree.classes] for r in rows if r["predicted"]]
    # one batch of the same images: the same bits
    assert (np.array(told) == expected.probs).all()


def test_the_three_formats_say_the_same(tmp_path, calibrated, folder):
    tables = []
    for ending in FORMATS:
        out = tmp_path / f"p.{ending}"
        predict_files(calibrated, [str(folder)], out, operate=["public-health"])
        tables.append(rows_of(out))
    of_csv, of_lines, of_parquet = tables

    assert of_lines == of_parquet
    texts = ("path", "predicted", "status", "reason", "set", "referral")
    for a, b in zip(of_csv, of_lines, strict=True):
        assert list(a) == list(b)
        for key, cell in a.items():
            if b[key] is None:
                assert cell == ""
            else:
                assert (cell if key in texts else float(cell)) == b[key]


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_numbers_are_those_of_the_classifier(tmp_path, calibrated, folder, batch_size):
    """To the rounding of float32 where other images share a batch; the same class always here."""
    out = tmp_path / "p.jsonl"
    predict_files(calibrated, [str(folder)], out, batch_size=batch_size)

    told = [r for r in rows_of(out) if r["status"] == "ok"]
    expected = calibrated.predict([r["path"] for r in told])

    classes = calibrated.tree.classes
    probs = np.array([[r[f"p({c})"] for c in classes] for r in told])
    np.testing.assert_allclose(probs, expected.probs, atol=1e-6)
    assert [r["predicted"] for r in told] == [classes[k] for k in expected.predicted]
    assert expected.gate_p_values is not None
    np.testing.assert_allclose([r["gate_p_value"] for r in told], expected.gate_p_values, atol=1e-6)


@pytest.fixture(scope="module")
def killed(tmp_path_factory, python):
    """The folder of tables that runs in other processes left when they were killed (killed.py)."""
    root = tmp_path_factory.mktemp("killed")
    data = write_spots(root / "folder", {"train": 4}, seed=7) / "train"
    untrained(open_dataset(data.parent)).save(root / "classifier")
    (data / "normal/1.png").write_bytes(b"no image")
    subprocess.run([python, str(KILLED), str(root)], check=True)
    return root


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("when", ["reading", "journal"])
def test_after_a_kill_it_goes_on_to_the_same_bytes(tmp_path, killed, ending, when):
    classifier = Classifier.load(killed / "classifier", device="cpu")
    whole, out = tmp_path / f"whole.{ending}", killed / f"{when}.{ending}"
    journal = json.loads(journal_path(out).read_bytes())
    assert not journal["finished"]
    if when == "journal":  # of two batches of 3 rows it knows the first
        gathered = out if ending != "parquet" else Path(f"{out}.partial.jsonl")
        assert journal["rows"] == 3
        assert gathered.stat().st_size > journal["bytes"]

    predict_files(classifier, [str(killed / "folder")], whole, batch_size=3)
    done = predict_files(classifier, [str(killed / "folder")], out, batch_size=3)

    assert done.found == journal["rows"]
    assert (done.images, done.failed) == (12, 1)
    assert out.read_bytes() == whole.read_bytes()
    assert not Path(f"{out}.partial.jsonl").exists()


def interrupted(classifier, folder, out, *, after):
    """Stop after so many batches of 3, as Ctrl-C does."""
    calls = iter(range(after))

    def classify(pixels):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return classifier.predict_pixels(pixels)

    with pytest.raises(KeyboardInterrupt):
        predict_files(classifier, [str(folder)], out, batch_size=3, classify=classify)


def test_a_torn_line_is_cut_off(tmp_path, plain, folder):
    whole, out = tmp_path / "whole.csv", tmp_path / "p.csv"
    predict_files(plain, [str(folder)], whole, batch_size=3)
    interrupted(plain, folder, out, after=2)
    assert len(rows_of(out)) == 6
    with out.open("ab") as file:
        file.write(b'"half a "" row')

    predict_files(plain, [str(folder)], out, batch_size=3)

    assert out.read_bytes() == whole.read_bytes()


def test_rows_that_are_there_are_not_computed_again(tmp_path, plain, folder):
    out = tmp_path / "p.csv"
    interrupted(plain, folder, out, after=3)
    seen = []

    def classify(pixels):
        seen.append(len(pixels))
        return plain.predict_pixels(pixels)

    done = predict_files(plain, [str(folder)], out, batch_size=3, classify=classify)
    assert (done.found, seen) == (9, [1])  # of the last three, two cannot be read

    again = predict_files(plain, [str(folder)], out, batch_size=3, classify=classify)
    assert (again.found, again.images, again.failed) == (12, 12, 2)
    assert seen == [1]


@pytest.mark.parametrize("ending", FORMATS)
def test_inputs_that_were_added_at_the_end(tmp_path, plain, folder, ending):
    out = tmp_path / f"p.{ending}"
    predict_files(plain, [str(folder / "infected")], out)
    more = [str(folder / "infected"), str(folder / "normal")]

    if ending == "parquet":
        with pytest.raises(DataError, match="is finished, and a Parquet file takes no more rows"):
            predict_files(plain, more, out)
        assert len(rows_of(out)) == 8
    else:
        done = predict_files(plain, more, out)
        assert (done.found, done.images) == (8, 12)
        assert len(rows_of(out)) == 12


def repaint(path):
    """Put another picture in a file's place, of the same time and, padded, of the same size."""
    before = path.stat()
    image = Image.fromarray(np.random.default_rng(5).integers(0, 256, (8, 8), dtype=np.uint8))
    image.save(path)
    with path.open("ab") as file:
        file.write(bytes(max(0, before.st_size - path.stat().st_size)))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    ("ending", "finished", "changed", "marks"),
    [
        ("csv", True, [0], "settled"),
        ("csv", True, [5], "young"),
        ("csv", True, [3, 4, 6, 11], "settled"),
        ("jsonl", True, [4, 9], "young"),
        ("jsonl", True, range(12), "settled"),
        ("csv", False, [4], "settled"),
        ("jsonl", False, [0, 8, 11], "settled"),
        ("parquet", False, [4, 8], "young"),
        ("parquet", True, [4], "settled"),
    ],
)
def test_rows_of_changed_pictures_are_made_anew(
    tmp_path, plain, folder, request, marks, ending, finished, changed
):
    """The bytes are those of a table that is begun now; other batches are not computed again."""
    if marks == "settled":
        request.getfixturevalue("settled")
    out, whole = tmp_path / "out" / f"p.{ending}", tmp_path / "whole" / f"p.{ending}"
    inputs = [str(folder)]
    pictures = sorted(folder.rglob("*.png"))
    if finished:
        predict_files(plain, inputs, out, batch_size=3)
    else:
        interrupted(plain, folder, out, after=3)
    there = 12 if finished else 9
    for i in changed:
        repaint(pictures[i])
    calls = []

    def classify(pixels):
        calls.append(len(pixels))
        return plain.predict_pixels(pixels)

    done = predict_files(plain, inputs, out, batch_size=3, classify=classify)

    batches = {i // 3 for i in changed if i < there} | set(range(there // 3, 4))
    if ending == "parquet" and finished:
        batches = set(range(4))
    assert len(calls) == len(batches)
    assert done.found + done.redone == there
    assert done.redone == 3 * len([batch for batch in batches if 3 * batch < there])
    predict_files(plain, inputs, whole, batch_size=3)
    assert out.read_bytes() == whole.read_bytes()
    assert others(out) == others(whole)
    again = predict_files(plain, inputs, out, batch_size=3, classify=classify)
    assert (again.found, again.redone, len(calls)) == (12, 0, len(batches))


@pytest.mark.parametrize("n", [0, 1, 2])
def test_a_kill_while_rows_are_mended_costs_rows_only(tmp_path, plain, folder, monkeypatch, n):
    """Before the journal of the rows in front, the rename, and the journal of all."""
    out, whole = tmp_path / "p.csv", tmp_path / "whole.csv"
    predict_files(plain, [str(folder)], out, batch_size=3)
    repaint(folder / "infected/covid/3.png")
    predict_files(plain, [str(folder)], whole, batch_size=3)
    steps, real = iter(range(n)), files.put_in_place

    def put_or_die(partial, target):
        if next(steps, None) is None:
            raise KeyboardInterrupt
        real(partial, target)

    monkeypatch.setattr(files, "put_in_place", put_or_die)
    with pytest.raises(KeyboardInterrupt):
        predict_files(plain, [str(folder)], out, batch_size=3)
    monkeypatch.setattr(files, "put_in_place", real)

    done = predict_files(plain, [str(folder)], out, batch_size=3)

    assert (done.found, done.redone) == ((9, 3) if n == 0 else (3, 0))
    assert out.read_bytes() == whole.read_bytes()


def test_a_table_of_an_earlier_version_goes_on(tmp_path, plain, folder):
    """Of its rows nobody knows what the pictures were: they stay."""
    out = tmp_path / "p.csv"
    interrupted(plain, folder, out, after=2)
    journal = json.loads(journal_path(out).read_bytes())
    del journal["batches"]
    journal_path(out).write_text(json.dumps(journal))
    whole = tmp_path / "whole.csv"
    predict_files(plain, [str(folder)], whole, batch_size=3)

    assert predict_files(plain, [str(folder)], out, batch_size=3).found == 6

    assert out.read_bytes() == whole.read_bytes()
    repaint(folder / "infected/covid/0.png")
    assert predict_files(plain, [str(folder)], out, batch_size=3).redone == 0
    repaint(folder / "normal/0.png")
    assert predict_files(plain, [str(folder)], out, batch_size=3).redone == 3


def test_refusals_leave_the_rows_alone(tmp_path, plain, calibrated, folder):
    out = tmp_path / "p.csv"
    interrupted(plain, folder, out, after=2)
    kept = out.read_bytes()

    def refused(classifier, inputs, said, **options):
        with pytest.raises(DataError, match=said):
            predict_files(classifier, inputs, out, **{"batch_size": 3, **options})
        assert out.read_bytes() == kept

    refused(
        calibrated, [str(folder)], r"another classifier or with other options[^\n]*\n  classifier:"
    )
    refused(plain, [str(folder)], "batch_size: 3 → 4", batch_size=4)
    refused(plain, [str(folder / "normal"), str(folder)], "other files than the first 6 inputs")
    refused(plain, [str(folder / "normal")], "other files than the first 6 inputs")
    with filelock.FileLock(tmp_path / ".p.csv.lock"):
        refused(plain, [str(folder)], "another process writes this file")
    kept = kept.replace(b'"ok"', b'"OK"', 1)
    out.write_bytes(kept)
    refused(plain, [str(folder)], "not as they were written")
    kept = kept[:-1]
    out.write_bytes(kept)
    refused(plain, [str(folder)], "not as they were written")
    sound = json.loads(journal_path(out).read_text())
    for key, value in (("rows", -1), ("rows", 10**30), ("failed", 5), ("bytes", -1),
                       ("bytes", 10**30), ("batches", "3:4:9:x:"), ("batches", "-3:0:9:x:"),
                       ("made_by", {**sound["made_by"], "columns": [["x"]]})):  # fmt: skip
        journal_path(out).write_text(json.dumps({**sound, key: value}))
        refused(plain, [str(folder)], "journal.json: damaged|rows are|other options")
    journal_path(out).write_bytes(b"{")
    refused(plain, [str(folder)], "journal.json: damaged")
    journal_path(out).unlink()
    refused(plain, [str(folder)], "has no journal")

    done = predict_files(plain, [str(folder)], out, restart=True)
    assert (done.images, done.found) == (12, 0)
    assert len(rows_of(out)) == 12


def test_another_threshold_is_another_option(tmp_path, calibrated, folder):
    out = tmp_path / "p.csv"
    predict_files(calibrated, [str(folder)], out)
    with pytest.raises(DataError, match=r"coverage: 0\.9 → 0\.8"):
        predict_files(calibrated, [str(folder)], out, coverage=0.8)
    with pytest.raises(DataError, match="columns: none → covid: sensitivity>=0.1"):
        predict_files(calibrated, [str(folder)], out, operate=["covid: recall>=0.1"])


def test_a_moved_classifier_is_the_same(tmp_path, plain, folder, spots):
    from hilum.prediction.journal import classifier_digest

    plain.save(tmp_path / "a")
    shutil.move(tmp_path / "a", tmp_path / "b")
    loaded = Classifier.load(tmp_path / "b", device="cpu")
    assert classifier_digest(loaded) == classifier_digest(plain)
    assert classifier_digest(untrained(spots)) != classifier_digest(plain), "other weights"
    loaded.temperatures["root"] = 2.0
    assert classifier_digest(loaded) != classifier_digest(plain)


def test_nothing_is_written_where_there_is_nothing_to_say(tmp_path, plain, folder):
    with pytest.raises(DataError, match="No images found"):
        predict_files(plain, ["-"], tmp_path / "new.csv", stdin=[b"\n"])
    with pytest.raises(DataError, match=r"\.csv, \.jsonl or \.parquet"):
        predict_files(plain, [str(folder)], tmp_path / "new.xlsx")
    assert not [p for p in tmp_path.iterdir() if p.name.startswith("new")]


def test_a_missing_pyarrow_is_told_before_any_work(tmp_path, plain, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(DataError, match=r"hilum\[parquet\]"):
        predict_files(plain, [str(folder)], tmp_path / "p.parquet")


def test_a_folder_that_cannot_be_written(tmp_path, plain, folder):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="cannot be written"):
        predict_files(plain, [str(folder)], tmp_path / "file" / "p.csv")


def test_names_that_are_not_utf_8(tmp_path, plain, folder):
    odd = os.path.join(os.fsencode(tmp_path), b"\xff.png")  # noqa: PTH118 - Path takes no bytes
    try:
        shutil.copy(folder / "normal/0.png", odd)
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    inputs = [os.fsdecode(odd)]
    for ending in FORMATS:
        predict_files(plain, inputs, tmp_path / f"p.{ending}")

    assert odd in (tmp_path / "p.csv").read_bytes()
    for ending in ("jsonl", "parquet"):
        assert rows_of(tmp_path / f"p.{ending}")[0]["path"].endswith(r"\xff.png")


def test_a_tree_of_dicom_files(tmp_path, calibrated):
    """Found by their content, below folders of any depth; what is no radiograph gets its reason."""
    rng = np.random.default_rng(0)
    for name in ("1/10/a", "1/2/b"):
        file = tmp_path / "tree" / name
        file.parent.mkdir(parents=True)
        save(file, dicom(rng.integers(0, 4096, (40, 32), dtype=np.uint16)))
    (tmp_path / "tree/1/2/c").write_bytes(file.read_bytes()[:400])
    (tmp_path / "tree/1/notes").write_bytes(b"no DICOM")

    predict_files(calibrated, [str(tmp_path / "tree")], tmp_path / "p.jsonl")

    rows = rows_of(tmp_path / "p.jsonl")
    assert [Path(r["path"]).name for r in rows] == ["b", "c", "a"]
    assert [r["status"] for r in rows] == ["ok", "failed", "ok"]
    assert rows[0]["referral"] == "not such a radiograph", "noise is none"
