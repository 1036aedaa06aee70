"""Studies of DICOM files have names that lead to nobody, unless they are to be kept."""

import hashlib
import hmac
import json
import shutil

import pytest
from PIL import Image

from hilum.errors import DataError
from hilum.prediction.journal import journal_path
from hilum.prediction.predict import predict_files
from hilum.prediction.table import StudyNames
from hilum.radiographs.cache import salt_of
from tests.prediction.test_predict import rows_of
from tests.radiographs.dicoms import RAMP, dicom, save

STUDIES = ("1.2.840.9.1", "1.2.840.9.1", "1.2.840.9.2")


@pytest.fixture
def scans(tmp_path):
    """Three DICOM files of two studies, a damaged one, one that names no study, and a PNG."""
    root = tmp_path / "scans"
    for i, study in enumerate(STUDIES):
        save(root / f"{i}", dicom(StudyInstanceUID=study))
    (root / "3").write_bytes((root / "0").read_bytes()[:400])
    save(root / "4", dicom(StudyInstanceUID=None))
    Image.fromarray((RAMP // 16).astype("uint8")).save(root / "5.png")
    return root


def studies_of(out):
    return [row["study"] for row in rows_of(out)]


def test_studies_are_named_by_hashes(tmp_path, plain, scans, cache):
    first, second, other = (tmp_path / n for n in ("a/1.jsonl", "a/2.csv", "b/1.jsonl"))
    predict_files(plain, [str(scans)], first)
    predict_files(plain, [str(scans)], second)
    predict_files(plain, [str(scans)], other)

    salt = salt_of(tmp_path / "a")
    names = [hmac.new(salt, f"study\0{s}".encode(), hashlib.sha256).hexdigest() for s in STUDIES]
    assert studies_of(first) == [*(name[:16] for name in names), None, None, None]
    assert studies_of(second) == [name or "" for name in studies_of(first)], "of one folder"
    assert studies_of(other)[0] not in studies_of(first), "nobody can join tables of two folders"
    written = [first, second, journal_path(first), journal_path(second), *cache.rglob("*.bin")]
    for secret in ("1.2.840.9", "4711", "Zzyzx", salt.hex()):
        assert not [p.name for p in written if secret.encode() in p.read_bytes()]


def test_identifiers_are_kept_if_asked_for(tmp_path, plain, scans, cache):
    out = tmp_path / "p.jsonl"
    predict_files(plain, [str(scans / "0")], out, keep_identifiers=True)
    with pytest.raises(DataError, match="identifiers: kept → hashed"):
        predict_files(plain, [str(scans / "0"), str(scans / "1")], out)
    predict_files(plain, [str(scans / "0"), str(scans / "2")], out, keep_identifiers=True)

    assert studies_of(out) == ["1.2.840.9.1", "1.2.840.9.2"]
    assert not (cache / "salts").exists()


def test_one_study_never_has_two_names(tmp_path, plain, scans, cache):
    out = tmp_path / "p.csv"
    predict_files(plain, [str(scans / "5.png")], out)
    assert not (cache / "salts").exists(), "nothing is kept where no study is named"
    predict_files(plain, [str(scans / n) for n in ("5.png", "0")], out)
    predict_files(plain, [str(scans / n) for n in ("5.png", "0", "1")], out)
    assert studies_of(out)[1] == studies_of(out)[2] != ""
    before = out.read_bytes()

    shutil.rmtree(cache / "salts")
    with pytest.raises(DataError, match=r"p\.csv: its studies are named under a salt"):
        predict_files(plain, [str(scans / n) for n in ("5.png", "0", "1", "2")], out)

    assert out.read_bytes() == before


def test_a_cache_that_cannot_be_written_is_not_a_damaged_file(tmp_path, plain, scans, cache):
    cache.mkdir(parents=True, exist_ok=True)
    (cache / "salts").write_bytes(b"in the way")
    with pytest.raises(DataError, match="salts"):
        predict_files(plain, [str(scans)], tmp_path / "p.csv")


def test_a_study_that_is_not_there_has_no_name(tmp_path):
    assert StudyNames(tmp_path).name("") == ""
    assert StudyNames(tmp_path, keep_identifiers=True).name("") == ""


@pytest.mark.parametrize("option", [[], ["--keep-identifiers"]])
def test_on_the_command_line(tmp_path, scans, predict, monkeypatch, option):
    monkeypatch.chdir(tmp_path)
    code, printed, _ = predict(scans / "2", "--json", *option)
    assert predict(scans / "2", "--out", tmp_path / "p.csv", *option)[0] == code == 0

    (row,) = json.loads(printed)["predictions"]
    assert [row["study"]] == studies_of(tmp_path / "p.csv")
    assert (row["study"] == STUDIES[2]) == bool(option)
