"""Training by a split table, and evaluating the run by the same one."""

import json

import pytest

from hilum.auditing.split_table import write_split
from hilum.auditing.splits import make_split
from hilum.classifier.classifier import Classifier
from hilum.cli.calibrate import calibrate
from hilum.errors import DataError, TrainingError
from hilum.radiographs.dataset import open_dataset
from hilum.training.folder import as_divided
from hilum.training.run import train
from tests.spots import write_spots


@pytest.fixture
def data(tmp_path):
    return open_dataset(write_spots(tmp_path / "spots", {"train": 30}))


@pytest.fixture
def folds(tmp_path, data):
    write_split(make_split(data, folds=3, block_size=2), tmp_path / "folds.csv")
    return tmp_path / "folds.csv"


def test_a_fold_is_monitored_and_the_others_train(tmp_path, data, folds, recipe):
    train(data, recipe("epochs=1"), tmp_path / "run", split_file=folds, fold=1)
    facts = json.loads((tmp_path / "run/run.json").read_text())
    assert facts["data"]["split"]["fold"] == 1
    assert facts["data"]["split"]["file"] == "folds.csv"
    assert sum(facts["data"]["counts"]["train"].values()) + facts["monitored"]["n"] == 90
    assert (tmp_path / "run/split.csv").read_bytes() == folds.read_bytes()

    divided = as_divided(data, tmp_path / "run")
    assert len(divided.indices("val")) == facts["monitored"]["n"]
    assert divided.fingerprint == facts["data"]["fingerprint"]

    calibrate(tmp_path / "run", data.root, out=tmp_path / "calibrated")
    fitted = Classifier.load(tmp_path / "calibrated").provenance["calibration"]
    assert fitted["n"] == facts["monitored"]["n"]


def test_resuming_takes_the_runs_own_table(tmp_path, data, folds, recipe):
    train(data, recipe("epochs=1"), tmp_path / "run", split_file=folds, fold=1)
    folds.unlink()
    train(data, recipe("epochs=1"), tmp_path / "run", resume=True)


def test_resuming_with_another_fold_is_refused(tmp_path, data, folds, recipe):
    train(data, recipe("epochs=1"), tmp_path / "run", split_file=folds, fold=1)
    with pytest.raises(TrainingError, match="cannot resume"):
        train(data, recipe("epochs=1"), tmp_path / "run", split_file=folds, fold=2, resume=True)


def test_a_fold_without_a_table_is_refused(tmp_path, data, folds, recipe):
    with pytest.raises(TrainingError, match="Fold 1 was asked for, of which table"):
        train(data, recipe("epochs=1"), tmp_path / "run", fold=1)
    train(data, recipe("epochs=1"), tmp_path / "run", split_file=folds, fold=1)
    train(data, recipe("epochs=1"), tmp_path / "run", fold=1, resume=True)
    with pytest.raises(TrainingError, match="the run's is of fold 1"):
        train(data, recipe("epochs=1"), tmp_path / "run", fold=2, resume=True)


def test_a_fold_is_needed_for_folds_and_a_readable_file_for_anything(tmp_path, data, folds, recipe):
    with pytest.raises(DataError, match="3 folds, and none was chosen"):
        train(data, recipe("epochs=1"), tmp_path / "run", split_file=folds)
    with pytest.raises(DataError, match="cannot be read"):
        train(data, recipe("epochs=1"), tmp_path / "run", split_file=tmp_path / "none.csv")


def test_other_data_keep_their_own_splits(tmp_path, data, folds, recipe):
    train(data, recipe("epochs=1"), tmp_path / "run", split_file=folds, fold=0)
    other = open_dataset(write_spots(tmp_path / "other", {"train": 3, "val": 2}))
    assert as_divided(other, tmp_path / "run") is other
    assert as_divided(data, tmp_path / "no-run") is data


def test_the_runs_own_data_must_still_be_what_the_table_lists(tmp_path, data, folds, recipe):
    train(data, recipe("epochs=1"), tmp_path / "run", split_file=folds, fold=0)
    (data.root / "train/normal/0.png").rename(data.root / "train/normal/77.png")
    with pytest.raises(DataError, match=r"split\.csv lists 1 image that"):
        as_divided(open_dataset(data.root), tmp_path / "run")
