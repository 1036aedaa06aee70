"""DICOM files in data folders: found by content, grouped by patient, and named by nobody."""

import logging
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum import cli
from hilum.errors import DataError
from hilum.labels import LabelTree
from hilum.radiographs.cache import salt_of
from hilum.radiographs.dataset import open_dataset
from hilum.radiographs.dicom.reading import patient_key
from hilum.radiographs.image import read_picture
from hilum.radiographs.layouts import FROM_DICOM, Listing, list_images, read_layout
from hilum.radiographs.pixels import Thumbnail
from tests.radiographs.dicoms import dicom, save

PATIENT = "Q-4711-XW"
TREE = LabelTree.from_text("normal, covid")
KEY = "7b00e4c9c1204755"


def image(root: Path, name: str, number: int = 1, **tags: Any) -> Path:
    """A DICOM file of image 1.2.3.NUMBER, of the study 1.2.NUMBER // 10."""
    uids = {"SOPInstanceUID": f"1.2.3.{number}", "StudyInstanceUID": f"1.2.{number // 10}"}
    return save(root / name, dicom(**{**uids, **tags}))


def table(root: Path, *lines: str, name: str = "labels.csv") -> Path:
    (root / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def seen(listing: Listing) -> list[tuple[str, ...]]:
    return [
        (f.path.relative_to(listing.root).as_posix(), f.split, "/".join(f.labels))
        for f in listing.found
    ]


def test_files_are_found_by_what_they_hold(tmp_path: Path) -> None:
    image(tmp_path, "normal/IM0001")
    image(tmp_path, "normal/b.dcm")
    image(tmp_path, "normal/c.txt")
    image(tmp_path, "normal/DICOMDIR")
    (tmp_path / "normal" / "fake.dcm").write_text("no DICOM at all")
    (tmp_path / "normal" / "a.png").touch()
    os.mkfifo(tmp_path / "normal" / "pipe")

    assert [p.name for p in list_images(tmp_path)] == ["a.png", "b.dcm", "c.txt", "IM0001"]


def test_label_folders(tmp_path: Path) -> None:
    for i in range(4):
        image(tmp_path, f"{'normal' if i < 2 else 'covid'}/{i}", i, PatientID=str(i // 2 * 5),
              ViewPosition="PA", PatientAge="058Y", PatientSex="F")  # fmt: skip

    dataset = open_dataset(tmp_path)

    assert dataset.layout == "label-folders"
    assert [r.name for r in dataset.records] == ["normal/0", "normal/1", "covid/2", "covid/3"]
    groups = [r.group for r in dataset.records]
    assert groups[0] == groups[1] != groups[2] == groups[3]
    assert dataset.records[0].attributes == {"view": "PA", "age": "058Y", "sex": "F"}
    assert dataset.notes == ()
    assert dataset.patients_from == FROM_DICOM


def test_patients_get_names_that_last_and_cannot_be_guessed(tmp_path: Path, cache: Path) -> None:
    root = tmp_path / "data"
    image(root, "normal/1", PatientID=PATIENT)
    (first,), (again,) = read_layout(root).found, read_layout(root).found
    salt = salt_of(root)

    assert first.group == again.group == patient_key(PATIENT, salt)
    assert len(salt) == 32
    (kept,) = (cache / "salts").glob("*.bin")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    image(tmp_path / "other", "normal/1", PatientID=PATIENT)
    assert read_layout(tmp_path / "other").found[0].group != first.group, "a salt for each data set"
    kept.write_bytes(b"short")
    with pytest.raises(DataError, match=r"\.bin: is damaged; remove it"):
        salt_of(root)


def test_the_key_of_a_patient() -> None:
    # HMAC-SHA256 of "\0" + "4711" under 32 zeros, by: openssl dgst -sha256 -mac HMAC
    assert patient_key("4711", bytes(32)) == KEY
    assert patient_key("4711", b"\1" * 32) != KEY
    assert patient_key("4711", bytes(32), issuer="A") != patient_key("4711", bytes(32), issuer="B")
    assert patient_key("1", bytes(32), issuer="23") != patient_key("31", bytes(32), issuer="2")


def test_identifiers_are_kept_if_asked_for(tmp_path: Path) -> None:
    image(tmp_path, "normal/1", PatientID=PATIENT)

    assert read_layout(tmp_path, keep_identifiers=True).found[0].group == PATIENT
    image(tmp_path, "normal/2", PatientID="B")
    dataset = open_dataset(tmp_path, every_class=False, keep_identifiers=True, tree=TREE)
    assert [r.group for r in dataset.records] == [PATIENT, "B"]


@pytest.mark.parametrize("option", [[], ["--keep-identifiers"]])
def test_hilum_split_names_patients_as_it_is_asked_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: list[str]
) -> None:
    rng = np.random.default_rng(0)
    # each of twelve patients has an image of both classes: salted names divide them by chance, and
    # a part of few could be empty, which is refused
    for i in range(24):
        label = "normal" if i < 12 else "covid"
        image(tmp_path, f"data/{label}/{i}", i, PatientID=f"{PATIENT}{i % 12}",
              PixelData=rng.integers(0, 4096, (16, 16), dtype=np.uint16).tobytes())  # fmt: skip
    out = tmp_path / "split.csv"
    argv = ["hilum", "split", tmp_path / "data", "--folds", "2", "--out", out, *option]
    monkeypatch.setattr("sys.argv", [str(a) for a in argv])

    with pytest.raises(SystemExit) as stop:
        cli.main()

    assert stop.value.code == 0
    assert (PATIENT in out.read_text(encoding="utf-8")) == bool(option)


def test_nothing_that_identifies_gets_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, cache: Path
) -> None:
    root = tmp_path / "data"
    secret = {"PatientID": PATIENT, "PatientName": "Zzyzx^Jane", "ViewPosition": "ZZYZX^JANE",
              "AccessionNumber": "ACC-9981", "PatientBirthDate": "19651224"}  # fmt: skip
    for i in range(2):
        image(root, f"normal/{i}", i, **secret, BurnedInAnnotation="YES")
        image(root, f"covid/{i}", i, **secret)
    caplog.clear()  # of what pydicom says while it writes
    with caplog.at_level(logging.DEBUG):
        dataset = open_dataset(root)
        dataset.pixels(Thumbnail(16))

    told = f"{dataset!r}{dataset.records}{dataset.reading()}{dataset._repr_html_()}"
    told += caplog.text + "".join(p.name for p in cache.rglob("*"))
    for value in secret.values():
        assert value not in told
    assert "2 DICOM files with text burned into the pixels" in dataset.notes[0]


