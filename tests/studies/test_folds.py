"""What runs train on and hold out."""

import pytest

from hilum.errors import DataError, StudyError
from hilum.studies.folds import divide, restrict
from tests.studies.small import small_data


@pytest.fixture
def data(tmp_path):
    return small_data(tmp_path / "spots")


def names(dataset, split):
    return {dataset.records[i].name for i in dataset.indices(split)}


def test_every_training_image_is_held_out_once(data):
    folds = divide(data, 3, block_size=1)
    held = [names(part, "val") for part in folds.parts]
    assert set.union(*held) == names(data, "train")
    assert sum(map(len, held)) == 24
    for part in folds.parts:
        assert part.splits == ("train", "val")
        assert names(part, "train") | names(part, "val") == names(data, "train")
    assert names(folds.own_val, "val") == names(data, "val")
    assert set(folds.groups) == names(data, "train")
    assert [folds.number(run) for run in range(4)] == [0, 1, 2, 0]
    assert folds.part(3) is folds.parts[0]


def test_blocks_stay_together(data):
    folds = divide(data, 2, block_size=4)  # files 0 to 3 and 4 to 7 of each class
    held = names(folds.parts[0], "val")
    for name in held:
        folder, number = name.rsplit("/", 1)
        block = int(number.removesuffix(".png")) // 4
        assert {f"{folder}/{i}.png" for i in range(4 * block, 4 * block + 4)} <= held
    with pytest.raises(DataError, match="Try blocks of"):
        divide(data, 2, block_size=50)


def test_no_folds_take_the_data_s_own_split(data):
    folds = divide(data, 0, block_size=1)
    assert len(folds.parts) == 1
    assert folds.own_val is None
    assert names(folds.part(4), "val") == names(data, "val")
    assert folds.parts[0].splits == ("train", "val")
    assert set(folds.groups) == names(data, "train") | names(data, "val")


def test_one_decision_alone(data):
    folds = divide(data, 2, block_size=1, decision="infected")
    assert folds.tree.to_text() == "covid, non-covid"
    assert folds.parts[0].counts()["train"].keys() == {"covid", "non-covid"}
    whole = divide(data, 2, block_size=1)
    assert names(folds.parts[0], "val") == {
        name for name in names(whole.parts[0], "val") if "infected" in name
    }
    assert folds.own_val.counts() == {"val": {"covid": 2, "non-covid": 2}}

    root = restrict(data, "root")
    assert root.counts()["train"] == {"normal": 8, "infected": 16}
    with pytest.raises(StudyError, match="Did you mean 'infected'"):
        restrict(data, "infectd")
