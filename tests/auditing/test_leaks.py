"""What `hilum train` refuses before it starts, and what it says of what it was told to allow."""

import shutil

import pytest

from hilum.auditing.leaks import refuse_unsound
from hilum.errors import DataError
from hilum.radiographs.dataset import open_dataset
from hilum.training.run import train


def test_sound_data_pass(spots):
    assert refuse_unsound(spots) == []


def test_an_image_in_two_splits_is_refused_by_name_unless_allowed(spots):
    shutil.copy(spots.root / "train/normal/3.png", spots.root / "val/normal/9.png")
    leaking = open_dataset(spots.root)
    with pytest.raises(DataError, match=r"(?s)1 group of identical images across splits.*") as e:
        refuse_unsound(leaking)
    assert "train/normal/3.png = val/normal/9.png" in str(e.value)
    assert "--allow leakage" in str(e.value)
    (note,) = refuse_unsound(leaking, ["leakage"])
    assert note.startswith("Trained although (--allow leakage): 1 group of identical images")


def test_an_image_with_two_labels_is_refused_unless_allowed(spots):
    shutil.copy(spots.root / "train/normal/3.png", spots.root / "train/infected/covid/99.png")
    contradictory = open_dataset(spots.root)
    with pytest.raises(DataError, match="different labels.*--allow label-conflicts"):
        refuse_unsound(contradictory, ["leakage"])
    assert len(refuse_unsound(contradictory, ["label-conflicts"])) == 1


def test_a_patient_in_two_splits_is_refused(spots):
    for split, name in (("train", "person7_virus_1.png"), ("val", "person7_virus_2.png")):
        path = spots.root / split / "infected/covid"
        (path / "0.png").rename(path / name)
    with pytest.raises(DataError, match="1 patient in more than one split"):
        refuse_unsound(open_dataset(spots.root))


def test_an_unknown_word_is_refused(spots):
    with pytest.raises(DataError, match="no 'leak' to allow.*'leakage'"):
        refuse_unsound(spots, ["leak"])


def test_training_refuses_before_it_writes_and_records_what_was_allowed(tmp_path, spots, recipe):
    shutil.copy(spots.root / "train/normal/3.png", spots.root / "val/normal/9.png")
    leaking = open_dataset(spots.root)
    with pytest.raises(DataError, match="across splits"):
        train(leaking, recipe("epochs=1"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    classifier = train(leaking, recipe("epochs=1"), tmp_path / "run", allow=["leakage"])
    assert any("--allow leakage" in note for note in classifier.provenance["notes"])
    train(leaking, recipe("epochs=1"), tmp_path / "run", resume=True)  # it was allowed once