def test_views_from_the_side_are_left_out(tmp_path: Path) -> None:
    for name, view in (("a", "LL"), ("b", "RL"), ("c", "LATERAL"), ("d", "AP"), ("e", "LLD")):
        image(tmp_path, f"normal/{name}", ViewPosition=view)

    listing = read_layout(tmp_path)

    assert [f.path.name for f in listing.found] == ["d", "e"], "a decubitus view is frontal"
    assert listing.sentences == (
        "3 lateral views left out (View Position): frontal ones are read.",
    )


def test_nothing_but_lateral_views(tmp_path: Path) -> None:
    image(tmp_path, "normal/a", ViewPosition="LL")

    with pytest.raises(DataError, match="no image is left. 1 lateral view left out"):
        read_layout(tmp_path)


def test_what_is_not_known_is_told(tmp_path: Path) -> None:
    image(tmp_path, "normal/a", PatientID="")
    image(tmp_path, "normal/b", Modality=None, SOPClassUID="1.2.840.10008.5.1.4.1.1.7")

    listing = read_layout(tmp_path)

    assert listing.notes == (
        "1 DICOM file without a modality, read as radiographs: check that they are.",
        "1 DICOM file without a Patient ID: which of these are of one patient is not known.",
    )
    assert [bool(f.group) for f in listing.found] == [False, True]


def test_damaged_files_wait_until_they_are_decoded(tmp_path: Path) -> None:
    whole = image(tmp_path, "normal/a").read_bytes()
    (tmp_path / "normal" / "b").write_bytes(whole[:300])

    assert [f.path.name for f in read_layout(tmp_path).found] == ["a", "b"]


def test_a_tree_by_image(tmp_path: Path) -> None:
    image(tmp_path, "2024/x/1", 1, PatientID="A")
    image(tmp_path, "2024/y/2.dcm", 2, PatientID="B", ViewPosition="PA")
    image(tmp_path, "3", 3, PatientID="C")
    table(tmp_path, "SOP Instance UID,label,split,view", "1.2.3.2,infected/covid,test,AP",
          "1.2.3.1,normal,,")  # fmt: skip

    listing = read_layout(tmp_path)

    assert listing.layout == "dicom-tree"
    assert seen(listing) == [
        ("2024/x/1", "train", "normal"), ("2024/y/2.dcm", "test", "infected/covid"),
    ]  # fmt: skip
    assert listing.notes[0].startswith("Columns read: SOP Instance UID (uid), label (label)")
    assert listing.sentences[2:] == ("1 DICOM file that labels.csv does not list left out.",)
    assert listing.found[1].attributes == {"view": "AP"}, "the table's word counts"
    assert listing.found[1].group == patient_key("B", salt_of(tmp_path))
    assert seen(read_layout(tmp_path / "labels.csv")) == seen(listing)


