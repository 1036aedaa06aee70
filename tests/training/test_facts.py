"""What a run says of itself, read back."""

import pytest

from hilum.errors import TrainingError
from hilum.studies.study_run import is_finished
from hilum.training.folder import as_divided, data_root, read_facts, write_facts
from hilum.training.run import train
from tests.spots import quick_recipe


def test_what_is_written_is_read(tmp_path):
    write_facts(tmp_path, {"data": {"root": str(tmp_path)}})
    assert read_facts(tmp_path) == {"data": {"root": str(tmp_path)}}
    assert data_root(tmp_path) == tmp_path


@pytest.mark.parametrize("name", ["gone", "9" * 5000])
def test_data_that_are_gone_have_no_root(tmp_path, name):
    write_facts(tmp_path, {"data": {"root": str(tmp_path / name)}})
    assert data_root(tmp_path) is None


@pytest.mark.parametrize("place", [".", "no-folder", "a-file"])
def test_where_no_run_is_there_are_no_facts(tmp_path, place):
    (tmp_path / "a-file").touch()
    assert read_facts(tmp_path / place) is None
    assert data_root(tmp_path / place) is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "Expecting"),
        (b"[]", "should be an object"),
        (b"\xff", "not UTF-8"),
        (b'{"data": 5}', "'data' should be"),
        (b'{"notes": [5]}', "'notes.0' should be text"),
        (b'{"allowed": null}', "'allowed' should be"),
        (b"[" * 100_000, "nested too deep"),
    ],
)
@pytest.mark.parametrize("reader", [read_facts, data_root, is_finished])
def test_damaged_facts_are_refused_with_the_file_and_what_to_do(tmp_path, content, reason, reader):
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(TrainingError, match=rf"run\.json: damaged \(.*{reason}.*remove the folder"):
        reader(tmp_path)


def test_an_evaluation_of_a_damaged_run_is_refused(tmp_path):
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(TrainingError, match="damaged"):
        as_divided(None, tmp_path)  # type: ignore[arg-type]


def test_a_run_that_lacks_its_facts_is_not_gone_on_with(tmp_path, spots):
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(
        TrainingError, match=r"damaged \(it lacks labels, data, .*remove the folder"
    ):
        train(spots, quick_recipe(), tmp_path, resume=True)
    (tmp_path / "run.json").write_text(
        '{"labels": [], "data": {}, "device": "cpu", "precision": "float32", "networks": {}}'
    )
    with pytest.raises(TrainingError, match=r"damaged \(it lacks data\.fingerprint"):
        train(spots, quick_recipe(), tmp_path, resume=True)
