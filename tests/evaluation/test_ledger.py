"""The ledger of looks at test sets."""

import json
import threading
from dataclasses import replace

import pytest

from hilum.errors import EvaluationError
from hilum.evaluation.evaluate import evaluate_predictions
from hilum.evaluation.ledger import (
    LEDGER_FILE,
    Look,
    describe_looks,
    is_look,
    read_ledger,
    record_look,
)
from hilum.radiographs.dataset import open_dataset
from tests.evaluation.conftest import cascade_predictions
from tests.spots import write_spots
from tests.untrained import untrained


@pytest.fixture
def tested(tmp_path):
    return open_dataset(write_spots(tmp_path / "spots", {"train": 2, "val": 2, "test": 1}))


@pytest.fixture
def classifier(tested):
    return untrained(tested)


@pytest.fixture
def folder(tmp_path, classifier):
    classifier.save(tmp_path / "run" / "classifier")
    return tmp_path / "run"


def evaluation(dataset, split, rule="route"):
    truth = dataset.labels[dataset.indices(split)]
    predictions = cascade_predictions(dataset.tree, [{}] * len(truth))
    return evaluate_predictions(
        dataset.tree, truth, predictions, rule=rule, strategy="cascade", split=split
    )


def test_looks_are_counted(folder, classifier, tested):
    first = record_look(folder, classifier, tested, evaluation(tested, "test"))
    assert [(k.split, k.n, k.rule, k.data, k.external) for k in first] == [
        ("test", 3, "route", "spots", False)
    ]  # fmt: skip
    assert first[0].when.endswith("Z")
    assert describe_looks(first) == (
        "This is the 1st look of this classifier at this test set (spots, test)."
    )
    second = record_look(folder, classifier, tested, evaluation(tested, "test"))
    assert "2nd look" in describe_looks(second)
    assert "each with the same weights and rule" in describe_looks(second)
    known = record_look(folder, classifier, tested, evaluation(tested, "test"), known=True)
    assert known == second, "what is known already is no further look"
    third = record_look(
        folder, classifier, tested, evaluation(tested, "test", "argmax"), known=True
    )
    assert "3rd look" in describe_looks(third)
    assert "with 2 different settings" in describe_looks(third)
    assert third == read_ledger(folder) == read_ledger(folder / "classifier")
    assert len((folder / "classifier" / LEDGER_FILE).read_text().splitlines()) == 3


def test_other_weights_are_another_setting(folder, classifier, tested):
    one = record_look(folder, classifier, tested, evaluation(tested, "test"))[-1]
    parameter = next(classifier.networks["root"].parameters())
    parameter.data += 1
    classifier.save(folder / "classifier")
    two = record_look(folder, classifier, tested, evaluation(tested, "test"))[-1]
    assert one.weights != two.weights
    assert one.images == two.images


def test_only_test_sets_and_other_data_are_recorded(tmp_path, folder, classifier, tested):
    for split in ("train", "val"):
        assert not is_look(classifier, tested, split)
        assert record_look(folder, classifier, tested, evaluation(tested, split)) == ()
    assert read_ledger(folder) == ()
    assert is_look(classifier, tested, "all")  # the test images are among them
    other = open_dataset(write_spots(tmp_path / "other", {"train": 2}, seed=1))
    assert is_look(classifier, other, "train")
    (look,) = record_look(folder, classifier, other, evaluation(other, "all"))
    assert look.external
    unknown = replace(classifier, provenance={})
    assert not is_look(unknown, other, "train")
    assert is_look(unknown, tested, "test")


def test_the_same_images_are_known_again(tmp_path, folder, classifier, tested):
    record_look(folder, classifier, tested, evaluation(tested, "test"))
    # a training image less is another data set, but the test images are the same
    fewer = open_dataset(tested.root, exclude=["val/normal/0.png"])
    assert fewer.fingerprint != tested.fingerprint
    assert len(record_look(folder, classifier, fewer, evaluation(fewer, "test"))) == 2
    assert len(record_look(folder, classifier, tested, evaluation(tested, "all"))) == 2
    other = open_dataset(write_spots(tmp_path / "other", {"train": 2, "test": 1}, seed=1))
    assert len(record_look(folder, classifier, other, evaluation(other, "test"))) == 1
    assert len(read_ledger(folder)) == 4


def test_many_at_once_lose_nothing(folder, classifier, tested):
    result = evaluation(tested, "test")
    threads = [
        threading.Thread(target=record_look, args=(folder, classifier, tested, result))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_ledger(folder)) == 8


@pytest.mark.parametrize("line", ["", "{", "[]", '{"when": "now"}', "null"])
def test_a_damaged_line_is_refused_with_its_number(folder, classifier, tested, line):
    record_look(folder, classifier, tested, evaluation(tested, "test"))
    file = folder / "classifier" / LEDGER_FILE
    text = file.read_text() + line + "\n"
    file.write_text(text)
    with pytest.raises(EvaluationError, match=r"ledger\.jsonl, line 2: damaged"):
        record_look(folder, classifier, tested, evaluation(tested, "test"))
    assert file.read_text() == text


def test_a_value_of_another_kind_is_refused(folder, classifier, tested):
    record_look(folder, classifier, tested, evaluation(tested, "test"))
    file = folder / "classifier" / LEDGER_FILE
    look = json.loads(file.read_text())
    file.write_text(json.dumps(look | {"n": "3"}) + "\n")
    with pytest.raises(EvaluationError, match="line 1: 'n' is '3'; expected int"):
        read_ledger(folder)


def test_a_folder_that_cannot_be_written_is_told(folder, classifier, tested, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("hilum.evaluation.ledger.write_atomically", refuse)
    with pytest.raises(EvaluationError, match=r"cannot be written \(Permission denied\)"):
        record_look(folder, classifier, tested, evaluation(tested, "test"))
    (folder / "classifier" / LEDGER_FILE).mkdir()
    with pytest.raises(EvaluationError, match=r"^Cannot read .*ledger\.jsonl: Is a directory"):
        read_ledger(folder)


def test_ordinals():
    look = Look("2026-01-01T00:00:00Z", "d", "f", False, "test", 3, "i", "w", "route")
    for n, text in ((2, "2nd"), (11, "11th"), (13, "13th"), (21, "21st"), (112, "112th")):
        assert f"the {text} look" in describe_looks([look] * n)
    with pytest.raises(EvaluationError, match="no look"):
        describe_looks([])