def test_a_tree_by_study(tmp_path: Path) -> None:
    image(tmp_path, "a", 10, PatientID="A")
    image(tmp_path, "b", 11, PatientID="A", ViewPosition="LL")
    image(tmp_path, "c", 20, PatientID="B")
    table(tmp_path, "StudyInstanceUID,class", "1.2.1,normal", "1.2.2,covid")

    listing = read_layout(tmp_path)

    assert seen(listing) == [("a", "train", "normal"), ("c", "train", "covid")]
    assert listing.sentences[1:] == (
        "1 lateral view left out (View Position): frontal ones are read.",
    )


def test_a_table_with_paths_is_a_manifest(tmp_path: Path) -> None:
    image(tmp_path, "a", 1)
    table(tmp_path, "path,SOPInstanceUID,label", "a,1.2.3.9,normal")

    listing = read_layout(tmp_path)

    assert listing.layout == "manifest"
    assert listing.found[0].group, "patients are read from the files"


def test_damaged_trees(tmp_path: Path) -> None:
    image(tmp_path, "a", 1)
    table(tmp_path, "SOPInstanceUID,label", "1.2.3.1,normal", "1.2.3.77,covid")
    with pytest.raises(DataError, match=r"\n  line 3: no DICOM file has this SOPInstanceUID$"):
        read_layout(tmp_path)
    table(tmp_path, "SOPInstanceUID,label", "1.2.3.1,normal", "1.2.3.1,covid")
    with pytest.raises(DataError, match="lines 2 and 3: a, as normal and as covid"):
        read_layout(tmp_path)
    table(tmp_path, "SOPInstanceUID,label,split", "1.2.3.1,normal,tset")
    with pytest.raises(DataError, match="no split 'tset'. Did you mean 'test'"):
        read_layout(tmp_path)
    table(tmp_path, "SOPInstanceUID,seen", "1.2.3.1,normal")
    with pytest.raises(DataError, match="no column for the label"):
        read_layout(tmp_path)
    table(tmp_path, "SOPInstanceUID,label")
    with pytest.raises(DataError, match="lists no image"):
        read_layout(tmp_path)
    image(tmp_path, "b", 1)
    table(tmp_path, "SOPInstanceUID,label", "1.2.3.1,normal")
    with pytest.raises(DataError, match="a and b are one image"):
        read_layout(tmp_path)


def test_the_patients_of_a_table_by_uids_are_not_named_either(tmp_path: Path) -> None:
    for i in (1, 2):
        image(tmp_path, str(i), i, PatientID="")
    head, rows = "SOPInstanceUID,label,PatientID,split", [f"1.2.3.1,normal,{PATIENT},train"]
    table(tmp_path, head, *rows, f"1.2.3.2,normal,{PATIENT},train")
    groups = {f.group for f in read_layout(tmp_path).found}
    assert len(groups) == 1
    assert {f.group for f in read_layout(tmp_path, keep_identifiers=True).found} == {PATIENT}
    assert PATIENT not in groups
    table(tmp_path, head, *rows, f"1.2.3.2,normal,{PATIENT},test")
    with pytest.raises(DataError, match=r"1 patient with images in several splits") as error:
        read_layout(tmp_path)
    assert PATIENT not in str(error.value)


@pytest.mark.parametrize("key", ["SOPInstanceUID", "path"])
def test_a_table_that_divides_a_patient(tmp_path: Path, key: str) -> None:
    for i in (1, 2):
        image(tmp_path, str(i), i, PatientID=PATIENT)
    names = ("1", "2") if key == "path" else ("1.2.3.1", "1.2.3.2")
    table(tmp_path, f"{key},label,split", f"{names[0]},normal,train", f"{names[1]},normal,test")

    with pytest.raises(DataError, match=r"train \(1, …\), test \(2, …\)") as error:
        read_layout(tmp_path)
    assert PATIENT not in str(error.value).replace(str(tmp_path), "")


def test_a_picture_of_dicom(tmp_path: Path) -> None:
    path = image(tmp_path, "a", 47)

    found = read_picture(path, colour=True, study=True)

    assert not found.coloured
    assert found.study == "1.2.4"
    assert "1.2.4" not in repr(found)
    assert read_picture(path).study == ""


def test_pixels_of_a_data_set(tmp_path: Path) -> None:
    for i in range(2):
        image(tmp_path, f"normal/{i}", i)
        image(tmp_path, f"covid/{i}", i, PhotometricInterpretation="MONOCHROME1")

    pixels = open_dataset(tmp_path).pixels(Thumbnail(16))

    assert (pixels[2][0, 0], pixels[0][0, 0]) == (255, 0)
